"""The only place that spells a Numba option: flags and the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding
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
    cpu = f"{numba.config.CPU_NAME} {numba.config.CPU_FEATURES} {numba.config.ENABLE_AVX}"
    digest.update(f"{numba.__version__} {platform.python_version()} {cpu}".encode())
    return digest.hexdigest()


_WIDE_FEATURES = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi")


def _has_wide() -> bool:
    """Whether this CPU has AVX-512 with VBMI and LLVM may use it.

    LLVM ends the process over an instruction that the CPU it compiles for lacks, so NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES count as well as the CPU itself: with another name, only features that are spelled out.
    """
    if numba.config.DISABLE_JIT:
        return False
    try:
        name, own = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features()
    except (RuntimeError, OSError):
        return False
    if not all(own.get(feature, False) for feature in _WIDE_FEATURES) or not numba.config.ENABLE_AVX:
        return False
    spelled = numba.config.CPU_FEATURES
    if spelled is not None:
        return set(_WIDE_FEATURES) <= {feature[1:] for feature in spelled.split(",") if feature[:1] == "+"}
    return numba.config.CPU_NAME in (None, name)


HAS_WIDE = _has_wide()
"""Whether kernels_wide may be compiled."""


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
