"""QEMU's downtime before anybody has measured it: bytes and ioctls from counts, times from figures of others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.migrate.carried import Carried, Registers, carried
from fastsmc.migrate.link import Link, as_link, require_number
from fastsmc.migrate.profiled import Profiled, profiled
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.span import IoctlNs, Span, ioctl_span
from fastsmc.migrate.switchover.arrays import ModelledStep, Vms, modelled_steps
from fastsmc.migrate.switchover.measured import with_logs, with_query
from fastsmc.migrate.switchover.names import WIRE
from fastsmc.migrate.switchover.query_migrate import QueryMigrate, read_query_migrate
from fastsmc.migrate.switchover.several import Waterfalls
from fastsmc.migrate.switchover.steps import DowntimeStep, Waterfall
from fastsmc.migrate.switchover.trace_log import DowntimeLog, read_downtime_log

if TYPE_CHECKING:
    from fastsmc.scenario.profiles import Profile


@overload
def downtime(
    registers: Registers,
    *,
    n_vcpu: int,
    link: Link | str,
    has_sve: bool = False,
    ioctl_ns: IoctlNs = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    limit_ms: float = ...,
    trace: Iterable[DowntimeLog | str | os.PathLike[str]] = (),
    query_migrate: QueryMigrate | str | os.PathLike[str] | None = None,
) -> Waterfall: ...
@overload
def downtime(
    registers: Registers,
    *,
    n_vcpu: Sequence[int],
    link: Link | str,
    has_sve: bool = False,
    ioctl_ns: IoctlNs = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    limit_ms: float = ...,
) -> Waterfalls: ...
def downtime(
    registers: Registers,
    *,
    n_vcpu: int | Sequence[int],
    link: Link | str,
    has_sve: bool = False,
    ioctl_ns: IoctlNs = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
    trace: Iterable[DowntimeLog | str | os.PathLike[str]] = (),
    query_migrate: QueryMigrate | str | os.PathLike[str] | None = None,
) -> Waterfall | Waterfalls:
    """The steps of a precopy migration's downtime on a KVM host with GICv3, without guest memory (modelled).

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number.
        n_vcpu: of the VM; of several numbers each has its downtime, and no measurement goes with them.
        link: the network path, or its line rate as text, "25G".
        has_sve: of a number of registers: the vCPUs have SVE.
        ioctl_ns: of one ioctl, or low, mid, high; without it `costs.IOCTL_NS`.
        profile: a cost profile, by name or path, in its place: what it tells of a GET and a SET of a register. Ioctls
            of the GIC stay assumed.
        limit_ms: QEMU's downtime-limit.
        trace: QEMU's trace logs of either end, or their paths; what they tell replaces modelled steps (`with_logs`).
        query_migrate: the source's answer to query-migrate, or its path; likewise (`with_query`).

    Raises:
        InputError: a number out of range, a release or features that fastsmc does not know, a measurement that is of
            another VM, or a profile that cannot be used.
        TraceError: a log that cannot be read, or logs of two migrations.

    >>> waterfall = downtime(182, n_vcpu=512, link="10G")
    >>> {step.name: step.ioctls for step in waterfall.steps}["GETs, registers again"]
    93184
    """
    logs = [log if isinstance(log, DowntimeLog) else read_downtime_log(log) for log in trace]
    told = query_migrate
    if told is not None and not isinstance(told, QueryMigrate):
        told = read_query_migrate(told)
    sent, told_by = carried(registers, has_sve=has_sve), profiled(profile, ioctl_ns)
    limit_ms = require_number(limit_ms, "limit_ms", least=1e-3)
    if isinstance(n_vcpu, Sequence):
        if logs or told is not None:
            msg = "trace and query_migrate are of one VM: give one n_vcpu"
            raise InputError(msg)
        each = (_modelled(sent, n, as_link(link), ioctl_ns, limit_ms, told_by) for n in n_vcpu)
        return Waterfalls(tuple(each))
    found = with_logs(_modelled(sent, n_vcpu, as_link(link), ioctl_ns, limit_ms, told_by), logs)
    return found if told is None else with_query(found, told)


def _modelled(
    sent: Carried, n_vcpu: int, link: Link, ioctl_ns: IoctlNs, limit_ms: float, told_by: Profiled
) -> Waterfall:
    n_vcpu = QemuMachine(accel="kvm").checked_vcpus(n_vcpu=n_vcpu)
    each = ioctl_span(ioctl_ns)
    vms = Vms(
        n_reg=np.asarray(sent.n_reg),
        n_vcpu=np.asarray(n_vcpu),
        has_sve=np.asarray(sent.has_sve),
        gbit_per_s=np.asarray(link.gbit_per_s),
        rtt_us=np.asarray(link.rtt_us),
        ioctl_ns=np.array(tuple(each)),
        by_step=told_by.by_step,
    )
    steps = tuple(
        DowntimeStep(
            step.name,
            step.stage,
            Span(*step.ms.tolist()),
            step.kind,
            _source(step, link, each, told_by.by_step.get(step.name)),
            int(step.ioctls),
            int(step.n_byte),
        )
        for step in modelled_steps(vms)
    )
    return Waterfall(sent.subject, n_vcpu, sent.n_reg, sent.has_sve, link, limit_ms, steps, told_by.notes)


def _source(step: ModelledStep, link: Link, each: Span, told: costs.Range | None) -> str:
    """What a step's time rests on. The cost of an ioctl is assumed, whoever gave it, unless a profile measured it."""
    figures = step.figures
    if figures is None:
        return f"{link}, bytes as QEMU 7.2 sends them" + " (fastsmc migrate size)" * (step.name == WIRE)
    if isinstance(figures, costs.Figure):
        ns = "/".join(f"{one:g}" for one in dict.fromkeys(each if told is None else Span.of(told)))
        by = "assumed" if told is None else f"{told.mid.kind}: {told.mid.source}"
        return f"{ns} ns per ioctl ({by}); count: {figures.source}"
    text = "/".join(f"{figure.value:g}" for figure in figures) + f" {figures.mid.unit} ({figures.mid.kind})"
    return f"{text}: {figures.mid.source}"
