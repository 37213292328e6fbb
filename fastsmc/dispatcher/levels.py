"""Calls at levels: what a guest's own EL2 takes before KVM answers.

An SMC that vEL1 makes while HCR_EL2.TSC is set goes to the guest's vEL2, as each of its HVCs does. So the kernels that
decide are given its conduit as HVC and know of no levels. They take one thing else then: WORKAROUND_n by HVC, which
the real EL2 answers before anybody; by SMC it is trapped like any id. That is put right afterwards.

Recorded: 6.16, 6.18, 7.2 and 7.3 alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.given import check_vcpus
from fastsmc.dispatcher.kernels import levels as loops
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Level, Verdict
from fastsmc.fleet.snapshot import Snapshot
from fastsmc.jit.threads import in_parts


def conduits_taken(now: Snapshot, calls: AnyCalls, n_thread: int = 1) -> NDArray[np.uint8] | None:
    """The conduits by which kernels decide calls: those of SMCs that are trapped as HVCs; `trap` is due after them.

    Raises:
        InputError: a call by a vCPU the fleet does not have, or one at a level by a vCPU without EL2.
    """
    level, conduit = calls.level, calls.conduit
    if level is None or not level.any():
        return conduit
    check_vcpus(calls, len(now.vm_of_vcpu), n_thread)
    _check_levels(now, calls, level, n_thread)
    if conduit is None:
        return None
    given, taken = conduit, np.empty_like(conduit)

    def work(parts: Iterator[slice]) -> None:
        for part in parts:
            loops.as_hvc(given[part], level[part], taken[part])

    in_parts(work, len(calls), n_thread)
    return taken


def trapped(
    conduit: NDArray[np.uint8] | None, taken: NDArray[np.uint8] | None, verdict: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """The calls that `trap` gives another verdict, as numbers."""
    if conduit is None or taken is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero((verdict == Verdict.FAST_PATH) & (conduit != taken))


def trap(conduit: NDArray[np.uint8], taken: NDArray[np.uint8], verdict: NDArray[np.uint8]) -> None:
    """Gives trapped calls that a kernel took for the fast path's their verdict.

    Args:
        conduit, taken: uint8[n_call], as the calls were given and as they were decided.
        verdict: uint8[n_call], changed in place.
    """
    loops.trap(conduit, taken, verdict)


def _check_levels(now: Snapshot, calls: AnyCalls, level: NDArray[np.uint8], n_thread: int) -> None:
    """Refuses levels of vCPUs that have one only."""
    lacks, n_lack = now.without_el2()
    if not n_lack:
        return
    if isinstance(calls, GroupedCalls):
        bad = np.flatnonzero(level & np.repeat(lacks[calls.block_vcpu], np.diff(calls.block_first)))[:1]
        first = int(bad[0]) if bad.size else len(calls)
    else:
        first = _first_lacking(calls, level, lacks, n_thread)
    if first < len(calls):
        vcpu = calls.vcpu_of(np.array([first]))[0] if isinstance(calls, GroupedCalls) else calls.vcpu[first]
        msg = f"call {first} is at level {Level(level[first]).name}, but vCPU {int(vcpu)} has no EL2"
        raise InputError(msg)


def _first_lacking(calls: Calls, level: NDArray[np.uint8], lacks: NDArray[np.uint8], n_thread: int) -> int:
    vcpu: NDArray[np.unsignedinteger[Any]] = calls.vcpu

    def look(parts: Iterator[slice]) -> int:
        first = len(level)
        for part in parts:
            n = part.stop - part.start
            found = loops.first_lacking(level[part], vcpu[part], lacks)
            first = min(first, part.start + found if found < n else first)
        return first

    return min(in_parts(look, len(level), n_thread), default=len(level))
