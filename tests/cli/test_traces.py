"""The examples of `fastsmc trace --help` and `services --help` run as they are pasted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import fastsmc
from tests.support.pages import blocks, commands
from tests.support.places import ROOT, TESTS

SAMPLE = TESTS / "recordings" / "guest-traces" / "tools-6.1.trace-cmd.txt"


@pytest.mark.parametrize(("name", "says"), [("trace", "89 calls"), ("services", "89 calls")])
def test_what_trace_cmd_reports_is_read_from_a_pipe(tmp_path: Path, name: str, says: str) -> None:
    """With a trace-cmd that has a recording to report."""
    tools = {"trace-cmd": f'[ "$*" = report ] && cat {SAMPLE}', "fastsmc": f'exec {sys.executable} -m fastsmc "$@"'}
    for called, script in tools.items():
        tool = tmp_path / called
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    command = f"trace-cmd report | fastsmc {name} -"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=True, timeout=100,
    )  # fmt: skip
    assert says in " ".join(done.stdout.split())
    assert done.stderr == ""


def shown_in_docs() -> dict[str, list[str]]:
    """The commands of docs/traces.md whose output stands there, and its lines."""
    page = ROOT / "docs" / "traces.md"
    sessions = [one for block in blocks(page) if block.language == "console" for one in commands(block)]
    return {one.text.removeprefix("fastsmc "): one.output for one in sessions if one.output}


@pytest.mark.parametrize("command", shown_in_docs())
def test_the_page_shows_what_is_printed(tmp_path: Path, command: str) -> None:
    boot = TESTS / "recordings" / "guest-traces" / "7.3-7.3.ftrace.txt"
    (tmp_path / "boot.ftrace.txt").write_bytes(boot.read_bytes())
    printed = fastsmc(*command.split(), cwd=tmp_path).stdout.splitlines()
    lines = [line for line in shown_in_docs()[command] if line != "…"]
    assert len(lines) > 3
    assert [line for line in printed if line in lines] == lines


@pytest.mark.parametrize("command", ["trace", "services"])
def test_a_trace_that_cannot_be_read_is_one_sentence_and_exit_3(tmp_path: Path, command: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text("Dear all,\n")
    done = fastsmc(command, path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"fastsmc: {path}:1: not a line of ftrace")
    assert done.stderr.count("\n") == 1
