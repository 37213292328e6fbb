"""`make hosts`: kernels by Debian's lists, what is refused in one sentence, and that nothing is half-done."""

from __future__ import annotations

import doctest
import errno
import functools
import itertools
import json
import lzma
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from fastsmc.probing.recorder import SECTIONS
from tests.support.places import ROOT, TESTS
from tools import hosts, hosts_apt, hosts_compare, hosts_packages, hosts_record
from tools.hosts_apt import Archive, mirrors
from tools.hosts_boot import MODES, Collected
from tools.hosts_compare import compare
from tools.hosts_packages import SUITES, HostsError, Kernel, age, kernels, newest

LIST = """\
Package: linux-image-7.2.13+deb14-cloud-arm64
Source: linux-signed-arm64 (7.2.13+1)
Version: 7.2.13-1
Depends: linux-binary-7.2.13+deb14-cloud-arm64 (= 7.2.13-1), linux-modules-7.2.13+deb14-cloud-arm64, kmod
Description: Linux 7.2 for arm64
 continues here: with a colon

Package: linux-image-7.2.13+deb14-arm64
Version: 7.2.13-1

Package: linux-image-7.2.13+deb14-rt-arm64
Version: 7.2.13-1

Package: linux-image-7.2.13+deb14-arm64-unsigned
Version: 7.2.13-1

Package: linux-image-cloud-arm64
Version: 7.2.13-1
Depends: linux-image-7.2.13+deb14-cloud-arm64 (= 7.2.13-1)

Package: linux-image-6.1.0-9-cloud-arm64
Version: 6.1.27-1

Package: linux-image-7.3-cloud-arm64
Version: 7.3~rc7-1~exp1

Package: bash
Version: 5.2
"""


@pytest.mark.parametrize("module", [hosts_packages, hosts_compare])
def test_the_examples_of_the_tool_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_kernels_are_the_images_that_boot_here() -> None:
    assert kernels(LIST, "sid") == [
        Kernel("linux-image-7.2.13+deb14-cloud-arm64", "7.2.13-1", "sid", ("linux-binary-7.2.13+deb14-cloud-arm64",)),
        Kernel("linux-image-7.2.13+deb14-arm64", "7.2.13-1", "sid"),
        Kernel("linux-image-6.1.0-9-cloud-arm64", "6.1.27-1", "sid"),
        Kernel("linux-image-7.3-cloud-arm64", "7.3~rc7-1~exp1", "sid"),
    ]
    assert kernels("", "sid") == kernels("\n\n", "sid") == []


@pytest.mark.parametrize(
    ("wanted", "package"),
    [
        ("7.2", "linux-image-7.2.13+deb14-cloud-arm64"),
        ("7.2.13", "linux-image-7.2.13+deb14-cloud-arm64"),
        ("linux-image-7.2.13+deb14-arm64", "linux-image-7.2.13+deb14-arm64"),
        ("6.1", "linux-image-6.1.0-9-cloud-arm64"),
        ("7.3", "linux-image-7.3-cloud-arm64"),
        ("7.3-rc7", "linux-image-7.3-cloud-arm64"),
    ],
)
def test_a_kernel_is_meant_by_series_release_or_package(wanted: str, package: str) -> None:
    assert newest(kernels(LIST, "sid"), wanted).package == package


@pytest.mark.parametrize("wanted", ["7", "7.2.1", "6.12", "linux-image", "", "7.2.13-1"])
def test_what_debian_lacks_is_told_with_what_it_has(wanted: str) -> None:
    with pytest.raises(HostsError, match=r"no arm64 kernel '.*' now; .* are 6\.1\.27, 7\.2\.13, 7\.3-rc7$"):
        newest(kernels(LIST, "sid"), wanted)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg to compare versions with")
def test_versions_are_sorted_as_dpkg_does() -> None:
    known = ("6.1.192-3", "6.1.192-2", "6.1.170-3~deb11u1", "6.1.170-3", "6.12.74-2~bpo12+1", "6.12.74-2", "7.3.4-1")
    known += ("7.3~rc7-1~exp1", "7.3.4-1~bpo13+1", "7.2.12-1", "6.12.9-1", "7.10.1-1")

    def by_dpkg(a: str, b: str) -> int:
        is_less = subprocess.run(["dpkg", "--compare-versions", a, "lt", b], check=False).returncode == 0
        return -1 if is_less else 1

    assert sorted(known, key=age) == sorted(known, key=functools.cmp_to_key(by_dpkg))
    assert all(age(a) != age(b) for a, b in itertools.combinations(known, 2))


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        (
            "bookworm http://a/debian/\nbookworm-security http://b/debian-security/\n",
            ("http://a/debian/", "http://b/debian-security/"),
        ),
        ("noble http://u/ubuntu\nsid http://a/debian\nnodistro http://n/debian\n", ("http://a/debian", None)),
    ],
)
def test_mirrors_are_those_that_apt_knows(targets: str, found: tuple[str, str | None]) -> None:
    assert mirrors(targets) == found


@pytest.mark.parametrize("targets", ["", "noble http://u/ubuntu\n", "bookworm-security http://b/debian-security\n"])
def test_a_machine_that_knows_no_mirror_is_told_to_name_one(targets: str) -> None:
    with pytest.raises(HostsError, match="name one, as in --mirror"):
        mirrors(targets)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with fresh package lists, so that no network is needed, and no programs but those put into bin."""
    (tmp_path / "kernels").mkdir()
    for suite in SUITES:
        (tmp_path / "kernels" / f"{suite}.txt").write_text(LIST if suite == "sid" else "", "utf-8")
    (tmp_path / "bin").mkdir()
    return tmp_path


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which the command ends, by exit code 3."""
    assert hosts.main([*arguments, "--folder", str(folder), "--recordings", str(folder / "recordings")]) == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1
    assert not list(folder.glob("recorded/*"))
    assert not (folder / "recordings").exists()
    return lines[0].removeprefix("hosts: ")


def test_a_release_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no arm64 kernel '9.9' now" in refused(["9.9"], folder, capsys)


def test_without_qemu(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder / "bin"))
    assert refused(["7.2"], folder, capsys).startswith("there is no qemu-system-aarch64 on this machine")


def test_without_apt(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder / "bin"))
    monkeypatch.setattr(hosts_apt, "KEYRINGS", (__file__,))
    shutil.rmtree(folder / "kernels")
    said = refused(["7.2"], folder, capsys)
    assert said.startswith("no list of Debian's kernels could be fetched: there is no apt-get on this machine")


def test_without_a_keyring(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_apt, "KEYRINGS", (str(folder / "none.gpg"),))
    shutil.rmtree(folder / "kernels")
    assert refused(["7.2"], folder, capsys).endswith("install debian-archive-keyring")


def test_without_a_network(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder, "apt-get", "echo 'W: old' >&2; echo 'E: Temporary failure resolving' >&2; exit 100")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(hosts_apt, "KEYRINGS", (__file__,))
    shutil.rmtree(folder / "kernels")
    said = refused(["7.2", "--mirror", "http://127.0.0.1:9/debian"], folder, capsys)
    assert said.endswith("apt-get update of bullseye failed with exit code 100: Temporary failure resolving")


def test_old_lists_are_used_where_there_are_no_new_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder, "apt-get", "exit 100")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(hosts_apt, "KEYRINGS", (__file__,))
    archive = Archive(folder, "http://127.0.0.1:9/debian")
    assert len(archive.kernels(refresh=True)) == 4
    assert list(archive.lacking) == list(SUITES)
    asked = ["did not say why" in why for why in archive.lacking.values()]
    assert asked == [True] * 3 + [False] * (len(SUITES) - 3)  # a mirror out of reach is not waited for eleven times


def test_a_package_without_an_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "unpacked" / "linux-image-6.1.0-9-cloud-arm64_6.1.27-1" / "usr").mkdir(parents=True)
    with pytest.raises(HostsError, match="has no image: neither boot/vmlinuz"):
        Archive(folder).image(newest(kernels(LIST, "sid"), "6.1"))


def test_a_qemu_without_nested_virtualization(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(folder, "qemu-system-aarch64", "echo QEMU emulator version 8.2.9")
    monkeypatch.setenv("PATH", str(folder / "bin"))
    said = refused(["7.2", "--mode", "nested"], folder, capsys)
    assert said.endswith("which QEMU has since 9.0, and this is 8.2.9")


def test_a_full_disk(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder, "qemu-system-aarch64", "echo QEMU emulator version 1.2.3")
    monkeypatch.setenv("PATH", str(folder / "bin"))

    def full(_archive: Archive, _kernel: Kernel) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", "x.deb")

    monkeypatch.setattr(Archive, "image", full)
    assert refused(["7.2"], folder, capsys) == "the disk refused at x.deb: No space left on device"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["7.2", "--cpu", "z80"],
        ["7.2", "--mode", "x"],
        ["7.2", "--only", "calls,x"],
        ["7.2", "--add", "--only", "calls"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        hosts.main(arguments)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_list_says_what_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "linux-7.2.13-max").mkdir()
    (tmp_path / "linux-7.2.1-max").mkdir()
    assert hosts.listed([*kernels(LIST, "sid"), Kernel("x", "7.2.1-1", "testing")], tmp_path)[1:] == [
        "6.1.27     newest sid",
        "7.2.1             testing              linux-7.2.1-max",
        "7.2.13     newest sid                  linux-7.2.13-max",
        "7.3-rc7    newest sid",
    ]


def program(folder: Path, name: str, text: str) -> None:
    """A program that the command finds in place of the real one."""
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)


def recorded_by_hand(folder: Path, source: str, kinds: tuple[str, ...], release: str) -> Path:
    """A recording as it lies below build/hosts after its host was asked: records of a committed one."""
    made = folder / "recorded" / f"linux-{release}-max"
    made.mkdir(parents=True)
    for kind in kinds:
        shutil.copy(TESTS / "recordings" / source / f"{kind}.jsonl.xz", made)
    meta = json.loads((TESTS / "recordings" / source / "meta.json").read_text("utf-8"))
    del meta["compact"]
    told = {"release": f"{release}-cloud-arm64", "version": f"#1 SMP Debian {release}-1"}
    (made / "meta.json").write_text(json.dumps(meta | told), "utf-8")
    return made


def command(folder: Path, *arguments: str) -> int:
    """The command with fake programs, as nothing has to be booted."""
    return hosts.main([*arguments, "--folder", str(folder), "--recordings", str(folder / "recordings")])


@pytest.fixture
def has_qemu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder, "qemu-system-aarch64", "echo QEMU emulator version 1.2.3")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@pytest.mark.usefixtures("has_qemu")
def test_what_matches_is_added_and_then_equals_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded_by_hand(folder, "linux-7.2.12-max", ("setreg", "sweep"), "7.2.13")
    assert command(folder, "7.2", "--add") == 0
    said = capsys.readouterr().out
    assert "linux-7.2.13-max is new: tests/recordings has no release of its series" in said
    assert "now `git add` and commit it;" in said
    copy = folder / "recordings" / "linux-7.2.13-max"
    assert sorted(path.name for path in copy.iterdir()) == ["meta.json", "setreg.jsonl.xz", "sweep.jsonl.xz"]
    assert json.loads((copy / "meta.json").read_text("utf-8"))["compact"] is True
    assert command(folder, "7.2", "--add") == 0
    assert f"2 of 2 kinds are line by line those of {copy}" in capsys.readouterr().out


@pytest.mark.usefixtures("has_qemu")
def test_what_does_not_match_is_not_added(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = recorded_by_hand(folder, "linux-7.2.12-max", ("setreg",), "7.2.13")
    lines = lzma.decompress((made / "setreg.jsonl.xz").read_bytes()).replace(b'"errno":22', b'"errno":23')
    (made / "setreg.jsonl.xz").write_bytes(lzma.compress(lines))
    assert command(folder, "7.2", "--add") == 4
    said = capsys.readouterr().out
    assert "it is not added: docs/adding-a-release.md" in said
    assert not (folder / "recordings").exists()
    assert (ROOT / "docs" / "adding-a-release.md").is_file()


@pytest.mark.usefixtures("has_qemu")
def test_a_host_that_fails_does_not_keep_the_next_from_its_turn(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_archive: Archive, kernel: Kernel) -> Path:
        msg = f"{kernel.package} has no image"
        raise HostsError(msg)

    monkeypatch.setattr(Archive, "image", none)
    recorded_by_hand(folder, "linux-7.2.12-max", ("setreg",), "7.2.13")
    assert command(folder, "6.1", "7.2") == 3
    said = capsys.readouterr()
    assert "hosts: linux-6.1.27-max: linux-image-6.1.0-9-cloud-arm64 has no image\n" in said.err
    assert "linux-7.2.13-max: 1080 of 1080 records match" in said.out


def test_a_mode_has_its_own_folder_and_sections() -> None:
    kernel = newest(kernels(LIST, "sid"), "7.2")
    names = {mode: hosts_record.Host(kernel, "n1", mode).name for mode in (None, *MODES)}
    assert names == {
        None: "linux-7.2.13-n1",
        "nested": "linux-7.2.13-n1-nested",
        "protected": "linux-7.2.13-n1-mode-protected",
        "default": "linux-7.2.13-n1-mode-default",
    }
    ordinary = hosts_record.Host(kernel, "max", None).sections
    assert {"calls", "restore", "danger"} <= set(ordinary) <= SECTIONS.keys()
    assert "nested" not in ordinary


def test_payloads_of_recorded_hosts_are_given_oldest_first() -> None:
    files = hosts_record.payloads(TESTS / "recordings")
    folders = list(dict.fromkeys(Path(name).parent.name for name in files))
    assert folders[:3] == ["linux-5.10.218-max", "linux-6.1.192-max", "linux-6.12.107-max"]
    assert folders[-2:] == ["linux-7.2.13-max", "linux-7.3.4-max"]
    for name, data in files.items():
        assert data == (TESTS / "recordings" / Path(name).relative_to("others")).read_bytes()
    nested = hosts_record.payloads(TESTS / "recordings", "-nested")
    assert {Path(name).parent.name for name in nested} == {"linux-6.18.15-max-nested", "linux-7.3.4-max-nested"}


def test_a_recording_appears_whole_and_takes_the_place_of_the_last(tmp_path: Path) -> None:
    found = Collected({"host.json": b"{}", "recording/meta.json": b"1", "recording/calls.jsonl.xz": b"2", "x": b""})
    target = tmp_path / "recorded" / "linux-1-max"
    hosts_record.write(target, found)
    (target / "left-over").touch()
    (tmp_path / "recorded" / "linux-1-max.part").mkdir()
    hosts_record.write(target, found)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"meta.json": b"1", "calls.jsonl.xz": b"2"}
    assert {path.name for path in target.parent.iterdir()} == {"linux-1-max", "linux-1-max.host.json"}


def test_a_difference_is_told_and_free_bits_are_none(tmp_path: Path) -> None:
    trng = {"id": "0xc4000053", "c": "hvc0", "a": ["0xc0", "0x0", "0x0"], "x": ["0x0", "0x1", "0x2", "0x3"]}
    ptp = {"id": "0x86000001", "c": "hvc0", "a": ["0x0", "0x0", "0x0"], "x": ["0x9", "0x1", "0x2", "0x3"]}
    plain = {"id": "0x84000000", "c": "hvc0", "a": ["0x0", "0x0", "0x0"], "x": ["0x10003", "0x0", "0x0", "0x0"]}
    refused_trng = trng | {"x": ["0xffffffffffffffff", "0x0", "0x0", "0x0"]}

    def written(name: str, lines: list[dict[str, object]]) -> Path:
        (tmp_path / name).mkdir()
        with lzma.open(tmp_path / name / "calls.jsonl.xz", "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return tmp_path / name

    base = written("base", [trng, ptp, plain])
    free = [trng | {"x": ["0x0", "0x8", "0x8", "0x8"]}, ptp | {"x": ["0x8", "0x8", "0x8", "0x8"]}, plain]
    assert [one.is_same for one in compare(written("free", free), base)] == [True]
    assert [one.is_same for one in compare(written("more", [plain, trng, ptp, ptp, plain]), base)] == [True]
    others = {
        "refused": [refused_trng, ptp, plain],
        "no clock": [trng, ptp | {"x": ["0xffffffffffffffff", "0x1", "0x2", "0x3"]}, plain],
        "other": [trng, ptp, plain | {"x": ["0x10002", "0x0", "0x0", "0x0"]}],
        "short": [trng, ptp],
        "order": [ptp, trng, plain],
        "none": [],
    }
    for name, lines in others.items():
        (one,) = compare(written(name, lines), base)
        assert one.n_missing == (3 if name == "none" else 1), name
        assert "is not there: {" in str(one)
    (tmp_path / "empty").mkdir()
    assert "it was not recorded" in str(compare(tmp_path / "empty", base)[0])


def test_kinds_that_are_copied_whole_have_no_line_more(tmp_path: Path) -> None:
    source = TESTS / "recordings" / "linux-7.2.12-max"
    for folder, times in (("same", 1), ("twice", 2)):
        (tmp_path / folder).mkdir()
        text = lzma.decompress((source / "misc.jsonl.xz").read_bytes())
        (tmp_path / folder / "misc.jsonl.xz").write_bytes(lzma.compress(text * times))
    committed = tmp_path / "same"
    assert [one.is_same for one in compare(tmp_path / "same", committed)] == [True]
    assert [(one.n_missing, one.n_more) for one in compare(tmp_path / "twice", committed)] == [(0, 10)]
