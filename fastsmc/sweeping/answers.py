"""What is kept of a question's answer: its sentence, its verdict as the exit code of its command, and these numbers.

A question that is itself asked over several links, budgets or hosts has a table; its measures say how they reduce it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fastsmc.checks import F64Array, not_among, shown
from fastsmc.errors import InputError
from fastsmc.plan.result import Plan
from fastsmc.results.tables import ColumnKind

_LOW, _MID, _HIGH = range(3)
"""Along a cube's last axis: with all figures low, in the middle, high."""


class Measure(NamedTuple):
    """One number of an answer.

    Attributes:
        kind: what the number is at most: assumed where it may rest on a figure that nobody has published.
        of: the number; NaN where the answer has none.
    """

    name: str
    unit: str
    kind: ColumnKind
    meaning: str
    of: Callable[[Plan], float]


def _exit_code(plan: Plan) -> float:
    return plan.exit_code


VERDICT = Measure("exit_code", "", "modelled", "0: met; 4: not met; 5: what is unknown decides", _exit_code)


def _cube(plan: Plan, name: str) -> F64Array:
    assert plan.cube is not None
    return np.asarray(plan.cube.values[name].values, np.float64)


def _total(column: str) -> Callable[[Plan], float]:
    return lambda plan: float(plan.table[column].sum())


def _rows(column: str, word: str) -> Callable[[Plan], float]:
    return lambda plan: float((plan.table[column] == word).sum())


# -- each question ---------------------------------------------------------------------------------------------


def _percentile(name: str, percent: int) -> Callable[[Plan], float]:
    return lambda plan: float(_cube(plan, name)[percent])


def _of_migrations(of: Callable[[Plan], float]) -> Callable[[Plan], float]:
    """What only migrations have: none where no VM leaves."""
    return lambda plan: of(plan) if plan.table["leave"].sum() else math.nan


def _over_share(plan: Plan) -> float:
    leave = plan.table["leave"]
    return float((plan.table["over_share"] * leave).sum() / leave.sum())


def _late_share(plan: Plan) -> float:
    return float(plan.table["late_share"].max())


def _n_host_late(plan: Plan) -> float:
    is_late = (plan.table["late_share"] > plan.inputs["miss_share"]) | (plan.table["stay"] > 0)
    return float(is_late.sum())


_EVACUATE = (
    Measure("drain_p50_s", "s", "assumed", "until the last migration of a drain ends", _percentile("drain_s", 50)),
    Measure("drain_p90_s", "s", "assumed", "the same", _percentile("drain_s", 90)),
    Measure("drain_p99_s", "s", "assumed", "the same", _percentile("drain_s", 99)),
    Measure(
        "downtime_p50_ms", "ms", "assumed", "of migrations, memory and registers",
        _of_migrations(_percentile("downtime_ms", 50)),
    ),
    Measure("downtime_p99_ms", "ms", "assumed", "the same", _of_migrations(_percentile("downtime_ms", 99))),
    Measure("late_share", "", "assumed", "of replicas, of the host that is late most often", _late_share),
    Measure("over_share", "", "assumed", "of migrations, those over their downtime", _of_migrations(_over_share)),
    Measure("n_host_late", "", "assumed", "hosts that are late too often, or never empty", _n_host_late),
    Measure("n_aborted", "", "assumed", "migrations that are aborted, of a replica on average", _total("aborted")),
    Measure("n_leave", "", "modelled", "VMs that have somewhere to go", _total("leave")),
    Measure("n_stay", "", "modelled", "VMs that cannot leave", _total("stay")),
)  # fmt: skip


def _n_back(plan: Plan) -> float:
    back = plan.tables["back"]
    return float(back["vms"][back["verdict"] == "restores"].sum())


_UPGRADE = (
    Measure("n_wave", "", "modelled", "waves", lambda plan: float(plan.table.n_row)),
    Measure("n_host", "", "modelled", "hosts that are upgraded", _total("hosts")),
    Measure("n_round", "", "modelled", "rounds of moves, of all waves", _total("rounds")),
    Measure("n_move", "", "modelled", "live migrations; a VM may move twice", _total("moved")),
    Measure("n_stop", "", "modelled", "VMs that stop", _total("stopped")),
    Measure("n_unknown", "", "modelled", "VMs of which it cannot be known, planned to stop", _total("unknown")),
    Measure("n_back", "", "modelled", "VMs that moved live and could go back", _n_back),
    Measure("moved_gib", "GiB", "modelled", "memory that moves live", _total("moved_gib")),
)


def _least(figure: int) -> Callable[[Plan], float]:
    return lambda plan: float(_cube(plan, "n_vcpu")[..., figure].min())


_LARGEST_SHAPE = (
    Measure("n_vcpu", "", "assumed", "the most vCPUs within the budget, of several the least", _least(_MID)),
    Measure("n_vcpu_low", "", "assumed", "the same with all figures low", _least(_LOW)),
    Measure("n_vcpu_high", "", "assumed", "the same with all figures high", _least(_HIGH)),
)


def _fastest(name: str, figure: int = _MID) -> Callable[[Plan], float]:
    """Of the fastest migration that converges."""

    def found(plan: Plan) -> float:
        total_s = _cube(plan, "total_s")[..., figure].ravel()
        if np.isnan(total_s).all():
            return math.nan
        return float(_cube(plan, name)[..., figure].ravel()[int(np.nanargmin(total_s))])

    return found


def _converging(plan: Plan) -> float:
    return float((~np.isnan(_cube(plan, "total_s")[..., _MID])).mean())


_MIGRATION_TABLE = (
    Measure("total_s", "s", "assumed", "of the fastest migration, from its first byte on", _fastest("total_s")),
    Measure("total_low_s", "s", "assumed", "the same with all figures low", _fastest("total_s", _LOW)),
    Measure("total_high_s", "s", "assumed", "the same with all figures high", _fastest("total_s", _HIGH)),
    Measure("stopped_ms", "ms", "assumed", "its downtime", _fastest("stopped_ms")),
    Measure("sent_mib", "MiB", "assumed", "of memory that it sends", _fastest("sent_mib")),
    Measure("n_round", "", "assumed", "its rounds while the guest runs", _fastest("n_round")),
    Measure("converging_share", "", "assumed", "of the links and limits, those with a time", _converging),
)


_BASELINE = (
    Measure("n_common", "", "modelled", "services and the like that all hosts have", _rows("in_common", "yes")),
    Measure("n_lost", "", "modelled", "those that some host lacks", _rows("in_common", "no")),
    Measure("n_unknown", "", "modelled", "those of which it is not known", _rows("in_common", "unknown")),
    Measure(
        "n_vm_losing", "", "modelled", "VMs that would lose one, of the one that most would lose",
        lambda plan: float(plan.table["n_vm_losing"].max(initial=0)),
    ),
)  # fmt: skip


def _of_most(column: str) -> Callable[[Plan], float]:
    return lambda plan: float(plan.table[column][int(plan.table["n_range"].argmax())])


_FILTER_COST = (
    Measure("kvm_handled_ns", "ns", "assumed", "a handled call, with the most ranges", _of_most("kvm_handled_ns")),
    Measure("kvm_added_ns", "ns", "assumed", "of it, the filter", _of_most("kvm_added_ns")),
    Measure("kvm_tree_levels", "", "modelled", "nodes that a look-up passes", _of_most("kvm_tree_levels")),
)

MEASURES: Mapping[str, Mapping[str, Measure]] = {
    question: {one.name: one for one in (VERDICT, *its)}
    for question, its in (
        ("baseline", _BASELINE),
        ("evacuate", _EVACUATE),
        ("filter_cost", _FILTER_COST),
        ("largest_shape", _LARGEST_SHAPE),
        ("migration_table", _MIGRATION_TABLE),
        ("upgrade", _UPGRADE),
    )
}
"""The measures of each question, by name."""


def checked(question: str, measures: object) -> tuple[str, ...]:
    """The measures, each of the question, none given twice.

    Raises:
        InputError: one is not, or there is none.
    """
    known = list(MEASURES[question])
    if isinstance(measures, str) or not isinstance(measures, Iterable):
        msg = f"measure is {shown(measures)}: give a list of names such as {known[:2]}"
        raise InputError(msg)
    found = list(measures)
    for name in found:
        if name not in known:
            raise InputError(not_among(f"measure of {question}", name, known))
    if not found or len(set(found)) < len(found):
        msg = f"measure is {shown(found)}: give at least one name, and none twice"
        raise InputError(msg)
    return tuple(found)
