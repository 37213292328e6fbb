"""Tests on arm64 without an arm64 machine, by QEMU's user-mode emulation; and the bytes that x86-64 computes, compared.

    python -m tools.arm64                           # the bytes, and the chosen tests, in two processes: minutes
    python -m tools.arm64 --all                     # the long list of tests: half an hour
    python -m tools.arm64 tests/test_kernels.py -x  # these tests, by pytest's options
    python -m tools.arm64 --cpu max                 # another CPU, of those that `qemu-aarch64 -cpu help` lists

What is missing is installed below .venv/arm64 first (tools/arm64_install.py), once. Where that cannot be done, a
sentence on standard error says why, and the exit code is 0; --required makes 3 of it. Compiled kernels are kept in
.venv/arm64/cache, so a second run takes less. Times under emulation say nothing of arm64.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.arm64_install import CPU, ROOT, NotHereError, install, is_installed, python_of, require_possible

FOLDER = ROOT / ".venv" / "arm64"
HERE, THERE = "x86-64", "arm64"


class Lane(NamedTuple):
    """What one emulated process does: its subjects of tools/same_bytes.py, then its tests, with the same kernels."""

    name: str
    """STATE or TIME of tools/same_bytes.py; "" for neither."""
    tests: tuple[str, ...]


LANES = (
    Lane(
        "STATE",
        (
            "tests/jit/test_vectors.py",
            "tests/test_kernels.py::test_verdicts_are_those_of_the_reference",
            "tests/test_kernels.py::test_a_tree_finds_the_range_of_every_edge",
            "tests/dispatcher/test_answers.py::test_answers_are_those_of_the_reference",
            "tests/dispatcher/test_answers.py::test_large_batches_are_answered_as_their_calls_are_one_by_one",
            "tests/dispatcher/test_power.py",
            "tests/migrate/test_payload.py::test_stream_is_what_struct_packs_and_reads_back_bit_for_bit",
        ),
    ),
    Lane("TIME", ("tests/latency/test_variates.py",)),
)
"""What runs by itself."""
ALL = (
    Lane(
        "STATE",
        (
            *("tests/test_kernels.py", "tests/test_vm.py", "tests/dispatcher", "tests/calls", "tests/fleet"),
            *("tests/reference", "tests/usage", "tests/scopes", "tests/traces", "tests/files", "tests/facts"),
        ),
    ),
    Lane("TIME", ("tests/latency", "tests/migrate", "tests/results", "tests/scenario", "tests/jit")),
)
"""What --all runs: all rooms but those that are about files of ours, pages, pictures and the command line."""
LEFT_OUT = ("without_vectors", "numba_told", "made_of_wide")
"""Words in names of tests that start programs which compile everything anew, or that are about x86-64."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the long list of tests")
    parser.add_argument("--cpu", default=CPU, help=f"which CPU is emulated ({CPU})")
    parser.add_argument("--required", action="store_true", help="exit code 3 where it cannot be installed")
    given, options = parser.parse_known_args(arguments)
    lanes = lanes_of(options, is_all=given.all)
    here = None
    try:
        is_missing = not is_installed(FOLDER)
        if is_missing:
            require_possible()
        if any(lane.name for lane in lanes):
            here = _computed_here()  # while the rest is fetched
        if is_missing:
            print("installing an arm64 Python into .venv/arm64 (the first time only, about a minute)", file=sys.stderr)
            install(FOLDER)
        failed = _run_lanes(lanes, given.cpu)
        return _compared(here) | failed if here else failed
    except NotHereError as error:
        print(f"test-arm64 is skipped, nothing was tested on arm64: {error}", file=sys.stderr)
        return 3 if given.required else 0
    finally:
        _end(here)


def lanes_of(options: Sequence[str], *, is_all: bool = False) -> tuple[Lane, ...]:
    """What is run: the tests that the options name, or else the chosen ones with these options.

    >>> lanes_of(["tests/test_vm.py", "-x"])
    (Lane(name='', tests=('tests/test_vm.py', '-x')),)
    >>> [lane.tests[-1] for lane in lanes_of(["-x"])]
    ['-x', '-x']
    """
    if any((ROOT / one.partition("::")[0]).exists() for one in options):
        return (Lane("", tuple(options)),)
    return tuple(Lane(lane.name, (*lane.tests, *options)) for lane in (ALL if is_all else LANES))


def _computed_here() -> subprocess.Popen[bytes]:
    """Starts what computes the same on this machine."""
    shutil.rmtree(FOLDER / "bytes", ignore_errors=True)
    env = {**os.environ, "XDG_CACHE_HOME": str(ROOT / ".pytest_cache" / "cache")}  # where `make test` has the kernels
    command = [sys.executable, "-m", "tools.same_bytes", "--out", str(FOLDER / "bytes" / HERE)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL)


def _run_lanes(lanes: Sequence[Lane], cpu: str) -> int:
    """Runs lanes side by side and prints what each said, one after another; returns 0, or 1 if one failed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FASTSMC_ARM64_CPU": cpu}
    env |= {"XDG_CACHE_HOME": str(FOLDER / "cache"), "HYPOTHESIS_STORAGE_DIRECTORY": str(FOLDER / "hypothesis")}
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    failed = 0
    try:
        for number, lane in enumerate(lanes):
            log = FOLDER / f"lane-{number}.log"
            out = str(FOLDER / "bytes" / THERE)
            left_out = ["-k", " and ".join(f"not {word}" for word in LEFT_OUT)] if lane.name else []
            command = [str(python_of(FOLDER)), "-m", "tools.arm64_inside", lane.name, out, *left_out, *lane.tests]
            with log.open("wb") as file:
                process = subprocess.Popen(
                    command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
                )
            running.append((process, log))
        for process, log in running:
            code = process.wait()
            print(log.read_text("utf-8", "replace"), end="", flush=True)
            if code:
                print(f"test-arm64: exit code {code} of what is printed above", file=sys.stderr, flush=True)
                failed = 1
    finally:
        for process, _ in running:
            _end(process)
    return failed


def _end(process: subprocess.Popen[bytes] | None) -> None:
    """Ends a process that still runs."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def _compared(here: subprocess.Popen[bytes]) -> int:
    """Prints a line per subject; returns 0 if all are equal, 1 if not."""
    from tools.same_bytes import SUBJECTS, compare

    if here.wait():
        print("test-arm64: what is to be compared with could not be computed on this machine", file=sys.stderr)
        return 1
    lines, n_unequal = compare(FOLDER / "bytes" / HERE, FOLDER / "bytes" / THERE, list(SUBJECTS))
    print(f"the bytes of {len(SUBJECTS)} subjects, {HERE} and {THERE}:", *lines, sep="\n")
    print(f"{len(SUBJECTS) - n_unequal} equal, {n_unequal} different", flush=True)
    return int(bool(n_unequal))


if __name__ == "__main__":
    sys.exit(main())
