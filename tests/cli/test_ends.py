"""How a command ends: by a signal, without a stream, a folder or a locale, in a narrow terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

TRACE = ROOT / "tests/recordings/guest-traces/7.3-7.3.ftrace.txt"
SCENARIO = ROOT / "examples/trng_to_vmm.toml"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("simulate", str(SCENARIO), "--calls", "20000"),
    ("simulate", "--list-profiles"),
    ("explain", "0x84000000"),
    ("scope", "--release", "6.18", "--vcpus", "64,512"),
    ("migrate", "size", "--vcpus", "1-64", "--registers", "182"),
    ("trace", str(TRACE)),
)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LATEST_S = 2.0


def environment(**changed: str | None) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    given = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **changed}
    return {key: value for key, value in given.items() if value is not None}


def shell(command: str, cwd: Path | None = None, **changed: str | None) -> subprocess.CompletedProcess[bytes]:
    """What a command in bash ends with; $F is the program."""
    changed["F"] = f"{sys.executable} -m fastsmc"
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, env=environment(**changed), cwd=cwd, timeout=300, check=False
    )


def program() -> list[str]:
    """The program as its installed script starts it, which says when it begins to watch for signals."""
    return [sys.executable, "-c", "from fastsmc.cli.start import main; main()"]


def check_signals(number: signal.Signals, n: int, seed: int, folder: Path) -> None:
    """Sends a signal at so many random moments after the program's first line."""
    draw = random.Random(seed)
    told = {}
    for k in range(n):
        command = COMMANDS[k % len(COMMANDS)]
        wait_s = draw.choice((draw.uniform(0, LATEST_S), draw.uniform(0, 0.3)))
        with subprocess.Popen(
            [*WATCHED, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=folder
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == b"watching\n"
            with contextlib.suppress(subprocess.TimeoutExpired):  # one that ends earlier has no later moment
                process.wait(wait_s)
            process.send_signal(number)
            out, errors = process.communicate(timeout=60)
        code = process.returncode
        is_fine = code == CODES[number] or (code == 0 and out)
        if not is_fine or b"Traceback" in errors or b"Error" in errors or b"ignored in" in errors:
            told[command, wait_s] = (code, errors.decode()[-2000:])
    assert not told
    assert list(folder.iterdir()) == []


WATCHED = [
    *(sys.executable, "-c"),
    "import sys\n"
    "from fastsmc.cli import start\n"
    "class Watch(start._Watch):\n"
    "    def __init__(self):\n"
    "        super().__init__()\n"
    "        sys.stderr.write('watching\\n'); sys.stderr.flush()\n"
    "start._Watch = Watch\n"
    "start.main()\n",
]
"""The program, which says when it has begun to watch: before that, Python itself is what is ended."""


@pytest.mark.parametrize("number", CODES)
def test_a_signal_at_some_moments_ends_it_with_its_code(number: signal.Signals, tmp_path: Path) -> None:
    check_signals(number, len(COMMANDS), 1, tmp_path)


@pytest.mark.soak("200 moments of either signal; make test tries 6")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("seed", range(5))
def test_a_signal_at_any_moment_ends_it_with_its_code(number: signal.Signals, seed: int, tmp_path: Path) -> None:
    check_signals(number, 40, 2 + seed, tmp_path)


def test_a_signal_that_a_callback_swallows_comes_again() -> None:
    code = (
        "import os, signal, sys, time, types\n"
        "from fastsmc.cli import start\n"
        "def main():\n"
        "    for _ in range(3):\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT) if _ == 0 else time.sleep(30)\n"
        "        except BaseException: pass\n"
        "    raise ValueError('made of an interrupt')\n"
        "sys.modules['fastsmc.cli.app'] = types.SimpleNamespace(main=main)\n"
        "start.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>&- <&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error(closed: str) -> None:
    done = shell(f"$F explain 0x84000000 {closed}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"PSCI_VERSION" in done.stdout) == (">&- " not in closed.replace("2>&-", ""))


def test_with_standard_error_closed_an_error_is_not_printed_elsewhere() -> None:
    done = shell("$F trace nowhere.txt 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")


def test_a_reader_that_leaves_is_no_error() -> None:
    done = shell(f"$F verify {ROOT}/tests/recordings/linux-5.10.218-n1 | head -n 1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, b"")


ENVIRONMENTS: tuple[dict[str, str | None], ...] = (
    {"TMPDIR": "/nowhere", "HOME": "/nowhere"},
    {"TMPDIR": "/proc", "HOME": None},
    {"LANG": "C", "LC_ALL": "C", "TERM": None},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii", "COLUMNS": "0", "TERM": "dumb"},
)


@pytest.mark.parametrize("changed", ENVIRONMENTS, ids=str)
def test_no_environment_is_an_error(changed: dict[str, str | None]) -> None:
    for command in (f"trace {TRACE}", "simulate --show-profile neoverse-n1"):
        done = shell(f"$F {command}", **changed)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        assert done.stdout


@pytest.mark.soak("a minute of compiling without a folder for compiled code; make test runs what compiles nothing")
@pytest.mark.parametrize("home", ["/nowhere", "/proc"])
def test_without_a_home_kernels_are_compiled_each_time(home: str) -> None:
    done = shell(f"$F simulate {SCENARIO} --calls 10", HOME=home, TMPDIR=home, XDG_CACHE_HOME=None)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr


def test_a_folder_that_was_deleted_is_no_place_to_fail_in(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    for command, code in (
        ("explain 0x84000000", 0),
        ("trace nowhere.txt", 3),
        (f"simulate {SCENARIO} --calls 10", 3),
        ("report --data nowhere.json", 3),
    ):
        gone.mkdir(exist_ok=True)
        done = shell(f"rmdir {gone}; $F {command}", cwd=gone, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
        if "--calls" in command:  # Numba asks for the folder when it compiles
            assert done.stderr == b"fastsmc: the current folder was deleted: change to one that exists\n"


@pytest.mark.parametrize(
    ("command", "encoding"),
    [
        ("trace", {"LC_ALL": "C.UTF-8"}),
        ("trace", {"LC_ALL": "C"}),
        ("trace", {"PYTHONIOENCODING": "ascii"}),
        *((command, {"LC_ALL": "C.UTF-8"}) for command in ("simulate", "explain", "verify", "migrate inspect")),
        ("report --data", {"LC_ALL": "C.UTF-8"}),
    ],
)
def test_names_that_are_no_text_are_shown_escaped(command: str, encoding: dict[str, str]) -> None:
    name = r"$'a\xff\x1b[31m\xe2\x80\xaeb.txt'"
    done = shell(f"$F {command} {name}", **encoding)
    assert done.returncode in (2, 3)
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stderr
    assert b"\xe2\x80\xae" not in done.stderr
    assert rb"\x1b" in done.stderr


@pytest.mark.parametrize("arguments", [r"$'divine\x1b[31m'", r"$'--no\x1b[31m'", r"scope --vcpus 4 $'\x1b[31m'"])
def test_words_that_are_no_command_are_shown_escaped(arguments: str) -> None:
    done = shell(f"$F {arguments}")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert b"x1b" in done.stderr


@pytest.mark.parametrize("columns", ["20", "0"])
def test_a_narrow_terminal_is_no_error(columns: str) -> None:
    for command in ("simulate --show-profile neoverse-n1", "--help"):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*program(), *command.split()], stdout=theirs, stderr=theirs, stdin=theirs, env=environment(COLUMNS=columns)
        ) as process:
            os.close(theirs)
            told = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:
                    break
                if not piece:
                    break
                told += piece
        os.close(ours)
        assert (process.returncode, b"Traceback" in told) == (0, False), told[-2000:]


assert shutil.which("bash")


def test_a_full_standard_error_keeps_the_exit_code() -> None:
    done = shell("$F trace nowhere.txt 2>/dev/full")
    assert (done.returncode, done.stdout) == (3, b"")
