"""The steps of QEMU's downtime, modelled for one VM or for arrays of VMs: the one statement of the model.

`downtime` puts the steps of one VM into a waterfall, `downtimes` keeps those of many, and a plan adds them up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from fastsmc.checks import BoolArray, F64Array, I64Array
from fastsmc.facts import costs
from fastsmc.migrate.counts import ioctls
from fastsmc.migrate.link import transfer_ms
from fastsmc.migrate.qemu.devices import stream_bytes
from fastsmc.migrate.qemu.machine import QemuMachine
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
from fastsmc.migrate.switchover.steps import Stage, StepKind

FIGURES = ("low", "mid", "high")
"""The last axis of every time."""
_MACHINE = QemuMachine(accel="kvm")
_NONE = np.zeros((), np.int64)


@dataclass(frozen=True, slots=True)
class Vms:
    """What the downtime of VMs depends on; arrays that broadcast, checked.

    Attributes:
        n_reg: registers in QEMU's cpreg array of one vCPU, int64.
        n_vcpu: int64.
        ioctl_ns: float64[..., 3], low, mid and high.
        by_step: the cost of one ioctl by the name of a step, of which a profile tells; of the others it is ioctl_ns.
    """

    n_reg: I64Array
    n_vcpu: I64Array
    has_sve: BoolArray
    gbit_per_s: F64Array
    rtt_us: F64Array
    ioctl_ns: F64Array
    by_step: Mapping[str, costs.Range] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelledStep:
    """One step of VMs.

    Attributes:
        ioctls, n_byte: int64, in the shape of the arrays that they depend on.
        ms: float64[..., 3], low, mid and high.
        figures: what the time or the count rests on; None for bytes.
    """

    name: str
    stage: Stage
    kind: StepKind
    ioctls: I64Array
    n_byte: I64Array
    ms: F64Array
    figures: costs.Range | costs.Figure | None = None

    def __repr__(self) -> str:
        return f"ModelledStep({self.name!r}, {self.stage}, {self.kind}, ms of shape {self.ms.shape})"

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}): {self.ms.min():.3g} to {self.ms.max():.3g} ms"


def modelled_steps(vms: Vms) -> Iterator[ModelledStep]:
    """The steps in their order. QEMU on a KVM host with GICv3, precopy, without guest memory."""
    n_vcpu, listed = vms.n_vcpu, vms.n_reg * vms.n_vcpu
    state, description = _sizes(vms)
    calls = ioctls(n_reg=vms.n_reg, n_vcpu=n_vcpu, has_sve=vms.has_sve)
    each_ms = vms.ioctl_ns * 1e-6
    core = costs.QEMU_CORE_GETS_SVE if vms.has_sve.all() else costs.QEMU_CORE_GETS

    def called(name: str, stage: Stage, count: I64Array, figure: costs.Figure) -> ModelledStep:
        told = vms.by_step.get(name)
        if told is None:
            return ModelledStep(name, stage, "assumed", count, _NONE, each_ms * count[..., None], figure)
        ms = np.array([one.value for one in told]) * 1e-6 * count[..., None]
        kind: StepKind = "assumed" if told.mid.kind == "assumed" else "modelled"
        return ModelledStep(name, stage, kind, count, _NONE, ms, figure)

    def gic(fixed: costs.Figure, each: costs.Figure) -> I64Array:
        return int(fixed.value) + int(each.value) * n_vcpu

    yield _per_vcpu(PAUSE, Stage.BEFORE, "assumed", costs.VCPU_PAUSE_US, n_vcpu / 1e3)
    yield called(GETS, Stage.BEFORE, calls.save_ioctls - listed, core)
    yield called(
        *(GIC_GETS, Stage.SAVE, gic(costs.QEMU_GIC_GETS, costs.QEMU_GIC_GETS_PER_VCPU), costs.QEMU_GIC_GETS_PER_VCPU)
    )
    yield called(GETS_AGAIN, Stage.SAVE, listed, costs.QEMU_CPREG_GETS)
    yield _per_vcpu(SAVE, Stage.SAVE, "modelled", costs.QEMU_SAVE_MS, n_vcpu)
    yield _wire(WIRE, state, vms.gbit_per_s, vms.rtt_us)
    yield _wire(DESCRIPTION, description, vms.gbit_per_s, np.zeros(()))  # right behind the state: one round trip
    yield _per_vcpu(LOAD, Stage.LOAD, "modelled", costs.QEMU_LOAD_MS, n_vcpu)
    yield called(
        *(GIC_SETS, Stage.LOAD, gic(costs.QEMU_GIC_SETS, costs.QEMU_GIC_SETS_PER_VCPU), costs.QEMU_GIC_SETS_PER_VCPU)
    )
    yield called(SETS, Stage.LOAD, listed, costs.QEMU_CPREG_SETS)
    yield called(SETS_AGAIN, Stage.AFTER, calls.load_ioctls - listed, costs.QEMU_CPREG_SETS)
    yield _per_vcpu(RESUME, Stage.AFTER, "assumed", costs.VCPU_PAUSE_US, n_vcpu / 1e3)


def total_ms(vms: Vms) -> F64Array:
    """All steps one after another: float64[..., 3]. An upper side, as QEMU saves, sends and loads at once."""
    total = np.zeros(3)
    for step in modelled_steps(vms):
        total = total + step.ms
    return total


def _sizes(vms: Vms) -> tuple[I64Array, I64Array]:
    """Bytes of state and of its description."""

    def sizes(has_sve: bool) -> tuple[I64Array, I64Array]:
        return stream_bytes(_MACHINE, n_reg=vms.n_reg, n_vcpu=vms.n_vcpu, has_sve=has_sve)

    if vms.has_sve.all() or not vms.has_sve.any():
        return sizes(bool(vms.has_sve.all()))
    state, description = (np.where(vms.has_sve, yes, no) for yes, no in zip(sizes(True), sizes(False), strict=True))
    return state, description


def _per_vcpu(
    name: str, stage: Stage, kind: StepKind, figures: costs.Range, times: I64Array | F64Array
) -> ModelledStep:
    each = np.array([figure.value for figure in figures])
    return ModelledStep(name, stage, kind, _NONE, _NONE, each * times[..., None], figures)


def _wire(name: str, n_byte: I64Array, gbit_per_s: F64Array, rtt_us: F64Array) -> ModelledStep:
    ms = transfer_ms(n_byte, gbit_per_s=gbit_per_s, rtt_us=rtt_us)
    return ModelledStep(name, Stage.WIRE, "modelled", _NONE, n_byte, np.broadcast_to(ms[..., None], (*ms.shape, 3)))
