"""Drains simulated: migrations as arrays in, times and counts of all replicas out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastsmc.checks import BoolArray, F64Array, I64Array
from fastsmc.plan.kernels import draining
from fastsmc.plan.kernels.draining import NONE, Found, Moves, Order, Rules, Work
from fastsmc.plan.kernels.precopying import Guests, Progress
from fastsmc.results.log_linear import N_BUCKET

CAUSES = {
    draining.SOURCE_NIC: "source NIC",
    draining.DEST_NIC: "destination NIC",
    draining.OUTBOUND: "outbound limit",
    draining.INBOUND: "inbound limit",
    draining.CLUSTER: "cluster limit",
    draining.CAP: "bandwidth limit of one migration",
    draining.BATCH: "the slowest migration of each batch",
    draining.NEVER: "a VM that does not converge",
    draining.FIRST: "a migration that must end before",
}
"""What a drain waits for, by the number that the kernel gives it."""


class Drains(NamedTuple):
    """What is simulated.

    Attributes:
        moves: the VMs, those of one drain side by side.
        first: int64[n_drain + 1]: drain k has the VMs first[k] up to first[k + 1].
        nic: float64[n_host, 2]: bytes/s of each host, low and high; between them drawn in each replica.
        before: pairs (i, k): VM k starts only after the migration of VM i has ended.
    """

    moves: Moves
    first: I64Array
    nic: F64Array
    before: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Drained:
    """What the replicas came to.

    Attributes:
        found: of the kernel, by replica, drained host and VM (kernels.draining.Found).
    """

    found: Found

    @property
    def n_migration(self) -> int:
        """Migrations that ended, in all replicas."""
        return int(self.found.downtimes.sum())

    @property
    def all_s(self) -> F64Array:
        """float64[n_replica]: when the last host was empty, or would not become so."""
        last: F64Array = self.found.ended_s.max(axis=1, initial=0)
        return last

    def is_late(self, within_s: float) -> BoolArray:
        """bool[n_replica, n_drained]: a host is not empty in time, or a migration out of it was aborted."""
        late: BoolArray = (self.found.ended_s > within_s) | (self.found.n_aborted > 0)
        return late

    @property
    def bottleneck(self) -> str:
        """What the drains wait for most of the time; "" where there is nothing to move."""
        seconds = self.found.cause_s.sum(axis=0)
        return CAUSES[int(seconds.argmax())] if seconds.any() else ""

    @property
    def causes(self) -> dict[str, float]:
        """Of the time of all drains, the share that each cause takes; those that take any, most first."""
        seconds = self.found.cause_s.sum(axis=0)
        order = np.argsort(-seconds, kind="stable").tolist()
        return {CAUSES[i]: float(seconds[i] / seconds.sum()) for i in order if seconds[i]}


def simulate(drains: Drains, rules: Rules, n_drained: int, *, n_replica: int, seed: int) -> Drained:
    """Every drain by itself, in every replica.

    Equal seeds give equal replicas: what is drawn for VM i in replica r depends on (seed, r, i) and nothing else.
    """
    moves, n_host = drains.moves, len(drains.nic)
    n = len(moves.source)
    work = Work(
        np.zeros(n_host),
        np.zeros(n_host, np.int64),
        np.zeros(n_host, np.int64),
        np.zeros(n, np.int64),
        np.full(n + 1, -1),
        np.zeros(n, np.int64),
        np.zeros(n),
    )
    found = Found(
        np.zeros((n_replica, n_drained)),
        np.zeros((n_replica, n_drained), np.int64),
        np.zeros((n_replica, draining.N_CAUSE)),
        np.zeros((n_replica, 3), np.int64),
        np.zeros(N_BUCKET, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        *(np.zeros(n) for _ in range(4)),
    )
    draining.drain(
        moves,
        _order(drains),
        rules,
        drains.nic,
        work,
        Guests(*(np.zeros(n) for _ in Guests._fields)),
        Progress(np.zeros(n, np.int64), *(np.zeros(n) for _ in Progress._fields[1:])),
        found,
        np.uint64(seed),
        n_replica,
    )
    return Drained(found)


def _order(drains: Drains) -> Order:
    pairs = np.array(drains.before, np.int64).reshape(-1, 2)
    n = len(drains.moves.source)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    first = np.searchsorted(pairs[:, 0], np.arange(n + 1)).astype(np.int64)
    n_before = np.bincount(pairs[:, 1], minlength=n).astype(np.int64)
    return Order(drains.first, n_before, first, np.ascontiguousarray(pairs[:, 1]))


def rules(
    *,
    outbound: int | None = None,
    inbound: int | None = None,
    cluster: int | None = None,
    cap_bytes_per_s: float = np.inf,
    stop_ms: float,
    timeout_s_per_gib: float | None = None,
    timeout_least_gib: float = 0.0,
    give_up_s: float,
    is_batch: bool = False,
    is_shuffled: bool = True,
) -> Rules:
    """Limits as the kernel takes them; None is no limit."""
    timeout = np.inf if timeout_s_per_gib is None else float(timeout_s_per_gib)
    return Rules(
        _most(outbound),
        _most(inbound),
        _most(cluster),
        float(cap_bytes_per_s),
        stop_ms / 1e3,
        timeout,
        timeout_least_gib if timeout_least_gib > 0 else 1e-300,  # infinitely long of nothing is no number
        float(give_up_s),
        bool(is_batch),
        bool(is_shuffled),
    )


def _most(limit: int | None) -> int:
    return NONE if limit is None else int(limit)
