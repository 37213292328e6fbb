"""What the migration instrument accepts: counts, register ids, matrices of values, buffers to write into."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import BoolArray, F64Array, I64Array, U8Array, U64Array, shown
from fastsmc.errors import InputError
from fastsmc.facts.registers import SIZE_MASK, SIZE_U32, SIZE_U64, reg_size

_SIZE_MASK, _SIZE_U64, _SIZE_U32 = np.uint64(SIZE_MASK), np.uint64(SIZE_U64), np.uint64(SIZE_U32)
"""The size field of an id, as NumPy scalars."""

MAX_COUNT = 1 << 20
"""Largest n_reg and n_vcpu accepted; a sanity bound, not KVM's (which is 512 vCPUs)."""


def brief(counts: I64Array | F64Array) -> str:
    """Counts in a `repr`: the number itself, or type and shape of an array.

    >>> brief(np.int64(8)), brief(np.zeros((2, 3), np.int64))
    ('8', 'int64[2, 3]')
    """
    array = np.asarray(counts)
    return str(array[()]) if array.ndim == 0 else f"{array.dtype}[{', '.join(map(str, array.shape))}]"


def checked_counts(*, n_reg: ArrayLike, n_vcpu: ArrayLike, n_global: ArrayLike) -> tuple[I64Array, I64Array, I64Array]:
    """The three counts as int64 arrays that broadcast; each is in range, and n_global at most n_reg.

    Raises:
        InputError: otherwise.
    """
    arrays = []
    for what, given, lowest in (("n_reg", n_reg, 1), ("n_vcpu", n_vcpu, 1), ("n_global", n_global, 0)):
        array = np.asarray(given)
        if array.dtype.kind not in "iu" or not ((array >= lowest) & (array <= MAX_COUNT)).all():
            msg = f"{what} is {shown(given)}: it must be whole numbers in {lowest}..{MAX_COUNT}"
            raise InputError(msg)
        arrays.append(array.astype(np.int64))
    reg, vcpu, shared = arrays
    try:
        np.broadcast_shapes(reg.shape, vcpu.shape, shared.shape)
    except ValueError:
        msg = f"n_reg {reg.shape}, n_vcpu {vcpu.shape} and n_global {shared.shape} do not broadcast"
        raise InputError(msg) from None
    if (shared > reg).any():
        msg = f"n_global is {shown(n_global)}: it must be at most n_reg, {shown(n_reg)}"
        raise InputError(msg)
    return reg, vcpu, shared


def _unsigned(values: ArrayLike, what: str, ndim: int) -> U64Array:
    array = np.asarray(values)
    is_whole = array.dtype.kind == "u" or (array.dtype.kind == "i" and bool((array >= 0).all()))
    if array.ndim != ndim or not array.size or not is_whole:
        shape = ", ".join(map(str, array.shape))
        msg = f"{what}: {array.dtype}[{shape}] given; a non-empty {ndim}-D array of uint64 is needed"
        raise InputError(msg)
    return np.ascontiguousarray(array, np.uint64)


def checked_ids(ids: ArrayLike) -> U64Array:
    """Register ids as uint64[n_reg]: they ascend, and every register fits a 64-bit slot.

    Raises:
        InputError: otherwise.
    """
    array = _unsigned(ids, "ids", 1)
    falls = np.flatnonzero(array[1:] <= array[:-1])
    if falls.size:
        i = int(falls[0])
        msg = f"ids[{i + 1}] = {int(array[i + 1]):#x} does not follow {int(array[i]):#x}: ids must ascend"
        raise InputError(msg)
    misfits = array[~np.isin(array & _SIZE_MASK, (_SIZE_U32, _SIZE_U64))]
    if misfits.size:
        reg = int(misfits[0])
        msg = f"register {reg:#x} has {reg_size(reg)} bytes: only 4 and 8 fit a slot"
        raise InputError(msg)
    return array


def checked_matrix(values: ArrayLike, ids: U64Array | None = None) -> U64Array:
    """Values as uint64[n_vcpu, n_reg]: one column per id, no value wider than its register.

    Raises:
        InputError: otherwise.
    """
    matrix = _unsigned(values, "values", 2)
    if ids is None:
        return matrix
    if matrix.shape[1] != ids.size:
        msg = f"values have {matrix.shape[1]} columns for {ids.size} ids"
        raise InputError(msg)
    narrow = is_narrow(ids)
    if narrow.any() and int(matrix[:, narrow].max()) >> 32:
        msg = "a 32-bit register has a value of 2**32 or more"
        raise InputError(msg)
    return matrix


def is_narrow(ids: U64Array) -> BoolArray:
    """Which registers have 32 bits: uint64[n_reg] -> bool[n_reg]."""
    narrow: BoolArray = ids & _SIZE_MASK == _SIZE_U32
    return narrow


def _is_ours(out: NDArray[Any], size: int) -> bool:
    """Whether a kernel may write into `out`, as words where `size` is a multiple of 8 bytes."""
    flags = out.flags
    return flags.c_contiguous and flags.writeable and (bool(size % 8) or out.view(np.uint64).flags.aligned)


def checked_out(out: object, size: int, source: U64Array) -> U8Array:
    """A caller's buffer to encode into.

    Raises:
        InputError: not uint8[size], contiguous, writable, at a multiple of 8 bytes (if the size is one), and apart from
            the source.
    """
    if not (isinstance(out, np.ndarray) and out.dtype == np.uint8 and out.shape == (size,) and _is_ours(out, size)):
        msg = f"out: a writable, contiguous uint8[{size}] at a multiple of 8 bytes is needed"
        raise InputError(msg)
    if np.may_share_memory(out, source):
        msg = "out shares memory with the values; give a buffer of its own"
        raise InputError(msg)
    return out


def checked_target(out: object, shape: tuple[int, int], source: U64Array) -> U64Array:
    """A caller's matrix to decode into.

    Raises:
        InputError: not a writable C-contiguous uint64 matrix of that shape, apart from the stream.
    """
    if not (isinstance(out, np.ndarray) and out.dtype == np.uint64 and out.shape == shape and out.flags.carray):
        msg = f"out: a writable, C-contiguous uint64[{shape[0]}, {shape[1]}] is needed"
        raise InputError(msg)
    if np.may_share_memory(out, source):
        msg = "out shares memory with the stream; give a matrix of its own"
        raise InputError(msg)
    return out


def checked_scope(is_global: ArrayLike | None, n_reg: int, *, is_needed: bool) -> BoolArray:
    """Which registers are VM-global, bool[n_reg]; all false where the codec does not ask.

    Raises:
        InputError: needed, and not one bool per register.
    """
    if not is_needed:
        return np.zeros(n_reg, np.bool_)
    scope = np.asarray(is_global)
    if scope.dtype != np.bool_ or scope.shape != (n_reg,):
        msg = f"is_global: sending VM-global registers once needs one bool per register, bool[{n_reg}]"
        raise InputError(msg)
    return scope


def require_equal(ids: U64Array, values: U64Array, shared: BoolArray, equal: BoolArray) -> None:
    """Refuse values whose VM-global columns, those in `shared`, are not `equal` on all vCPUs.

    Raises:
        InputError: naming the first register that is not, and the first vCPU that differs from vCPU 0.
    """
    unequal = np.flatnonzero(shared & ~equal)
    if unequal.size:
        column = values[:, unequal[0]]
        vcpu = int(np.argmax(column != column[0]))
        msg = (
            f"register {int(ids[unequal[0]]):#x} is declared VM-global but is {int(column[vcpu]):#x} on vCPU {vcpu} "
            f"and {int(column[0]):#x} on vCPU 0: sent once, the state of vCPU {vcpu} would be lost"
        )
        raise InputError(msg)
