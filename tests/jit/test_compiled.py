"""The cache of compiled kernels: kept between processes, and never a reason to fail or to run the wrong code."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.places import ROOT

PROGRAM = """
import numpy as np
from fastsmc.dispatcher.batch import verdicts
from fastsmc.vm import Fleet
from fastsmc.calls.workload import Calls
fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
for dtype in ({dtypes}):
    print(verdicts(fleet, Calls(np.zeros(2, dtype), np.array([0x84000050, 7], np.uint32))).tolist())
from fastsmc import kernels
print(sum(getattr(kernels.decide, "_cache_hits", {{}}).values()))
"""


TINY = """
import numpy as np
from tests.support.tiny_kernel import fill
for dtype in ({dtypes}):
    out = np.zeros(2, dtype)
    fill(out)
    print(out.tolist())
print(sum(getattr(fill, "_cache_hits", {{}}).values()))
"""
"""Prints what PROGRAM does after a hundredth of its compiling: for what holds of any kernel."""


soaked = pytest.mark.soak("dispatch and the kernels that it calls; make test has a kernel that calls none")
programs = pytest.mark.parametrize("program", [TINY, pytest.param(PROGRAM, marks=soaked)], ids=["tiny", "dispatch"])


def start(cache: Path | str, dtypes: str = "np.uint32,", program: str = TINY) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": path}
    program = program.format(dtypes=dtypes)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def finished(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.split("\n")[:-1], error


def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    assert finished(start(tmp_path, program=PROGRAM)) == (["[0, 1]", "0"], "")
    assert finished(start(tmp_path, program=PROGRAM)) == (["[0, 1]", "1"], "")


def said_on_a_terminal(cache: Path) -> str:
    """What a process whose stderr is a terminal writes there."""
    ours, its = pty.openpty()
    try:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": path}
        program = [sys.executable, "-c", TINY.format(dtypes="np.uint32,")]
        subprocess.run(program, stdout=subprocess.DEVNULL, stderr=its, env=env, check=True, timeout=120)
        os.write(its, b"END")
        said = b""
        while not said.endswith(b"END"):
            said += os.read(ours, 1000)
    finally:
        os.close(its)
        os.close(ours)
    return said[:-3].decode()


def test_a_terminal_is_told_of_the_first_compilation_only(tmp_path: Path) -> None:
    cold = said_on_a_terminal(tmp_path)
    assert cold.count("fastsmc: compiling kernels, once") == 1
    assert cold.count("\n") == 1
    assert said_on_a_terminal(tmp_path) == ""


@programs
def test_processes_that_start_at_once_agree(tmp_path: Path, program: str) -> None:
    orders = ("np.uint8, np.uint16", "np.uint16, np.uint8", "np.uint8,")
    running = [start(tmp_path, dtypes, program) for dtypes in orders]
    for process in running:
        out, error = finished(process)
        assert set(out[:-1]) == {"[0, 1]"}
        assert error == ""
    assert finished(start(tmp_path, "np.uint8, np.uint16", program))[0] == ["[0, 1]", "[0, 1]", "2"]


def test_without_a_folder_to_write_kernels_run_and_it_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    out, error = finished(start(tmp_path / "file"))
    assert out == ["[0, 1]", "0"]
    assert error.count("compiled kernels are not kept") == 1


@programs
def test_a_damaged_cache_is_compiled_again(tmp_path: Path, program: str) -> None:
    finished(start(tmp_path, program=program))
    damaged = [path for path in tmp_path.rglob("*.nb?") if path.is_file()]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:7])
    out, error = finished(start(tmp_path, program=program))
    assert out == ["[0, 1]", "0"]
    assert error.count("compiled kernels are not kept") == 1


@pytest.mark.parametrize("limit", [0, 2000])
def test_a_disk_that_fills_up_costs_the_cache_only(tmp_path: Path, limit: int) -> None:
    """A limit on file size stands for the full disk: writing fails the same way, with another errno."""
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n" + TINY.format(dtypes="np.uint32,")
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path}
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=False)
    # What it prints goes to a pipe, which the limit does not bound.
    assert asked.stdout.split("\n")[:2] == ["[0, 1]", "0"], asked.stderr
    assert asked.stderr.count("compiled kernels are not kept") == 1


def test_the_arrays_of_a_read_only_caller_are_taken() -> None:
    from fastsmc.calls.workload import Calls
    from fastsmc.dispatcher.batch import verdicts
    from fastsmc.vm import Fleet

    vcpu, func_id = np.zeros(2, np.uint32), np.array([0x84000050, 7], np.uint32)
    vcpu.flags.writeable = func_id.flags.writeable = False
    assert verdicts(Fleet.uniform(n_vm=1, n_vcpu=1), Calls(vcpu, func_id)).tolist() == [0, 1]
