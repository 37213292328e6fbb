"""What is to be written, under temporary names until all of it is on the disk; then it gets its names, all or none.

A file is renamed into place. A folder that is not there yet appears whole, and one that is changes places with the new
one, so that a kill between two files is not possible. That needs a folder of plain files: one that holds folders or
links, is mounted, or is where this process stands is kept, and its files are renamed one after another, which is
undone if one of them cannot be.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fastsmc.disk.exchange import exchange
from fastsmc.disk.temporary import is_temporary, new_file, new_folder, remove, sweep

_MOST_CARRIED = 64
"""Files of others that a new folder takes over from the old one."""


@dataclass(frozen=True, slots=True)
class _Move:
    """One temporary file or folder, held, and what it becomes.

    Attributes:
        names: a folder's own files. seen: what was in the folder that it replaces.
    """

    temporary: Path
    target: Path
    held: int
    is_new: bool
    names: frozenset[str] | None = None
    seen: frozenset[str] = frozenset()

    @property
    def is_folder(self) -> bool:
        return self.names is not None


class Staged:
    """Files and folders that are written but not there yet. `staged()` makes one and sweeps up after it.

    Each method may raise OSError.
    """

    def __init__(self) -> None:
        self._moves: list[_Move] = []
        self._streams: list[tuple[Path, bytes]] = []
        self._made: list[Path] = []
        self._swept: set[Path] = set()
        self._is_done = False

    def file(self, target: Path, content: bytes) -> None:
        """A file. A link stays one, and what it points to is replaced; a device or a pipe is written to."""
        before = _found(target)
        if before is not None and stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if before is not None and not stat.S_ISREG(before.st_mode):
            self._streams.append((target, content))
            return
        path = _behind_links(target)
        if any(move.target == path for move in self._moves):
            raise FileExistsError(errno.EEXIST, "two of the files to be written are this one", str(target))
        if before is not None:
            _require_writable(path)
        self._sweep(path.parent)
        try:
            temporary, held = new_file(path.parent)
        except PermissionError:
            if before is None:
                raise
            self._streams.append((path, content))  # a file that may be written in a folder that may not
            return
        self._moves.append(_Move(temporary, path, held, before is None))
        _fill(held, content, before)

    def folder(self, target: Path, files: Mapping[str, bytes], *, without: frozenset[str] = frozenset()) -> None:
        """A folder's files, by their names; a name may have one folder before it: "host/meta.json".

        Args:
            without: names that a folder in the place of an older one does not take over from it.
        """
        path = _behind_links(target)
        self._make(path.parent)
        self._sweep(path.parent)
        before = _found(path)
        if before is None:
            self._whole(path, files, before)
            return
        if not stat.S_ISDIR(before.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
        self._sweep(path)
        for name, inner in _by_folder(files).items():
            if name and (path / name).is_symlink():
                raise OSError(errno.ELOOP, "a link stands where a folder is to be written", str(path / name))
            if name:
                own = (one.removeprefix(f"{name}/") for one in without if one.startswith(f"{name}/"))
                self.folder(path / name, inner, without=frozenset(own))
            elif len(inner) == 1 or (carried := _carried(path, inner)) is None:
                for one, content in inner.items():
                    self.file(path / one, content)
            else:
                self._whole(path, inner, before, carried, without)

    def _whole(
        self,
        path: Path,
        files: Mapping[str, bytes],
        before: os.stat_result | None,
        carried: tuple[str, ...] = (),
        without: frozenset[str] = frozenset(),
    ) -> None:
        """The folder under a temporary name, with what it takes over; in place where its parent is not ours to use."""
        try:
            temporary, held = new_folder(path.parent)
        except PermissionError:
            if before is None:
                raise
            for name, content in files.items():
                self.file(path / name, content)
            return
        self._moves.append(_Move(temporary, path, held, before is None, frozenset(files), frozenset(carried)))
        for name, content in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            opened = os.open(temporary / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                _fill(opened, content, _found(path / name))
            finally:
                os.close(opened)
        for name in frozenset(carried) - without:
            with suppress(FileNotFoundError):  # gone since it was seen
                (temporary / name).hardlink_to(path / name)
        for folder in {(temporary / name).parent for name in files}:
            _sync_folder(folder)
        if before is not None:
            _make_alike(held, before)

    def _make(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            with suppress(FileExistsError):
                path.mkdir()
                self._made.append(path)

    def _sweep(self, folder: Path) -> None:
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(folder)

    def commit(self) -> None:
        """Give everything its name, or, where that fails, nothing."""
        for path, content in self._streams:
            _write_through(path, content)
        try:
            for move in self._moves:
                _apply(move, is_alone=len(self._moves) == 1)
        except BaseException:
            for move in reversed(self._moves):
                _undo(move)
            raise
        self._is_done = True
        for move in self._moves:
            _bring_over(move)
        for folder in {move.target.parent for move in self._moves}:
            _sync_folder(folder)

    def close(self) -> None:
        """Remove what is left of temporary names, and folders that were made for nothing."""
        for move in self._moves:
            remove(move.temporary)
            os.close(move.held)
        if not self._is_done:
            for path in reversed(self._made):
                with suppress(OSError):
                    path.rmdir()


@contextmanager
def staged() -> Iterator[Staged]:
    """What is put into it is committed at the end of the block, unless that is left by an error."""
    writing = Staged()
    try:
        yield writing
        writing.commit()
    finally:
        writing.close()


def _apply(move: _Move, *, is_alone: bool) -> None:
    """Give one thing its name. What had it is under the temporary name then, if others may have to be undone."""
    if not os.path.lexists(move.target):
        try:
            move.temporary.rename(move.target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # made by another just now
                raise
    if (move.names is not None or not is_alone) and exchange(move.temporary, move.target):
        return
    if move.names is not None:
        for name in sorted(move.names):
            (move.temporary / name).replace(move.target / name)
    else:
        try:
            move.temporary.replace(move.target)
        except OSError as error:
            if error.errno != errno.EBUSY:  # a file that is mounted, as containers do
                raise
            _write_through(move.target, move.temporary.read_bytes())


def _undo(move: _Move) -> None:
    with suppress(OSError):
        if not os.path.samestat(os.fstat(move.held), move.target.lstat()):
            return
        if os.path.lexists(move.temporary):
            exchange(move.temporary, move.target)
        elif move.is_new:
            move.target.rename(move.temporary)


def _bring_over(move: _Move) -> None:
    """What somebody put into the old folder while the new one was written."""
    if move.names is None or not move.temporary.is_dir():
        return
    with suppress(OSError):
        for path in move.temporary.iterdir():
            if path.name not in move.names | move.seen and not os.path.lexists(move.target / path.name):
                path.rename(move.target / path.name)


def _write_through(path: Path, content: bytes) -> None:
    """Write to what cannot be replaced: a device, a pipe, a file that is mounted. A file is put back if that fails."""
    before = path.read_bytes() if path.is_file() else None
    try:
        path.write_bytes(content)
    except OSError:
        if before is not None:
            path.write_bytes(before)
        raise


def _behind_links(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return real


def _found(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return path.stat()
    return None


def _require_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _by_folder(files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for name, content in files.items():
        folder, _, own = name.rpartition("/")
        found.setdefault(folder, {})[own] = content
    return found


def _carried(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...] | None:
    """Files of a folder that a new one in its place would take over; None where there had better be none."""
    with suppress(FileNotFoundError):  # where we stand is no more
        if Path(os.path.realpath(Path.cwd())).is_relative_to(folder):
            return None
    _require_writable(folder)
    if os.path.ismount(folder):
        return None
    others = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False) or is_temporary(entry.name):
                return None
            if entry.name not in files:
                others.append(entry.name)
            else:
                _require_writable(Path(entry.path))
    return tuple(others) if len(others) <= _MOST_CARRIED else None


def _fill(opened: int, content: bytes, before: os.stat_result | None) -> None:
    """Write a file and wait until the disk has it; a file that replaces another has its mode, and its owner if it may.

    Without the wait, a machine that loses power after the rename may be left with an empty file.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(opened, rest) :]
    if before is not None:
        _make_alike(opened, before)
    os.fsync(opened)


def _make_alike(opened: int, before: os.stat_result) -> None:
    own = os.fstat(opened)
    if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
        with suppress(OSError):
            os.fchown(opened, before.st_uid, before.st_gid)
    os.fchmod(opened, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
