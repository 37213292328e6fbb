"""`smc.plan.filter_cost`: what an SMCCC filter costs KVM, which is modelled, and this simulator, which is measured.

The two have nothing to do with each other: KVM looks each call up in a tree, the simulator folds a filter into its
tables once. They stand side by side so that neither is taken for the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from fastsmc.calls.workload import mix
from fastsmc.checks import whole_array
from fastsmc.dispatcher.timing import compare_dispatch
from fastsmc.errors import InputError
from fastsmc.facts.smccc import FilterAction, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.plan.result import Plan, Weakest
from fastsmc.results.tables import Column, ColumnKind, Table
from fastsmc.results.units import number_of, significant
from fastsmc.scenario.profiles import Profile, figures_of, filter_levels, load_profile
from fastsmc.scenario.scenario import DEFAULT_PROFILE
from fastsmc.vm import Fleet

MOST_RANGES = 1000
"""A sanity bound of ours; KVM sets none."""
_N_VM, _N_VCPU, _N_CALL, _ROUNDS = 16, 64, 1_000_000, 11
_SHARES: dict[str | int, float] = {"PSCI_VERSION": 0.3, "TRNG_RND64": 0.4, "VENDOR_HYP_PTP": 0.2, "0xc2000001": 0.1}
"""Calls that are measured: services that are handled, and an id that KVM does not know; the first range denies it."""
_FIRST, _STEP, _WIDTH = 0xC200_0000, 0x1000, 16


def filter_cost(
    *,
    n_range: Iterable[int] | int = (0, 1, 10, 100),
    profile: Profile | str | os.PathLike[str] = DEFAULT_PROFILE,
    measure: bool = True,
) -> Plan:
    """What an SMCCC filter of n ranges costs a call: in KVM, by a cost profile, and in this simulator, by a clock.

    Args:
        n_range: ranges of the filter; 0 is no filter.
        profile: a cost profile, by name or by path.
        measure: time this simulator too, with and without the filter by turns.

    Returns:
        A row per number of ranges. Columns whose names begin with `kvm_` are modelled, of a call that a service in the
        kernel answers; those that begin with `simulator_` are measured, per call of a mix of services.

    Raises:
        InputError: no numbers of ranges, or one that is out of range; a profile that is none.

    >>> plan = filter_cost(n_range=[0, 100], measure=False)
    >>> plan.table["kvm_handled_ns"].tolist()
    [292.0, 312.0]
    """
    counts = _counts(n_range)
    costs = profile if isinstance(profile, Profile) else load_profile(profile)
    modelled = [costs.kernel_ns(Verdict.HANDLED, n_range=n) for n in counts]
    bare = costs.kernel_ns(Verdict.HANDLED)
    kind = _kind(costs)
    columns = {
        "n_range": Column.of(counts, "input", "ranges of the filter; 0 is none"),
        "kvm_tree_levels": Column.of([filter_levels(n) for n in counts], "modelled", "nodes that a look-up passes"),
        "kvm_handled_ns": Column.of(modelled, kind, "a call that a service in the kernel answers, without waiting"),
        "kvm_added_ns": Column.of([ns - bare for ns in modelled], kind, "of it, the filter"),
    }
    if measure:
        columns |= _measured(counts)
    told = _told(costs, counts, modelled, columns)
    figure = costs.filter_ns
    return Plan(
        question="filter_cost",
        answer=told,
        table=Table("A row per number of ranges: KVM's time modelled, this simulator's measured.", columns),
        weakest=Weakest(
            f"filter_ns of {costs.name}, ns a level of the tree ({figure.kind}; here half of it and twice)",
            figure.value / 2,
            figure.value * 2,
            *(_at(costs, max(counts), factor) for factor in (0.5, 2.0)),
        ),
        inputs={"n_range": counts, "profile": costs.name, "measure": measure},
        assumptions=_assumptions(costs, measure),
    )


def _counts(given: Iterable[int] | int) -> list[int]:
    values = list(given) if isinstance(given, Iterable) else [given]
    array = whole_array("n_range", values, last=MOST_RANGES)
    if not array.size:
        msg = "n_range is empty: give numbers of ranges, such as [0, 1, 10, 100]"
        raise InputError(msg)
    return [int(n) for n in array]


def _kind(costs: Profile) -> ColumnKind:
    names = figures_of(Verdict.HANDLED, n_range=1)
    return "assumed" if any(costs.figures()[name].kind == "assumed" for name in names) else "modelled"


def _measured(counts: list[int]) -> dict[str, Column]:
    """The simulator's own time, against no filter, by turns: the least of several, which others disturb least."""
    plain = Fleet.uniform(n_vm=_N_VM, n_vcpu=_N_VCPU)
    calls = mix(_SHARES, n_call=_N_CALL, n_vcpu=plain.n_vcpu, seed=1)
    ns, ratios = [], []
    for n in counts:
        filtered = Fleet.uniform(n_vm=_N_VM, n_vcpu=_N_VCPU)
        if n:
            filtered.install_filter(_ranges(n))
        found = compare_dispatch(plain, filtered, calls, rounds=_ROUNDS)
        least = [float(times.ns_per_call.min()) for times in (found.first, found.second)]
        ns.append(least[1])
        ratios.append(least[1] / least[0])
    return {
        "simulator_ns": Column.of(
            ns, "measured", f"a call in this simulator, one core, now: the least of {_ROUNDS} rounds"
        ),
        "simulator_ratio": Column.of(ratios, "measured", "of it, over that of the same calls without a filter"),
    }


def _ranges(n: int) -> list[FilterRange]:
    return [FilterRange(_FIRST + _STEP * i, _WIDTH, FilterAction.DENY) for i in range(n)]


def _told(costs: Profile, counts: list[int], modelled: list[float], columns: dict[str, Column]) -> str:
    most = int(np.argmax(counts))
    bare = costs.kernel_ns(Verdict.HANDLED)
    of = f"a filter of {number_of(counts[most], 'range')}" if counts[most] else "no filter"
    kvm = (
        f"With {of} KVM handles a call in {significant(modelled[most])} ns instead of {significant(bare)} "
        f"({columns['kvm_added_ns'].kind}, by {costs.name})"
    )
    if "simulator_ratio" not in columns:
        return f"{kvm}."
    ratio = columns["simulator_ratio"].values[most]
    return f"{kvm}; this simulator, which is another thing, needs {ratio:.2f}x its own time for it (measured)."


def _at(costs: Profile, n_range: int, factor: float) -> str:
    changed = costs.with_overrides({"filter_ns": costs.filter_ns.value * factor}, source="half or twice")
    ns = changed.kernel_ns(Verdict.HANDLED, n_range=n_range)
    return f"{number_of(n_range, 'range')}: {significant(ns)} ns a handled call"


def _assumptions(costs: Profile, measure: bool) -> tuple[str, ...]:
    names = figures_of(Verdict.HANDLED, n_range=1)
    told = [
        f"{name} {figure}: {figure.source}"
        for name, figure in ((name, costs.figures()[name]) for name in reversed(names))
        if figure.kind == "assumed"
    ]
    told.append("nodes of KVM's tree are full, so that it has as few levels as it can; its nodes are in the cache")
    told.append("calls of the workarounds meet no filter, and an SMC that is refused meets none")
    if measure:
        told.append(
            f"the simulator's time is that of {_N_CALL:,} calls, a tenth of them unknown to KVM, on this machine now"
        )
    return tuple(told)
