"""What callers give the dispatcher, checked: the array to fill, and the vCPUs that make the calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.errors import InputError
from fastsmc.jit.threads import in_parts

_COLUMNS = ("vcpu", "func_id", "conduit", "x1", "x2", "x3")
"""Columns that an `out` may not overlap. The columns of blocks need no check, because they are copies that nobody else
has."""


def filled_array(calls: AnyCalls, out: object, dtype: DTypeLike, *row: int) -> NDArray[Any]:
    """The caller's array, checked, or a new one where none was given: dtype[n_call, *row].

    Raises:
        InputError: not an array, one of another shape, dtype or layout, or one that shares memory with a column.
    """
    shape = (len(calls), *row)
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        msg = f"out must be a NumPy array, {np.dtype(dtype)}{list(shape)}; got {type(out).__name__}"
        raise InputError(msg)
    flags = out.flags
    if out.shape != shape or out.dtype != dtype or not (flags.c_contiguous and flags.writeable and flags.aligned):
        msg = f"out must be a writeable contiguous {np.dtype(dtype)}{list(shape)}; got {out.dtype}{list(out.shape)}"
        raise InputError(msg)
    for name in _COLUMNS:
        column = getattr(calls, name, None)
        if column is not None and np.may_share_memory(out, column):
            msg = f"out shares memory with {name}: give an array of its own"
            raise InputError(msg)
    return out


def all_exist(calls: AnyCalls, n_vcpu: int) -> bool | None:
    """Whether a fleet of so many vCPUs has all that make calls; None where only a look at every call can tell."""
    if calls.n_vcpu is not None:
        return calls.n_vcpu <= n_vcpu
    holds_more = n_vcpu >> 8 * calls.vcpu.itemsize  # vCPUs than a column so narrow can name
    return True if holds_more else None


def check_vcpus(calls: AnyCalls, n_vcpu: int, n_thread: int = 1) -> None:
    """Checks that a fleet of `n_vcpu` vCPUs has every vCPU that makes a call, on several threads if asked to.

    Raises:
        InputError: it lacks one of them.
    """

    def look(parts: Iterator[slice]) -> bool:
        return all(int(calls.vcpu[part].max()) < n_vcpu for part in parts)  # type: ignore[union-attr]

    exist = all_exist(calls, n_vcpu)
    if exist is None:
        exist = not len(calls) or all(in_parts(look, len(calls), n_thread))
    if not exist:
        raise no_such_vcpu(calls, n_vcpu)


def own_vcpus(calls: Calls, part: slice, n_vcpu: int) -> NDArray[np.unsignedinteger[Any]]:
    """The vCPUs of some calls, as they were when they were looked at: other threads may write to a caller's columns.

    Raises:
        InputError: a vCPU that the fleet does not have.
    """
    vcpu: NDArray[np.unsignedinteger[Any]] = calls.vcpu[part]
    if calls.n_vcpu is not None and calls.n_vcpu <= n_vcpu:
        return vcpu
    vcpu = vcpu.copy()
    if vcpu.size and int(vcpu.max()) >= n_vcpu:
        raise no_such_vcpu(calls, n_vcpu)
    return vcpu


def no_such_vcpu(calls: AnyCalls, n_vcpu: int) -> InputError:
    """The error that names the first call, or block of calls, by a vCPU that the fleet does not have."""
    what, vcpu = ("block", calls.block_vcpu) if isinstance(calls, GroupedCalls) else ("call", calls.vcpu)
    seen = vcpu.copy()
    c = int(np.argmax(seen >= n_vcpu)) if seen.size else 0
    if not seen.size or seen[c] < n_vcpu:
        return InputError("the vCPUs of the calls were written to meanwhile: give `calls.frozen()`, or wait")
    return InputError(f"{what} {c} is made by vCPU {int(seen[c])}, but the fleet has {n_vcpu} vCPUs (0 is the first)")
