"""QEMU's downtime before anybody has measured it: bytes and ioctls from counts, times from figures of others."""

from __future__ import annotations

import os
from collections.abc import Iterable

from fastsmc.facts import costs
from fastsmc.migrate.carried import Carried, Registers, carried
from fastsmc.migrate.counts import ioctls
from fastsmc.migrate.link import Link, require_number
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.qemu.size import size
from fastsmc.migrate.span import IoctlNs, Span, ioctl_span
from fastsmc.migrate.switchover.measured import with_logs, with_query
from fastsmc.migrate.switchover.names import (
    DESCRIPTION,
    GETS,
    GETS_AGAIN,
    GIC_GETS,
    GIC_SETS,
    LOAD,
    PAUSE,
    RESUME,
    SAVE,
    SETS,
    SETS_AGAIN,
    WIRE,
)
from fastsmc.migrate.switchover.query_migrate import QueryMigrate, read_query_migrate
from fastsmc.migrate.switchover.steps import DowntimeStep, Stage, Waterfall
from fastsmc.migrate.switchover.trace_log import DowntimeLog, read_downtime_log


def downtime(
    registers: Registers,
    *,
    n_vcpu: int,
    link: Link,
    has_sve: bool = False,
    ioctl_ns: IoctlNs = None,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
    trace: Iterable[DowntimeLog | str | os.PathLike[str]] = (),
    query_migrate: QueryMigrate | str | os.PathLike[str] | None = None,
) -> Waterfall:
    """The steps of a precopy migration's downtime on a KVM host with GICv3, without guest memory (modelled).

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number.
        has_sve: of a number of registers: the vCPUs have SVE.
        ioctl_ns: of one ioctl, or low, mid, high; without it `costs.IOCTL_NS`.
        limit_ms: QEMU's downtime-limit.
        trace: QEMU's trace logs of either end, or their paths; what they tell replaces modelled steps (`with_logs`).
        query_migrate: the source's answer to query-migrate, or its path; likewise (`with_query`).

    Raises:
        InputError: a number out of range, a release or features that fastsmc does not know, or a measurement that is
            of another VM.
        TraceError: a log that cannot be read, or logs of two migrations.

    >>> waterfall = downtime(182, n_vcpu=512, link=Link(10))
    >>> sum(step.ioctls for step in waterfall.steps if step.name in (GETS, GETS_AGAIN))
    225792
    """
    logs = [log if isinstance(log, DowntimeLog) else read_downtime_log(log) for log in trace]
    told = query_migrate
    if told is not None and not isinstance(told, QueryMigrate):
        told = read_query_migrate(told)
    sent = carried(registers, has_sve=has_sve)
    limit_ms = require_number(limit_ms, "limit_ms", least=1e-3)
    found = with_logs(_modelled(sent, n_vcpu, link, ioctl_ns, limit_ms), logs)
    return found if told is None else with_query(found, told)


def _modelled(sent: Carried, n_vcpu: int, link: Link, ioctl_ns: IoctlNs, limit_ms: float) -> Waterfall:
    stream = size(sent.n_reg, n_vcpu=n_vcpu, has_sve=sent.has_sve, machine=QemuMachine(accel="kvm"))
    state_bytes = stream.total_bytes - stream.description_bytes
    each = ioctl_span(ioctl_ns).times(1e-6)
    steps = (
        _stopping(PAUSE, Stage.BEFORE, n_vcpu),
        *_saved(sent, n_vcpu, each),
        _wire(WIRE, state_bytes, link, float(link.transfer_ms(state_bytes))),
        _wire(
            *(DESCRIPTION, stream.description_bytes, link),
            float(Link(link.gbit_per_s).transfer_ms(stream.description_bytes)),
        ),
        *_loaded(sent, n_vcpu, each),
        _stopping(RESUME, Stage.AFTER, n_vcpu),
    )
    return Waterfall(sent.subject, n_vcpu, sent.n_reg, sent.has_sve, link, limit_ms, steps)


def _stopping(name: str, stage: Stage, n_vcpu: int) -> DowntimeStep:
    figures = costs.VCPU_PAUSE_US
    return DowntimeStep(
        name, stage, Span.of(figures, n_vcpu / 1e3), "assumed", f"{_text(figures)}: {figures.mid.source}"
    )


def _saved(sent: Carried, n_vcpu: int, each: Span) -> tuple[DowntimeStep, ...]:
    again = sent.n_reg * n_vcpu
    first = int(ioctls(n_reg=sent.n_reg, n_vcpu=n_vcpu, has_sve=sent.has_sve).save_ioctls) - again
    gic = int(costs.QEMU_GIC_GETS.value + costs.QEMU_GIC_GETS_PER_VCPU.value * n_vcpu)
    figures = costs.QEMU_SAVE_MS
    return (
        _called(GETS, Stage.BEFORE, first, each, costs.QEMU_CORE_GETS_SVE if sent.has_sve else costs.QEMU_CORE_GETS),
        _called(GIC_GETS, Stage.SAVE, gic, each, costs.QEMU_GIC_GETS_PER_VCPU),
        _called(GETS_AGAIN, Stage.SAVE, again, each, costs.QEMU_CPREG_GETS),
        DowntimeStep(SAVE, Stage.SAVE, Span.of(figures, n_vcpu), "modelled", f"{_text(figures)}: {figures.mid.source}"),
    )


def _loaded(sent: Carried, n_vcpu: int, each: Span) -> tuple[DowntimeStep, ...]:
    once = sent.n_reg * n_vcpu
    again = int(ioctls(n_reg=sent.n_reg, n_vcpu=n_vcpu, has_sve=sent.has_sve).load_ioctls) - once
    gic = int(costs.QEMU_GIC_SETS.value + costs.QEMU_GIC_SETS_PER_VCPU.value * n_vcpu)
    figures = costs.QEMU_LOAD_MS
    return (
        DowntimeStep(LOAD, Stage.LOAD, Span.of(figures, n_vcpu), "modelled", f"{_text(figures)}: {figures.mid.source}"),
        _called(GIC_SETS, Stage.LOAD, gic, each, costs.QEMU_GIC_SETS_PER_VCPU),
        _called(SETS, Stage.LOAD, once, each, costs.QEMU_CPREG_SETS),
        _called(SETS_AGAIN, Stage.AFTER, again, each, costs.QEMU_CPREG_SETS),
    )


def _called(name: str, stage: Stage, count: int, each: Span, figure: costs.Figure) -> DowntimeStep:
    """Ioctls one after another; assumed, as the cost of one is, whoever gave it."""
    ns = "/".join(f"{one * 1e6:g}" for one in dict.fromkeys(each))
    return DowntimeStep(
        name, stage, each.times(count), "assumed", f"{ns} ns per ioctl (assumed); count: {figure.source}", count
    )


def _wire(name: str, n_byte: int, link: Link, ms: float) -> DowntimeStep:
    source = f"{link}, bytes as QEMU 7.2 sends them" + " (fastsmc migrate size)" * (name == WIRE)
    return DowntimeStep(name, Stage.WIRE, Span.exactly(ms), "modelled", source, 0, n_byte)


def _text(figures: costs.Range) -> str:
    return "/".join(f"{figure.value:g}" for figure in figures) + f" {figures.mid.unit} ({figures.mid.kind})"
