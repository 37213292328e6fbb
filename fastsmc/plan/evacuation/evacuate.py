"""`evacuate`: are these hosts empty within a time, and if not, what holds it up?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np

from fastsmc.checks import F64Array, I64Array, shown, whole, word_of
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.migrate.link import Link, require_number
from fastsmc.plan.evacuation.destinations import Placed, placed
from fastsmc.plan.evacuation.drains import Drains, rules
from fastsmc.plan.evacuation.guessed import Guessed, counted, guessed, registers_s, require_possible
from fastsmc.plan.evacuation.judged import Asked, judged
from fastsmc.plan.evacuation.told import told
from fastsmc.plan.inventory.codes import places
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.kernels.draining import Moves, Rules
from fastsmc.plan.limits import Limits
from fastsmc.plan.result import Plan

Discipline = Literal["window", "batches"]
DISCIPLINES = ("window", "batches")
EACH = "each"
_MOST_REPLICAS, _SEARCHED = 100_000, 10_000
_MIB = float(1 << 20)


def evacuate(
    inventory: Inventory,
    *,
    hosts: Iterable[str] | str,
    within_s: float,
    downtime_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
    limits: Limits | str = "kubevirt-1.6",
    discipline: Discipline = "window",
    replicas: int = 1000,
    seed: int = 1,
    link: Link | None = None,
    miss_share: float = 0.1,
) -> Plan:
    """Whether hosts are empty within a time, by live migration, and what holds it up (modelled).

    Each replica starts the VMs in an order of its own and draws what the inventory does not tell. docs/planning has
    the model, and how far to trust it.

    Args:
        hosts: names of hosts, which are emptied at the same time and take no VMs; or "each": every host of the
            inventory once, each by itself, into all others.
        within_s: seconds from the first migration's start to the last one's end.
        downtime_ms: the longest downtime that is tolerated, where a VM has none of its own.
        limits: what the orchestrator allows, or the name of a preset.
        discipline: "window": the next migration starts when one ends; "batches": when all of a batch have ended.
        replicas: how often all is simulated.
        link: of hosts whose line rate is not told; its round trip is that of all. Without it their rate is drawn.
        miss_share: the share of replicas that may be late, and of migrations that may exceed their downtime.

    The plan is met where hosts that become empty are late, and migrations over their downtime, in at most this share.
    It is not met where a VM cannot leave. Where what is not known decides, it is neither.

    Raises:
        InputError: no such host, a number out of range, also one of the inventory, no such limits or discipline.

    >>> inventory = Inventory.of(
    ...     hosts={"name": ["h1", "h2"], "kernel": ["6.12.107"] * 2, "vmm": ["qemu:10.1"] * 2},
    ...     vms={"name": ["a"], "host": ["h1"], "vcpus": [4], "memory_gib": [8.0], "dirty_mib_per_s": [50.0]},
    ... )
    >>> plan = evacuate(inventory, hosts=["h1"], within_s=60, replicas=10, link=Link(10))
    >>> plan.is_met, plan.bottleneck.partition(" (")[0]
    (True, 'source NIC')
    """
    limits = Limits.preset(limits) if isinstance(limits, str) else limits
    word_of("discipline", discipline, DISCIPLINES)
    asked = Asked(
        require_number(within_s, "within_s", above=0),
        require_number(downtime_ms, "downtime_ms", least=1),
        whole("replicas", replicas, first=1, last=_MOST_REPLICAS),
        whole("seed", seed, first=0, last=(1 << 63) - 1),
        require_number(miss_share, "miss_share", least=0),
    )
    require_possible(inventory)
    drained, is_each = _drained(inventory, hosts)
    found = _prepared(inventory, drained, is_each, asked, link)
    allowed = _rules(limits, asked, is_batch=discipline == "batches")
    verdict = judged(found.drains, found.guessed, allowed, asked, found.placed)
    inputs = _inputs(inventory, EACH if is_each else drained, asked, limits, discipline, link)
    return told(inventory, drained, found, verdict, asked, limits, inputs)


def _inputs(
    inventory: Inventory, hosts: str | I64Array, asked: Asked, limits: Limits, discipline: str, link: Link | None
) -> dict[str, Any]:
    """What was asked with, as plain values."""
    return {
        "hosts": hosts if isinstance(hosts, str) else inventory.hosts["name"][hosts].tolist(),
        **asked._asdict(),
        "limits": limits.as_dict(),
        "discipline": discipline,
        "link": None if link is None else {"gbit_per_s": link.gbit_per_s, "rtt_us": link.rtt_us},
    }


class Prepared(NamedTuple):
    """What is simulated, and how it came about."""

    placed: Placed
    drains: Drains
    guessed: Guessed
    n_vm: int
    n_unlisted: int


def _drained(inventory: Inventory, hosts: Iterable[str] | str) -> tuple[I64Array, bool]:
    """Rows of the hosts to empty, and whether each is emptied by itself."""
    if hosts == EACH:
        return np.arange(inventory.n_host), True
    names = [hosts] if isinstance(hosts, str) else list(hosts)
    if not names:
        msg = f'hosts: none is given; name those to empty, or "{EACH}"'
        raise InputError(msg)
    rows = places(np.array(names, np.str_), inventory.hosts["name"])
    if (rows < 0).any():
        name = str(names[int((rows < 0).argmax())])
        by_key = {known.lower(): known for known in inventory.hosts["name"].tolist()[:_SEARCHED]}
        near = difflib.get_close_matches(name.lower(), by_key, 1)
        meant = f"; did you mean {shown(by_key[near[0]])}?" if near else ""
        msg = f"hosts: the inventory has no host {shown(name)}{meant}"
        raise InputError(msg)
    return np.unique(rows), False


def _prepared(inventory: Inventory, drained: I64Array, is_each: bool, asked: Asked, link: Link | None) -> Prepared:
    drain = np.full(inventory.n_host, -1)
    drain[drained] = np.arange(len(drained)) if is_each else 0
    at = inventory.host_of_vm
    on_drained = np.flatnonzero((at >= 0) & (drain[at] >= 0))
    figures = guessed(inventory, link)
    found = placed(inventory, drained, drain, figures.middle())
    number = np.full(inventory.n_host, -1)
    number[drained] = np.arange(len(drained))
    used = np.union1d(drained, found.dest)
    figures = figures._replace(n_unknown=counted(inventory, on_drained, used, link))
    moves, n_unlisted = _moves(inventory, found, number, figures, asked, 0.0 if link is None else link.rtt_us)
    return Prepared(found, Drains(moves, found.first, figures.nic), figures, len(on_drained), n_unlisted)


def _moves(
    inventory: Inventory, found: Placed, number: I64Array, figures: Guessed, asked: Asked, rtt_us: float
) -> tuple[Moves, int]:
    vm, vms = found.vm, inventory.vms
    registers, n_unlisted = registers_s(inventory, vm, figures.nic, rtt_us)
    source = inventory.host_of_vm[vm]
    budget: F64Array = vms["downtime_ms"][vm]
    hot = vms["hot_set_mib"][vm]
    moves = Moves(
        source,
        found.dest,
        number[source],
        np.ascontiguousarray(figures.memory[vm]),
        np.ascontiguousarray(figures.rate[vm]),
        np.nan_to_num(hot) * _MIB,
        np.where(np.isnan(hot), np.inf, 0.0),
        registers,
        np.where(np.isnan(budget), asked.downtime_ms, budget) / 1e3,
    )
    return moves, n_unlisted


def _rules(limits: Limits, asked: Asked, *, is_batch: bool) -> Rules:
    return rules(
        outbound=limits.outbound,
        inbound=limits.inbound,
        cluster=limits.cluster,
        cap_bytes_per_s=np.inf if limits.bandwidth_mib_per_s is None else limits.bandwidth_mib_per_s * _MIB,
        stop_ms=asked.downtime_ms if limits.downtime_limit_ms is None else limits.downtime_limit_ms,
        timeout_s_per_gib=limits.timeout_s_per_gib,
        timeout_least_gib=limits.timeout_least_gib,
        give_up_s=asked.within_s,
        is_batch=is_batch,
    )
