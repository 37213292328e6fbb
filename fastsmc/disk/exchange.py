"""Two names that change places at once: what stands between an old folder and a new one is no moment."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Source: include/uapi/linux/fcntl.h and fs.h; renameat2(2) is there since Linux 3.15, glibc 2.28."""
_CANNOT = frozenset(
    [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS]
)
"""Errnos of a system or a folder that cannot: no such call, a mount point, a parent that may not be written."""


@cache
def _renameat2() -> Any:
    try:
        return ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None


def exchange(one: Path, other: Path) -> bool:
    """Let two names in one file system change places; False where that cannot be done, and nothing is done then.

    Raises:
        OSError: one of them is not there, or the disk failed.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
