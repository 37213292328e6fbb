"""Breaks one rule at a time in a copy of the project, and asks whether the tests notice.

    python -m tools.mutate                         # all mutants, one at a time per core
    python -m tools.mutate PATTERN                 # those whose description matches
    python -m tools.mutate --only fleet/rows.py    # those in a file or folder of fastsmc
    python -m tools.mutate --resume                # go on where a run stopped: leave out what was seen caught

A mutant (tools/mutants.py) is one replacement in one file. It is caught when a test fails, crashes or hangs that passes
without the mutant; each must be, and exit 0 says so; 1 is a survivor. Where the CPU has no AVX-512 VBMI, the wide
kernels run by loops (tests/support/wide_anywhere.py). .mutants/ keeps a copy of the project per core with its compiled
kernels, what the last tests said there, and which mutants were caught.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from fastsmc.jit.compiled import source_digest
from fastsmc.jit.level import HAS_WIDE
from tools.mutant import Mutant
from tools.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".mutants"
STATE = FOLDER / "caught.json"
LEFT_OUT = shutil.ignore_patterns(".?*", "__pycache__", "reports", "build", "dist")
"""Files that no test needs, among them .venv, .git and the caches of tools."""

ROOMS = (
    (
        "test_checks.py",
        "facts",
        "files",
        "disk",
        "reference",
        "test_vm.py",
        "test_kernels.py",
        "fleet",
        "calls",
        "dispatcher",
        "jit/test_threads.py",
        "recordings",
    ),
    ("results", "traces", "verification", "scenario", "plan", "migrate"),
    ("scopes", "explanation", "usage", "latency", "scaling", "sweeping", "cli", "reporting"),
    ("comparing", "measuring", "templates", "schemas", "probing"),
)
"""Which tests run once those of the mutant's own room have passed: cheap and telling ones first."""
NEAR = {
    "bitmaps.py": ("test_vm.py", "test_kernels.py"),
    "facts": ("facts", "reference/test_vm.py", "test_vm.py"),
    "fleet": ("fleet", "dispatcher"),
    "recordings": ("verification",),
    "reference": ("reference/test_vm.py", "reference"),
}
"""Where the rules of a room are tested, if not only in the room of the same name."""
ALIKE = {"growth": "more_registers", "records": "formats", "timing": "batch", "blocks": "grouped"}
"""By which word of its name the test of a module or folder is found, if not by its own."""
LAST = ("test_restore_records.py", "test_theory.py", "test_closed.py", "test_overcommit.py", "test_same_bytes.py")
"""Files that take long, after the others."""
COMPILED = re.compile(r"fastsmc/(jit/|kernels\.py|(.*/)?kernels/|results/log_linear\.py)")
"""What Numba bakes into kernels that other files hold: compiled code may be stale when one of these files changes."""
WIDE = re.compile(
    r"fastsmc/(jit/simd_wide|dispatcher/kernels/(wide|passes|steps|vcpu_steps|search|blocks|answers_wide))\.py"
)
"""What only a CPU with AVX-512 VBMI runs by itself."""
STEERS_WIDE = re.compile(r"fastsmc/(kernels|jit/level|dispatcher/decide|fleet/rows|fleet/bit_rows|calls/grouped)\.py")
"""What chooses the wide kernels or makes their tables: a mutant may be out of the reach of the portable kernels."""
WIDE_FILES = tuple(
    f"tests/{name}.py"
    for name in (
        "dispatcher/test_wide",
        "dispatcher/test_wide_written",
        "calls/test_grouped",
        "dispatcher/test_answers",
    )
)
"""Which tests run the wide kernels, also where the CPU lacks their instructions."""
ANYWHERE = ("-p", "tests.support.wide_anywhere", "-k", "not numba_told and not made_of_wide")
"""How they do: without the tests that ask for what the CPU itself has."""
HANGS_S, WIDE_HANGS_S = 150, 400
"""Seconds after which one test is taken for a loop without end. The longest takes a tenth of that, but for a minute in
which the wide kernels are compiled for a CPU without their instructions."""
LAST_NAMED = re.compile(r"^(?:FAILED |ERROR )?(tests/\S+?\.py(?:::\w+)*)", re.MULTILINE)
"""Tests in what pytest prints, before each one begins and after it failed; the last of them is what ended it."""
OPTIONS = (
    *("-v", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:benchmark", "-o", "addopts="),
    *("--import-mode=importlib", "-m", "not soak and not slow", "--hypothesis-profile=mutants"),
    *("-o", "faulthandler_exit_on_timeout=true"),
)


class Found(NamedTuple):
    """What became of one mutant."""

    is_caught: bool
    seconds: float
    where: str = ""
    """Whose tests noticed."""
    by: str = ""
    """The test that did, and how if it did not just fail."""


class Stage(NamedTuple):
    """Test files, or tests, that run together."""

    files: tuple[str, ...]
    is_wide: bool = False
    """Whether the wide kernels run by loops there."""


def test_files(room: str) -> list[str]:
    """The test files of a folder or file below tests/."""
    path = ROOT / "tests" / room
    found = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
    return [file.relative_to(ROOT).as_posix() for file in found]


def ordered(files: Iterable[str], words: Sequence[str]) -> list[str]:
    """Those first whose names share most with these words, and long ones last."""
    named = [ALIKE.get(word, word.rstrip("s")) for word in words]
    alike = {file: sum(len(word) for word in named if word in Path(file).stem) for file in files}
    return sorted(alike, key=lambda file: (file.endswith(LAST), -alike[file]))


def stages(path: str) -> list[list[str]]:
    """The test files to run for a mutant in `path`: those of its room, files of like names first; then all others."""
    words = Path(path).relative_to("fastsmc").with_suffix("").parts
    room = words[0] if len(words) > 1 else f"{words[0]}.py"
    near = NEAR.get(room, (room if len(words) > 1 else f"test_{room}",))
    own = ordered(dict.fromkeys(file for name in near for file in test_files(name)), words[1:])
    others = ([file for name in rooms for file in test_files(name) if file not in own] for rooms in ROOMS)
    return [own, *(ordered(files, ()) for files in others)]


def stages_here(path: str, *, has_wide: bool = HAS_WIDE) -> list[Stage]:
    """The same on this CPU: where it has no AVX-512 VBMI, wide kernels run by loops, if the mutant may concern them."""
    own, *others = (Stage(tuple(files)) for files in stages(path))
    wide = Stage(tuple(ordered(WIDE_FILES, [Path(path).stem])), is_wide=True)
    if not has_wide and WIDE.match(path):
        return [wide]
    if not has_wide and STEERS_WIDE.match(path):
        return [own, wide, *others]
    return [own, *others]


class Copy:
    """A copy of the project at a path that stays, so that its compiled kernels are found again."""

    KERNELS = ("fastsmc", "wide-anywhere/fastsmc")
    """Where in its cache folder these lie."""

    def __init__(self, number: int) -> None:
        self.folder = FOLDER / str(number)
        self.cache = self.folder / ".pytest_cache" / "cache"
        self._passed: set[tuple[str, bool]] = set()
        kept = self.folder.with_suffix(".kept")
        shutil.rmtree(kept, ignore_errors=True)
        if self.cache.is_dir():
            self.cache.rename(kept)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(ROOT, self.folder, ignore=LEFT_OUT)
        self.cache.parent.mkdir()
        if kept.is_dir():
            kept.rename(self.cache)

    def found(self, mutant: Mutant) -> Found:
        """Whether tests that pass without the mutant fail with it."""
        start = time.perf_counter()
        for number, stage in enumerate(stages_here(mutant.path)):
            with self._broken(mutant):
                code = self._ended(stage, PYTHONDONTWRITEBYTECODE="1")
            if code:
                named = LAST_NAMED.findall(self._log.read_text("utf-8", errors="replace"))
                self._must_pass(Stage(tuple(named[-1:]) or stage.files, stage.is_wide))
                where = "by wide tests" if stage.is_wide else "in another room" if number else "in its room"
                how = "" if code == 1 else f", exit code {code}"
                return Found(True, time.perf_counter() - start, where, f"{' '.join(named[-1:])}{how}")
        return Found(False, time.perf_counter() - start)

    def _must_pass(self, stage: Stage) -> None:
        unknown = tuple(file for file in stage.files if (file, stage.is_wide) not in self._passed)
        if unknown and self._ended(Stage(unknown, stage.is_wide)):
            msg = f"tests fail without a mutant, so nothing can be learned; see {self._log}"
            raise RuntimeError(msg)
        self._passed.update((file, stage.is_wide) for file in unknown)

    @contextlib.contextmanager
    def _broken(self, mutant: Mutant) -> Iterator[None]:
        """The copy with a rule broken, and with the kernels of the whole copy where they cannot differ."""
        path, whole = self.folder / mutant.path, self._compiled()
        path.write_text(mutant.applied(path.read_text("utf-8")), "utf-8")
        broken = self._compiled()
        self._forget(broken)
        are_same = not COMPILED.match(mutant.path)
        try:
            if are_same:
                self._rename(whole, broken)
            yield
        finally:
            shutil.copy2(ROOT / mutant.path, path)
            if are_same:
                self._rename(broken, whole)
            self._forget(broken)

    def _compiled(self) -> list[Path]:
        name = source_digest(self.folder / "fastsmc")
        return [self.cache / kernels / name for kernels in self.KERNELS]

    @staticmethod
    def _rename(folders: Sequence[Path], others: Sequence[Path]) -> None:
        for folder, other in zip(folders, others, strict=True):
            if folder.is_dir():
                folder.rename(other)

    @staticmethod
    def _forget(folders: Sequence[Path]) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".log")

    def _ended(self, stage: Stage, **more: str) -> int:
        """The exit code of these tests: 0 if all pass, 1 if one fails."""
        hangs_s, anywhere = (WIDE_HANGS_S, ANYWHERE) if stage.is_wide else (HANGS_S, ())
        options = (*OPTIONS, *anywhere, "-o", f"faulthandler_timeout={hangs_s}")
        with self._log.open("w") as log:
            run = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *stage.files],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(self.folder), "XDG_CACHE_HOME": str(self.cache), **more},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                run.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)  # what the tests left running
        if run.returncode == -signal.SIGTERM:
            msg = "the tests were ended from outside; nothing can be learned"
            raise RuntimeError(msg)
        return run.returncode


def _n_core() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pattern", nargs="?", default="", help="a regular expression over descriptions of mutants")
    parser.add_argument("--only", action="append", metavar="FILE", help="a file or folder of fastsmc; may be repeated")
    parser.add_argument("--resume", action="store_true", help="leave out what was seen caught")
    return parser.parse_args()


def main() -> int:
    """Runs the mutants asked for; prints each with its time, and the survivors again at the end."""
    start, given = time.perf_counter(), _arguments()
    only = tuple(f"fastsmc/{name.removeprefix('fastsmc/')}" for name in given.only or ("",))
    chosen = [each for each in MUTANTS if re.search(given.pattern, str(each)) and each.path.startswith(only)]
    for mutant in chosen:
        mutant.applied((ROOT / mutant.path).read_text("utf-8"))
    caught = json.loads(STATE.read_text("utf-8")) if STATE.is_file() else {}
    left = [mutant for mutant in chosen if not given.resume or mutant.key not in caught]
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(min(_n_core(), len(left))):
        copies.put(Copy(number))

    def found(mutant: Mutant) -> Found:
        copy = copies.get()
        try:
            return copy.found(mutant)
        finally:
            copies.put(copy)

    survivors = []
    with ThreadPoolExecutor(max_workers=_n_core()) as pool:
        running = {pool.submit(found, mutant): mutant for mutant in left}
        try:
            for future in as_completed(running):
                mutant, result = running[future], future.result()
                caught.pop(mutant.key, None)
                if result.is_caught:
                    caught[mutant.key] = round(result.seconds, 1)
                else:
                    survivors.append(mutant)
                STATE.write_text(json.dumps(caught, indent=1), "utf-8")
                word = f"caught {result.where}" if result.is_caught else "SURVIVED"
                print(f"{word:22} {result.seconds:4.0f} s  {mutant}{result.by and f'  [{result.by}]'}", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    for mutant in survivors:
        print(f"SURVIVED  {mutant}")
    before = f", {len(chosen) - len(left)} of them in an earlier run" if len(chosen) > len(left) else ""
    minutes = (time.perf_counter() - start) / 60
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught{before}; this run took {minutes:.1f} min")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
