"""The best upgrade of a small pool, by searching through all of them: hosts per wave, and a place for each VM.

States are which hosts are upgraded and where VMs are, those of one size, kind and no group being alike. They are looked
at in the order of what a plan through them costs at least, so the first that is complete is the best.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastsmc.checks import I64Array
from fastsmc.plan.kernels.rolling import (
    APART,
    AT,
    GOES,
    KIND,
    MIB,
    NEEDS_MIB,
    NEEDS_VCPUS,
    NEW,
    PLACE,
    STOPS,
    TAKES,
    VCPUS,
)

if TYPE_CHECKING:
    from fastsmc.plan.rolling.search import Pool

MOST_STEPS = 60_000
"""States made before the search is given up; what was found before it then stands, and is said to be unproven."""

At = tuple[int, ...]
Move = tuple[int, int, int]
"""(VM, host it left, host it came to or STOPS)."""


class _Node(NamedTuple):
    """A state: hosts upgraded as bits, each VM's host and kind, and how it was come to."""

    done: int
    at: At
    kind: At
    stops: int
    waves: int
    before: _Node | None
    hosts: tuple[int, ...] = ()
    moves: tuple[Move, ...] = ()


def fewest(pool: Pool, at_once: int, known: tuple[int, int]) -> tuple[I64Array | None, I64Array | None, bool]:
    """(waves, moves, whether it is proven) of a plan with fewest VMs stopped, then fewest waves.

    Args:
        known: stops and waves of a plan that is known; waves and moves are None where none is better.
    """
    return _Search(pool, at_once, known).run()


class _Search:
    def __init__(self, pool: Pool, at_once: int, known: tuple[int, int]) -> None:
        self.hosts, self.vms = pool.hosts.tolist(), pool.vms.tolist()
        self.may, self.then, self.due = pool.may.tolist(), pool.then.tolist(), pool.due.tolist()
        self.at_once, self.known, self.steps = at_once, known, 0
        self.goers = [vm for vm, row in enumerate(self.vms) if row[GOES]]

    def run(self) -> tuple[I64Array | None, I64Array | None, bool]:
        first = _Node(0, tuple(row[AT] for row in self.vms), tuple(row[KIND] for row in self.vms), 0, 0, None)
        heap: list[tuple[tuple[int, int], int, _Node]] = [(self._least(first), 0, first)]
        seen: dict[object, tuple[int, int]] = {}
        while heap:
            _, _, node = heappop(heap)
            if all(node.done >> host & 1 for host in self.due):
                return *self._told(node), True
            for step in self._steps(node):
                self.steps += 1
                if self.steps > MOST_STEPS:
                    return None, None, False
                least, cost, key = self._least(step), (step.stops, step.waves), self._key(step)
                if least >= self.known or (key in seen and seen[key] <= cost):
                    continue
                seen[key] = cost
                heappush(heap, (least, self.steps, step))
        return None, None, True

    def _least(self, node: _Node) -> tuple[int, int]:
        left = sum(not node.done >> host & 1 for host in self.due)
        return node.stops, node.waves - (-left // self.at_once)

    def _key(self, node: _Node) -> object:
        """The state, VMs that are alike exchanged; of VMs that stay for good only the room and the group matter."""
        rows = []
        for vm, (at, kind) in enumerate(zip(node.at, node.kind, strict=True)):
            row = self.vms[vm]
            is_settled = at not in self.due or node.done >> at & 1
            rows.append((at, -1 if is_settled else kind, row[NEEDS_VCPUS], row[NEEDS_MIB], row[APART], row[GOES]))
        return node.done, tuple(sorted(rows))

    def _steps(self, node: _Node) -> Iterator[_Node]:
        """All waves that may come next, each with all ways to place its VMs; the largest waves first."""
        left = [host for host in self.due if not node.done >> host & 1]
        for n in range(min(self.at_once, len(left)), 0, -1):
            for hosts in combinations(left, n):
                yield from self._placed(node, hosts)

    def _placed(self, node: _Node, hosts: tuple[int, ...]) -> Iterator[_Node]:
        movers = sorted(
            (vm for vm in self.goers if node.at[vm] in hosts),
            key=lambda vm: (-self.vms[vm][NEEDS_VCPUS], -self.vms[vm][NEEDS_MIB], self.vms[vm][APART], node.at[vm], vm),
        )
        room = [[row[VCPUS], row[MIB]] for row in self.hosts]
        for vm, host in enumerate(node.at):
            if host != self.vms[vm][AT]:
                self._shift(room, vm, self.vms[vm][AT], host)
        at, kind, moves = list(node.at), list(node.kind), list[Move]()
        done = node.done
        for each in hosts:
            done |= 1 << each

        def place(k: int, stops: int) -> Iterator[_Node]:
            if node.stops + stops > self.known[0]:
                return
            if k == len(movers):
                yield _Node(done, tuple(at), tuple(kind), node.stops + stops, node.waves + 1, node, hosts, tuple(moves))
                return
            vm, source = movers[k], at[movers[k]]
            lowest = self._lowest(node, movers, k, moves)
            for host in range(lowest, len(self.hosts)):
                if host in hosts or not self._fits(node, vm, host, room, at):
                    continue
                was = kind[vm]
                place_there = self.hosts[host][NEW if node.done >> host & 1 else PLACE]
                self._shift(room, vm, source, host)
                at[vm], kind[vm] = host, self.then[was][place_there]
                moves.append((vm, source, host))
                yield from place(k + 1, stops)
                moves.pop()
                at[vm], kind[vm] = source, was
                self._shift(room, vm, host, source)
            moves.append((vm, source, STOPS))
            yield from place(k + 1, stops + 1)
            moves.pop()

        yield from place(0, 0)

    def _lowest(self, node: _Node, movers: list[int], k: int, moves: list[Move]) -> int:
        """The first host to try: of VMs that are alike and left one host, a later one takes no earlier host."""
        if not k or moves[k - 1][2] == STOPS:
            return 0
        one, other = movers[k - 1], movers[k]
        is_alike = all(self.vms[one][column] == self.vms[other][column] for column in (NEEDS_VCPUS, NEEDS_MIB))
        is_free = self.vms[one][APART] < 0 and self.vms[other][APART] < 0
        is_one = node.at[one] == node.at[other] and node.kind[one] == node.kind[other]
        return moves[k - 1][2] if is_alike and is_free and is_one else 0

    def _shift(self, room: list[list[int]], vm: int, source: int, host: int) -> None:
        for k, needs in enumerate((NEEDS_VCPUS, NEEDS_MIB)):
            room[source][k] += self.vms[vm][needs]
            room[host][k] -= self.vms[vm][needs]

    def _fits(self, node: _Node, vm: int, host: int, room: list[list[int]], at: list[int]) -> bool:
        own, there = self.vms[vm], self.hosts[host]
        if not there[TAKES] or room[host][0] < own[NEEDS_VCPUS] or room[host][1] < own[NEEDS_MIB]:
            return False
        if not self.may[node.kind[vm]][there[NEW if node.done >> host & 1 else PLACE]]:
            return False
        return own[APART] < 0 or all(
            at[other] != host or self.vms[other][APART] != own[APART] for other in range(len(at)) if other != vm
        )

    def _told(self, node: _Node) -> tuple[I64Array, I64Array]:
        """Waves and moves of the plan that ends here."""
        wave, moves = np.full(len(self.hosts), -1, np.int64), list[tuple[int, int, int, int]]()
        while node.before is not None:
            wave[list(node.hosts)] = node.waves - 1
            moves[:0] = [(node.waves - 1, *move) for move in node.moves]
            node = node.before
        return wave, np.array(moves, np.int64).reshape(-1, 4)
