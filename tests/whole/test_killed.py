"""Commands that are killed while they write: the old or the new, whole, and nothing left after the next run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

N_QUICK, N_SOAK = 2, {"simulate": 120, "compact": 50, "report": 30}


def killed(job: str, n: int, folder: Path) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed", job, str(n), str(folder)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert found["old"] + found["new"] == n
    return found


def test_a_few_kills_leave_the_old_or_the_new(tmp_path: Path) -> None:
    killed("simulate", N_QUICK, tmp_path)


@pytest.mark.soak(f"{sum(N_SOAK.values())} kills; make test has {N_QUICK} of one command")
@pytest.mark.parametrize("job", N_SOAK)
def test_kills_leave_the_old_or_the_new(job: str, tmp_path: Path) -> None:
    found = killed(job, N_SOAK[job], tmp_path)
    assert found["killed"] > N_SOAK[job] / 4
