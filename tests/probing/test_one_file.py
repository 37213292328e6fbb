"""The probe as the one file that it is: what it writes, the system calls it makes, and what it needs to run."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from fastsmc.facts.packaged import PROBE, RECORDER
from fastsmc.probing import recorder, standalone
from tests.support import fake_kvm
from tests.support.fake_kvm import FakeKvm

# -- files ---------------------------------------------------------------------------------------------------------


def test_a_profile_is_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "host.json"
    assert standalone.main(["-o", str(path)], FakeKvm()) == 0
    words = capsys.readouterr().out
    assert "PSCI_VERSION" in words
    assert "accepts bits 0x3" in words
    assert standalone.main(["--json"], FakeKvm()) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert [one.name for one in tmp_path.iterdir()] == ["host.json"]


@pytest.mark.parametrize("where", ["no/host.json", ".", "a\0b", "x" * 300])
def test_a_file_that_cannot_be_written(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert standalone.main(["-o", f"{tmp_path}/{where}"], FakeKvm()) == 3
    said = capsys.readouterr()
    assert "cannot be written" in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    with (tmp_path / "link.json").open() as reading:
        standalone.save({"a": 1}, str(tmp_path / "link.json"))
        assert reading.read() == "old"  # the new file took its name, and nobody reads half of it
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == {"a": 1}


def test_a_pipe_is_written_to() -> None:
    code = "from fastsmc.probing.standalone import save; save({'a': 1}, '/dev/stdout')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"a": 1}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "host.json").write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(standalone.ProbeError, match="No space left"):
        standalone.save({"a": 1}, str(tmp_path / "host.json"))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("host.json", "before")]


def test_a_probe_that_is_killed_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text("before")
    code = (
        "import os, signal; from fastsmc.probing import standalone\n"
        "os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"standalone.save({{'a': 1}}, {str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "before"


def test_an_interrupt_ends_with_its_exit_code(tmp_path: Path) -> None:
    kvm = FakeKvm()

    def interrupted(request: int) -> None:
        if request == fake_kvm.GET_ONE_REG:
            raise KeyboardInterrupt

    kvm.before = interrupted
    assert standalone.main(["-o", str(tmp_path / "host.json")], kvm) == 130
    assert kvm.open_fds == {}
    assert list(tmp_path.iterdir()) == []


# -- the system calls themselves -------------------------------------------------------------------------------------


def test_an_ioctl_is_answered_in_place_and_a_large_number_arrives() -> None:
    """By a pipe, which says how much waits in it; and /dev/null, which takes no ioctl of KVM (ENOTTY)."""
    system = standalone.System()
    reading, writing = os.pipe()
    try:
        os.write(writing, b"12345")
        room = bytearray(4)
        assert system.ioctl(reading, termios.FIONREAD, room) == 0
        assert int.from_bytes(room, sys.byteorder) == 5
    finally:
        system.close(reading)
        system.close(writing)
    null = system.open("/dev/null")
    try:
        for argument in (0, standalone.VM_TYPE_PROTECTED):
            with pytest.raises(OSError, match="ioctl") as caught:
                system.ioctl(null, standalone.KVM_CREATE_VM, argument)
            assert caught.value.errno == errno.ENOTTY
    finally:
        system.close(null)


def test_an_interrupted_ioctl_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([InterruptedError(errno.EINTR, "signal"), 7])

    def interrupted(*_: Any) -> int:
        one = next(told)
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(standalone.fcntl, "ioctl", interrupted)
    assert standalone.System().ioctl(0, standalone.KVM_GET_API_VERSION) == 7


def test_what_the_system_says_of_itself(tmp_path: Path) -> None:
    system = standalone.System()
    assert system.uname() == (os.uname().sysname, os.uname().release, os.uname().version, os.uname().machine)
    (tmp_path / "b").write_bytes(b"text\xff\n")
    (tmp_path / "a").mkdir()
    assert system.read(str(tmp_path / "b")) == "text\ufffd\n"
    assert system.read(str(tmp_path / "a")) is None
    assert system.listed(str(tmp_path)) == ["a", "b"]
    assert system.listed(str(tmp_path / "no")) == []
    assert system.page_bytes() == os.sysconf("SC_PAGESIZE")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", system.date())
    assert system.seconds() <= system.seconds()


def test_files_are_allowed_up_to_what_the_host_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(standalone.resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(standalone.resource, "setrlimit", lambda _, limits: asked.append(limits))
    for count in (500, 2000, 9000):
        standalone.System().allow_files(count)
    assert asked == [(2000, 4096), (4096, 4096)]


# -- one file ------------------------------------------------------------------------------------------------------


def test_it_runs_by_itself(tmp_path: Path) -> None:
    """Copied elsewhere, without packages. On an arm64 machine with KVM it says what that has."""
    copy = tmp_path / "fastsmc_probe.py"
    copy.write_bytes(PROBE.read_bytes())
    done = subprocess.run([sys.executable, "-I", "-S", copy], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3)
    assert done.returncode == 0 or done.stderr.startswith("fastsmc_probe: ")
    wrong = subprocess.run([sys.executable, "-I", "-S", copy, "--no"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_the_recorder_is_found_beside_it(tmp_path: Path) -> None:
    """Both copied elsewhere: on an arm64 machine with KVM one section is recorded."""
    probe, beside, out = (tmp_path / name for name in ("fastsmc_probe.py", "fastsmc_recorder.py", "out"))
    probe.write_bytes(PROBE.read_bytes())
    command = [sys.executable, "-I", "-S", probe, "--record", out, "--only", "misc"]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert alone.returncode == 3
    assert alone.stderr.startswith("fastsmc_probe: --record needs fastsmc_recorder.py beside this file")
    beside.write_bytes(RECORDER.read_bytes())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or (done.returncode, done.stderr[:15]) == (3, "fastsmc_probe: ")
    assert "fastsmc_recorder.py" not in done.stderr
    assert out.exists() == (done.returncode == 0)
    here = subprocess.run([*command[:3], PROBE, *command[4:]], capture_output=True, text=True, check=False)
    assert here.returncode in (0, 3)
    assert "--record needs" not in here.stderr


@pytest.mark.parametrize(("file", "beside"), [(PROBE, set()), (RECORDER, {"fastsmc"})], ids=["probe", "recorder"])
def test_it_imports_the_standard_library_only_and_is_python_3_8(file: Path, beside: set[str]) -> None:
    text = file.read_text("utf-8")
    assert text.count("\n") < 1500
    tree = ast.parse(text, feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("fastsmc")} <= {"fastsmc.probing.standalone"}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | beside
    newer = {"removeprefix", "removesuffix", "batched", "pairwise", "bit_count", "EnumType", "UTC", "readlink"}
    assert newer & {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} == set()
    keywords = {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
    assert "strict" not in keywords


def test_sections_are_those_of_the_recorder() -> None:
    assert list(recorder.SECTIONS) == list(standalone.RECORDED)


def test_numbers_are_those_of_the_kernel() -> None:
    """The fake has them written out, so an ioctl by another number is none that it knows."""
    for name in ("GET_API_VERSION", "CREATE_VM", "CHECK_EXTENSION", "CREATE_VCPU", "GET_ONE_REG", "SET_ONE_REG"):
        assert getattr(standalone, f"KVM_{name}") == getattr(fake_kvm, name)
