"""An evacuation's plan: its sentence, its table of hosts, its percentiles, why not, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsmc.checks import F64Array, I64Array
from fastsmc.migrate.precopy import ASSUMED
from fastsmc.plan.evacuation.guessed import texts
from fastsmc.plan.evacuation.judged import Asked, Verdict, hosts_text, time_text
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.limits import Limits
from fastsmc.plan.result import Cube, Excuse, Plan, Values
from fastsmc.results.histogram import Histogram
from fastsmc.results.tables import Column, ColumnKind, Table
from fastsmc.results.units import milliseconds, number_of, percent

if TYPE_CHECKING:
    from fastsmc.plan.evacuation.evacuate import Prepared

_LIMITS = {
    "outbound limit": "outbound",
    "inbound limit": "inbound",
    "cluster limit": "cluster",
    "bandwidth limit of one migration": "bandwidth_mib_per_s",
}
_RESTS_ON = (
    "migrations out of a host share its line rate equally, and so do those into one; what one cannot use is lost",
    "the largest VM first, each goes to the next host of its pool that has memory for it and on which it restores",
    "VMs start in any order that the limits allow, another one in each replica; an aborted one is not tried again",
    "no time passes between two migrations: no scheduling, no start of a pod or a process at the destination",
    "registers and ioctls are sent once memory is, at the whole line rate of the source",
    "a hot set that is told takes all that a VM writes; without one a VM writes all over its memory",
    "hosts of one CPU text are alike, and so are those of none: whether their CPUs differ is not told",
)


def told(
    inventory: Inventory,
    drained: I64Array,
    found: Prepared,
    verdict: Verdict,
    asked: Asked,
    limits: Limits,
    inputs: Mapping[str, Any],
) -> Plan:
    """The plan of what was found."""
    kind: ColumnKind = "assumed" if found.guessed.n_unknown else "modelled"
    n_stay = found.n_vm - len(found.placed.vm)
    return Plan(
        "evacuate",
        _answer(inventory, drained, verdict, asked, n_stay, found.n_vm),
        _table(inventory, drained, found, verdict, asked, kind),
        verdict.is_met,
        cube=_cube(verdict, kind),
        excuses=_excuses(inventory, found, verdict, asked, limits),
        bottleneck=_bottleneck(verdict, asked, limits),
        weakest=verdict.weakest,
        inputs=inputs,
        assumptions=_assumptions(inventory, found, limits),
    )


def _answer(inventory: Inventory, drained: I64Array, verdict: Verdict, asked: Asked, n_stay: int, n_vm: int) -> str:
    names = hosts_text(inventory.hosts["name"][drained].tolist())
    is_one, outcome, within = len(drained) == 1, verdict.outcome, time_text(asked.within_s)
    if not n_vm:
        return f"{names} {'has' if is_one else 'have'} no VMs: nothing has to move"
    n_good = int((~verdict.drained.is_late(asked.within_s).any(axis=1)).sum())
    empty = f"{names} {'is' if is_one else 'are'} empty"
    if n_stay == n_vm:
        return f"{names} cannot be emptied: none of {number_of(n_vm, 'VM')} can leave"
    if n_stay:
        empty = f"{names} cannot be emptied: {n_stay:,} of {number_of(n_vm, 'VM')} cannot leave; the others have left"
    said = f"{empty} within {within} in {n_good:,} of {_replicas(asked)}"
    times = verdict.drained.all_s
    if verdict.is_each:
        late = verdict.drained.is_late(asked.within_s).mean(axis=0)
        n_host = int(((late <= asked.miss_share) & (verdict.n_stay == 0)).sum())
        said = f"{n_host:,} of {len(drained):,} hosts, each by itself, are empty within {within}"
        said += f" in at least {percent(1 - asked.miss_share)} of {_replicas(asked)}"
        times = verdict.drained.found.ended_s
    p50, p90, p99 = (time_text(float(np.quantile(times, share))) for share in (0.5, 0.9, 0.99))
    said += f" (p50 {p50}, p90 {p90}, p99 {p99})"
    stopped = downtimes(verdict)
    if stopped.n:
        low, high = (milliseconds(stopped.quantile(share) / 1e6) for share in (0.5, 0.99))
        over = percent(outcome.over_share[1])
        said += f"; downtime p50 {low}, p99 {high}, over what is tolerated in {over} of migrations"
    return said + ("; what is not known decides whether that will do" if verdict.is_met is None else "")


def _replicas(asked: Asked) -> str:
    return f"{asked.replicas:,} replica{'s' * (asked.replicas != 1)}"


def _table(
    inventory: Inventory, drained: I64Array, found: Prepared, verdict: Verdict, asked: Asked, kind: ColumnKind
) -> Table:
    run, moves = verdict.drained.found, found.drains.moves
    n = len(drained)
    leave = np.bincount(moves.drained, minlength=n)
    over = np.bincount(moves.drained, run.over, minlength=n)
    times = {f"drain_p{share}_s": np.quantile(run.ended_s, share / 100, axis=0) for share in (50, 90, 99)}
    columns = {
        "host": Column.of(inventory.hosts["name"][drained]),
        "leave": Column.of(leave, "modelled", "VMs that have somewhere to go"),
        "stay": Column.of(found.placed.n_stay, "modelled", "VMs that cannot leave"),
        **{name: Column.of(values, kind, "when the last migration out of it ends") for name, values in times.items()},
        "late_share": Column.of(
            verdict.drained.is_late(asked.within_s).mean(axis=0), kind, "replicas in which it is not empty in time"
        ),
        "aborted": Column.of(run.n_aborted.mean(axis=0), kind, "migrations that are aborted, of a replica on average"),
        "over_share": Column.of(
            over / np.maximum(leave * asked.replicas, 1), kind, "migrations that exceed their VM's downtime"
        ),
    }
    return Table(f"hosts that are emptied within {asked.within_s:g} s", columns)


def downtimes(verdict: Verdict) -> Histogram:
    """The downtimes of all migrations in all replicas."""
    return Histogram(
        verdict.drained.found.downtimes.copy(), 0.0, float(verdict.drained.found.worst_s.max(initial=0)) * 1e9
    )


def _cube(verdict: Verdict, kind: ColumnKind) -> Cube:
    percentiles = np.arange(101)
    times: F64Array = verdict.drained.found.ended_s if verdict.is_each else verdict.drained.all_s
    stopped = downtimes(verdict)
    return Cube(
        {"percentile": percentiles},
        {
            "drain_s": Values(np.quantile(times, percentiles / 100), kind, "until the last migration ends"),
            "downtime_ms": Values(
                np.array([stopped.quantile(share / 100) / 1e6 for share in percentiles]),
                kind,
                "of migrations, within 0.8 %, memory and registers",
            ),
        },
    )


def _excuses(
    inventory: Inventory, found: Prepared, verdict: Verdict, asked: Asked, limits: Limits
) -> tuple[Excuse, ...]:
    """VMs that cannot leave, that may not restore, that are aborted, that exceed their downtime."""
    excuses = [*found.placed.excuses, *found.placed.doubts]
    run, moves = verdict.drained.found, found.drains.moves
    least = asked.miss_share * asked.replicas
    timeout = limits.called("timeout_s_per_gib") if limits.timeout_s_per_gib else "the time given"
    for counts, what in (
        (run.aborted, f"its migration is aborted, not done within {timeout},"),
        (run.over, "its downtime is longer than it tolerates"),
    ):
        often = np.flatnonzero(counts > least)
        if len(often):
            worst = int(often[counts[often].argmax()])
            row = {
                "name": str(inventory.vms["name"][found.placed.vm[worst]]),
                "host": str(inventory.hosts["name"][moves.source[worst]]),
            }
            told = {**row, "replicas": int(counts[worst]), "worst_ms": round(float(run.worst_s[worst]) * 1e3, 1)}
            why = f"{what} in more than {percent(asked.miss_share)} of replicas"
            excuses.append(Excuse(why, len(often), told))
    return tuple(excuses)


def _bottleneck(verdict: Verdict, asked: Asked, limits: Limits) -> str:
    causes = verdict.drained.causes
    if not causes:
        return ""
    cause = verdict.drained.bottleneck
    its = f"{limits.called(_LIMITS[cause])}, " if cause in _LIMITS else ""
    others = "".join(f"; {name} {percent(share)}" for name, share in list(causes.items())[1:3])
    said = f"{cause} ({its}{percent(causes[cause])} of the time{others})"
    run = verdict.drained.found
    if run.n_aborted.sum() and not (run.ended_s > asked.within_s).any():
        return f"VMs whose migration is aborted; then {said}"
    return said


def _assumptions(inventory: Inventory, found: Prepared, limits: Limits) -> tuple[str, ...]:
    said = [f"{name}: {what}" for name, what in inventory.assumed.items()]
    said += texts(found.guessed, found.n_vm)
    if found.n_unlisted:
        said.append(
            f"of {number_of(found.n_unlisted, 'VM')} the registers are not known: as many as recorded kernels have"
        )
    said += [f"{each.name}: {each.source} (assumed)" for each in limits.settings if each.kind == "assumed"]
    return (*said, *_RESTS_ON, *ASSUMED[1:3])
