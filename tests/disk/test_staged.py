"""Files that belong together: all there or none, through full disks, kills, threads and links."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastsmc.disk import staged as module
from fastsmc.disk.staged import Staged, staged
from fastsmc.disk.temporary import new_file, new_folder, sweep
from fastsmc.errors import ResultFileError
from fastsmc.results.files import write_each, write_files
from tests.support.places import ROOT


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_threads_that_write_the_same_file_leave_one_of_them_whole(tmp_path: Path) -> None:
    texts = [b"A" * 200_000, b"B" * 200_000]
    (tmp_path / "data.json").write_bytes(texts[0])
    failed: list[BaseException] = []

    def write(text: bytes) -> None:
        try:
            for _ in range(30):
                write_files(tmp_path, {"data.json": text})
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert (tmp_path / "data.json").read_bytes() in texts
    assert failed == []
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]


def test_two_threads_that_write_the_same_folder_leave_one_of_them_whole(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    sets = [dict.fromkeys(("a", "b", "c"), letter * 50_000) for letter in (b"A", b"B")]
    failed: list[BaseException] = []

    def write(files: dict[str, bytes]) -> None:
        try:
            for _ in range(20):
                write_files(folder, files)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(files,)) for files in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert contents(folder) in sets
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_new_folder_and_one_that_is_replaced_are_never_seen_in_part(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    write_files(folder, {"a": b"1", "b": b"1"})
    before = folder.stat().st_ino
    write_files(folder, {"a": b"2", "b": b"2"})
    assert folder.stat().st_ino != before, "the folder was replaced, not its files one by one"
    assert contents(folder) == {"a": b"2", "b": b"2"}


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_files(folder, {"a": b"1", "b": b"1"})
    (folder / "notes.txt").write_bytes(b"mine")
    write_files(folder, {"a": b"2", "b": b"2"})
    assert contents(folder) == {"a": b"2", "b": b"2", "notes.txt": b"mine"}
    (folder / "sub").mkdir()
    (folder / "sub" / "x").write_bytes(b"x")
    before = folder.stat().st_ino
    write_files(folder, {"a": b"3", "b": b"3"})
    assert folder.stat().st_ino == before
    assert contents(folder) == {"a": b"3", "b": b"3", "notes.txt": b"mine", "sub/x": b"x"}


def test_the_folder_where_we_stand_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    write_files(Path(), {"a": b"2", "b": b"2"})
    assert sorted(os.listdir()) == ["a", "b"]  # noqa: PTH208 - of the folder we stand in, not of its name
    assert Path("a").read_bytes() == b"2"


def test_where_names_cannot_change_places_files_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "x", {"a": b"1", "b": b"1"})
    monkeypatch.setattr(module, "exchange", lambda one, other: False)
    write_files(tmp_path / "x", {"a": b"2", "b": b"2"})
    write_each({tmp_path / "c": b"2", tmp_path / "x" / "a": b"3"})
    assert contents(tmp_path) == {"x/a": b"3", "x/b": b"2", "c": b"2"}
    assert {path.name for path in tmp_path.iterdir()} == {"x", "c"}


def test_a_rename_that_fails_undoes_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").write_bytes(b"1")
    apply, n = module._apply, iter(range(9))

    def fails_third(move: object, *, is_alone: bool) -> None:
        if next(n) == 2:
            raise OSError(errno.EIO, "Input/output error")
        apply(move, is_alone=is_alone)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_apply", fails_third)
    with pytest.raises(ResultFileError, match="Input/output error"):
        write_each({tmp_path / name: b"2" for name in ("old", "new", "third")})
    assert contents(tmp_path) == {"old": b"1"}


def test_modes_stay_and_new_files_follow_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    before = os.umask(0o027)
    try:
        write_files(folder, {"a": b"1", "b": b"1"})
        (folder / "a").chmod(0o604)
        folder.chmod(0o751)
        os.umask(0o077)
        write_files(folder, {"a": b"2", "b": b"2", "c": b"2"})
        write_files(folder, {"a": b"3"})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"a": 0o604, "b": 0o640, "c": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o751


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owners_stay(tmp_path: Path) -> None:
    write_files(tmp_path / "x", {"a": b"1", "b": b"1"})
    os.chown(tmp_path / "x" / "a", 12345, 12346)
    write_files(tmp_path / "x", {"a": b"2", "b": b"2"})
    found = (tmp_path / "x" / "a").stat()
    assert (found.st_uid, found.st_gid) == (12345, 12346)


def test_links_are_written_through_and_loops_and_linked_hosts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_files(tmp_path / "link", {"a": b"1", "b": b"1"})
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == {"a": b"1", "b": b"1"}
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ResultFileError, match="symbolic links"):
        write_each({tmp_path / "loop": b"1"})
    with pytest.raises(ResultFileError, match="a link stands where a folder"):
        write_files(tmp_path, {"link/a": b"2", "link/b": b"2"})
    assert contents(tmp_path / "real") == {"a": b"1", "b": b"1"}


def test_long_names_can_be_written_and_too_long_ones_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"n" * 255: b"1"})
    with pytest.raises(ResultFileError, match="too long"):
        write_files(tmp_path / "x", {"m" * 256: b"1", "b": b"1"})
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_a_folder_in_the_place_of_a_file_and_back_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for files in ({tmp_path / "folder": b""}, {tmp_path / "file" / "x": b""}):
        with pytest.raises(ResultFileError, match="directory"):
            write_each(files)
    with pytest.raises(ResultFileError, match="Not a directory"):
        write_files(tmp_path / "file", {"a": b"", "b": b""})


def test_only_what_is_surely_ours_and_dead_is_swept_up(tmp_path: Path) -> None:
    name = ".fastsmc-{}.tmp"
    dead = tmp_path / name.format("0" * 32)
    dead.mkdir()
    (dead / "x").touch()
    (tmp_path / name.format("1" * 32)).touch()
    (tmp_path / name.format("2" * 32)).symlink_to("file")
    (tmp_path / name.format("x" * 32)).touch()
    os.mkfifo(tmp_path / name.format("3" * 32))
    alive = [new_file(tmp_path), new_folder(tmp_path)]
    (tmp_path / "file").touch()
    sweep(tmp_path)
    kept = {name.format(sign * 32) for sign in "2x3"} | {"file"} | {path.name for path, _ in alive}
    assert {path.name for path in tmp_path.iterdir()} == kept
    for _, held in alive:
        os.close(held)
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept - {path.name for path, _ in alive}


def test_what_is_left_over_where_locks_are_unknown_goes_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(held: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    path, held = new_file(tmp_path)
    os.close(held)
    monkeypatch.setattr(fcntl, "flock", unknown)
    sweep(tmp_path)
    assert path.exists()
    os.utime(path, (0, 0))
    sweep(tmp_path)
    assert not path.exists()
    write_files(tmp_path / "x", {"a": b"1", "b": b"1"})
    assert contents(tmp_path) == {"x/a": b"1", "x/b": b"1"}


def test_nothing_is_committed_after_an_error_of_the_caller(tmp_path: Path) -> None:
    def fails(writing: Staged) -> None:
        writing.folder(tmp_path / "new" / "x", {"a": b"", "b": b""})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), staged() as writing:
        fails(writing)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from fastsmc.results.files import write_files, write_each

root = Path(sys.argv[1])
names = ("h/c", "h/d") if sys.argv[2] == "tree" else ("a", "b")
OLD, NEW = ({name: sign * 5000 for name in names} for sign in (b"1", b"2"))
is_there = sys.argv[3] == "there"

def seen(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

n = 0
while True:
    folder = root / str(n) / "out"
    folder.parent.mkdir()
    if is_there:
        write_files(folder, OLD)
    child = os.fork()
    if child == 0:
        left = n
        def ends(event, arguments):
            global left
            if event.startswith(("open", "os.", "shutil.")):
                left -= 1
                if left < 0:
                    os._exit(9)
        sys.addaudithook(ends)
        write_files(folder, NEW)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = {k: v for k, v in seen(folder).items() if ".fastsmc-" not in k}
    assert found in (OLD if is_there else {}, NEW), (n, sorted(found))
    write_files(folder, NEW)
    assert seen(folder.parent) == {f"out/{k}": v for k, v in NEW.items()}, (n, sorted(seen(folder.parent)))
    assert not [p for p in folder.parent.rglob("*") if ".fastsmc-" in p.name], n
    n += 1
    if code == 0:
        break
print(n)
"""


@pytest.mark.parametrize("form", ["flat", "tree"])
@pytest.mark.parametrize("before", ["there", "missing"])
def test_a_process_that_ends_at_any_step_leaves_the_old_or_the_new(form: str, before: str, tmp_path: Path) -> None:
    """The process ends itself before each call that reaches the file system, which finds every gap there is."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), form, before],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        old = {"a": b"1", "b": b"1"}
        write_files(disk / "x", old)
        for target in (disk / "x", disk / "y", disk):
            with pytest.raises(ResultFileError, match="No space left on device"):
                write_files(target, {"a": b"2" * 30_000, "b": b"2" * 60_000})
            assert contents(disk) == {f"x/{name}": text for name, text in old.items()}
            assert [path.name for path in disk.iterdir()] == ["x"]
    finally:
        subprocess.run(["umount", disk], check=True)
