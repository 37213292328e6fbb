"""bench/vector.c given a fleet: the tables of bench/rows.py folded once more, for the instructions of one level."""

from __future__ import annotations

import ctypes
from functools import cache

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.baseline import aligned, arguments_of, library, tables_of
from bench.rows import KNOWN, N_SLOT, Rows
from fastsmc.calls.grouped import AnyCalls, GroupedCalls

N_BUCKET, EMPTY = 128, 64
IN_CACHE = 256 * 1024
"""Rows are repeated per vCPU, so that one look-up finds a verdict, while they take no more bytes than that."""
_FIRST_MULTIPLIER = 0x1


class _Tables(ctypes.Structure):
    _fields_ = (
        ("tables", ctypes.c_void_p),
        ("multiplier", ctypes.c_uint32),
        ("shift", ctypes.c_uint32),
        ("word", ctypes.c_void_p),
        ("key", ctypes.c_void_p),
        ("plane", ctypes.c_void_p),
        ("row_of_vcpu", ctypes.c_void_p),
        ("packed", ctypes.c_void_p),
        ("byte_row_of_vcpu", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("by_bucket", ctypes.c_void_p),
    )


@cache
def multiplier() -> int:
    """The first odd number, of those a seeded generator gives, whose products tell the named ids apart by 7 bits."""
    rng, tried = np.random.default_rng(0), np.array([_FIRST_MULTIPLIER], np.uint32)
    while True:
        bucket = np.sort(_rotated(KNOWN, tried[:, None]) % np.uint32(N_BUCKET), axis=1)
        separates = np.flatnonzero((bucket[:, 1:] != bucket[:, :-1]).all(axis=1))
        if separates.size:
            return int(tried[separates[0]])
        tried = rng.integers(1 << 32, size=1 << 12, dtype=np.uint32) | np.uint32(1)


def _rotated(func_id: NDArray[np.uint32], by: NDArray[np.uint32]) -> NDArray[np.uint32]:
    product = func_id * by
    rotated: NDArray[np.uint32] = product << np.uint32(8) | product >> np.uint32(24)
    return rotated


class Vector:
    """The C contestant with vector instructions, for one fleet, on calls by HVC without arguments."""

    def __init__(self, rows: Rows) -> None:
        verdict, row_of_policy = np.unique(rows.action, axis=0, return_inverse=True)
        verdict = verdict[:, : KNOWN.size]
        row_of_vcpu = row_of_policy.reshape(-1)[rows.policy_of_vcpu].astype(np.uint16)
        if len(verdict) > 1 << 16:
            raise ValueError("more distinct rows than a uint16 tells apart")
        # Ids that every row treats alike share a code.
        by_class, class_of_slot = np.unique(verdict, axis=1, return_inverse=True)
        n_class = by_class.shape[1]
        shift = max(2, (n_class - 1).bit_length() - 1)
        code_of_class = np.arange(n_class) % (1 << shift) | np.arange(n_class) >> shift << 5
        code = code_of_class[class_of_slot.reshape(-1)].astype(np.uint32)
        each = np.zeros((len(verdict), N_SLOT), np.uint8)
        each[:, code_of_class] = by_class
        packed = each[:, : 1 << shift] | each[:, 32 : 32 + (1 << shift)] << np.uint8(4)
        is_per_vcpu = packed.shape[1] * row_of_vcpu.size <= IN_CACHE
        self._kept = {
            **_of_buckets(code),
            "row_of_vcpu": None if is_per_vcpu else _padded(row_of_vcpu),
            "packed": _padded(packed[row_of_vcpu] if is_per_vcpu else packed),
            "byte_row_of_vcpu": row_of_vcpu,
            "bytes": each,
            "by_bucket": _by_bucket(verdict),
            "tables": tables_of(rows),
        }
        self._rows = rows
        pointers = {
            name: None if kept is None else kept.ctypes.data if isinstance(kept, np.ndarray) else ctypes.addressof(kept)
            for name, kept in self._kept.items()
        }
        self._tables = _Tables(multiplier=multiplier(), shift=shift, **pointers)

    def verdicts(self, calls: AnyCalls, out: NDArray[np.uint8]) -> None:
        """As many calls at once as a register holds."""
        tables = ctypes.addressof(self._tables)
        if isinstance(calls, GroupedCalls):
            columns, n = (calls.func_id, calls.block_first, calls.block_vcpu), len(calls.block_vcpu)
            library("vector").vector_blocks(*arguments_of(*columns, tables, out, n))
            return
        function = getattr(library("vector"), f"vector_u{8 * calls.vcpu.dtype.itemsize}")
        function(*arguments_of(calls.func_id, calls.vcpu, tables, out, len(calls)))


def _of_buckets(code: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
    """What the id alone decides, by bucket, as bench/vector.c has it."""
    product = KNOWN * np.uint32(multiplier())
    rotated = _rotated(KNOWN, np.array(multiplier(), np.uint32))
    bucket = rotated % np.uint32(N_BUCKET)
    every = np.arange(N_BUCKET, dtype=np.uint32)
    key = every ^ np.uint32(EMPTY)  # an empty bucket's own bits vanish, bit 6 stays
    key[bucket] = rotated
    word = key.copy()
    word[bucket] ^= code
    plane = np.zeros((4, N_BUCKET), np.uint8)
    for byte in range(3):
        plane[byte, bucket] = product >> np.uint32(8 * byte) & np.uint32(255)
    plane[3] = EMPTY
    plane[3, bucket] = (product >> np.uint32(24) & np.uint32(0x80)) | code
    return {"key": key, "word": word, "plane": plane}


def _by_bucket(verdict: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bucket = _rotated(KNOWN, np.array(multiplier(), np.uint32)) % np.uint32(N_BUCKET)
    by_bucket = np.zeros((len(verdict), N_BUCKET), np.uint8)
    by_bucket[:, bucket] = verdict
    return by_bucket


def _padded(array: NDArray[Any]) -> NDArray[Any]:
    """The array from the start of a cache line on; a look-up may read the three bytes behind it."""
    kept = aligned(array.nbytes + 64, np.uint8)
    kept[: array.nbytes] = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
    return kept
