"""Every command that reads a file reads a pipe once, and ends at a limit where a file never ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path

import pytest

from fastsmc.errors import RecordingError
from fastsmc.files import source
from fastsmc.files.limits import Kind
from fastsmc.files.packed import Readable
from fastsmc.recordings.compact import compact
from fastsmc.verification import verify
from tests.migrate.test_compat_templates import template
from tests.support.command import Done, fastsmc
from tests.support.places import ROOT, TESTS
from tests.support.read_samples import fingerprint
from tests.support.small_recording import small_recording

SCENARIO = b"""calls = 3
[[vms]]
count = 1
vcpus = 1
workload = "w"
[workloads.w]
kind = "closed"
think = { law = "exponential", mean_us = 20 }
mix = { PTP = 1.0 }
"""
PROFILE = SCENARIO.replace(b"calls = 3", b'calls = 3\nprofile = "in"')
TRACED = b"""calls = 3
[[vms]]
count = 1
vcpus = 2
workload = "w"
[workloads.w]
kind = "script"
trace = "in"
"""
DOWNTIME = ("migrate", "downtime", "--vcpus", "4", "--release", "6.12")


def file_of(path: Path) -> Callable[[Path], bytes]:
    return lambda _: path.read_bytes()


def template_text(folder: Path) -> bytes:
    return template(folder, features="0b00000000000000000000000000000010").read_bytes()


SPACES, LINES = b" " * 4096, b"\n" * 4096
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Path], bytes], bytes, int]] = {
    "trace": (("trace", "in"), file_of(ROOT / "fastsmc" / "data" / "linux-7.3-guest-boot.ftrace.txt"), LINES, 0),
    "services": (("services", "in"), file_of(ROOT / "fastsmc" / "data" / "linux-7.3-guest-boot.ftrace.txt"), LINES, 0),
    "simulate": (("simulate", "in"), lambda _: SCENARIO, LINES, 0),
    "simulate, its profile": (
        ("simulate", "scenario.toml"),
        file_of(ROOT / "fastsmc" / "data" / "profiles" / "neoverse-n1.toml"),
        LINES,
        0,
    ),
    "simulate, its trace": (
        ("simulate", "traced.toml"),
        file_of(ROOT / "fastsmc" / "data" / "linux-7.3-guest-boot.ftrace.txt"),
        LINES,
        0,
    ),
    "report, a run": (("report", "--out", "page", "--data", "in"), lambda _: b'{"schema": 2}', SPACES, 3),
    "report, a trace": (("report", "--out", "page", "--trace", "in"), lambda _: b"no trace\n", LINES, 3),
    "inspect": (("migrate", "inspect", "in"), lambda _: fingerprint(), SPACES, 0),
    "inspect, a stream": (
        ("migrate", "inspect", "in"),
        file_of(TESTS / "streams" / "cortex-a57-2.bin.xz"),
        SPACES,
        0,
    ),
    "diff": (("migrate", "diff", "in", "fingerprint.json"), lambda _: fingerprint(), SPACES, 0),
    "diff, the other": (("migrate", "diff", "fingerprint.json", "in"), lambda _: fingerprint(), SPACES, 0),
    "check, the source": (("migrate", "check", "in", "7.3", "--accept-unknown"), lambda _: fingerprint(), SPACES, -1),
    "check, the destination": (("migrate", "check", "7.3", "in"), lambda _: fingerprint(), SPACES, -1),
    "check, a template": (
        ("migrate", "check", "6.12", "6.12", "--vmm", "firecracker", "--dest-template", "in"),
        template_text,
        SPACES,
        -1,
    ),
    "downtime, a log": ((*DOWNTIME, "--trace", "in"), file_of(TESTS / "downtime" / "source.log"), LINES, -1),
    "downtime, an answer": (
        (*DOWNTIME, "--query-migrate", "in"),
        file_of(TESTS / "downtime" / "query-migrate-7.2.22.json"),
        SPACES,
        0,
    ),
}
"""Arguments, what the file "in" holds, what one that never ends goes on with, and the exit code; -1 is any."""


@contextmanager
def fed(pipe: Path, pieces: Callable[[], Iterator[bytes]]) -> Iterator[list[bool]]:
    """A pipe that is written to once, by a thread; the list tells whether it was read to its end."""
    os.mkfifo(pipe)
    whole = []

    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb", buffering=0) as stream:
            for piece in pieces():
                stream.write(piece)
            whole.append(True)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield whole
    with suppress(OSError):  # a writer that nobody ever read from waits for somebody
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
    writer.join(20)
    assert not writer.is_alive()
    pipe.unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fingerprint.json").write_bytes(fingerprint())
    (tmp_path / "scenario.toml").write_bytes(PROFILE.replace(b'"in"', b'"./in.toml"'))
    (tmp_path / "traced.toml").write_bytes(TRACED)
    (tmp_path / "in.toml").symlink_to("in")
    return tmp_path


def ran(what: str, folder: Path) -> Done:
    return fastsmc(*COMMANDS[what][0], cwd=folder)


def printed(done: Done) -> tuple[int, list[str], str]:
    """What a command told, without the times that a machine took."""
    lines = [line for line in done.stdout.splitlines() if "wall" not in line and "took" not in line]
    return done.returncode, lines, done.stderr


@pytest.mark.parametrize("what", COMMANDS)
def test_a_pipe_is_read_as_a_file_is(what: str, folder: Path) -> None:
    content = COMMANDS[what][1](folder)
    (folder / "in").write_bytes(content)
    of_file = ran(what, folder)
    assert COMMANDS[what][3] in (-1, of_file.returncode), of_file.stderr
    assert of_file.returncode in (0, 3, 4, 5)
    (folder / "in").unlink()
    with fed(folder / "in", lambda: iter([content[k : k + 1000] for k in range(0, len(content), 1000)])) as whole:
        of_pipe = ran(what, folder)
    assert printed(of_pipe) == printed(of_file)
    assert whole or of_file.returncode == 3


@pytest.mark.parametrize("what", COMMANDS)
def test_what_never_ends_is_one_sentence(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows faster than it is read; the limits are lowered, as some take seconds to reach."""
    opened = source.Source.__init__

    def lower(self: source.Source, raw: Readable, kind: Kind, *, packed_kind: Kind | None = None) -> None:
        small = kind._replace(most_bytes=min(kind.most_bytes, 1 << 20))
        opened(self, raw, small, packed_kind=packed_kind and small)

    monkeypatch.setattr(source.Source, "__init__", lower)
    begin = COMMANDS[what][1](folder) if COMMANDS[what][2] == LINES else b'{"a": '
    with fed(folder / "in", lambda: (piece for piece in (begin, *repeat(COMMANDS[what][2], 20_000)))) as whole:
        done = ran(what, folder)
    assert done.returncode == 3, done.stdout
    assert done.stderr.count("\n") == 1
    assert not whole
    assert not (folder / "page").exists()


FOLDER = ("meta.json", "calls.jsonl.xz", "payload-none.bin.xz", "trace_probe_hvc_only.txt.xz")


@pytest.mark.parametrize("name", FOLDER[:3])
def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    """Nobody named it, so nobody need ever write to it."""
    host = small_recording(tmp_path)
    (host / name).unlink()
    os.mkfifo(host / name)
    with pytest.raises(RecordingError, match="is a pipe or a device, where a plain file is needed"):
        verify(host)


@pytest.mark.parametrize("name", FOLDER)
def test_a_pipe_is_not_copied(name: str, tmp_path: Path) -> None:
    host = small_recording(tmp_path / "from")
    (host / name).unlink(missing_ok=True)
    os.mkfifo(host / name)
    with pytest.raises(RecordingError, match=r"is a pipe or a device|no file, where a file of a recording is needed"):
        compact([host], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
