"""Temporary names beside what they become: unlike any other's, held while in use, swept up once nobody holds them.

A number of a process would not do: threads share it, and two containers may both have a process 7. Who makes one holds
a lock on it (flock), which the kernel drops however the process ends; what nobody holds is left over.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

_OURS = re.compile(r"\.fastsmc-[0-9a-f]{32}\.tmp")
_OLD_S = 24 * 3600
"""Where locks cannot be asked, as on some network folders, what is older is left over."""


def is_temporary(name: str) -> bool:
    """Whether a name is one of ours."""
    return _OURS.fullmatch(name) is not None


def new_file(folder: Path) -> tuple[Path, int]:
    """An empty file in a folder, open for writing and held; its mode follows the umask."""
    return _held(folder, is_folder=False)


def new_folder(folder: Path) -> tuple[Path, int]:
    """An empty folder in a folder, held; its mode follows the umask."""
    return _held(folder, is_folder=True)


def _held(folder: Path, *, is_folder: bool) -> tuple[Path, int]:
    while True:
        path = folder / f".fastsmc-{uuid.uuid4().hex}.tmp"
        if is_folder:
            path.mkdir()
            try:
                held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:  # swept up by another between being made and being opened
                continue
        else:
            held = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        if _is_locked(held) and _is_at(held, path):
            return path, held
        os.close(held)  # swept up by another between being opened and being held


def _is_locked(held: int) -> bool:
    """Whether it is held now; False where another holds it, which is about to remove it."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a folder that knows no locks
        return True
    return True


def _is_at(held: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(held), path.lstat())
    return False


def sweep(folder: Path) -> None:
    """Remove temporary files and folders of ours that nobody holds any more, if there are any in a folder."""
    with suppress(OSError):
        with os.scandir(folder) as entries:
            paths = [Path(entry.path) for entry in entries if is_temporary(entry.name)]
        for path in paths:
            with suppress(OSError):
                _remove_if_left_over(path)


def _remove_if_left_over(path: Path) -> None:
    held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(held)
        if found.st_uid != os.geteuid() or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            if time.time() - found.st_mtime < _OLD_S:
                return
        if _is_at(held, path):
            remove(path)
    finally:
        os.close(held)


def remove(path: Path) -> None:
    """Remove a temporary file or folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
