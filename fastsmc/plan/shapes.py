"""The largest VM whose registers move within a downtime: `migrate.downtime` asked the other way round, over a grid."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import I64Array
from fastsmc.facts import costs
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.carried import Registers
from fastsmc.migrate.link import Links
from fastsmc.migrate.profiled import profiled
from fastsmc.migrate.span import IoctlNs
from fastsmc.migrate.switchover.arrays import FIGURES
from fastsmc.migrate.switchover.most import most_vcpus
from fastsmc.plan.grid import Grid, grid_of
from fastsmc.plan.result import Cube, Plan, Values
from fastsmc.plan.shapes_told import told

if TYPE_CHECKING:
    from fastsmc.scenario.profiles import Profile


def largest_shape(
    *,
    registers: Registers | Iterable[Registers],
    has_sve: bool = False,
    link: Links,
    downtime_ms: ArrayLike = costs.QEMU_DOWNTIME_LIMIT_MS.value,
    ioctl_ns: IoctlNs | Sequence[Sequence[float]] = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    vmm: Vmm | str = Vmm.QEMU,
    limit: int = 1024,
) -> Plan:
    """The most vCPUs whose whole modelled downtime, without guest memory, is within a budget.

    The downtime is that of `migrate.downtime`, all steps one after another. Several register lists, links, budgets or
    costs of an ioctl make a grid. The plan's cube has a dimension of each and one of the figures: the answer with all
    of them low, in the middle, and high.

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number; or several.
        has_sve: of numbers of registers: the vCPUs have SVE.
        link: a network path, or its line rate as text; or several.
        downtime_ms: the budget, or several.
        ioctl_ns: of one ioctl, or low, mid and high; or several of these triples. Without it `costs.IOCTL_NS`.
        profile: a cost profile, by name or path, in its place: as for `migrate.downtime`.
        vmm: qemu, as no other VMM's steps are known.
        limit: the largest number of vCPUs to consider. KVM stops at 512.

    Returns:
        A plan that is met if one vCPU and more fit in every cell, whatever the figures; missed if in some cell none
        does, even with all figures low; and unknown if that rests on the figures.

    Raises:
        InputError: a number out of range, a release or features that fastsmc does not know, an empty list, or a profile
            that cannot be used.

    >>> found = largest_shape(registers="7.3", link="25G")
    >>> found.cube.values["n_vcpu"].values.ravel().tolist()
    [748, 394, 191]
    """
    Vmm.among(vmm, (Vmm.QEMU,))
    told_by = profiled(profile, ioctl_ns)
    grid = grid_of(registers, has_sve, link, downtime_ms, ioctl_ns, limit, told_by)
    n_vcpu = most_vcpus(grid.vms, grid.budgets, grid.limit)
    return told(grid, n_vcpu, _cube(grid, n_vcpu))


def _cube(grid: Grid, n_vcpu: I64Array) -> Cube:
    labels = grid.labels()
    if not grid.has_costs:
        del labels["ioctl_ns"]
        n_vcpu = n_vcpu[:, :, :, 0]
    meaning = "the most vCPUs within the budget at low, middle and high figures; 0 where not even one fits"
    return Cube(labels | {"figure": np.array(FIGURES)}, {"n_vcpu": Values(n_vcpu, "assumed", meaning)})
