"""`smc.plan.baseline`: what all hosts of a pool have in common, and what its VMs would lose if pinned to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsmc.checks import shown
from fastsmc.facts.smccc import psci_name
from fastsmc.plan.common.items import ITEMS, MAYBE, NO, WORDS, YES
from fastsmc.plan.common.pool import Pool
from fastsmc.plan.common.reasons import kernel_named, kernel_text, names_of, of_pool, reasons
from fastsmc.plan.common.tally import Tally, tally
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.result import Plan
from fastsmc.results.tables import Column, ColumnKind, Table

_COLUMNS: dict[str, tuple[ColumnKind | None, str]] = {
    "pool": ("input", "its name; empty where the inventory has none"),
    "what": ("input", "service, register, bit, psci or feature"),
    "name": ("input", "Linux' name, a register's without KVM_REG_ARM_"),
    "in_common": (None, "whether every host in service has it"),
    "set_to": (None, "the register's value with which a VM restores on every host; empty where none does"),
    "n_host_without": ("modelled", "hosts that lack it"),
    "n_host_unknown": ("modelled", "hosts of which it is not known"),
    "lowered_by": (None, "the kernel that lacks it, of several the one on most hosts"),
    "n_vm_losing": ("modelled", "VMs that have it today and would lose it"),
    "n_vm_perhaps": ("modelled", "VMs that might, for all that is known"),
}
_RESTS_ON = ("hosts.kernel", "hosts.cpu", "hosts.pool", "hosts.state", "vms.host", "vms.features")
"""The columns that a baseline depends on."""


def baseline(inv: Inventory, *, pool: str | None = None) -> Plan:
    """What all hosts of a pool have in common, and what its VMs would lose if they were pinned to that.

    Services, firmware registers, bits and PSCI versions follow from a host's kernel; features from its kernel and CPU.
    A VM has what its kernel gives a new VM. Hosts that are down are left out.

    Args:
        inv: hosts and VMs.
        pool: the one that is asked about; without it each pool has a baseline of its own.

    Returns:
        A row per pool and service, register, bit, PSCI version or feature that a host of the pool has or may have.
        `set_to` has the values of firmware registers with which a VM restores on every host.
        Its `is_met` is False where a VM uses a feature that some host lacks; None where an unknown kernel, a release in
        doubt, or a CPU of which nothing is known decides; else True.

    Raises:
        InputError: no host in service, no such pool, or a VM with features that do not exist.

    >>> inv = Inventory.of(
    ...     hosts={"name": ["h1", "h2"], "kernel": ["6.12.107", "6.18.15"]},
    ...     vms={"name": ["a"], "host": ["h2"], "vcpus": [4]},
    ... )
    >>> plan = baseline(inv)
    >>> plan.table.where(name="PSCI_VERSION")["set_to"].tolist()
    ['0x10001']
    >>> [row["name"] for row in plan.table.where(in_common="no").rows() if row["n_vm_losing"]]
    ['VENDOR_HYP_BMAP_2', 'PSCI 1.3']
    """
    counted = tally(inv, pool)
    pools = [Pool(counted, number) for number in np.unique(counted.hosts.keys[:, 0]).tolist()]
    lost = counted.lost if pool is None else counted.lost[:0]
    verdicts = [one.is_met for one in pools] + ([None] if len(lost) else [])
    return Plan(
        question="baseline",
        answer=_answer(pools, verdicts),
        table=_table(pools),
        is_met=False if False in verdicts else None if None in verdicts else True,
        excuses=tuple(reasons(counted, pools, lost)),
        bottleneck=_bottleneck(pools),
        inputs={
            "pool": pool,
            "hosts": sum(one.n_host for one in pools),
            "vms": sum(one.n_vm for one in pools),
            "kernels": sorted({inv.kernels.values[k].item() for one in pools for k in one.kernels}),
        },
        assumptions=_assumptions(counted),
    )


def _table(pools: list[Pool]) -> Table:
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for one in pools:
        values = {("register", name): f"{value:#x}" for name, value in one.registers().items()}
        per_vm = one.tally.vms.n[one.vms][:, None]
        losing, perhaps = ((of * per_vm).sum(axis=0) for of in (one.lose, one.may_lose))
        without, unknown = (one.n_host_of(state) for state in (NO, MAYBE))
        for i, item in enumerate(ITEMS):
            if without[i] == one.n_host and not losing[i]:
                continue
            kernel = one.lowered_by(i)
            told = (
                *(one.name, item.what, item.name, WORDS[one.common[i]], values.get((item.what, item.name), "")),
                *(int(without[i]), int(unknown[i])),
                "" if kernel is None else kernel_text(one, kernel),
                *(int(losing[i]), int(perhaps[i])),
            )
            for name, value in zip(_COLUMNS, told, strict=True):
                columns[name].append(value)
    kept = {name: Column.of(columns[name], kind or "", meaning) for name, (kind, meaning) in _COLUMNS.items()}
    return Table("A row per pool and service, register, bit, PSCI version or feature.", kept)


def _answer(pools: list[Pool], verdicts: list[bool | None]) -> str:
    losing, refused, n_vm = (
        sum(getattr(one, name) for one in pools) for name in ("n_vm_losing", "n_vm_refused", "n_vm")
    )
    vms = f"{losing:,} of {n_vm:,} VMs would lose something if pinned to it"
    if refused:
        vms += f", {refused:,} carry firmware registers that some host has not"
    known = [one for one in pools if not one.unknown]
    if len(pools) > 1:
        if not known:
            return f"Of none of {len(pools)} pools is it known what its hosts have in common; {vms}."
        worst = min(known, key=lambda one: (one.common == YES).sum())
        least = f"pool {shown(worst.name)} has least in common, {int((worst.common == YES).sum())} things"
        return f"Of {len(known)} of {len(pools)} pools all kernels are known; of these {least}; {vms}."
    (one,) = pools
    hosts = f"{_many(one.n_host, 'host')} with {_many(len(one.kernels), 'kernel')}"
    if one.unknown:
        n = _many(sum(one.unknown.values()), "host")
        return f"What {hosts} have in common is not known, as the kernel of {n} is not; as far as is known {vms}."
    n_item = int((one.tally.of_hosts[one.hosts].max(axis=0) > NO).sum())
    have = f"{hosts} have {int((one.common == YES).sum())} of {n_item} things in common"
    values = ", ".join(
        f"{name} {value:#x}" + (f" (PSCI {psci_name(value)})" if name == "PSCI_VERSION" else "")
        for name, value in one.registers().items()
    )
    rest = "; what is in doubt is left out of it" if None in verdicts else ""
    return f"{have}: set {values or 'no register'}; {vms}{rest}."


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _bottleneck(pools: list[Pool]) -> str:
    """The kernel without which a pool would have most more in common."""
    found = [(one, kernel, one.only_lowered_by(kernel)) for one in pools for kernel in one.kernels]
    one, kernel, gained = max(found, key=lambda each: len(each[2]))
    if not gained:
        return ""
    hosts = _many(one.kernels[kernel], "host")
    return f"{kernel_named(one, kernel)} on {hosts}{of_pool(one)}: all others have {names_of(gained)} in common"


def _assumptions(counted: Tally) -> tuple[str, ...]:
    untold = counted.features[counted.vms.keys[:, 2]] == ""
    n_untold = int(counted.vms.n[untold].sum())
    told = [
        "VMs have what their kernel gives a new VM: which registers their VMM sets was not told",
        "a CPU has a feature where some VM uses it on a host of the same cpu text, and else it is not known",
        "all hosts report the same levels of SMCCC_ARCH_WORKAROUND_n: a lower one refuses the VMs of a higher one",
        "a release that was not recorded has the changes between those that were",
    ]
    if n_untold:
        told.insert(1, f"{_many(n_untold, 'VM')} whose features nobody told have psci02 only")
    inventory = counted.inventory
    assumed = (f"{name}: {text}" for name, text in inventory.assumed.items() if name in _RESTS_ON)
    return (*told, *assumed, *inventory.notes)
