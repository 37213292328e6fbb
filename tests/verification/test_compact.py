"""Compact copies: whole or refused, written all at once, and nothing that a record says is a path."""

from __future__ import annotations

import errno
import json
import lzma
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import RecordingError
from fastsmc.files.limits import Kind
from fastsmc.recordings import compact as compacting
from fastsmc.recordings.compact import compact
from fastsmc.verification import verify
from tests.support.command import fastsmc
from tests.support.memory import forget_peak, peak_mib
from tests.support.small_recording import NEIGHBOUR, SOURCE, pack, records, small_recording


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording and its copy, made once."""
    root = tmp_path_factory.mktemp("made")
    compact([small_recording(root / "source")], root / "copy")
    return root


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "source", tmp_path / "source")) / SOURCE.name


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "copy", tmp_path / "copy")) / SOURCE.name


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def edit_meta(folder: Path, **change: Any) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | change))


def test_a_copy_lists_what_belongs_to_it_and_is_known_to_be_whole(source: Path, copy: Path) -> None:
    listed = json.loads((copy / "meta.json").read_text())["files"]
    assert {*listed, "meta.json"} == files(copy) == files(source)
    assert listed["setreg.jsonl.xz"] == {"records": 6}
    assert listed["payload-none.bin.xz"]["registers"] > 250
    assert (copy.parent / NEIGHBOUR / "payload-none.bin.xz").is_file()
    result = verify(copy)
    assert (result.ok, result.not_known_whole) == (True, [])
    assert "note: whether" not in str(result)


def test_half_a_copy_is_refused_whichever_half_is_missing(copy: Path) -> None:
    for name in json.loads((copy / "meta.json").read_text())["files"]:
        content = (copy / name).read_bytes()
        (copy / name).unlink()
        with pytest.raises(RecordingError, match=r"missing, but meta\.json lists it with \d+ (records|registers)"):
            verify(copy)
        with pytest.raises(RecordingError, match="the copy is not whole"):
            compact([copy], copy.parent.parent / "again")
        (copy / name).write_bytes(content)
    assert verify(copy).ok
    assert not (copy.parent.parent / "again").exists()


def test_records_that_went_or_came_are_noticed(copy: Path) -> None:
    path = copy / "setreg.jsonl.xz"
    for n in (5, 7):
        path.write_bytes(pack(records("setreg", n)))
        with pytest.raises(RecordingError, match=rf"it holds {n} records, but meta.json lists it with 6 records"):
            verify(copy)
        assert verify(copy, kinds=["misc"]).ok, "of what is not replayed only the names are compared"
    path.write_bytes(pack(records("setreg", 6)))
    (copy / "a32.jsonl.xz").write_bytes(pack([]))
    with pytest.raises(RecordingError, match=r"a32\.jsonl\.xz: not among the files that meta\.json lists"):
        verify(copy)


@pytest.mark.parametrize("listed", [None, [], "x", {"../calls.jsonl.xz": {}}, {"/etc/passwd": {}}, {"a/b.bin.xz": 1}])
def test_a_list_that_is_none_is_refused(listed: Any, copy: Path) -> None:
    edit_meta(copy, files=listed)
    with pytest.raises(RecordingError, match=r'meta\.json: "files" is .* none of another folder'):
        verify(copy)


@pytest.mark.parametrize("told", [None, 6, {"records": 6.0}, {"records": True}, {"lines": 6}, {}, {"records": -1}])
def test_an_amount_that_is_none_is_refused(told: Any, copy: Path) -> None:
    edit_meta(copy, files=json.loads((copy / "meta.json").read_text())["files"] | {"setreg.jsonl.xz": told})
    if told == {"records": 6.0}:
        assert verify(copy).ok  # the same number
        return
    with pytest.raises(RecordingError, match="it holds 6 records, but"):
        verify(copy)


def test_an_older_copy_verifies_and_says_what_is_not_known(tmp_path: Path) -> None:
    host = small_recording(tmp_path / "old", is_compact=True)
    done = fastsmc("verify", host)
    assert done.returncode == 0
    assert "note: whether a compact copy is whole is not known" in done.stdout
    assert json.loads(fastsmc("verify", host, "--json").stdout)["not_known_whole"] == [host.name]
    compact([host], tmp_path / "new")
    again = verify(tmp_path / "new" / host.name)
    assert (again.ok, again.not_known_whole) == (True, [host.name]), "its source may have lacked a file"
    (tmp_path / "new" / host.name / "misc.jsonl.xz").unlink()
    with pytest.raises(RecordingError, match="missing"):
        verify(tmp_path / "new" / host.name)


SOURCES = (
    *("../outside", "/outside", "..", ".", "", "a/b", "a\\b", "..\\outside", "x\0y", "n" * 300, "\ud800", "~root", "-"),
    *(None, 1, ["linux-6.16.12-max"], {"a": 1}),
)


@pytest.mark.parametrize("src", SOURCES, ids=repr)
@pytest.mark.parametrize("key", ["src", "feat"])
def test_nothing_a_record_says_is_a_path(key: str, src: Any, source: Path, tmp_path: Path) -> None:
    (record,) = records("restore", 1, source)
    (source / "restore.jsonl.xz").write_bytes(pack([record | {key: src}]))
    for folder in (tmp_path / "outside", Path("/outside")):
        if folder.parent == tmp_path:
            shutil.copytree(source.parent / NEIGHBOUR, folder)
    before = files(tmp_path)
    for arguments in (
        ("verify", source, "--kind", "restore"),
        ("verify", source, "--compact", tmp_path / "out" / "copy"),
    ):
        done = fastsmc(*arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("fastsmc: ")
        assert done.stderr.count("\n") == 1
        assert f"restore.jsonl.xz:1: not a record of this kind: {key} is " in done.stderr
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["calls.jsonl.xz", "meta.json", "payload-none.bin.xz", "neighbour", "its folder"])
def test_a_link_that_leads_out_is_not_followed(what: str, source: Path, tmp_path: Path) -> None:
    at = {"neighbour": source.parent / NEIGHBOUR / "payload-none.bin.xz", "its folder": source.parent / NEIGHBOUR}
    path = at.get(what, source / what)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    done = fastsmc("verify", source, "--compact", tmp_path / "copy")
    assert done.returncode == 3
    assert "a link that leads out of the folder of recordings" in done.stderr
    assert not (tmp_path / "copy").exists()


def test_a_link_in_the_place_of_a_host_is_not_written_through(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy").mkdir()
    for name in (source.name, NEIGHBOUR):
        (tmp_path / "copy" / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RecordingError, match="a link stands where a folder is to be written"):
            compact([source], tmp_path / "copy")
        (tmp_path / "copy" / name).unlink()
    assert files(tmp_path / "elsewhere") == files(tmp_path / "copy") == set()


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("restore", lambda r: r.pop("src")),
        ("restore", lambda r: r.pop("feat")),
        ("calls", lambda r: r.update(id=7)),
        ("calls", lambda r: r.pop("c")),
        ("calls", lambda r: r.update(id="zz", c=[], a=None, x=None)),
    ],
)
def test_a_record_that_is_none_is_one_sentence(kind: str, damage: Any, source: Path, tmp_path: Path) -> None:
    lines = records(kind, 20, source)
    damage(lines[-1])
    (source / f"{kind}.jsonl.xz").write_bytes(pack(lines))
    done = fastsmc("verify", source, "--compact", tmp_path / "copy")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{kind}.jsonl.xz:{len(lines)}: not a record of this kind" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_replaces_another_takes_over_what_is_not_of_it(source: Path, copy: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    (copy.parent / "README.md").write_text("mine")
    (source / "misc.jsonl.xz").unlink()
    compact([source], copy.parent)
    assert files(copy) == files(source) | {"notes.txt"}
    assert (copy.parent / "README.md").read_text() == "mine"
    assert verify(copy).ok


def test_two_hosts_of_one_name_are_refused(source: Path, tmp_path: Path) -> None:
    other = small_recording(tmp_path / "other")
    with pytest.raises(RecordingError, match="two of the recordings are called linux-6"):
        compact([source, other], tmp_path / "copy")
    compact([source, source], tmp_path / "copy")


def test_a_full_disk_leaves_the_old_copy(source: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (copy.parent / name).read_bytes() for name in files(copy.parent)}
    write, left = os.write, 6

    def fills_up(opened: int, content: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(opened, content)

    (source / "misc.jsonl.xz").unlink()
    monkeypatch.setattr(os, "write", fills_up)
    with pytest.raises(RecordingError, match=r"cannot be written there \(No space left on device\)"):
        compact([source], copy.parent)
    assert {name: (copy.parent / name).read_bytes() for name in files(copy.parent)} == before


def test_a_deep_or_odd_description_is_one_sentence(source: Path) -> None:
    odd = ("[" * 100_000, '{"release":' + "[" * 1000, '{"release": 6}', '{"release": "\\ud800"}', "\xff", "", "[]")
    more = ('"release": "5.10"', '"version": 1', '"compact": "yes"', '"n": NaN', '"n": 1e999')
    for text in (*odd, *(f'{{"release": "6.12", {part}}}' for part in more)):
        (source / "meta.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(RecordingError, match=r"meta\.json: ") as error:
            verify(source)
        assert "\n" not in str(error.value)
        str(error.value).encode()


def test_the_sample_is_of_the_recordings(source: Path) -> None:
    assert lzma.decompress((source / "misc.jsonl.xz").read_bytes()).count(b"\n") == 3
    assert source.name == SOURCE.name
    assert len(records("restore", 9, source)) == 1


@pytest.mark.parametrize(
    "name", ["trace_probe_hvc_only.txt.xz", "payload-none.bin.xz", "../linux-6.16.12-max/payload-none.bin.xz"]
)
def test_a_file_that_is_copied_as_it_is_has_a_limit(name: str, source: Path, tmp_path: Path) -> None:
    """Nothing unpacks it, so that no limit of what it holds is met; a hole of 1 GiB takes no room on the disk."""
    with (source / name).open("ab") as file:
        file.truncate(1 << 30)
    start = forget_peak()
    with pytest.raises(
        RecordingError, match="more than 16 MiB, which is more than a packed file of a recording has here"
    ):
        compact([source], tmp_path / "copy")
    assert peak_mib() - start < 160  # xz takes 64 of it
    assert not (tmp_path / "copy").exists()


def test_all_files_of_a_copy_have_a_limit(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "COPY", Kind("a compact copy", 1 << 10, "copy fewer"))
    with pytest.raises(RecordingError, match=rf"{source.name}: with it the copy has more than 1024 bytes.*copy fewer"):
        compact([source], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_listed_file_is_counted_without_being_held(copy: Path) -> None:
    """Whatever lies behind the packed data of a listed file is met at the limit of the records, not of memory."""
    with (copy / "calls.jsonl.xz").open("ab") as file:
        file.truncate(1 << 30)
    start = forget_peak()
    with pytest.raises(RecordingError, match="nothing but padding"):
        verify(copy)
    assert peak_mib() - start < 64
