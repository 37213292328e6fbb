"""A big-endian machine is refused in one sentence by whatever computes, and is told so before anything is computed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fastsmc.errors import MachineError
from fastsmc.jit.byte_order import require_little_endian
from tests.support.places import ROOT

SAID = "this machine is big-endian, and fastsmc computes on little-endian machines only"
AS_IF = "import sys; sys.byteorder = 'big'; "


def run_as_if_big(program: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", AS_IF + program]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_byte_order_is_accepted_or_refused() -> None:
    require_little_endian()
    require_little_endian("little")
    with pytest.raises(MachineError, match=SAID):
        require_little_endian("big")


@pytest.mark.parametrize(
    "names", ["kernels", "dispatcher.kernels.answers", "migrate.kernels.arrays", "latency.kernels.lanes", "jit.threads"]
)
def test_no_kernel_is_imported_on_a_big_endian_machine(names: str) -> None:
    done = run_as_if_big(f"import fastsmc.{names}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"fastsmc.errors.MachineError: {SAID}")


def test_public_names_that_compute_are_refused_too() -> None:
    for name in ("Fleet", "verdicts", "answers", "simulate", "migrate.encode"):
        done = run_as_if_big(f"import fastsmc; fastsmc.{name}")
        assert done.stderr.splitlines()[-1].startswith(f"fastsmc.errors.MachineError: {SAID}"), name


def test_the_command_line_says_one_sentence() -> None:
    done = run_as_if_big("sys.argv = ['fastsmc', 'simulate', 'x.toml']; from fastsmc.cli.start import main; main()")
    assert (done.returncode, done.stdout) == (3, "")
    assert SAID in done.stderr
    assert "Traceback" not in done.stderr
