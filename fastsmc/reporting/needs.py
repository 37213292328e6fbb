"""What the page needs of a run: tables, columns and the values they can have. Checked before anything is drawn."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import ResultFileError
from fastsmc.reporting.study.needs import ABOVE_0, COUNT, FLAG, FROM_0, STUDY_KEYS, STUDY_NEEDS, TEXT
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table, few

_SPREAD = {"dispatch_ns": ABOVE_0, "dispatch_p25_ns": FROM_0, "dispatch_p75_ns": FROM_0}
_DISPATCH = {
    "n_vm": COUNT,
    "n_vcpu": COUNT,
    "n_policy": COUNT,
    "is_hypothetical": FLAG,
    "pattern": TEXT,
    "n_range": FROM_0,
    "n_call": COUNT,
    **_SPREAD,
}
_GRID = {
    "n_reg": COUNT,
    "n_vcpu": COUNT,
    "is_hypothetical": FLAG,
    "codec": TEXT,
    "encoded_bytes": COUNT,
    "is_round_trip_exact": FLAG,
    "encode_ms": FROM_0,
    "decode_ms": FROM_0,
    "save_ioctls": COUNT,
}

_FATES = dict.fromkeys(("moved", "stopped", "unknown"), FROM_0)

NEEDS: dict[str, dict[str, str]] = {
    "trace": {"service": TEXT, "function": TEXT, "calls": COUNT, "verdict": TEXT},
    "replay": {
        "n_vm": COUNT,
        "n_vcpu_per_vm": COUNT,
        "n_vcpu": COUNT,
        "is_hypothetical": FLAG,
        "dispatch_ns": ABOVE_0,
        "calls_per_s": ABOVE_0,
        "n_batch": COUNT,
        "batch_p50_ns": ABOVE_0,
        "batch_p99_ns": ABOVE_0,
        "batch_p99_9_ns": ABOVE_0,
        "batch_max_ns": ABOVE_0,
    },
    "verdicts": {"shape": TEXT, "is_hypothetical": FLAG, "service": TEXT, "verdict": TEXT, "calls": FROM_0},
    "dispatch_by_vcpu": _DISPATCH,
    "dispatch_by_vm": _DISPATCH,
    "payload": _GRID,
    "origin": _GRID,
    "sets": {
        "register_set": TEXT,
        "features": TEXT,
        "n_reg": COUNT,
        "n_cpreg": COUNT,
        "n_firmware": COUNT,
        "n_global": FROM_0,
        "payload_bytes": COUNT,
    },
    "set_cost": {
        "register_set": TEXT,
        "codec": TEXT,
        "n_vcpu": COUNT,
        "is_hypothetical": FLAG,
        "payload_bytes": COUNT,
        "save_ioctls": COUNT,
        "load_ioctls": FROM_0,
        "save_low_ms": ABOVE_0,
        "save_mid_ms": ABOVE_0,
        "save_high_ms": ABOVE_0,
    },
    "moves": {
        "vmm": TEXT,
        "by": TEXT,
        "features": TEXT,
        "source": TEXT,
        "dest": TEXT,
        "source_basis": TEXT,
        "outlook": TEXT,
        "n_failing": FROM_0,
        "failing": TEXT,
    },
    "failures": {
        **dict.fromkeys(("failure", "source", "dest", "by", "outlook", "failing", "stopped_by"), TEXT),
        **dict.fromkeys(("error", "remedy", "reported"), TEXT),
        "n_failing": FROM_0,
    },
    "downtime": {
        "n_vcpu": COUNT,
        "n_reg": COUNT,
        **dict.fromkeys(("line_rate", "step", "stage", "obtained"), TEXT),
        "ioctls": FROM_0,
        "bytes": FROM_0,
        **dict.fromkeys(("low_ms", "mid_ms", "high_ms"), ABOVE_0),
        "is_budgeted": FLAG,
    },
    "upgrade": {
        "vmm": TEXT,
        "is_as_before": FLAG,
        "to": TEXT,
        **dict.fromkeys(("n_vm", "hosts", "waves"), COUNT),
        **_FATES,
        "failing": TEXT,
    },
    "upgrade_waves": {"vmm": TEXT, "wave": COUNT, "hosts": COUNT, **_FATES},
    "upgrade_assumed": {"what": TEXT, "assumed": TEXT},
    "guests": dict.fromkeys(("release", "function", "func_id", "guest", "level", "by_hvc", "by_smc"), TEXT),
    "limits": {"limit": TEXT, "value": ABOVE_0, "unit": TEXT, "obtained": TEXT, "source": TEXT},
    **STUDY_NEEDS,
}
"""The columns of each table that are drawn or told, and what they hold."""

_KEYS = {
    "dispatch_by_vcpu": ("n_vcpu", "pattern", "n_range"),
    "dispatch_by_vm": ("n_vm", "pattern", "n_range"),
    "payload": ("n_reg", "n_vcpu", "codec"),
    "origin": ("n_reg", "n_vcpu", "codec"),
    "sets": ("register_set",),
    "set_cost": ("register_set", "codec", "n_vcpu"),
    "moves": ("by", "source", "dest"),
    "failures": ("failure",),
    "downtime": ("step",),
    "upgrade": ("vmm",),
    "upgrade_waves": ("vmm", "wave"),
    "upgrade_assumed": ("what",),
    "guests": ("func_id", "guest", "level"),
    "limits": ("limit",),
    **STUDY_KEYS,
}
"""The columns that no two rows of a table have alike."""

_LATER = frozenset({"guests"})
"""Tables that a run of an earlier fastsmc has not, and that its page goes without."""

_GRIDS: dict[str, tuple[str, ...]] = {"payload": ("n_reg", "n_vcpu"), "set_cost": (), "moves": ()}
"""Tables with a row for every combination of their keys, and keys that must have two values at least."""


def check(run: Run) -> None:
    """Whether the run can be drawn.

    Raises:
        ResultFileError: naming the table and the column that is missing or holds what cannot be.
    """
    if "moves" not in run.tables and "trace" in run.tables:
        msg = (
            "the run has no table 'moves': an earlier fastsmc saved it, for another page; fastsmc report measures again"
        )
        raise ResultFileError(msg)
    for name, columns in NEEDS.items():
        if name in _LATER and name not in run.tables:
            continue
        table = run[name]
        if not table.n_row:
            msg = f"table {name} has no rows"
            raise ResultFileError(msg)
        for column, needed in columns.items():
            if column not in table.columns:
                msg = f"table {name} has no column {column!r}; it has {few(table.columns)}"
                raise ResultFileError(msg)
            if not _holds(table[column], needed):
                msg = f"table {name}, column {column}: it must hold {needed}"
                raise ResultFileError(msg)
        if name in _KEYS:
            _check_rows(name, table, _KEYS[name])


def _holds(values: NDArray[np.generic], needed: str) -> bool:
    if needed in (TEXT, FLAG):
        return values.dtype.kind == ("U" if needed == TEXT else "b")
    if values.dtype.kind not in ("i" if needed == COUNT else "if"):
        return False
    least = values.min()
    return bool(least > 0 if needed == ABOVE_0 else least >= (1 if needed == COUNT else 0))


def _check_rows(name: str, table: Table, keys: tuple[str, ...]) -> None:
    columns = {key: table[key].tolist() for key in keys}
    rows = set(zip(*columns.values(), strict=True))
    if len(rows) < table.n_row:
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
