"""The grid that a planner asks about: register lists, links, budgets and costs of an ioctl, one axis of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import F64Array, shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.migrate.carried import Carried, carried
from fastsmc.migrate.link import Link, as_links, require_number
from fastsmc.migrate.profiled import Profiled
from fastsmc.migrate.qemu.machine import MAX_VCPU
from fastsmc.migrate.span import ioctl_costs
from fastsmc.migrate.switchover.arrays import Vms


@dataclass(frozen=True, slots=True)
class Grid:
    """What is asked, one axis after another: register lists, links, budgets, costs of an ioctl.

    Attributes:
        ioctl_ns: float64[n, 3].
        has_costs: whether several costs of an ioctl were given, so that they are a dimension of the answer.
        told_by: what a cost profile tells of ioctls.
    """

    registers: list[Carried]
    links: list[Link]
    downtime_ms: F64Array
    ioctl_ns: F64Array
    has_costs: bool
    limit: int
    told_by: Profiled

    @property
    def vms(self) -> Vms:
        """The VMs of the grid, each of one vCPU; arrays that broadcast over its four axes."""

        def along(axis: int, values: ArrayLike) -> Any:
            return np.asarray(values).reshape([-1 if i == axis else 1 for i in range(4)])

        return Vms(
            n_reg=along(0, [one.n_reg for one in self.registers]),
            n_vcpu=np.ones((1,) * 4, np.int64),
            has_sve=along(0, [one.has_sve for one in self.registers]),
            gbit_per_s=along(1, [one.gbit_per_s for one in self.links]),
            rtt_us=along(1, [one.rtt_us for one in self.links]),
            ioctl_ns=self.ioctl_ns[None, None, None],
            by_step=self.told_by.by_step,
        )

    @property
    def budgets(self) -> F64Array:
        """The budgets along the third of the four axes."""
        return self.downtime_ms[None, None, :, None]

    @property
    def names(self) -> list[str]:
        """The register lists in words."""
        return [one.subject if one.is_of_kvm else str(one) for one in self.registers]

    def labels(self) -> dict[str, Any]:
        """The labels of each axis, under its name."""
        return {
            "registers": np.array(self.names),
            "link": np.array([str(one) for one in self.links]),
            "downtime_ms": self.downtime_ms,
            "ioctl_ns": np.array(["/".join(f"{ns:g}" for ns in one) for one in self.ioctl_ns]),
        }


def grid_of(
    registers: Any, has_sve: bool, link: Any, downtime_ms: Any, ioctl_ns: Any, limit: Any, told_by: Profiled
) -> Grid:
    """The grid of arguments as `largest_shape` takes them, checked.

    Raises:
        InputError: a number out of range, a release or features that fastsmc does not know, or an empty list.
    """
    is_one = isinstance(registers, RegisterSet | str) or not isinstance(registers, Iterable)
    some = [carried(one, has_sve=has_sve) for one in ([registers] if is_one else registers)]
    if not some:
        msg = "registers is empty: give at least one list, release or number"
        raise InputError(msg)
    each = ioctl_costs(ioctl_ns)
    if each.ndim > 2:
        msg = f"ioctl_ns is {shown(ioctl_ns)}: it must be a number, low, mid and high, or a list of such triples"
        raise InputError(msg)
    return Grid(
        some,
        as_links(link),
        axis("downtime_ms", downtime_ms),
        np.atleast_2d(each),
        each.ndim == 2,
        whole("limit", limit, first=1, last=MAX_VCPU, remark="KVM runs up to 512"),
        told_by,
    )


def axis(name: str, values: ArrayLike) -> F64Array:
    """One number above 0, or a list of such, as float64[n].

    Raises:
        InputError: another value, none at all, or an array of more axes.
    """
    array = np.asarray(values)
    if array.ndim > 1 or not array.size:
        msg = f"{name} is {shown(values)}: give a number or a list of numbers"
        raise InputError(msg)
    if array.dtype.kind not in "iuf":
        array = np.array([require_number(one, name, above=0) for one in np.asarray(values, object).ravel()])
    wrong = ~(np.isfinite(array) & (array > 0))
    if wrong.any():
        require_number(array[wrong].flat[0].item() if array.ndim else array.item(), name, above=0)
    return array.astype(np.float64).reshape(-1)
