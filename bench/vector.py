"""bench/vector.c given a fleet: the tables of bench/rows.py folded once more, for the instructions of one level."""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.baseline import aligned, arguments_of, library, tables_of
from bench.levels import here
from bench.rows import KNOWN, N_SLOT, Rows
from fastsmc.calls.grouped import AnyCalls, GroupedCalls

N_BUCKET, EMPTY = 128, 64
IN_CACHE = 256 * 1024
"""Rows are repeated per vCPU, so that one look-up finds a verdict, while they take no more bytes than that."""
WAYS = ("single", "loads", "gathers")
N_TRY = 5
_FIRST_MULTIPLIER = 0x9708_22B5
"""Tried first: it tells today's ids apart; found by trying, one in 40 000."""


class _Tables(ctypes.Structure):
    _fields_ = (
        ("tables", ctypes.c_void_p),
        ("multiplier", ctypes.c_uint32),
        ("shift", ctypes.c_uint32),
        ("word", ctypes.c_void_p),
        ("plane", ctypes.c_void_p),
        ("code", ctypes.c_void_p),
        ("packed", ctypes.c_void_p),
        ("row_of_vcpu", ctypes.c_void_p),
        ("key", ctypes.c_void_p),
        ("place", ctypes.c_void_p),
        ("by_bucket", ctypes.c_void_p),
        ("is_per_vcpu", ctypes.c_uint32),
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

    def __init__(self, rows: Rows, march: str = here().march) -> None:
        self._library = library("vector", march)
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
        each = np.zeros((len(verdict), N_SLOT), np.uint8)
        each[:, code_of_class] = by_class
        packed = each[:, : 1 << shift] | each[:, 32 : 32 + (1 << shift)] << np.uint8(4)
        is_per_vcpu = packed.shape[1] * row_of_vcpu.size <= IN_CACHE
        self._kept = {
            "word": _words(),
            "plane": _padded(_planes()),
            "code": _padded(_by_bucket(code_of_class[class_of_slot.reshape(-1)])),
            "packed": _padded(packed[row_of_vcpu] if is_per_vcpu else packed),
            "row_of_vcpu": _padded(row_of_vcpu),
            "key": _keys(),
            "place": row_of_vcpu.astype(np.uint32) * np.uint32(N_BUCKET),
            "by_bucket": _padded(_by_bucket(verdict)),
        }
        self._of_rows = rows, tables_of(rows)
        pointers = {name: kept.ctypes.data for name, kept in self._kept.items()}
        self._tables = _Tables(
            tables=ctypes.addressof(self._of_rows[1]),
            multiplier=multiplier(),
            shift=shift,
            is_per_vcpu=is_per_vcpu,
            **pointers,
        )

    def ways(self, calls: AnyCalls) -> list[str]:
        """How the calls can be answered: "single", and what the level has besides; bench/vector.c tells of each."""
        return [way for way in WAYS if hasattr(self._library, _function(way, calls))]

    def run(self, way: str, calls: AnyCalls, out: NDArray[np.uint8]) -> None:
        """Verdicts of the calls, found that way."""
        columns: tuple[Any, ...] = (calls.func_id,)
        if isinstance(calls, GroupedCalls):
            columns, n = (*columns, calls.block_first, calls.block_vcpu), len(calls.block_vcpu)
        else:
            columns, n = (*columns, calls.vcpu), len(calls)
        function = getattr(self._library, _function(way, calls))
        function(*arguments_of(*columns, ctypes.addressof(self._tables), out, n))

    def fastest(self, calls: AnyCalls, out: NDArray[np.uint8]) -> str:
        """The way that answers these calls fastest now: of a few runs each, the shortest counts."""
        best: dict[str, int] = {}
        for _ in range(N_TRY):
            for way in self.ways(calls):
                start = time.process_time_ns()
                self.run(way, calls, out)
                taken = time.process_time_ns() - start
                best[way] = min(taken, best.get(way, taken))
        return min(best, key=lambda way: best[way])


def _function(way: str, calls: AnyCalls) -> str:
    kind = "blocks" if isinstance(calls, GroupedCalls) else f"u{8 * calls.vcpu.dtype.itemsize}"
    return f"vector_{way}_{kind}"


def _buckets() -> NDArray[np.uint32]:
    """The bucket of each named id."""
    bucket: NDArray[np.uint32] = _rotated(KNOWN, np.array(multiplier(), np.uint32)) % np.uint32(N_BUCKET)
    return bucket


def _by_bucket(of_slot: NDArray[Any]) -> NDArray[np.uint8]:
    """What each named id has, by its bucket: the last axis."""
    by_bucket = np.zeros((*of_slot.shape[:-1], N_BUCKET), np.uint8)
    by_bucket[..., _buckets()] = of_slot
    return by_bucket


def _keys() -> NDArray[np.uint32]:
    """The id of each bucket; an empty one has an id that is never looked for there."""
    keys = np.full(N_BUCKET, KNOWN[0], np.uint32)
    keys[_buckets()] = KNOWN
    return keys


def _words() -> NDArray[np.uint32]:
    """The rotated product of each bucket's id; an empty bucket's own bits vanish too, and bit 6 stays."""
    words = np.arange(N_BUCKET, dtype=np.uint32) ^ np.uint32(EMPTY)
    words[_buckets()] = _rotated(KNOWN, np.array(multiplier(), np.uint32))
    return words


def _planes() -> NDArray[np.uint8]:
    """The bytes of each bucket's product, of the topmost only the bit that is none of the bucket's."""
    product, planes = KNOWN * np.uint32(multiplier()), np.zeros((4, N_BUCKET), np.uint8)
    planes[3] = EMPTY
    for byte, mask in enumerate((0xFF, 0xFF, 0xFF, 0x80)):
        planes[byte, _buckets()] = product >> np.uint32(8 * byte) & np.uint32(mask)
    return planes


def _padded(array: NDArray[Any]) -> NDArray[Any]:
    """The array from the start of a cache line on; a look-up may read the three bytes behind it."""
    kept = aligned(array.nbytes + 64, np.uint8)
    kept[: array.nbytes] = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
    return kept
