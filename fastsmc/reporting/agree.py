"""What a run's tables say twice, or in an order: a run that contradicts itself is not drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import ResultFileError
from fastsmc.reporting.needs import NEEDS
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

_DISPATCH = (("dispatch_p25_ns", "dispatch_ns", "dispatch_p75_ns"),)
_QUANTILES = (("p50_ns", "p99_ns", "p99_9_ns"),)
ORDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "replay": (*_DISPATCH, ("batch_p50_ns", "batch_p99_ns", "batch_p99_9_ns", "batch_max_ns")),
    "dispatch_by_vcpu": _DISPATCH,
    "dispatch_by_vm": _DISPATCH,
    "payload": (("least_save_ioctls", "save_ioctls"),),
    "sets": (("n_firmware", "n_reg"), ("n_cpreg", "n_reg"), ("n_global", "n_reg")),
    "set_cost": (("save_low_ms", "save_mid_ms", "save_high_ms"), ("load_low_ms", "load_mid_ms", "load_high_ms")),
    "study_vcpus": (*_QUANTILES, ("n_forwarded", "n_call")),
    "study_share": (("p50_ns", "p99_ns"), ("n_forwarded", "n_call")),
    "study_lock": (*_QUANTILES, ("n_forwarded", "n_call")),
    "study_filter": (*_QUANTILES, ("n_forwarded", "n_call")),
    "study_boot": (("n_forwarded", "n_call"), ("most_waiting_ns", "most_response_ns")),
}
"""Columns of a table of which none may be above the next."""
PRODUCTS = {"replay": ("n_vcpu", ("n_vm", "n_vcpu_per_vm"))}
"""A column of a table, and those that multiply to it."""
SHARES = {"study_vcpus": ("share",), "study_share": ("share",), "study_knees": ("share",), "study_lock": ("share",)}
"""Columns that hold shares of one."""
_ROUNDING = 1e-9


def check(run: Run) -> None:
    """Whether the tables that are drawn agree with themselves.

    Raises:
        ResultFileError: naming the table, the row and what contradicts what.
    """
    for name, table in run.tables.items():
        for wrong in _wrong(name, table):
            msg = f"table {name}, {wrong}: damaged"
            raise ResultFileError(msg)


def _wrong(name: str, table: Table) -> Iterator[str]:
    for column in table.columns if name in NEEDS else ():
        if _are_numbers(table, column):
            yield from _first(table, table[column] < 0, column, column, "is negative")
    for columns in ORDERS.get(name, ()):
        for less, more in pairwise(columns):
            if _are_numbers(table, less, more):
                yield from _first(table, table[less] > table[more] * (1 + _ROUNDING), less, more, "is above")
    if name in PRODUCTS:
        product, factors = PRODUCTS[name]
        if _are_numbers(table, product, *factors):
            multiplied = np.multiply(*(table[factor].astype(np.float64) for factor in factors))
            how = f"is not the product of {' and '.join(factors)}; first"
            yield from _first(table, multiplied != table[product], product, factors[0], how)
    for column in SHARES.get(name, ()):
        if _are_numbers(table, column):
            yield from _first(table, table[column] > 1 + _ROUNDING, column, column, "is a share above 1")


def _are_numbers(table: Table, *columns: str) -> bool:
    return all(name in table.columns and table[name].dtype.kind in "if" for name in columns)


def _first(table: Table, wrong: NDArray[np.bool_], one: str, other: str, how: str) -> Iterator[str]:
    """The first row that is wrong, as a sentence's middle."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        told = [f"{name} {shown(table[name][row].item())}" for name in dict.fromkeys((one, other))]
        yield f"row {row + 1}: {f' {how} '.join(told) if told[1:] else f'{told[0]} {how}'}"
