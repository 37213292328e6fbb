"""What the page needs of a run: tables, columns and the values they can have. Checked before anything is drawn."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import ResultFileError
from fastsmc.results import Run, Table

_TEXT, _FLAG, _COUNT, _ABOVE_0, _FROM_0 = "text", "true or false", "counts from 1 up", "above 0", "0 or more"
_SPREAD = {"dispatch_ns": _ABOVE_0, "dispatch_p25_ns": _FROM_0, "dispatch_p75_ns": _FROM_0}
_DISPATCH = {
    "n_vm": _COUNT,
    "n_vcpu": _COUNT,
    "n_policy": _COUNT,
    "is_hypothetical": _FLAG,
    "pattern": _TEXT,
    "n_range": _FROM_0,
    "n_call": _COUNT,
    **_SPREAD,
}
_GRID = {
    "n_reg": _COUNT,
    "n_vcpu": _COUNT,
    "is_hypothetical": _FLAG,
    "codec": _TEXT,
    "encoded_bytes": _COUNT,
    "is_round_trip_exact": _FLAG,
    "encode_ms": _FROM_0,
    "decode_ms": _FROM_0,
    "save_ioctls": _COUNT,
}

NEEDS: dict[str, dict[str, str]] = {
    "trace": {"service": _TEXT, "function": _TEXT, "calls": _COUNT, "verdict": _TEXT},
    "replay": {
        "n_vm": _COUNT,
        "n_vcpu_per_vm": _COUNT,
        "n_vcpu": _COUNT,
        "is_hypothetical": _FLAG,
        "dispatch_ns": _ABOVE_0,
        "calls_per_s": _ABOVE_0,
        "n_batch": _COUNT,
        "batch_p50_ns": _ABOVE_0,
        "batch_p99_ns": _ABOVE_0,
        "batch_p99_9_ns": _ABOVE_0,
        "batch_max_ns": _ABOVE_0,
    },
    "verdicts": {"shape": _TEXT, "is_hypothetical": _FLAG, "service": _TEXT, "verdict": _TEXT, "calls": _FROM_0},
    "dispatch_by_vcpu": _DISPATCH,
    "dispatch_by_vm": _DISPATCH,
    "payload": _GRID,
    "origin": _GRID,
    "sets": {
        "register_set": _TEXT,
        "features": _TEXT,
        "n_reg": _COUNT,
        "n_cpreg": _COUNT,
        "n_firmware": _COUNT,
        "n_global": _FROM_0,
        "payload_bytes": _COUNT,
    },
    "set_cost": {
        "register_set": _TEXT,
        "codec": _TEXT,
        "n_vcpu": _COUNT,
        "is_hypothetical": _FLAG,
        "payload_bytes": _COUNT,
        "save_ioctls": _COUNT,
        "load_ioctls": _FROM_0,
        "save_low_ms": _ABOVE_0,
        "save_mid_ms": _ABOVE_0,
        "save_high_ms": _ABOVE_0,
    },
    "limits": {"limit": _TEXT, "value": _ABOVE_0, "unit": _TEXT, "obtained": _TEXT, "source": _TEXT},
}
"""By table, the columns that are drawn or told, and what they hold."""

_KEYS = {
    "dispatch_by_vcpu": ("n_vcpu", "pattern", "n_range"),
    "dispatch_by_vm": ("n_vm", "pattern", "n_range"),
    "payload": ("n_reg", "n_vcpu", "codec"),
    "origin": ("n_reg", "n_vcpu", "codec"),
    "sets": ("register_set",),
    "set_cost": ("register_set", "codec", "n_vcpu"),
    "limits": ("limit",),
}
"""The columns that no two rows of a table have alike."""

_GRIDS = {"payload": ("n_reg", "n_vcpu"), "set_cost": ()}
"""Tables with a row for every combination of their keys, and keys that must have two values at least."""


def check(run: Run) -> None:
    """Whether the run can be drawn.

    Raises:
        ResultFileError: naming the table and the column that is missing or holds what cannot be.
    """
    for name, columns in NEEDS.items():
        table = run[name]
        for column, needed in columns.items():
            if column not in table.columns:
                msg = f"table {name} has no column {column!r}; it has {', '.join(table.columns)}"
                raise ResultFileError(msg)
            if not _holds(table[column], needed):
                msg = f"table {name}, column {column}: it must hold {needed}"
                raise ResultFileError(msg)
        if name in _KEYS:
            _check_rows(name, table, _KEYS[name])


def _holds(values: NDArray[np.generic], needed: str) -> bool:
    if needed in (_TEXT, _FLAG):
        return values.dtype.kind == ("U" if needed == _TEXT else "b")
    if values.dtype.kind not in ("i" if needed == _COUNT else "if"):
        return False
    least = values.min()
    return bool(least > 0 if needed == _ABOVE_0 else least >= (1 if needed == _COUNT else 0))


def _check_rows(name: str, table: Table, keys: tuple[str, ...]) -> None:
    columns = {key: table[key].tolist() for key in keys}
    rows = set(zip(*columns.values(), strict=True))
    if len(rows) < len(table):
        msg = f"table {name}: two rows have the same {', '.join(keys)}"
        raise ResultFileError(msg)
    if name not in _GRIDS:
        return
    if len(rows) < prod(len(set(values)) for values in columns.values()):
        msg = f"table {name}: some combination of {', '.join(keys)} has no row"
        raise ResultFileError(msg)
    for key in _GRIDS[name]:
        if len(set(columns[key])) < 2:
            msg = f"table {name}, column {key}: at least two values are needed to draw them"
            raise ResultFileError(msg)
