"""Where compiled kernels are kept: a folder of ours that nobody else can write.

Numba's index and its code are pickles, and a pickle runs what its author likes; so what others could have written is
left alone, and kernels are compiled without being kept.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

KEPT = 4
"""Folders of other versions that stay, the latest used; each holds what one state of the sources compiled to."""
_OLD_S = 7 * 24 * 3600
_DIGEST = re.compile("[0-9a-f]{24}")
_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UntrustedError(OSError):
    """A folder for compiled kernels that others could have written to."""


def kernel_folder(digest: str) -> Path:
    """The folder for compiled kernels of one state of the sources, made if missing, checked and ours alone.

    Raises:
        OSError: it cannot be made, or not be trusted.
        RuntimeError: nobody knows where home is.
    """
    base = _base()
    _require_closed(base)
    ours = base / "fastsmc"
    folder = ours / digest
    for path in (ours, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_ours(path, stat.S_ISDIR)
        path.chmod(0o700)
    for path in folder.rglob("*"):
        if ".tmp." not in path.name:  # what another process is writing, which nobody reads
            with suppress(FileNotFoundError):
                _require_ours(path, stat.S_ISDIR if path.is_dir() else stat.S_ISREG)
    with tempfile.TemporaryFile(dir=folder):
        pass
    os.utime(folder)  # used now
    _forget_old(ours, folder)
    return folder


def _base() -> Path:
    """XDG_CACHE_HOME where it is absolute; a relative one is ignored, as the XDG Base Directory Specification says."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = given if given.is_absolute() else Path.home() / ".cache"
    if not base.is_absolute():
        msg = f"the home folder {str(Path.home())!r} is no absolute path"
        raise UntrustedError(msg)
    return base


def _require_closed(base: Path) -> None:
    """No folder on the way is one in which anybody may put another in the place of ours."""
    for path in (base, *base.parents):
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                msg = f"anybody may write to {path}"
                raise UntrustedError(msg)


def _require_ours(path: Path, is_kind: Callable[[int], bool]) -> None:
    found = path.lstat()
    if not is_kind(found.st_mode):
        msg = f"{path} is a link, or no file or folder"
        raise UntrustedError(msg)
    if found.st_uid != os.geteuid():
        msg = f"{path} belongs to another user"
        raise UntrustedError(msg)
    if found.st_mode & _OF_OTHERS:
        msg = f"others may write to {path}: remove it"
        raise UntrustedError(msg)


def keep_private(folder: Path) -> None:
    """What was just written into a folder is for us alone, whatever the umask."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.lstat().st_mode & 0o077 and not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)


def _forget_old(ours: Path, current: Path) -> None:
    """Remove what versions of long ago have left, but the latest few, and files that were being written at a kill."""
    with suppress(OSError):
        others = []
        for path in ours.iterdir():
            found = path.lstat()
            if path != current and _DIGEST.fullmatch(path.name) and stat.S_ISDIR(found.st_mode):
                others.append((found.st_mtime, found.st_uid, path))
        for used, owner, path in sorted(others, reverse=True)[KEPT:]:
            if time.time() - used > _OLD_S and owner == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
        for path in current.rglob("*.tmp.*"):
            if time.time() - path.lstat().st_mtime > 3600:
                path.unlink()
