"""The main job: a real guest's calls on many vCPUs, and what its registers weigh as registers and vCPUs grow."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field

from fastsmc.calls.missing import known
from fastsmc.calls.trace import Trace
from fastsmc.facts import costs
from fastsmc.progress import Progress, silent
from fastsmc.results.runs import Run, provenance
from fastsmc.results.tables import Column, Table
from fastsmc.scaling.axes import dispatch_by_vcpu, dispatch_by_vm
from fastsmc.scaling.guests import guests
from fastsmc.scaling.moves import moves
from fastsmc.scaling.payload import ORIGIN, SETS, payload_grid, set_cost
from fastsmc.scaling.replay import replayed, trace_by_function
from fastsmc.scaling.steps import downtime_steps
from fastsmc.scaling.study import StudySizes, study
from fastsmc.scaling.upgrading import FleetSizes, fleet_upgrade

__all__ = [
    "FleetSizes",
    "Sizes",
    "StudySizes",
    "dispatch_by_vcpu",
    "dispatch_by_vm",
    "downtime_steps",
    "fleet_upgrade",
    "guests",
    "limits",
    "moves",
    "payload_grid",
    "replayed",
    "run",
    "set_cost",
    "study",
    "trace_by_function",
]


_POWERS = tuple(1 << k for k in range(11))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the main job is; the defaults are what the report is made from.

    Attributes:
        shapes: (VMs, vCPUs per VM) that the trace is replayed on.
        n_batch: batches timed one by one. replays: timings of the whole replay, which takes less than a millisecond.
        n_call: calls of a batch on the dispatch axes. repeats: timings of it.
        vcpus: vCPU counts of the dispatch axis, 64 per VM at most. vms: VM counts of the other, vms_vcpus vCPUs in all.
        grid: register counts and vCPU counts of the payload grid. encodes: timings of one encoding.
        set_vcpus: vCPU counts for today's register sets.
        fleet: of the drawn fleet that is upgraded. study: of the study of calls under load.
    """

    shapes: tuple[tuple[int, int], ...] = ((16, 64), (1, 1024))
    n_batch: int = 50_000
    replays: int = 150
    repeats: int = 9
    n_call: int = 1 << 18
    vcpus: tuple[int, ...] = (1, 16, 64, 256, 1024, 4096, 16384, 65536)
    vms: tuple[int, ...] = _POWERS
    vms_vcpus: int = 1024
    grid: tuple[int, ...] = _POWERS
    encodes: int = 3
    set_vcpus: tuple[int, ...] = _POWERS
    fleet: FleetSizes = field(default_factory=FleetSizes)
    study: StudySizes = field(default_factory=StudySizes)


def run(
    trace: Trace, *, sizes: Sizes | None = None, seed: int = 1, host: str = "7.3", progress: Progress = silent
) -> Run:
    """Replays the trace, times dispatch, encodes the payload grid, asks what breaks, and simulates load.

    Args:
        sizes: default: those of the report.
        seed: of the random ids and register values, of the drawn fleet and of the study.
        host: release whose default policy the replay's VMs have.
        progress: told (step, done, total) as cells are finished.

    Returns:
        A Run with the tables trace, replay, verdicts, dispatch_by_vcpu, dispatch_by_vm, payload, origin, sets,
        set_cost, downtime, guests and limits, and those of `moves`, `fleet_upgrade` and `study`.

    Raises:
        InputError: sizes no fleet or register list can have, or an unknown release.

    Cost: under a minute on one core, most of it timing.
    """
    sizes = sizes or Sizes()
    load_before = os.getloadavg()
    tables: dict[str, Table] = {"trace": trace_by_function(trace, host=host)}
    progress("trace", 1, 1)
    tables["replay"], tables["verdicts"] = replayed(
        trace, shapes=sizes.shapes, host=host, n_batch=sizes.n_batch, repeats=sizes.replays, progress=progress
    )
    timing = {"n_call": sizes.n_call, "repeats": sizes.repeats, "seed": seed}
    tables["dispatch_by_vcpu"] = dispatch_by_vcpu(trace, sizes.vcpus, host=host, progress=progress, **timing)
    tables["dispatch_by_vm"] = dispatch_by_vm(
        trace, sizes.vms, n_vcpu=sizes.vms_vcpus, host=host, progress=progress, **timing
    )
    points = [(r, v) for r in sizes.grid for v in sizes.grid]
    tables["payload"] = payload_grid(points, encodes=sizes.encodes, seed=seed, progress=progress)
    tables["origin"] = payload_grid(ORIGIN, encodes=sizes.encodes, seed=seed)
    tables["sets"], tables["set_cost"] = set_cost(SETS, sizes.set_vcpus)
    tables["downtime"] = downtime_steps()
    progress("register sets", 1, 1)
    tables |= moves(progress=progress)
    tables |= fleet_upgrade(sizes.fleet, seed=seed)
    progress("fleet's upgrade", 1, 1)
    tables["guests"] = guests(release=host)
    tables["limits"] = limits()
    tables |= study(sizes=sizes.study, seed=seed, progress=progress)
    inputs = {
        "trace": trace.name,
        "n_trace_call": len(trace),
        "n_trace_event_lost": known(trace.n_lost, is_least=trace.is_lost_least),
        "n_trace_line_skipped": trace.n_skipped,
        "host": f"Linux {host}, default policy",
        "load_average_before": [round(load, 2) for load in load_before],
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "sizes": asdict(sizes),
    }
    return Run(tables, provenance(seed=seed, inputs=inputs))


def limits() -> Table:
    """The figures of others that the report compares with, each with its source."""
    figures = {
        "KVM vCPUs per VM": costs.VGIC_V3_MAX_CPUS,
        "QEMU virt vCPUs per VM": costs.QEMU_VIRT_MAX_CPUS,
        "Cloud Hypervisor vCPUs per VM": costs.CLOUD_HYPERVISOR_MAX_CPUS,
        "Firecracker vCPUs per VM": costs.FIRECRACKER_MAX_CPUS,
        "QEMU default downtime": costs.QEMU_DOWNTIME_LIMIT_MS,
        "QEMU default rate limit": costs.QEMU_MAX_BANDWIDTH,
        "one register ioctl, low": costs.IOCTL_NS.low,
        "one register ioctl, mid": costs.IOCTL_NS.mid,
        "one register ioctl, high": costs.IOCTL_NS.high,
    }
    rows = figures.values()
    columns = {
        "limit": Column.of(list(figures), "", "what it is"),
        "value": Column.of([figure.value for figure in rows], "input", "in the unit beside it"),
        "unit": Column.of([figure.unit for figure in rows]),
        "obtained": Column.of([figure.kind for figure in rows], "", "how it was obtained, by whoever did"),
        "source": Column.of([figure.source for figure in rows]),
    }
    return Table("Figures of others that results are compared with; a row each.", columns)
