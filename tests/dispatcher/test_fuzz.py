"""Dispatch, grouped and frozen calls, answers and power state against the reference, on fleets and calls at random."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from tests.support.places import ROOT
from tools import fuzz_dispatch

LEVELS = {
    "this CPU": ({}, []),
    "haswell": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}, []),
    "generic": ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, []),
    "wide, by loops": ({}, ["--anywhere"]),
}
SECONDS = 30


def test_some_rounds() -> None:
    done = fuzz_dispatch.run(1, rounds=10, narrow=False)
    assert (done.rounds, done.switched > 0) == (10, True)


def test_a_difference_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference asked about another id."""
    from fastsmc.reference.vm import Vm

    whole = Vm.call
    monkeypatch.setattr(Vm, "call", lambda self, v, func_id, *rest: whole(self, v, func_id ^ 1, *rest))
    with pytest.raises(AssertionError, match=r"seed \d+: verdicts: call \d+ differs"):
        fuzz_dispatch.run(1, rounds=20, narrow=False)


@pytest.mark.soak(f"{SECONDS} s of rounds on each level of CPU; make test makes 10 rounds on this one")
@pytest.mark.parametrize("level", LEVELS)
def test_many_rounds(level: str) -> None:
    told, options = LEVELS[level]
    if "NUMBA_CPU_NAME" in told and platform.machine() != "x86_64":
        pytest.skip("haswell and generic are levels of x86-64")
    environment = os.environ | told | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tools.fuzz_dispatch", "--minutes", str(SECONDS / 60), "--seed", "1000", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "equal" in done.stdout
