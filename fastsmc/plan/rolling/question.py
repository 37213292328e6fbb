"""`upgrade`: the waves of a rolling kernel upgrade, the VMs that block it and why, before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Literal, get_args

import numpy as np

from fastsmc.checks import I64Array, shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.releases import release
from fastsmc.migrate.compat.outlooks import version
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.kernels.rolling import STOPS
from fastsmc.plan.result import Plan
from fastsmc.plan.rolling.fate import Fates, crowded_out, judged
from fastsmc.plan.rolling.optimal import optimal
from fastsmc.plan.rolling.pools import Asked, Fleet, fleet_of
from fastsmc.plan.rolling.schedule import Schedule, merged
from fastsmc.plan.rolling.search import Pool, filled, upgraded
from fastsmc.plan.rolling.told import Upgrade, plan_of

Pins = Literal["suggest", "none"]
Method = Literal["greedy", "optimal"]


def upgrade(
    inv: Inventory,
    *,
    to: str,
    hosts_at_once: int = 1,
    per_tenant_at_once: int | None = None,
    spare_hosts: int = 0,
    vcpus_per_core: float = 1.0,
    vmm: str = "",
    to_vmm: str = "",
    pins: Pins = "suggest",
    method: Method = "greedy",
) -> Plan:
    """A rolling kernel upgrade: the waves of hosts, where their VMs go, which VMs must stop, and what is in the way.

    In a wave up to `hosts_at_once` hosts are emptied and upgraded. Their VMs move live to other hosts of their pool
    where they restore, have room and meet no VM of their `apart` group; upgraded hosts come first, so that a VM moves
    once. A VM that can go nowhere stops, and starts again on its own host after the upgrade. Of two plans that with
    fewer VMs stopped is better, then that with fewer waves; small pools are searched through.

    Args:
        to: the kernel that hosts get. Hosts that have it, an update of that series, or a newer one, need none.
        hosts_at_once: hosts in a wave at most, of all pools together.
        per_tenant_at_once: VMs of a tenant that move at once at most: the moves of a wave are made in as many rounds.
        spare_hosts: empty hosts that each pool is given beforehand, with the new kernel, like its most common host.
        vcpus_per_core: vCPUs that a core may carry.
        vmm: the VMM of hosts that name none, "qemu:10.1". Without it nothing is known of their VMs.
        to_vmm: the VMM that a host has after its upgrade, where it gets another one.
        pins: "suggest" names remedies: a firmware register to pin, a vCPU feature to leave out, a newer VMM.
        method: "greedy", or "optimal" for CP-SAT on pools of up to 50 hosts (`pip install fastsmc[optimal]`).

    Raises:
        InputError: an unknown kernel or VMM, a limit below 1, or no host in service.

    Returns:
        A plan with a row per wave. `tables` has "causes" (why VMs cannot go live), "blocking" (the same by
        register), "vms" (those that stop or are unknown), "back", "hosts" and "moves".

    >>> hosts = {"name": ["a", "b"], "kernel": ["6.12.107"] * 2, "cores": [8, 8], "memory_gib": [32.0, 32.0]}
    >>> vms = {"name": ["v"], "host": ["a"], "vcpus": [4], "memory_gib": [8.0], "features": ["psci02+pmu"]}
    >>> inv = Inventory.of(hosts=hosts, vms=vms)
    >>> print(upgrade(inv, to="6.18", vmm="qemu:11.1").answer)
    2 hosts reach 6.18 in 2 waves: 1 VM moves live, of which 0 could go back, none must stop
    >>> plan = upgrade(inv, to="6.18", vmm="qemu:10.1")
    >>> plan.is_met, plan.tables["blocking"]["register"].tolist()
    (False, ['TCR2_EL1', 'PIRE0_EL1', 'PIR_EL1'])
    """
    asked = _asked(to, hosts_at_once, per_tenant_at_once, spare_hosts, vcpus_per_core, vmm, to_vmm)
    for what, given, known in (("pins", pins, get_args(Pins)), ("method", method, get_args(Method))):
        if given not in known:
            msg = f"{what} is {shown(given)}: it must be one of {', '.join(known)}"
            raise InputError(msg)
    fleet = fleet_of(inv, asked)
    fates = judged(fleet)
    schedule = _schedule(fleet, fates, asked, method)
    stopped = schedule.moves[(schedule.moves[:, 3] == STOPS) & fates.goes[schedule.moves[:, 1]], 1]
    fates = crowded_out(fleet, fates, stopped)
    inputs = {**asdict(asked), "pins": pins, "method": method, "hosts": inv.n_host, "vms": inv.n_vm}
    return plan_of(Upgrade(inv, fleet, fates, schedule, asked), inputs, has_pins=pins == "suggest")


def _schedule(fleet: Fleet, fates: Fates, asked: Asked, method: Method) -> Schedule:
    """Each pool upgraded by itself, and the waves of all together."""
    found = []
    for number, (hosts, vms) in enumerate(_rows(fleet)):
        pool = _pool(fleet, fates, hosts, vms)
        best = upgraded(pool, asked.hosts_at_once, seed=number, n_pool=len(fleet.pools))
        if method == "optimal":
            best = optimal(pool, best, asked.hosts_at_once)
        found.append((best, hosts, vms))
    return merged(fleet, found, fates.goes, asked.hosts_at_once)


def _rows(fleet: Fleet) -> Iterator[tuple[I64Array, I64Array]]:
    """The rows of each pool's hosts and VMs."""
    n = len(fleet.pools)
    parts = []
    for pool in (fleet.pool, fleet.pool[fleet.at]):
        order = np.argsort(pool, kind="stable")
        parts.append(np.split(order, np.cumsum(np.bincount(pool, minlength=n))[:-1]))
    yield from zip(*parts, strict=True)


def _pool(fleet: Fleet, fates: Fates, hosts: I64Array, vms: I64Array) -> Pool:
    """One pool's columns."""
    own = np.stack([np.searchsorted(hosts, fleet.at[vms]), fates.kind[vms], *fleet.size[vms].T], 1)
    takes = (fleet.is_open & fleet.is_known)[hosts]
    places = fleet.now[hosts], fleet.new[hosts]
    columns = filled(places, takes, fleet.cap[hosts], (own, fleet.apart[vms], fates.goes[vms]))
    return Pool(*columns, fates.kinds.may, fates.kinds.then, np.flatnonzero(fleet.is_due[hosts]))


def _asked(
    to: str,
    hosts_at_once: int,
    per_tenant_at_once: int | None,
    spare_hosts: int,
    vcpus_per_core: float,
    vmm: str,
    to_vmm: str,
) -> Asked:
    """What is asked with, checked."""
    release(to)
    for text in (vmm, to_vmm):
        if text:
            version(text)
    whole("hosts_at_once", hosts_at_once, first=1, last=1 << 20)
    whole("spare_hosts", spare_hosts, last=1 << 20)
    if per_tenant_at_once is not None:
        whole("per_tenant_at_once", per_tenant_at_once, first=1, last=1 << 30)
    if not 0 < vcpus_per_core <= 1000:
        msg = f"vcpus_per_core is {shown(vcpus_per_core)}: it must be above 0 and at most 1000"
        raise InputError(msg)
    return Asked(to.strip(), hosts_at_once, per_tenant_at_once, spare_hosts, float(vcpus_per_core), vmm, to_vmm)
