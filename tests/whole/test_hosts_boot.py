"""Emulated hosts: what is booted, what comes out of a serial line, and one release from package to recording."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.places import ROOT
from tools import hosts, hosts_boot, hosts_record
from tools.hosts_apt import Archive
from tools.hosts_boot import boot, collected
from tools.hosts_init import JOB, files, framed
from tools.hosts_initramfs import archive, entry, job_archive, python_archive, tree
from tools.hosts_packages import HostsError, age, newest

TYPES = {stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l", stat.S_IFCHR: "c"}


def read_newc(packed: bytes) -> list[tuple[str, int, bytes]]:
    """An archive as the kernel's document describes it: 13 numbers of 8 hex digits, name and data at fours."""
    found, at = [], 0
    while at < len(packed):
        assert packed[at : at + 6] == b"070701"
        fields = [int(packed[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, n_name = fields[6], fields[11]
        name = packed[at + 110 : at + 110 + n_name]
        assert name.endswith(b"\0")
        at = (at + 110 + n_name + 3) // 4 * 4
        found.append((name[:-1].decode(), fields[1], packed[at : at + size]))
        at = (at + size + 3) // 4 * 4
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few files, as a package has them."""
    root = tmp_path / "root"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "share" / "doc").mkdir(parents=True)
    (root / "usr" / "lib" / "python3.11" / "test").mkdir(parents=True)
    (root / "usr" / "share" / "doc" / "copyright").write_text("left out", "utf-8")
    (root / "usr" / "bin" / "python3.11").write_bytes(b"\x7fELF" + bytes(5))
    (root / "usr" / "bin" / "python3.11").chmod(0o755)
    (root / "usr" / "lib" / "os.py").write_text("pass\n", "utf-8")
    (root / "bin").symlink_to("usr/bin")
    return root


def test_an_archive_holds_the_tree(folder: Path) -> None:
    found = read_newc(archive(tree(folder)))
    assert [(name, TYPES[stat.S_IFMT(mode)]) for name, mode, _ in found[:-1]] == [
        ("bin", "l"),
        ("usr", "d"),
        ("usr/bin", "d"),
        ("usr/lib", "d"),
        ("usr/bin/python3.11", "-"),
        ("usr/lib/os.py", "-"),
        ("usr/lib/python3.11", "d"),
    ]
    by_name = {name: (mode & 0o777, data) for name, mode, data in found}
    assert by_name["bin"][1] == b"usr/bin"
    assert by_name["usr/bin/python3.11"] == (0o755, b"\x7fELF" + bytes(5))
    assert by_name["usr/lib/os.py"] == (0o644, b"pass\n")
    assert found[-1][0] == "TRAILER!!!"


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio to read an archive with")
def test_cpio_reads_the_same(folder: Path, tmp_path: Path) -> None:
    packed = archive(tree(folder))
    told = subprocess.run(["cpio", "-t", "--quiet"], input=packed, capture_output=True, check=True).stdout.decode()
    assert told.split() == [name for name, _, _ in read_newc(packed)[:-1]]
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["cpio", "-id", "--quiet"], input=packed, cwd=out, capture_output=True, check=True)
    assert (out / "bin" / "python3.11").read_bytes() == b"\x7fELF" + bytes(5)


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1), st.binary(max_size=40))
def test_entries_are_read_back(name: str, data: bytes) -> None:
    packed = entry(name, 0o100644, data) + entry("next", 0o100600, b"1")
    assert read_newc(packed) == [(name, 0o100644, data), ("next", 0o100600, b"1")]


def test_a_job_has_init_the_console_and_the_probe() -> None:
    found = {name: (mode, data) for name, mode, data in read_newc(job_archive([["/x.py", "-a"]], {"a/b/x.py": b"1"}))}
    assert stat.S_ISCHR(found["dev/console"][0])
    assert found["init"][0] == 0o100755
    assert found["init"][1].startswith(b"#!/usr/bin/python3.11")
    assert found[JOB[1:]][1] == b'{"commands": [["/x.py", "-a"]]}'
    for name, source in (("fastsmc_probe.py", "standalone.py"), ("fastsmc_recorder.py", "recorder.py")):
        assert found[name][1] == (ROOT / "fastsmc" / "probing" / source).read_bytes()
    assert list(found).index("a") < list(found).index("a/b") < list(found).index("a/b/x.py")


def said(contents: dict[str, bytes], *, done: bool = True) -> bytes:
    """What a host says that hands out these files."""
    lines = [
        "[    0.000000] Booting Linux",
        "@up 3.21",
        "@run 0",
        "some words",
        "@ran 0 0 1.5",
        "@run 1",
        "@ran 1 -9 2.0",
    ]
    for name, data in contents.items():
        lines += framed(name, data)
    return "\r\n".join([*lines, *(["@done"] if done else []), "[   40.1] reboot: Power down", ""]).encode()


CONTENTS = {"a.json": b"{}", "r/b.xz": random.Random(1).randbytes(5000), "empty": b"", "text": b"line\n" * 3000}


def test_files_come_out_as_they_were() -> None:
    found = collected(said(CONTENTS))
    assert found.files == CONTENTS
    assert found.codes == [0, -9]


def test_what_the_kernel_says_between_does_no_harm() -> None:
    lines = said(CONTENTS).split(b"\r\n")
    at = next(i for i, line in enumerate(lines) if b"r/b.xz" in line)
    lines.insert(at + 2, b"[   12.345678] random: crng init done")
    assert collected(b"\n".join(lines)).files == CONTENTS


@given(st.integers(0, 10**9), st.integers(0, 255))
def test_one_byte_that_is_wrong_is_noticed_or_does_no_harm(place: int, value: int) -> None:
    text = bytearray(said(CONTENTS))
    text[place % len(text)] = value
    with contextlib.suppress(HostsError):
        found = collected(bytes(text)).files
        assert all(CONTENTS[name] == data for name, data in found.items() if name in CONTENTS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (said(CONTENTS, done=False), "stopped before all of its files had come out"),
        (said(CONTENTS)[: said(CONTENTS).index(b"@end")], "stopped before all of its file a.json had come out"),
        (said({"../up": b"1"}), "damaged: it announces a file"),
        (said({"/etc/passwd": b"1"}), "damaged: it announces a file"),
        (said({"a": b"1"}).replace(b'"size": 1', b'"size": 2'), "a came out of the host damaged"),
        (said({"a": b"1"}).replace(b'"name": "a", ', b""), "damaged: it announces a file"),
        (b"Kernel panic - not syncing: no init\n", "the last it said is 'Kernel panic - not syncing: no init'"),
        (b"", "; it said nothing"),
    ],
)
def test_damage_is_one_sentence(text: bytes, why: str) -> None:
    with pytest.raises(HostsError) as error:
        collected(text)
    assert why in str(error.value)


def test_files_are_found_below_folders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"2")
    assert [(name, path.read_bytes()) for name, path in files(tmp_path)] == [("a", b"2"), ("b/c", b"1")]


def emulator(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A shell script in place of QEMU, and an archive that has Python packed already."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / hosts_boot.PROGRAM
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\necho $$ > {tmp_path}/pid\n{text}\n', "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "python-bookworm.cpio").write_bytes(b"")
    return Archive(tmp_path)


def is_running(tmp_path: Path) -> bool:
    try:
        os.kill(int((tmp_path / "pid").read_text("ascii")), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_host_that_hands_out_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said").write_bytes(said(CONTENTS))
    debian = emulator(tmp_path, f"cat {tmp_path}/said", monkeypatch)
    told: list[str] = []
    found = boot(debian, Path("image"), [], log=tmp_path / "logs" / "x.log", say=told.append)
    assert found.files == CONTENTS
    assert told[-1] == "files are coming out"
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["x.log"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo @up 1; exec sleep 60", "the host is not done after"),
        ("echo 'Kernel panic'; exit 0", "stopped before all of its files had come out; the last it said is 'Kernel pa"),
        ("echo 'qemu: no such machine' >&2; exit 1", "exit code 1; the last it said is 'qemu: no such machine'"),
    ],
)
def test_a_host_that_does_not_get_to_its_end(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian = emulator(tmp_path, text, monkeypatch)
    with pytest.raises(HostsError) as error:
        boot(debian, Path("image"), [], log=tmp_path / "x.log", seconds=0.5)
    assert why in str(error.value)
    assert not is_running(tmp_path)
    assert not (tmp_path / "x.cpio").exists()


def test_a_host_that_does_not_come_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_boot, "UP_S", 0.3)
    debian = emulator(tmp_path, "exec sleep 60", monkeypatch)
    with pytest.raises(HostsError, match=r"has not come up after 0 s and was ended; it said nothing"):
        boot(debian, Path("image"), [], log=tmp_path / "x.log")
    assert not is_running(tmp_path)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_command_is_ended(
    sent: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(tmp_path, "echo @up 1; exec sleep 60", monkeypatch)
    program = (
        "import signal; from pathlib import Path; from tools import hosts, hosts_boot\n"
        "from tools.hosts_apt import Archive\n"
        "signal.signal(signal.SIGTERM, hosts._interrupted); signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"hosts_boot.boot(Archive(Path({str(tmp_path)!r})), Path('image'), [], log=Path({str(tmp_path / 'x.log')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while b"@up" not in (tmp_path / "x.log").read_bytes() if (tmp_path / "x.log").exists() else True:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(sent)
        assert process.wait(30) != 0
    finally:
        process.kill()
        process.wait()
    while is_running(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_options_of_a_mode_and_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said").write_bytes(said({}))
    debian = emulator(tmp_path, f'echo "$@" > {tmp_path}/asked; cat {tmp_path}/said', monkeypatch)
    for cpu, mode in (("max", None), ("n1", "default"), ("max", "nested"), ("max", "protected")):
        boot(debian, Path("image"), [], log=tmp_path / "x.log", cpu=cpu, mode=mode)
        asked = (tmp_path / "asked").read_text("utf-8")
        assert f"-cpu {hosts_boot.CPUS[cpu]} -M virt,virtualization=on,gic-version=3" in asked
        assert ("kvm-arm.mode" in asked) == (mode in ("nested", "protected"))
        assert mode in (None, "default") or f"kvm-arm.mode={mode}" in asked


def test_the_words_of_a_mode_are_those_of_the_folders() -> None:
    assert set(hosts_record._ENDING) == {None, *hosts_boot.MODES}


QUICK = ("reglist", "setreg", "calls", "random", "misc", "restore")
"""Sections, each of one kind of that name, that are recorded in less than a minute on an emulated host."""


@pytest.mark.soak(
    "one kernel of Debian booted, recorded by the probe, replayed, and compared with the committed recording"
)
def test_one_release_from_its_package_to_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        hosts_boot.version()
        debian = Archive(hosts.FOLDER)
        kernels = sorted(debian.kernels(), key=lambda one: age(one.version))
        recorded = [one for one in kernels if (hosts.RECORDINGS / f"linux-{one.release}-max" / "meta.json").is_file()]
        release = (recorded or kernels)[-1].release
        debian.image(newest(kernels, release))
        python_archive(debian)
    except HostsError as error:
        pytest.skip(str(error))
    code = hosts.main([release, "--only", ",".join(QUICK)])
    said = capsys.readouterr()
    assert f"linux-{release}-max: " in said.out, said.err
    n_match, n_record = re.search(r": (\d+) of (\d+) records match", said.out).groups()  # type: ignore[union-attr]
    assert n_match == n_record
    # Another QEMU has another CPU, and with it other registers.
    if recorded and hosts_boot.version().startswith("7.2."):
        assert f"{len(QUICK)} of {len(QUICK)} kinds are line by line those of" in said.out, said.out
        assert code == 0
