"""What is timed: batches of calls on fleets, the same on every machine, and a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.facts.packaged import packaged
from fastsmc.facts.registers import BITMAP_REGISTERS, register
from fastsmc.facts.smccc import FUNCTIONS, FilterAction
from fastsmc.fleet.filters import FilterRange
from fastsmc.latency import simulate
from fastsmc.scenario import Scenario
from fastsmc.vm import Fleet

N_VM, N_CALL, N_BLOCK = 1024, 1 << 20, 64
"""VMs of one vCPU; calls of a batch, too many for a branch predictor to learn; calls that a vCPU makes in a row."""
N_RANGE = 32
_FIRST_DENIED = 0xC600_1000
_SIMULATED = 20
"""Calls of each vCPU of the simulation."""


class Case(NamedTuple):
    """Something that handles `n_call` calls each time it is run.

    Attributes:
        what: it does, in words.
    """

    what: str
    n_call: int
    run: Callable[[], object]


def cases() -> Mapping[str, Case]:
    """All of them by name; their inputs are made here, and nothing is compiled yet."""
    rng = np.random.default_rng(1)
    ids = np.array([function.func_id for function in FUNCTIONS], np.uint32)
    vcpu = rng.integers(N_VM, size=N_CALL, dtype=np.uint32)
    known = Calls(vcpu, ids[rng.integers(ids.size, size=N_CALL)])
    is_known = rng.random(N_CALL) < 0.5
    unknown = np.uint32(_FIRST_DENIED) + rng.integers(1 << 12, size=N_CALL, dtype=np.uint32)
    mixed = Calls(vcpu, np.where(is_known, known.func_id, unknown))
    starts = np.arange(0, N_CALL + 1, N_BLOCK)
    grouped = GroupedCalls(vcpu[: starts.size - 1], starts, known.func_id)
    few = Calls(vcpu[: N_CALL // 4], known.func_id[: N_CALL // 4])
    fleet, filtered = _fleet(rng), _fleet(rng)
    filtered.install_filter(
        [FilterRange(_FIRST_DENIED + 64 * k, 32, FilterAction.DENY) for k in range(N_RANGE)], vms=slice(None)
    )
    out, words = np.empty(N_CALL, np.uint8), np.empty((N_CALL // 4, 4), np.uint64)
    scenario = Scenario.load(packaged("new", "scenario.toml"), calls=_SIMULATED)
    n_simulated = scenario.n_vcpu * (_SIMULATED + scenario.warmup)
    of_vms = f"{N_VM} VMs with bitmaps of their own"
    return {
        "verdicts": Case(f"known ids at random, {of_vms}", N_CALL, lambda: verdicts(fleet, known, out, threads=1)),
        "verdicts-filter": Case(
            f"half of the ids unknown, {of_vms} and {N_RANGE} ranges",
            N_CALL,
            lambda: verdicts(filtered, mixed, out, threads=1),
        ),
        "verdicts-grouped": Case(
            f"{N_BLOCK} calls of a vCPU in a row, {of_vms}", N_CALL, lambda: verdicts(fleet, grouped, out, threads=1)
        ),
        "counted": Case(
            f"verdicts, counted by VM and service, {of_vms}",
            N_CALL,
            lambda: dispatch(fleet, known, out=out, threads=1),
        ),
        "answers": Case(f"x0 to x3 of every call, {of_vms}", len(few), lambda: answers(fleet, few, words, threads=1)),
        "simulate": Case(
            f"{scenario.n_vcpu} vCPUs that wait for their VMMs, simulated", n_simulated, lambda: simulate(scenario)
        ),
    }


def _fleet(rng: np.random.Generator) -> Fleet:
    """VMs of one vCPU whose bitmaps are drawn from all words that the release takes."""
    fleet = Fleet.uniform(n_vm=N_VM, n_vcpu=1)
    limits = fleet.hosts[0].release.bitmap_limit
    for row in BITMAP_REGISTERS:
        fleet.set_one_reg(
            register(row.name), rng.integers(4, size=N_VM, dtype=np.uint64) & np.uint64(limits[row.index])
        )
    return fleet
