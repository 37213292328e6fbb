"""What a run's tables say twice, or in an order: a run that contradicts itself is not drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from fastsmc.errors import ResultFileError
from fastsmc.reporting.needs import NEEDS
from fastsmc.reporting.rows import ROUNDING, are_numbers, first
from fastsmc.reporting.study.agree import wrong_in_study
from fastsmc.reporting.told_twice import wrong_answers
from fastsmc.reporting.totals import wrong_totals
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

_DISPATCH = (("dispatch_p25_ns", "dispatch_ns", "dispatch_p75_ns"), ("n_policy", "n_vm", "n_vcpu"))
_QUANTILES = (("p50_ns", "p99_ns", "p99_9_ns"),)
_POINT = (*_QUANTILES, ("n_forwarded", "n_call"), ("waiting_ns", "mean_ns"), ("forwarded_hz", "throughput_hz"))
ORDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "replay": (*_DISPATCH, ("batch_p50_ns", "batch_p99_ns", "batch_p99_9_ns", "batch_max_ns")),
    "dispatch_by_vcpu": _DISPATCH,
    "dispatch_by_vm": _DISPATCH,
    "payload": (("least_save_ioctls", "save_ioctls"),),
    "origin": (("least_save_ioctls", "save_ioctls"),),
    "sets": (("n_firmware", "n_cpreg", "n_reg"), ("n_global", "n_cpreg")),
    "set_cost": (("save_low_ms", "save_mid_ms", "save_high_ms"), ("load_low_ms", "load_mid_ms", "load_high_ms")),
    "downtime": (("low_ms", "mid_ms", "high_ms"),),
    "upgrade": (("stopped", "n_vm"), ("unknown", "n_vm")),
    "study_vcpus": _POINT,
    "study_share": (*_POINT, ("p50_ns", "p99_ns")),
    "study_lock": _POINT,
    "study_filter": _POINT,
    "study_boot": (
        ("n_forwarded", "n_call"),
        ("most_waiting_ns", "most_response_ns", "whole_ns"),
        ("added_ns", "whole_ns"),
    ),
}
"""Columns of a table of which none may be above the next."""
PRODUCTS = {"replay": ("n_vcpu", ("n_vm", "n_vcpu_per_vm"))}
"""A column of a table, and those that multiply to it."""
SHARES = {
    **dict.fromkeys(("study_vcpus", "study_share", "study_knees", "study_lock", "study_filter"), ("share",)),
    "study_boot": ("utilisation",),  # of the time from the VM's start to its last end; others are of calls, see there
}
"""Columns that hold shares of one."""
MOST = 2**53
"""No count or time of a run is above it: as bytes 8 PiB, as ns 104 days; sums and products of fewer are exact."""


def check(run: Run) -> None:
    """Whether the tables that are drawn agree with themselves and with each other.

    Raises:
        ResultFileError: naming the table, the row and what contradicts what.
    """
    for name, table in run.tables.items():
        for wrong in _wrong(name, table):
            msg = f"table {name}, {wrong}: damaged"
            raise ResultFileError(msg)
    for rules in (wrong_totals, wrong_answers, wrong_in_study):
        for wrong in rules(run):
            msg = f"{wrong}: damaged"
            raise ResultFileError(msg)


def _wrong(name: str, table: Table) -> Iterator[str]:
    for column in table.columns if name in NEEDS else ():
        if are_numbers(table, column):
            yield from first(table, table[column] < 0, column, column, "is negative")
            yield from first(table, table[column] > MOST, column, column, f"is more than any run has ({MOST})")
    for columns in ORDERS.get(name, ()):
        for less, more in pairwise(columns):
            if are_numbers(table, less, more):
                yield from first(table, table[less] > table[more] * (1 + ROUNDING), less, more, "is above")
    if name in PRODUCTS:
        product, factors = PRODUCTS[name]
        if are_numbers(table, product, *factors):
            multiplied = np.multiply(*(table[factor].astype(np.float64) for factor in factors))
            how = f"is not the product of {' and '.join(factors)}; first"
            yield from first(table, multiplied != table[product], product, factors[0], how)
    for column in SHARES.get(name, ()):
        if are_numbers(table, column):
            yield from first(table, table[column] > 1 + ROUNDING, column, column, "is a share above 1")
