"""The downtimes of many VMs at once: the steps of `downtime` as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import BoolArray, F64Array, I64Array, whole_array, word_of
from fastsmc.errors import InputError
from fastsmc.migrate._checks import brief
from fastsmc.migrate.carried import Registers, carried_arrays
from fastsmc.migrate.link import Links, as_links
from fastsmc.migrate.qemu.machine import MAX_VCPU
from fastsmc.migrate.span import IoctlNs, ioctl_costs
from fastsmc.migrate.switchover.arrays import FIGURES, ModelledStep, Vms, modelled_steps
from fastsmc.results.units import count, milliseconds


@dataclass(frozen=True, slots=True, eq=False)
class Downtimes:
    """The modelled downtimes of many VMs.

    Attributes:
        n_vcpu, n_reg: int64; has_sve: bool; all as given, so that they broadcast to the shape of the downtimes.
        steps: in their order, each with its counts and its times, as arrays.
    """

    n_vcpu: I64Array
    n_reg: I64Array
    has_sve: BoolArray
    steps: tuple[ModelledStep, ...]

    @property
    def total_ms(self) -> F64Array:
        """All steps one after another, float64[..., 3]: low, mid and high. As `Waterfall.total_ms`, an upper side."""
        total = np.zeros(3)
        for step in self.steps:
            total = total + step.ms
        return total

    def step(self, name: str) -> ModelledStep:
        """One step by its name, such as "encode".

        Raises:
            InputError: no step has that name.
        """
        word_of("step", name, (step.name for step in self.steps))
        return next(step for step in self.steps if step.name == name)

    def as_dict(self) -> dict[str, Any]:
        """The downtimes as plain values; counts and times are nested lists where they are arrays."""
        return {
            "kind": ", ".join(dict.fromkeys(step.kind for step in self.steps)),
            "vmm": "qemu",
            "figures": list(FIGURES),
            "vcpus": self.n_vcpu.tolist(),
            "registers_per_vcpu": self.n_reg.tolist(),
            "sve": self.has_sve.tolist(),
            "steps": [
                {
                    "name": step.name,
                    "stage": step.stage.value,
                    "kind": step.kind,
                    "ioctls": step.ioctls.tolist(),
                    "bytes": step.n_byte.tolist(),
                    "ms": step.ms.tolist(),
                }
                for step in self.steps
            ],
            "total_ms": self.total_ms.tolist(),
        }

    def __repr__(self) -> str:
        return f"Downtimes(n_vcpu={brief(self.n_vcpu)}, n_reg={brief(self.n_reg)}, total_ms={brief(self.total_ms)})"

    def __str__(self) -> str:
        total = self.total_ms.reshape(-1, 3)
        mid = total[:, 1]
        n_vm = count(len(total)) + (" VMs" if len(total) > 1 else " VM")
        least, middle, most = (milliseconds(float(one)) for one in (mid.min(), np.median(mid), mid.max()))
        bounds = f"{milliseconds(total[:, 0].min())} to {milliseconds(total[:, 2].max())}"
        return (
            f"downtimes of {n_vm} (modelled, ioctls assumed): {least} to {most}, median {middle}; "
            f"from all low to all high {bounds}"
        )


def downtimes(
    registers: Registers | Iterable[Registers],
    *,
    n_vcpu: ArrayLike,
    link: Links,
    has_sve: bool | BoolArray = False,
    ioctl_ns: IoctlNs | ArrayLike = None,
) -> Downtimes:
    """The downtimes of many VMs, step by step, as `downtime` models each of them. Arguments broadcast.

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number; or many.
        link: a network path, or its line rate as text; or several.
        has_sve: of numbers of registers: the vCPUs have SVE.
        ioctl_ns: of one ioctl, or low, mid and high; or an array whose last axis is these three. Without it
            `costs.IOCTL_NS`.

    Raises:
        InputError: a number out of range, a release or features that fastsmc does not know, or shapes that do not
            broadcast.

    >>> found = downtimes("6.18", n_vcpu=[8, 512], link="10G")
    >>> found.step("GETs, registers again").ioctls.tolist(), found.total_ms[1].round(3).tolist()
    ([1456, 93184], [207.865, 391.295, 800.776])
    """
    n_reg, sve = carried_arrays(registers, has_sve=has_sve)
    links = as_links(link)
    is_one = len(links) == 1
    vms = Vms(
        n_reg=n_reg,
        n_vcpu=whole_array("n_vcpu", n_vcpu, first=1, last=MAX_VCPU).astype(np.int64),
        has_sve=sve,
        gbit_per_s=np.array(links[0].gbit_per_s if is_one else [one.gbit_per_s for one in links]),
        rtt_us=np.array(links[0].rtt_us if is_one else [one.rtt_us for one in links]),
        ioctl_ns=ioctl_costs(ioctl_ns),
    )
    shapes = {
        "registers": n_reg.shape,
        "n_vcpu": vms.n_vcpu.shape,
        "has_sve": sve.shape,
        "link": vms.rtt_us.shape,
        "ioctl_ns": vms.ioctl_ns.shape[:-1],
    }
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        msg = f"these shapes do not broadcast: {told}"
        raise InputError(msg) from None
    return Downtimes(vms.n_vcpu, n_reg, sve, tuple(modelled_steps(vms)))
