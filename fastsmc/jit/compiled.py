"""The only place that spells a Numba option: flags and the cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba

from fastsmc.jit.kept import keep_private, kernel_folder

_log = logging.getLogger("fastsmc")
F = TypeVar("F", bound=Callable[..., Any])


def source_digest(package: Path) -> str:
    """Names everything compiled code depends on: the package's sources, numba, Python, the CPU asked for.

    Numba's own index watches only the file of the outermost function, so an edited leaf or an imported constant would
    be served stale from a shared folder; a folder per digest cannot be.
    """
    digest = hashlib.blake2b(digest_size=12)
    _add_files(digest, package, "*.py")
    cpu = f"{numba.config.CPU_NAME} {numba.config.CPU_FEATURES} {numba.config.ENABLE_AVX}"
    digest.update(f"{numba.__version__} {platform.python_version()} {cpu}".encode())
    return digest.hexdigest()


@cache
def sources_digest() -> str:
    """Names what results depend on, whatever the machine: the sources of this package and its packaged data."""
    digest = hashlib.blake2b(digest_size=12)
    package = Path(__file__).parents[1]
    for kind in ("*.py", "*.toml", "*.json", "*.txt"):
        _add_files(digest, package, kind)
    return digest.hexdigest()


def _add_files(digest: hashlib.blake2b, package: Path, kind: str) -> None:
    for path in sorted(package.rglob(kind)):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())


_has_said_uncached = False


def _say_uncached(error: BaseException) -> None:
    """Says once, on stderr unless somebody configured logging, that compiled kernels are not kept."""
    global _has_said_uncached
    if not _has_said_uncached:
        _has_said_uncached = True
        _log.warning("fastsmc: compiled kernels are not kept (%s); the next start compiles them again", error)


def _cache_dir() -> Path | None:
    """The folder for compiled kernels, or None when caching is off or no folder can be written and trusted."""
    if os.environ.get("FASTSMC_JIT_CACHE", "1") == "0" or numba.config.DISABLE_JIT:
        return None
    try:
        return kernel_folder(source_digest(Path(__file__).parents[1]))
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows where home is
        _say_uncached(error)
        return None


CACHE_DIR = _cache_dir()
if CACHE_DIR is not None:
    numba.config.CACHE_DIR = str(CACHE_DIR)


_has_said_compiling = False


def _say_compiling() -> None:
    """Says once, on a terminal, that kernels are compiled now: the seconds that follow are not a hang."""
    global _has_said_compiling
    if _has_said_compiling or CACHE_DIR is None:
        return
    _has_said_compiling = True
    if sys.stderr is not None and sys.stderr.isatty() and not any(CACHE_DIR.rglob("*.nbi")):
        _log.warning("fastsmc: compiling kernels, once; later starts find them in %s", CACHE_DIR)


class _NotKeptError(Exception):
    """What was looked for on disk is not there."""


class _Looking(threading.local):
    """Whether this thread wants compiled code only if it is kept."""

    for_kept = False


_looking = _Looking()


class _Careful:
    """A compiled function's cache, in which what cannot be read or written counts as not there.

    Numba writes an index and then the code it names. Two processes that do so at once may give two signatures one file,
    and the next process would run the wrong code (numba#4807); so writers take turns. Readers need not: files are
    replaced whole, and a name in the index stays that signature's.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = self._cache.load_overload(sig, target_context)
        except Exception as error:  # pickle raises whatever it likes over a damaged file
            _say_uncached(error)
            return None
        if found is None:
            if _looking.for_kept:
                raise _NotKeptError
            _say_compiling()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            with Path(self._cache.cache_path, "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._cache.save_overload(sig, data)
                keep_private(Path(self._cache.cache_path))
        except Exception as error:  # a full disk, a folder gone, a damaged index
            _say_uncached(error)


def load_kept(function: Any, arguments: Sequence[Any]) -> bool:
    """Loads what a kernel compiled to for such arguments if it is kept on disk; whether the kernel is ready now."""
    if not isinstance(getattr(function, "_cache", None), _Careful):
        return not hasattr(function, "py_func")  # where Numba is switched off, nothing is compiled
    _looking.for_kept = True
    try:
        function.compile(tuple(map(numba.typeof, arguments)))
    except _NotKeptError:
        return False
    finally:
        _looking.for_kept = False
    return True


def over_columns(function: Any) -> Callable[..., Any]:
    """A formula as it is written, and those that it calls, for NumPy to apply to whole columns."""
    python = getattr(function, "py_func", function)
    known = {name: python.__globals__[name] for name in python.__code__.co_names if name in python.__globals__}
    own = {name: over_columns(value) if hasattr(value, "py_func") else value for name, value in known.items()}
    return FunctionType(python.__code__, {**python.__globals__, **own}, python.__name__)


def kernel(function: F) -> F:
    """Compile a loop: arrays in, `out` filled, nothing returned, no exceptions.

    error_model "numpy" because a kernel never divides by a user's number; no fastmath, so that sums come out the same
    on every CPU. A kernel runs without Python's lock, so threads may share a batch.
    """
    return _compiled(function)


def borrowing_kernel(function: F) -> F:
    """Compile a loop that allocates nothing, so that its arrays and slices of them need no reference counts.

    A count is a locked instruction, which waits until every store before it is done; a slice handed to another kernel
    cost two. Numba keeps the flag for itself; where a version of it has no such flag the loops are right all the same,
    only slower.
    """
    return _compiled(function, **_NO_COUNTS)


def brief_kernel(function: F) -> F:
    """Compile a loop that keeps Python's lock: for work that is over before another thread could take it.

    To give the lock away and take it again costs 0.1 us, and where another thread takes it, up to its whole turn.
    """
    return _compiled(function, nogil=False)


def inner_kernel(function: F) -> F:
    """A borrowing kernel that only kernels call: what Python would need to call it is not compiled.

    Seventeen of these took 0.45 s of the 3.2 s that dispatch compiles in. Nor is it kept, as the kernels that call it
    are. One that returns an array may be called only by kernels without reference counts: others free it a second time.
    """
    return _compiled(function, is_kept=False, **_NO_COUNTS, **_NO_WRAPPERS)


def inlined_kernel(function: F) -> F:
    """An inner kernel that becomes part of whatever calls it: for steps of a driver that one place calls, or two.

    So a driver is cut into steps that take named tuples, and no tuple is handed over at run time.
    """
    return _compiled(function, is_kept=False, forceinline=True, **_NO_COUNTS, **_NO_WRAPPERS)


def formula(function: F) -> F:
    """A line or two that kernels have in common, put into each of them before types are looked for.

    Compiled apart, each costs some 50 ms of a first start, whatever it holds.
    """
    return _compiled(function, is_kept=False, inline="always")


def lane_kernel(function: F) -> F:
    """A borrowing kernel over lanes, none of whose array arguments overlap another; LLVM vectorizes it on that promise.

    Without the promise it would compare every pair of addresses first, and gives up at the number of arrays a
    simulation step has. Numba keeps the flag for its own parallel loops; where a version of it has no such flag the
    loops are right all the same, only slower.
    """
    return _compiled(function, **_NO_ALIAS, **_NO_COUNTS)


def inner_lane_kernel(function: F) -> F:
    """A lane kernel that only kernels call."""
    return _compiled(function, **_NO_ALIAS, **_NO_COUNTS, **_NO_WRAPPERS)


def _own_flag(name: str, flag: str, value: bool) -> dict[str, bool]:
    """An option that sets a flag Numba keeps for itself, if this version of it has the flag."""
    try:
        from numba.core.cpu import CPUTargetOptions
        from numba.core.options import TargetOptions

        if not hasattr(CPUTargetOptions, name):
            setattr(CPUTargetOptions, name, TargetOptions.Mapping(flag))
        numba.njit(**{name: value})
    except (ImportError, AttributeError, TypeError, KeyError):
        return {}
    return {name: value}


_NO_ALIAS = _own_flag("noalias", "noalias", True)
_NO_COUNTS = _own_flag("_nrt", "nrt", False)
_NO_WRAPPERS = _own_flag("no_cpython_wrapper", "no_cpython_wrapper", True)
_NO_WRAPPERS |= _own_flag("no_cfunc_wrapper", "no_cfunc_wrapper", True)


def _compiled(function: F, *, is_kept: bool = True, **options: bool | str) -> F:
    compiled = numba.njit(**{"error_model": "numpy", "nogil": True} | options)(function)
    if CACHE_DIR is not None and is_kept:
        try:
            compiled.enable_caching()
            compiled._cache = _Careful(compiled._cache)
        except (OSError, RuntimeError) as error:  # Numba found no folder to write after all
            _say_uncached(error)
    return cast(F, compiled)
