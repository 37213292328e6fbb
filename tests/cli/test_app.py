"""The command line as a stranger meets it: help, output, exit codes."""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import fastsmc, fastsmc_process
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
TRACE = RECORDINGS / "guest-traces" / "7.3-7.3.ftrace.txt"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["verify"],
        ["trace"],
        ["report"],
        ["explain"],
        ["scope"],
        ["simulate"],
        ["migrate", "inspect"],
        ["migrate", "diff"],
        ["migrate", "size"],
        ["migrate", "check"],
        ["migrate", "downtime"],
        ["migrate", "add-registers"],
        ["plan", "problems"],
    ],
)
def test_help_ends_with_examples_and_that_of_all_names_exit_codes(command: list[str]) -> None:
    done = fastsmc(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^Examples?:\n  fastsmc ", done.stdout, re.MULTILINE)
    assert ("4 a check failed" in " ".join(done.stdout.split())) != bool(command)


def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert fastsmc("-V").stdout == fastsmc_process("--version").stdout == f"fastsmc {version('fastsmc')}\n"


def test_verify_ends_in_n_of_n() -> None:
    done = fastsmc_process("verify", RECORDINGS / "linux-5.10.218-n1")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    n = int(lines[0].split()[0])
    assert lines[0] == f"{n} of {n} records match"
    assert n == sum(int(line.split()[2].replace(",", "")) for line in lines[1:] if line.startswith("linux-"))


def test_verify_as_json_adds_up() -> None:
    told = json.loads(fastsmc("verify", "--json", RECORDINGS / "linux-5.10.218-n1").stdout)
    assert told["ok"] is True
    assert told["records"] == sum(kind["records"] for kind in told["kinds"])


def test_a_difference_is_shown_in_full_and_ends_in_4(tmp_path: Path) -> None:
    host = Path(shutil.copytree(RECORDINGS / "linux-5.10.218-n1", tmp_path / "host"))
    path = host / "random.jsonl.xz"
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes()).replace(b'"0xffffffffffffffff"', b'"0x7"', 1)))
    done = fastsmc("verify", host)
    assert done.returncode == 4
    assert "host random: 1 differ, the first 1:" in done.stdout
    assert "recorded {'cfg'" in done.stdout
    assert done.stderr == "fastsmc: 1 of 5326 records do not match\n" or "1 of " in done.stderr
    assert done.stdout.splitlines()[0].endswith("records match")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["verify", "nowhere"], 3, "nowhere: not a folder"),
        (["explain"], 2, "Missing argument"),
        (["divine"], 2, "No such command"),
        (["trace", "nowhere.txt"], 3, "nowhere.txt"),
        (["report", "--data", "nowhere.json"], 3, "nowhere.json"),
        (["report", "--trace", "nowhere.txt"], 3, "nowhere.txt"),
    ],
)
def test_bad_input_ends_in_its_code_with_one_sentence(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    done = fastsmc(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing may be left half-done"


def test_trace_counts_calls_by_service() -> None:
    done = fastsmc("trace", TRACE)
    calls = sum(": kvm_hvc_arm64: " in line for line in TRACE.read_text().splitlines())
    assert done.stdout.splitlines()[0].startswith(f"{calls} calls (recorded)")
    told = json.loads(fastsmc("trace", "--json", TRACE).stdout)
    assert sum(row["calls"] for row in told["rows"]) == told["calls"] == calls


def test_compact_writes_a_copy_that_verifies(tmp_path: Path) -> None:
    done = fastsmc("verify", "--compact", tmp_path / "small", RECORDINGS / "linux-5.10.218-n1")
    assert (done.returncode, done.stdout, done.stderr.split()[0]) == (0, "", "wrote")
    assert fastsmc("verify", tmp_path / "small").returncode == 0


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m fastsmc trace {TRACE} | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=dict(os.environ), timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["written at exit", "written at once"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["scope"], 0),
        (["migrate", "check", "6.1", "6.1"], 0),
        (["migrate", "check", "6.18", "6.12"], 4),
    ],
)
def test_a_reader_that_has_gone_changes_no_exit_code(arguments: list[str], code: int, unbuffered: str) -> None:
    command = [sys.executable, "-m", "fastsmc", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        told = run.stderr.read().decode()
        assert run.wait(timeout=60) == code, told
    assert told == ("fastsmc: 6.18 to 6.12 fails with qemu 11.1: 1 register stands in the way\n" if code else "")


def test_an_output_that_cannot_be_written_ends_in_3_and_a_closed_one_in_0() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    for end, code, says in ((">/dev/full", 3, "the output cannot be written"), (">&-", 0, "")):
        command = f"{sys.executable} -m fastsmc scope {end}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == code, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr
