"""The only place that spells a Numba option: flags and the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def _source_digest() -> str:
    """Names everything compiled code depends on: our sources, numba, Python, the CPU asked for.

    Numba's own index watches only the file of the outermost function, so an edited leaf or an imported constant would
    be served stale from a shared folder; a folder per digest cannot be.
    """
    digest = hashlib.blake2b(digest_size=12)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    cpu = os.environ.get("NUMBA_CPU_NAME", "")
    digest.update(f"{numba.__version__} {platform.python_version()} {cpu}".encode())
    return digest.hexdigest()


def _cache_dir() -> Path | None:
    """The folder for compiled kernels, or None when caching is off or no folder can be written."""
    if os.environ.get("FASTSMC_JIT_CACHE", "1") == "0" or os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return None
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path.home() / ".cache"
    folder = base / "fastsmc" / _source_digest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


CACHE_DIR = _cache_dir()
if CACHE_DIR is not None:
    numba.config.CACHE_DIR = str(CACHE_DIR)


def kernel(function: F) -> F:
    """Compile a loop: arrays in, `out` filled, nothing returned, no exceptions.

    error_model "numpy" because a kernel never divides by a user's number; no fastmath, there are no floats.
    """
    return cast(F, numba.njit(error_model="numpy", nogil=True, cache=CACHE_DIR is not None)(function))
