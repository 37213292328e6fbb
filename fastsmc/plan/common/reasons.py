"""Why a pool has no more in common: kernels that lack what others have, and VMs that have what some host lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fastsmc.checks import BoolArray, I64Array, shown
from fastsmc.plan.common.items import IS_FEATURE, IS_REGISTER, IS_SEEN, ITEMS, MAYBE, NO, doubts_of
from fastsmc.plan.common.pool import Pool
from fastsmc.plan.common.tally import Tally
from fastsmc.plan.result import Excuse


def reasons(counted: Tally, pools: list[Pool], lost: I64Array) -> Iterator[Excuse]:
    """Reasons, each with the number of hosts or VMs that it holds for.

    Args:
        lost: rows of VMs whose host is none of the inventory's.
    """
    if len(lost):
        vm = counted.inventory.vms
        example = {"vm": vm["name"][lost[0]].item(), "host": vm["host"][lost[0]].item()}
        yield Excuse("VMs on hosts that the inventory has not: what they have is not known", len(lost), example)
    for one in pools:
        yield from _of_hosts(one)
        yield from _of_vms(one)


def kernel_text(pool: Pool, kernel: int) -> str:
    """A kernel as the inventory has it."""
    return str(pool.tally.inventory.kernels.values[kernel])


def kernel_named(pool: Pool, kernel: int) -> str:
    """A kernel as a sentence has it; one that is not known stands in quotes."""
    text = kernel_text(pool, kernel)
    return f"kernel {text if pool.tally.inventory.releases[kernel] is not None else shown(text)}"


def of_pool(pool: Pool) -> str:
    """ " of pool 'a'", or nothing where there are no pools."""
    return f" of pool {shown(pool.name)}" if pool.name else ""


def names_of(items: Iterable[int]) -> str:
    """Names of items; bits are left out whose register is among them."""
    names = [ITEMS[i].name for i in items]
    return ", ".join(name for name in names if "." not in name or name.partition(".")[0] not in names)


def _of_hosts(one: Pool) -> Iterator[Excuse]:
    counted, inventory = one.tally, one.tally.inventory
    has_any = counted.of_hosts[one.hosts].max(axis=0) > NO
    for kernel, n_host in one.kernels.items():
        group = next(g for g in one.hosts.tolist() if counted.hosts.keys[g, 1] == kernel)
        example = {"host": inventory.hosts["name"][counted.hosts.example[group]].item()}
        host, named = inventory.releases[kernel], kernel_named(one, kernel)
        if host is None:
            what = (
                f"whose {named} is none that fastsmc knows" if kernel_text(one, kernel) else "whose kernel was not told"
            )
            yield Excuse(f"hosts{of_pool(one)} {what}", n_host, example)
            continue
        if len(lacks := np.flatnonzero(has_any & (counted.has[kernel] == NO)).tolist()):
            only = one.only_lowered_by(kernel)
            alone = f"; it alone lacks {names_of(only)}" if only and len(one.kernels) > 2 else ""
            yield Excuse(f"hosts{of_pool(one)} whose {named} has no {names_of(lacks)}{alone}", n_host, example)
        open_ = np.flatnonzero(has_any & (counted.has[kernel] == MAYBE)).tolist()
        if open_ and len(one.kernels) > 1:
            why = f"may have {names_of(open_)} or not: {'; '.join(doubts_of(host, open_))}"
            yield Excuse(f"hosts{of_pool(one)} whose {named} {why}", n_host, example)


def _of_vms(one: Pool) -> Iterator[Excuse]:
    on = f"on {{kernel}}{of_pool(one)}"
    yield from _grouped(one, one.lose & IS_SEEN & ~IS_FEATURE, f"VMs {on} would lose {{names}}")
    refused = f"VMs {on} carry {{names}}, which some host has not: KVM refuses it there, and few VMMs pass over it"
    yield from _grouped(one, one.lose & IS_REGISTER, refused)
    yield from _grouped(one, one.lose & IS_FEATURE, f"VMs {on} use {{names}}, which some host has not")
    open_ = f"VMs {on} use {{names}}, and it is not known whether all hosts have that: tell their cpu and kernel"
    yield from _grouped(one, one.may_lose & IS_FEATURE, open_)


def _grouped(one: Pool, lost: BoolArray, words: str) -> Iterator[Excuse]:
    """A reason per kernel and set of items, of groups of VMs that differ in their features only."""
    counted = one.tally
    sums: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = {}
    for i, group in enumerate(one.vms.tolist()):
        if items := tuple(np.flatnonzero(lost[i]).tolist()):
            key = (int(counted.vms.keys[group, 1]), items)
            n_vm, first = sums.get(key, (0, group))
            sums[key] = n_vm + int(counted.vms.n[group]), first
    for (kernel, items), (n_vm, group) in sums.items():
        example = {"vm": counted.inventory.vms["name"][counted.vms.example[group]].item()}
        told = words.replace("{kernel}", kernel_named(one, kernel)).replace("{names}", names_of(items))
        yield Excuse(told, n_vm, example)
