"""The examples run as a planner would run them, and print what is committed beside them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


SLOW = re.compile(r"distributed\.nanny - WARNING - Worker process still alive after [\d.]+ seconds, killing$")
"""What Dask says when its workers end slowly, as they do on a machine whose cores are all busy."""


def masked(text: str) -> str:
    """The text with the figures of every measured line taken out."""
    return "\n".join(
        re.sub(r"\d+(\.\d+)?", "#", line) if "measured" in line else line for line in text.rstrip().splitlines()
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_prints_what_its_out_file_says(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": ""}
    )
    assert [line for line in done.stderr.splitlines() if not SLOW.search(line)] == []
    assert masked(done.stdout) == masked(script.with_suffix(".out").read_text())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_is_10_to_20_lines_without_a_loop_over_vcpus(script: Path) -> None:
    text = script.read_text()
    lines = [line for line in text.splitlines() if line.strip()]
    assert 5 <= len(lines) <= 20
    assert not re.search(r"for \w*vcpu", text)


def test_there_are_nine() -> None:
    assert len(SCRIPTS) == 9
