"""Rolling upgrades in plain Python: pools at random, a replay that checks a plan move by move, and all other plans."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from heapq import heappop, heappush
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from fastsmc.errors import FastsmcError
from fastsmc.migrate.compat.check import check
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.result import Plan
from fastsmc.plan.rolling.search import Pool, filled

MIB = 1024


@cache
def verdict(source: str, dest: str, features: str, vmm: str) -> str:
    """ "restores", "fails" or "unknown", by `check`; unknown is also what it refuses."""
    try:
        return check(source, dest, source_features=features, dest_features=features, vmm=vmm).forward.outlook.value
    except FastsmcError:
        return "unknown"


def drawn(
    seed: int, *, most_hosts: int = 7, vms_per_host: float = 1.5, kernels: tuple[str, ...] = ("6.12.107",)
) -> Inventory:
    """A pool at random, well filled, with hosts and VMs of few sizes, some groups, and one VMM."""
    dice = random.Random(seed)
    n_host = dice.randint(2, most_hosts)
    free = [[dice.choice((4, 6, 8)), dice.choice((16, 24, 32))] for _ in range(n_host)]
    hosts: dict[str, list[Any]] = {
        "name": [f"h{k}" for k in range(n_host)],
        "kernel": [dice.choice(kernels) for _ in range(n_host)],
        "cpu": ["one"] * n_host,
        "vmm": ["qemu:11.1"] * n_host,
        "cores": [each[0] for each in free],
        "memory_gib": [float(each[1]) for each in free],
        "state": [dice.choice(("", "", "", "", "", "", "", "cordoned")) for _ in range(n_host)],
    }
    vms: dict[str, list[Any]] = {
        name: [] for name in ("name", "host", "vcpus", "memory_gib", "features", "apart", "moves")
    }
    groups: dict[tuple[int, str], int] = {}
    for number in range(round(n_host * vms_per_host)):
        host, vcpus, memory = dice.randrange(n_host), dice.choice((1, 2, 3, 4)), dice.choice((4, 8, 12))
        apart = dice.choice(("", "", "", "", "x"))
        if free[host][0] < vcpus or free[host][1] < memory or (apart and (host, apart) in groups):
            continue
        groups[host, apart] = 1
        free[host][0] -= vcpus
        free[host][1] -= memory
        row = (f"v{number}", f"h{host}", vcpus, float(memory), "psci02+pmu", apart, dice.choice(("",) * 9 + ("no",)))
        for column, value in zip(vms.values(), row, strict=True):
            column.append(value)
    if not vms["name"]:
        return drawn(seed + 1_000_000, most_hosts=most_hosts, vms_per_host=vms_per_host, kernels=kernels)
    return Inventory.of(hosts=hosts, vms=vms)


def full(seed: int) -> Inventory:
    """A pool of 50 hosts filled to the brim."""
    return next(
        inv for inv in (drawn(1000 * seed + k, most_hosts=50, vms_per_host=6) for k in range(500)) if inv.n_host == 50
    )


def alike(n: int, *, n_closed: int = 0, vcpus: int = 4) -> Pool:
    """Hosts of 8 cores and 32 GiB, each with one VM of 4 vCPUs and 8 GiB; the last take no VMs."""
    takes = np.arange(n) < n - n_closed
    vms = np.stack([np.arange(n), np.zeros(n), np.full(n, vcpus), np.full(n, 8192)], 1).astype(np.int64)
    cap = np.tile(np.array([[8, 32768]], np.int64), (n, 1))
    places = np.zeros(n, np.int64), np.ones(n, np.int64)
    columns = filled(places, takes, cap, (vms, np.full(n, -1, np.int64), np.ones(n, np.bool_)))
    return Pool(*columns, np.ones((1, 2), np.bool_), np.zeros((1, 2), np.int64), np.arange(n))


class World:
    """A pool in plain Python: which hosts are upgraded, where each VM is, and on which kernels it has run."""

    def __init__(self, inv: Inventory, to: str) -> None:
        self.to = to
        hosts, vms = ({n: c.tolist() for n, c in columns.items()} for columns in (inv.hosts, inv.vms))
        self.hosts = {name: {c: hosts[c][k] for c in hosts} for k, name in enumerate(hosts["name"])}
        self.vms = {name: {c: vms[c][k] for c in vms} for k, name in enumerate(vms["name"])}
        self.vms = {name: row for name, row in self.vms.items() if self.hosts[row["host"]]["state"] != "down"}
        self.due = tuple(name for name, row in self.hosts.items() if row["kernel"] != to and row["state"] != "down")

    def kernel(self, host: str, done: frozenset[str]) -> str:
        return self.to if host in done else str(self.hosts[host]["kernel"])

    def restores(self, vm: str, history: frozenset[str], host: str, done: frozenset[str]) -> bool:
        there = self.kernel(host, done)
        own = self.vms[vm]
        vmm = own["vmm"] or self.hosts[host]["vmm"]
        is_one_cpu = self.hosts[own["host"]]["cpu"] == self.hosts[host]["cpu"]
        return is_one_cpu and all(verdict(kernel, there, own["features"], vmm) == "restores" for kernel in history)

    def goes(self, vm: str) -> bool:
        """Whether a VM may go live to some host once it is upgraded."""
        own = self.vms[vm]
        history = frozenset({self.hosts[own["host"]]["kernel"]})
        done = frozenset(self.due)
        known = own["moves"] != "no" and own["vcpus"] > 0 and own["memory_gib"] > 0
        ends = (host for host, row in self.hosts.items() if row["state"] == "" and row["pool"] == self.pool(vm))
        return known and any(self.restores(vm, history, host, done) for host in ends)

    def pool(self, vm: str) -> str:
        return str(self.hosts[self.vms[vm]["host"]]["pool"])

    def has_room(self, host: str, at: dict[str, str], more: str) -> bool:
        row = self.hosts[host]
        on = [self.vms[vm] for vm, place in at.items() if place == host and vm != more] + [self.vms[more]]
        memory = sum(-(-vm["memory_gib"] * MIB // 1) for vm in on)
        return bool(sum(vm["vcpus"] for vm in on) <= row["cores"] and memory <= row["memory_gib"] * MIB)

    def is_apart(self, host: str, at: dict[str, str], more: str) -> bool:
        group = self.vms[more]["apart"]
        others = (vm for vm, place in at.items() if place == host and vm != more)
        return not group or all(self.vms[vm]["apart"] != group for vm in others)


def replayed(inv: Inventory, plan: Plan, to: str, *, at_once: int, per_tenant: int | None = None) -> tuple[int, int]:
    """Goes through a plan move by move and checks each; returns (VMs stopped, waves)."""
    world = World(inv, to)
    at = {vm: row["host"] for vm, row in world.vms.items()}
    history = {vm: frozenset({world.hosts[host]["kernel"]}) for vm, host in at.items()}
    done: frozenset[str] = frozenset()
    waves = {row["host"]: row["wave"] for row in plan.tables["hosts"].rows()}
    assert sorted(host for host, wave in waves.items() if wave) == sorted(world.due)
    moves = list(plan.tables["moves"].rows())
    stopped = set()
    for wave in range(1, max(waves.values(), default=0) + 1):
        hosts = {host for host, each in waves.items() if each == wave}
        assert 0 < len(hosts) <= at_once
        mine = [move for move in moves if move["wave"] == wave]
        assert {move["vm"] for move in mine} == {vm for vm, host in at.items() if host in hosts}
        busy: dict[tuple[int, str], int] = {}
        before = dict(at)
        for move in mine:
            vm, dest = move["vm"], move["to"]
            assert move["host"] == before[vm]
            if not dest:
                stopped.add(vm)
                history[vm] = frozenset({to})
                continue
            assert move["what"] == "moves" or vm in stopped_later(moves, wave, vm)
            assert dest not in hosts
            assert world.hosts[dest]["state"] == ""
            assert world.hosts[dest]["pool"] == world.pool(vm)
            assert world.restores(vm, history[vm], dest, done), (vm, history[vm], dest)
            both = at | {f"{vm} there": dest}  # it has its room on both sides until it is there
            assert world.has_room(dest, {name: host for name, host in both.items() if name in world.vms}, vm)
            assert world.is_apart(dest, at, vm)
            at[vm] = dest
            history[vm] |= {world.kernel(dest, done)}
            tenant = world.vms[vm]["tenant"]
            if tenant:
                busy[move["round"], tenant] = busy.get((move["round"], tenant), 0) + 1
        assert per_tenant is None or all(n <= per_tenant for n in busy.values())
        done |= hosts
    assert not [move for move in moves if move["wave"] > max(waves.values(), default=0)]
    return len(stopped), max(waves.values(), default=0)


def stopped_later(moves: list[dict[str, Any]], wave: int, vm: str) -> set[str]:
    """The VM, if it stops in a later wave: its moves before carry the word of its end."""
    return {move["vm"] for move in moves if move["vm"] == vm and move["wave"] > wave and not move["to"]}


class Node(NamedTuple):
    """A state of all plans: hosts upgraded, and of each VM that may go live its host and kernels."""

    done: frozenset[str]
    at: tuple[tuple[str, str, frozenset[str]], ...]


def is_beaten(inv: Inventory, to: str, *, at_once: int, cost: tuple[int, int], most: int = 200_000) -> bool | None:
    """Whether any plan has fewer VMs stop, or as many in fewer waves; None where there are too many plans to tell."""
    world = World(inv, to)
    fixed = {vm: row["host"] for vm, row in world.vms.items() if not world.goes(vm)}
    n_fixed = sum(host in world.due for host in fixed.values())
    goers = tuple(
        (vm, row["host"], frozenset({world.hosts[row["host"]]["kernel"]}))
        for vm, row in world.vms.items()
        if vm not in fixed
    )
    first = Node(frozenset(), goers)
    heap, best, number = [((n_fixed, 0), 0, first)], {first: (n_fixed, 0)}, 0
    while heap:
        (stops, waves), _, node = heappop(heap)
        left = [host for host in world.due if host not in node.done]
        if not left:
            return (stops, waves) < cost
        for n in range(1, min(at_once, len(left)) + 1):
            for hosts in combinations(left, n):
                for more, at in placed(world, node, fixed, hosts):
                    number += 1
                    if number > most:
                        return None
                    step = Node(node.done | set(hosts), at)
                    total = stops + more, waves + 1
                    left_waves = -(-(len(left) - n) // at_once)
                    if (total[0], total[1] + left_waves) < cost and total < best.get(step, (1 << 30, 0)):
                        best[step] = total
                        heappush(heap, (total, number, step))
    return False


def placed(
    world: World, node: Node, fixed: dict[str, str], hosts: tuple[str, ...]
) -> Iterator[tuple[int, tuple[tuple[str, str, frozenset[str]], ...]]]:
    """All ways to empty these hosts: (VMs that stop, where VMs are)."""
    start = {vm: host for vm, host, _ in node.at} | fixed
    history = {vm: past for vm, _, past in node.at}
    movers = [vm for vm, host, _ in node.at if host in hosts]

    def go(k: int, at: dict[str, str], past: dict[str, frozenset[str]], stops: int) -> Iterator[Any]:
        if k == len(movers):
            yield stops, tuple((vm, at[vm], past[vm]) for vm, _, _ in node.at)
            return
        vm = movers[k]
        yield from go(k + 1, at, past | {vm: frozenset({world.to})}, stops + 1)
        for host, row in world.hosts.items():
            if host in hosts or row["state"] or row["pool"] != world.pool(vm):
                continue
            if not world.restores(vm, past[vm], host, node.done) or not world.has_room(host, at, vm):
                continue
            if world.is_apart(host, at, vm):
                there = past[vm] | {world.kernel(host, node.done)}
                yield from go(k + 1, at | {vm: host}, past | {vm: there}, stops)

    yield from go(0, start, history, 0)


def odd(seed: int) -> Inventory:
    """Several pools of mixed kernels, CPUs and VMMs, in which some of everything is not told."""
    dice = random.Random(seed)
    n_host, n_vm = dice.randint(1, 24), dice.randint(0, 60)
    nan = float("nan")

    def some(values: tuple[Any, ...], n: int) -> list[Any]:
        return [dice.choice(values) for _ in range(n)]

    hosts = {
        "name": [f"h{k}" for k in range(n_host)],
        "kernel": some(("6.12.107", "6.12.107", "6.16.12", "5.10.252", "6.18", "6.6.31", "", "none"), n_host),
        "cpu": some(("one",) * 8 + ("two", ""), n_host),
        "vmm": some(("qemu:11.1",) * 6 + ("qemu:10.1", "firecracker", ""), n_host),
        "cores": some((4, 8, 16, 32, 32, 0), n_host),
        "memory_gib": some((16.0, 32.0, 64.0, 64.0, 64.0, nan), n_host),
        "pool": some(("a", "a", "a", "b", ""), n_host),
        "state": some(("",) * 9 + ("cordoned", "down"), n_host),
    }
    vms = {
        "name": [f"v{k}" for k in range(n_vm)],
        "host": some(tuple(hosts["name"]), n_vm),
        "vcpus": some((1, 1, 2, 2, 4, 4, 0) if seed % 3 else (1, 2), n_vm),
        "memory_gib": some((1.0, 2.0, 4.5, nan) if seed % 3 else (1.0, 2.0), n_vm),
        "features": some(("psci02", "psci02+pmu", "psci02+pmu"), n_vm),
        "vmm": some(("",) * 9 + ("qemu:11.1",), n_vm),
        "tenant": some(("", "t", "u"), n_vm),
        "apart": some(("",) * 6 + ("x", "y"), n_vm),
        "moves": some(("",) * 12 + ("no",), n_vm),
    }
    return Inventory.of(hosts=hosts, vms=vms)
