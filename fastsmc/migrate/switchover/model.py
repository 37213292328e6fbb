"""QEMU's downtime before anybody has measured it: bytes and ioctls from counts, times from figures of others."""

from __future__ import annotations

from fastsmc.facts import costs
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.migrate.counts import ioctls
from fastsmc.migrate.link import Link, require_number
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.qemu.size import qemu_stream_size
from fastsmc.migrate.span import IoctlNs, Span, ioctl_span
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
from fastsmc.migrate.switchover.steps import Stage, Step, Waterfall


def qemu_downtime(
    registers: RegisterSet | int,
    n_vcpu: int,
    *,
    link: Link,
    has_sve: bool = False,
    ioctl_ns: IoctlNs = None,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
) -> Waterfall:
    """The steps of a precopy migration's downtime on a KVM host with GICv3, without guest memory.

    Args:
        registers: a set, or how many QEMU carries per vCPU; `has_sve` goes with a number.
        ioctl_ns: of one ioctl, or low, mid, high; without it `costs.IOCTL_NS`.

    Raises:
        InputError: a number out of range.

    >>> waterfall = qemu_downtime(182, 512, link=Link(10))
    >>> sum(step.ioctls for step in waterfall.steps if step.name in (GETS, GETS_AGAIN))
    225792
    """
    if isinstance(registers, RegisterSet):
        subject, n_reg, has_sve = registers.name, registers.qemu_cpregs, registers.has_sve
    else:
        subject, n_reg = "any host", registers
    require_number(limit_ms, "limit_ms", least=1e-3)
    size = qemu_stream_size(n_vcpu, n_reg, has_sve=has_sve, machine=QemuMachine(accel="kvm"))
    state_bytes = size.total_bytes - size.description_bytes
    each = ioctl_span(ioctl_ns).times(1e-6)
    steps = (
        _stopping(PAUSE, Stage.BEFORE, n_vcpu),
        *_saved(n_reg, n_vcpu, has_sve, each),
        _wire(WIRE, state_bytes, link, float(link.transfer_ms(state_bytes))),
        _wire(
            DESCRIPTION, size.description_bytes, link, float(Link(link.gbit_per_s).transfer_ms(size.description_bytes))
        ),
        *_loaded(n_reg, n_vcpu, has_sve, each),
        _stopping(RESUME, Stage.AFTER, n_vcpu),
    )
    return Waterfall(subject, n_vcpu, n_reg, has_sve, link, limit_ms, steps)


def _stopping(name: str, stage: Stage, n_vcpu: int) -> Step:
    figures = costs.VCPU_PAUSE_US
    return Step(name, stage, Span.of(figures, n_vcpu / 1e3), "assumed", f"{_text(figures)}: {figures.mid.source}")


def _saved(n_reg: int, n_vcpu: int, has_sve: bool, each: Span) -> tuple[Step, ...]:
    again = n_reg * n_vcpu
    first = int(ioctls(n_reg, n_vcpu, has_sve=has_sve).save_ioctls) - again
    gic = int(costs.QEMU_GIC_GETS.value + costs.QEMU_GIC_GETS_PER_VCPU.value * n_vcpu)
    figures = costs.QEMU_SAVE_MS
    return (
        _called(GETS, Stage.BEFORE, first, each, costs.QEMU_CORE_GETS_SVE if has_sve else costs.QEMU_CORE_GETS),
        _called(GIC_GETS, Stage.SAVE, gic, each, costs.QEMU_GIC_GETS_PER_VCPU),
        _called(GETS_AGAIN, Stage.SAVE, again, each, costs.QEMU_CPREG_GETS),
        Step(SAVE, Stage.SAVE, Span.of(figures, n_vcpu), "modelled", f"{_text(figures)}: {figures.mid.source}"),
    )


def _loaded(n_reg: int, n_vcpu: int, has_sve: bool, each: Span) -> tuple[Step, ...]:
    once = n_reg * n_vcpu
    again = int(ioctls(n_reg, n_vcpu, has_sve=has_sve).load_ioctls) - once
    gic = int(costs.QEMU_GIC_SETS.value + costs.QEMU_GIC_SETS_PER_VCPU.value * n_vcpu)
    figures = costs.QEMU_LOAD_MS
    return (
        Step(LOAD, Stage.LOAD, Span.of(figures, n_vcpu), "modelled", f"{_text(figures)}: {figures.mid.source}"),
        _called(GIC_SETS, Stage.LOAD, gic, each, costs.QEMU_GIC_SETS_PER_VCPU),
        _called(SETS, Stage.LOAD, once, each, costs.QEMU_CPREG_SETS),
        _called(SETS_AGAIN, Stage.AFTER, again, each, costs.QEMU_CPREG_SETS),
    )


def _called(name: str, stage: Stage, count: int, each: Span, figure: costs.Figure) -> Step:
    """Ioctls one after another; assumed, as the cost of one is, whoever gave it."""
    ns = "/".join(f"{one * 1e6:g}" for one in dict.fromkeys(each))
    return Step(
        name, stage, each.times(count), "assumed", f"{ns} ns per ioctl (assumed); count: {figure.source}", count
    )


def _wire(name: str, n_byte: int, link: Link, ms: float) -> Step:
    source = f"{link}, bytes as QEMU 7.2 sends them" + " (fastsmc migrate size)" * (name == WIRE)
    return Step(name, Stage.WIRE, Span.exactly(ms), "modelled", source, 0, n_byte)


def _text(figures: costs.Range) -> str:
    return "/".join(f"{figure.value:g}" for figure in figures) + f" {figures.mid.unit} ({figures.mid.kind})"
