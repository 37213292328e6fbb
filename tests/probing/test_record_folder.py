"""A recorded folder: what lies in it, what a recorder leaves that is stopped half-way, and what it refuses."""

from __future__ import annotations

import ctypes
import errno
import json
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import MachineError
from fastsmc.probing import record, recorder, standalone
from tests.support import fake_kvm
from tests.support.command import fastsmc
from tests.support.fake_guest import MEMORY_REGION, FakeGuestKvm
from tests.support.fake_kvm import RECORDINGS

ONLY = "reglist,setreg,danger,misc"


def recorded(folder: Path, *options: str, kvm: FakeGuestKvm | None = None) -> int:
    kvm = kvm or FakeGuestKvm("linux-6.1.192-max")
    code = standalone.main(["--record", str(folder), *options], kvm)
    assert kvm.open_fds == {}
    assert kvm.alarms[-1] == 0
    return code


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_folder_is_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "linux-6.1.192-max"
    assert recorded(folder, "--only", ONLY) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"(fastsmc_probe: (reglist|setreg|danger|misc): \d+\.\d s\n){4}", said.err)
    payloads = [one.name for one in (RECORDINGS / folder.name).glob("payload-*")]
    kinds = [f"{kind}.jsonl.xz" for kind in ONLY.split(",")]
    assert names(folder) == sorted([*kinds, *payloads, "meta.json"])
    kept = {"release", "version", "cpuinfo", "vulnerabilities", "api_version", "caps", "has_smccc_filter_errno"}
    meta, wanted = (json.loads((one / "meta.json").read_text()) for one in (folder, RECORDINGS / folder.name))
    assert meta == {key: value for key, value in wanted.items() if key in kept}
    assert fastsmc("verify", folder, "--kind", "reglist", "--kind", "setreg", "--kind", "misc").returncode == 0


def test_the_mode_is_told_and_nothing_else_of_the_command_line(tmp_path: Path) -> None:
    kvm = FakeGuestKvm()
    kvm.files["/proc/cmdline"] = "root=/dev/sda1 kvm-arm.mode=nvhe quiet"
    assert recorded(tmp_path, "--only", "misc", kvm=kvm) == 0
    assert json.loads((tmp_path / "meta.json").read_text())["cmdline"] == "kvm-arm.mode=nvhe"


def test_the_same_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert recorded(tmp_path / name, "--only", "setreg,misc") == 0
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_folder_that_has_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    assert recorded(tmp_path, "--only", "misc") == 3
    assert capsys.readouterr().err == f"fastsmc_probe: {tmp_path} has files already: name a new or empty folder\n"
    assert names(tmp_path) == ["mine"]


@pytest.mark.parametrize("where", ["mine/new", "a\0b", "x" * 300])
def test_a_folder_that_cannot_be_made(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    assert recorded(tmp_path / where, "--only", "misc") == 3
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("request_or_name", "code", "words"),
    [
        (MEMORY_REGION, errno.ENOMEM, "KVM_SET_USER_MEMORY_REGION failed with ENOMEM: the host has no memory left"),
        (fake_kvm.CREATE_VCPU, errno.EMFILE, "KVM_CREATE_VCPU failed with EMFILE: this process may open no more files"),
        (fake_kvm.CREATE_VM, errno.ENOMEM, "KVM_CREATE_VM failed with ENOMEM"),
        ("map", errno.ENOMEM, "mmap of a guest's memory failed with ENOMEM: the host has no memory left"),
        ("open", errno.EACCES, "/dev/kvm cannot be opened (EACCES): you may not"),
    ],
)
def test_what_the_host_lacks_ends_it(
    request_or_name: int | str, code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for after in (0, 40):
        kvm = FakeGuestKvm()
        kvm.fails[request_or_name], kvm.after = code, after
        assert recorded(tmp_path / f"{after}", "--only", "misc,setreg", kvm=kvm) == 3
        said = capsys.readouterr().err.splitlines()
        assert words in said[-1]
        assert "Traceback" not in "".join(said)
        assert not (tmp_path / f"{after}" / "meta.json").exists()


@pytest.mark.parametrize("name", ["lzma", "mmap", "ctypes"])
def test_a_python_without_a_module_probes_and_does_not_record(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(standalone.ProbeError, match=f"has no module {name}"):
        recorder._written(tmp_path / "a.xz", [b""]) if name == "lzma" else standalone.System().address(
            standalone.System().map(-1, 4096)
        )
    assert standalone.main([], FakeGuestKvm()) == 0
    if name == "lzma":
        assert recorded(tmp_path / "out", "--only", "misc") == 3
        assert "this Python has no module lzma" in capsys.readouterr().err


def test_no_memory_to_run_with_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kvm = FakeGuestKvm()
    kvm.run_results = [errno.ENOMEM]
    assert recorded(tmp_path, "--only", "misc", kvm=kvm) == 3
    assert "KVM_RUN failed with ENOMEM: the host has no memory left" in capsys.readouterr().err
    assert names(tmp_path) == []


def test_an_interrupt_leaves_whole_files_and_no_meta(tmp_path: Path) -> None:
    kvm = FakeGuestKvm()

    def interrupted(request: int) -> None:
        if request == fake_kvm.SET_ONE_REG and (tmp_path / "misc.jsonl.xz").exists():
            raise KeyboardInterrupt

    kvm.before = interrupted
    assert recorded(tmp_path, "--only", "misc,setreg", kvm=kvm) == 130
    assert names(tmp_path) == ["misc.jsonl.xz"]
    assert len(lzma.decompress((tmp_path / "misc.jsonl.xz").read_bytes()).splitlines()) == 10


def test_a_kill_leaves_whole_files_and_no_meta(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from fastsmc.probing import recorder; from tests.support.fake_guest import FakeGuestKvm\n"
        "kvm, folder = FakeGuestKvm(), Path(sys.argv[1])\n"
        "kvm.before = lambda request: (folder / '.setreg.jsonl.xz.tmp').exists() and os.kill(os.getpid(), 9)\n"
        "recorder.record(str(folder), kvm, only=['misc', 'setreg'])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=RECORDINGS.parents[1], check=False)
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == [".setreg.jsonl.xz.tmp", "misc.jsonl.xz"]
    lzma.decompress((tmp_path / "misc.jsonl.xz").read_bytes())


def test_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert recorded(tmp_path, "--only", "misc") == 3
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert names(tmp_path) == []


# -- other hosts' registers ------------------------------------------------------------------------------------------


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lzma.decompress((folder / "restore.jsonl.xz").read_bytes()).splitlines()]


def test_other_hosts_registers_are_written(tmp_path: Path) -> None:
    other = RECORDINGS / "linux-6.1.192-max"
    plain = tmp_path / "plain"
    plain.mkdir()
    name = "payload-psci02.bin"
    (plain / name).write_bytes(lzma.decompress((other / f"{name}.xz").read_bytes()))
    assert recorded(tmp_path / "out", "--only", "restore", "--restore", str(other), str(plain)) == 0
    records = records_of(tmp_path / "out")
    features = ["none", "psci02", "psci02+pmu", "psci02+sve", "psci02+pauth", "psci02+pmu+sve+pauth"]
    assert [one["feat"] for one in records] == features * 2
    wanted = records_of(other)
    counts = {one["feat"]: one["n"] for one in wanted if one["src"] == other.name}
    assert {one["feat"]: one["n"] for one in records[:6]} == counts
    assert records[3]["fails"] == [["0x606000000015ffff", errno.EPERM]]
    assert [one.get("nofile") for one in records[6:]] == [True, None, True, True, True, True]
    assert records[7] == {**records[1], "src": "plain"}


def test_without_a_vcpu_of_that_kind_nothing_is_written(tmp_path: Path) -> None:
    other, kvm = RECORDINGS / "linux-6.1.192-max", FakeGuestKvm("linux-6.1.192-n1")
    assert recorded(tmp_path, "--only", "restore", "--restore", str(other), kvm=kvm) == 0
    records = records_of(tmp_path)
    assert records[3] == {"src": "linux-6.1.192-max", "feat": "psci02+sve", "init_errno": 22}


@pytest.mark.parametrize(
    ("suffix", "data"),
    [(".xz", b""), (".xz", b"no xz"), (".xz", b"\xfd7zXZ\0\0"), ("", b"count"), ("", bytes(8) + b"more")],
)
def test_a_damaged_payload_is_refused(
    suffix: str, data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / f"payload-psci02.bin{suffix}").write_bytes(data)
    assert recorded(tmp_path / "out", "--only", "restore", "--restore", str(tmp_path / "other")) == 3
    said = capsys.readouterr().err
    assert "cannot be read" in said
    assert said.count("\n") == 1


def test_another_host_that_is_not_there_is_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recorded(tmp_path / "out", "--restore", str(RECORDINGS), str(tmp_path / "no")) == 3
    assert capsys.readouterr().err == f"fastsmc_probe: {tmp_path / 'no'} is no folder: name that of a recorded host\n"
    assert names(tmp_path) == []


def test_what_has_no_meaning_beside_record_is_refused(tmp_path: Path) -> None:
    for other in ("--json", "sample:host.json.xz"):
        done = fastsmc("probe", "--record", tmp_path / "out", other)
        assert (done.returncode, "--record writes a folder" in done.stderr) == (2, True)
    assert names(tmp_path) == []


# -- command lines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["--only", "misc"], ["--restore", "x"], ["--record", "x", "--only", "calls,no"]])
def test_wrong_command_lines(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        standalone.main(options, FakeGuestKvm())
    assert end.value.code == 2
    assert "--only" in capsys.readouterr().err
    assert fastsmc("probe", *options).returncode == 2


def test_the_command_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "System", lambda: FakeGuestKvm("linux-6.1.192-max"))
    done = fastsmc("probe", "--record", tmp_path, "--only", "misc")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("misc: ")
    assert names(tmp_path) == ["meta.json", "misc.jsonl.xz"]
    again = fastsmc("probe", "--record", tmp_path, "--only", "misc")
    assert (again.returncode, "has files already" in again.stderr) == (3, True)


def test_another_machine_is_told_where_to_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kvm = FakeGuestKvm()
    kvm.machine = "x86_64"
    monkeypatch.setattr(recorder, "System", lambda: kvm)
    with pytest.raises(MachineError, match=r"--record FOLDER there, and read the folder here \(fastsmc verify"):
        record(tmp_path / "out")
    assert names(tmp_path) == []


# -- the system calls themselves -------------------------------------------------------------------------------------


def test_memory_is_shared_and_has_an_address() -> None:
    system = standalone.System()
    room = system.map(-1, 8192)
    room[4097] = 7
    assert ctypes.string_at(system.address(room) + 4096, 2) == b"\0\7"
    with pytest.raises(OSError, match="Cannot allocate"):
        system.map(-1, 1 << 60)


def test_a_run_tells_its_errno() -> None:
    system = standalone.System()
    null = system.open("/dev/null")
    try:
        assert system.run(null) == errno.ENOTTY
    finally:
        system.close(null)


def test_an_alarm_goes_off_again_and_again_until_it_is_off() -> None:
    system, times = standalone.System(), list[float]()
    before = signal.getsignal(signal.SIGALRM)
    try:
        system.alarm(1, lambda: times.append(1))
        while len(times) < 3:
            time.sleep(0.001)
        system.alarm(0, lambda: None)
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.signal(signal.SIGALRM, before)


# -- the guest's code ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("llvm-mc") is None, reason="there is no llvm-mc")
@pytest.mark.parametrize("name", ["CODE", "VECTOR", "CODE_32", "SMC_32"])
def test_words_are_what_stands_beside_them(name: str) -> None:
    text = getattr(recorder if name.endswith("32") else standalone, name)
    pairs = re.findall(r"\b([0-9a-f]{8}) (\S.*?)(?=\s{2,}|\n|$)", text)
    assert len(pairs) == len(standalone.words(text)) // 4
    is_32 = name.endswith("32")
    lines = []
    for number, (_, meaning) in enumerate(pairs):
        jump = re.fullmatch(r"((?:cbz x20, )|(?:b|b\.eq|beq) )(\d+)", meaning)
        ahead = 8 if is_32 else 0  # an AArch32 program counter is two instructions on
        lines.append(f"{jump[1]}#{int(jump[2]) - 4 * number - ahead}" if jump else meaning)
    machine = ["-triple=armv8a", "-mattr=+virtualization,+trustzone"] if is_32 else ["-triple=aarch64"]
    done = subprocess.run(
        ["llvm-mc", "-show-encoding", *machine], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    found = re.findall(r"encoding: \[(.*?)\]", done.stdout)
    told = [int.from_bytes(bytes(int(byte, 16) for byte in one.split(",")), "little") for one in found]
    assert [f"{word:08x}" for word in told] == [word for word, _ in pairs]


def test_calls_are_where_records_have_them() -> None:
    code = standalone.GUEST_CODE
    offsets = [48, 56, 64, 72]
    assert [int.from_bytes(code[at : at + 4], "little") for at in offsets] == [
        *(0xD4000002, 0xD4000003, 0xD4000022, 0xD4000023),
    ]
    assert len(code) == 4096
    assert all(code[2048 + 128 * n : 2060 + 128 * n] == standalone.words(standalone.VECTOR) for n in range(16))
