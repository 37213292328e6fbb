"""Every back end that this CPU can run, each in processes of its own, passes the tests of the vector passes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastsmc.jit.level import AVX2, AVX512, BACK_END, SCALAR
from tests.support.levels import run_tests, settings
from tests.support.places import ROOT

FILES = [
    f"tests/{name}.py"
    for name in (
        *("jit/test_vectors", "jit/test_entries", "dispatcher/test_wide", "dispatcher/test_wide_written"),
        *("dispatcher/test_levels", "dispatcher/test_guests"),
        "calls/test_grouped",
    )
]


@pytest.mark.soak("the operations and passes of other back ends; make test has those of this CPU's own")
@pytest.mark.parametrize("level", [AVX2, AVX512])
def test_the_vector_passes_agree_with_the_scalar_kernel(level: str) -> None:
    if level == BACK_END:
        pytest.skip("make test has this CPU's own back end")
    told = run_tests(level, *FILES, "-k", "not made_of_wide")
    assert int(re.findall(r"(\d+) passed", told)[0]) > 150


@pytest.mark.soak("all 2**32 ids by other back ends, under one policy each; this CPU's own has three")
@pytest.mark.parametrize(("level", "policy"), [(AVX2, "500"), (AVX512, "clear"), (SCALAR, "default")])
def test_every_id(level: str, policy: str) -> None:
    if level == BACK_END:
        pytest.skip("tests/whole/test_every_id.py has this CPU's own back end")
    told = run_tests(level, "-m", "soak", "tests/whole/test_every_id.py", "-k", f"every_id and {policy}")
    assert "1 passed" in told


def same_bytes(folder: Path, more: dict[str, str]) -> None:
    """Computes the subjects of tools/same_bytes.py into a folder."""
    command = [sys.executable, "-m", "tools.same_bytes", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, env=os.environ | more, check=True, capture_output=True)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this CPU's own back end computes."""
    folder = tmp_path_factory.mktemp("bytes") / "own"
    same_bytes(folder, {})
    return folder


@pytest.mark.soak("verdicts, answers, simulations and streams of other back ends, byte for byte those of this one")
@pytest.mark.parametrize("level", [AVX2, AVX512, SCALAR])
def test_the_same_bytes(level: str, own: Path, tmp_path: Path) -> None:
    same_bytes(tmp_path / "other", settings(level))
    command = [sys.executable, "-m", "tools.same_bytes", "--compare", str(own), str(tmp_path / "other")]
    compared = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout + compared.stderr
