"""Rows as bits: what becomes of a class is one of a few verdicts, so a row is a few bits, which registers hold.

The kernel for wide registers looks a call's row up by vCPU, the row's bits by row, and the verdict by class and the
one or two bits that the class asks for; no load depends on a call. Layout: kernels.BITS_AT and what follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.cache_lines import on_lines
from fastsmc.kernels import (
    BIT_ROW_BYTES,
    BIT_ROWS,
    BITS_AT,
    N_BIT_CLASS,
    N_BIT_PLANE,
    N_BIT_VCPU,
    ONE_AT,
    OTHER_AT,
    VALUE_AT,
    VCPU_AT,
    WHICH_AT,
)


@dataclass(frozen=True, slots=True)
class BitRows:
    """Rows of the calls by HVC, numbered anew: equal ones are one.

    Attributes:
        row_of_group: uint8[n_group]. table: uint8[kernels.BIT_ROW_BYTES]. Both are empty where rows, classes, bits or
            the verdicts of a class are too many.
    """

    row_of_group: NDArray[np.uint8]
    table: NDArray[np.uint8]


NONE = BitRows(np.zeros(0, np.uint8), np.zeros(0, np.uint8))


def build_bit_rows(
    by_class: NDArray[np.uint8],
    left_out: NDArray[np.uint8],
    row_of_group: NDArray[np.unsignedinteger[Any]],
    row_of_vcpu: NDArray[np.unsignedinteger[Any]],
) -> BitRows:
    """Rows as bits, if they fit.

    Args:
        by_class: uint8[n_row, n_class], the verdict of each class, calls by HVC.
        left_out: uint8[n], classes whose verdicts nobody reads.
        row_of_group, row_of_vcpu: unsigned[n_group], unsigned[n_vcpu]; the second is kept for fleets of up to
            kernels.N_BIT_VCPU.
    """
    asked = by_class.copy()
    asked[:, left_out] = 0
    rows, new_row = np.unique(asked, axis=0, return_inverse=True)
    if len(rows) > BIT_ROWS or rows.shape[1] > N_BIT_CLASS:
        return NONE
    table = np.zeros(BIT_ROW_BYTES, np.uint8)
    free = [8] * N_BIT_PLANE
    place_of: dict[bytes, tuple[int, int]] = {}
    for k, column in enumerate(rows.T):
        values, which = np.unique(column, return_inverse=True)
        n_bit = int(values.size - 1).bit_length()
        if n_bit > 2:
            return NONE
        table[VALUE_AT + k :: N_BIT_CLASS][:4] = values[[i if i < values.size else 0 for i in range(4)]]
        if not n_bit:
            continue
        pattern = which.astype(np.uint8).tobytes()  # classes that differ in the verdicts alone share their bits
        if pattern not in place_of:
            plane = next((p for p, room in enumerate(free) if room >= n_bit), None)
            if plane is None:
                return NONE
            free[plane] -= n_bit
            place_of[pattern] = plane, free[plane]
            table[BITS_AT + BIT_ROWS * plane :][: len(rows)] |= (which << free[plane]).astype(np.uint8)
        plane, bit = place_of[pattern]
        table[WHICH_AT + k] = plane
        table[ONE_AT + k] = 1 << bit
        table[OTHER_AT + k] = 2 << bit if n_bit == 2 else 0
    number = new_row.reshape(-1).astype(np.uint8)
    if row_of_vcpu.size <= N_BIT_VCPU:
        table[VCPU_AT:][: row_of_vcpu.size] = number[row_of_vcpu]
    return BitRows(number[row_of_group], on_lines(table))
