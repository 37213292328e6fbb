"""`fastsmc plan problems`: what it prints, and the exit codes it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import fastsmc
from tests.support.places import TESTS

FLEET = TESTS / "plan" / "fleet"


@pytest.mark.parametrize(
    ("kernel", "code", "head"),
    [
        ("6.12", 0, "nothing wrong, 0 unknown in 1 host and 1 VM"),
        ("5.4", 5, "nothing wrong, 1 unknown in 1 host and 1 VM"),
        ("6.99", 4, "1 wrong, 0 unknown in 1 host and 1 VM"),
    ],
)
def test_the_exit_code_says_the_worst(kernel: str, code: int, head: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text(f"name,kernel\nh1,{kernel}\n", "utf-8")
    (tmp_path / "vms.csv").write_text("name,host,vcpus\na,h1,4\n", "utf-8")
    run = fastsmc("plan", "problems", "--hosts", str(tmp_path / "hosts.csv"), "--vms", str(tmp_path / "vms.csv"))
    assert (run.returncode, run.stdout.splitlines()[0]) == (code, head)
    assert run.stderr == ""


def test_json_has_every_problem_with_its_line() -> None:
    run = fastsmc("plan", "problems", "--hosts", str(FLEET / "hosts.csv"), "--vms", str(FLEET / "vms.csv"), "--json")
    assert run.returncode == 4
    told = json.loads(run.stdout)
    assert (told["hosts"], told["vms"], told["wrong"], told["unknown"]) == (5, 6, 3, 1)
    assert [(one["file"], one["line"], one["column"]) for one in told["problems"]] == [
        ("hosts.csv", 6, "kernel"),
        ("vms.csv", 5, "features"),
        ("vms.csv", 7, "host"),
        ("hosts.csv", 5, "kernel"),
    ]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    run = fastsmc("plan", "problems", "--hosts", str(tmp_path / "none.csv"), "--vms", str(FLEET / "vms.csv"))
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.startswith("fastsmc: none.csv: cannot be read")
    assert len(run.stderr.splitlines()) == 1
