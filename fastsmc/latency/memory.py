"""What a simulation will take of memory, from its groups alone: said before anything is computed.

Measured (tests/latency/test_prediction.py): the peak is within 0.8 to 1.5 of it for many VMs, vCPUs, groups, threads.
"""

from __future__ import annotations

from fastsmc.jit import memory
from fastsmc.jit.threads import n_core
from fastsmc.latency.group import Group
from fastsmc.latency.kernels import entries
from fastsmc.latency.run import Quota, n_part, n_slot, part_width, steps_of
from fastsmc.results.log_linear import N_BUCKET
from fastsmc.scenario import Scenario

_OF_VM = 8 * (entries.N_SUM + 3 + entries.N_SUM + 10 + 3)
"""Bytes per VM: sums, their copy in the outcome, its columns, and three columns while these are made."""
_OF_PART = 260
"""Bytes per part: a slice, its two numbers, a pair with the group, and its place in two lists."""
_OF_GROUP = 32 << 10
"""Bytes per group that are in no array."""
_NOT_ASKED = 4 << 20
"""Bytes for which the system is not asked what it has left, which takes 0.4 ms: Python itself asks for more at once."""
_HISTOGRAMS = 3 * N_BUCKET
"""Counters per kind of call: of 4 bytes, for calls that count and for those of the warm-up, and of 8 in the outcome."""
_LANE_COPIES, _EACH_COPIES, _EACH_PADDED = 9, 3, 7
"""Numbers of 8 bytes per vCPU of a part: of lanes; one by one, as drawn and then in rows of a power of two."""


def predicted_bytes(scenario: Scenario, groups: list[Group], threads: int) -> int:
    """The peak of `simulate`, beyond what the process holds when it begins."""
    parts = [n_part(group) for group in groups]
    n_thread = max(min(threads, n_core(), sum(parts)), 1)
    quota = Quota(scenario.warmup, scenario.calls, scenario.seed, 0)
    kept = sum(_kept(group, n, n_thread) for group, n in zip(groups, parts, strict=True))
    return kept + n_thread * max(_state(group, quota) for group in groups)


def _kept(group: Group, n_part: int, n_thread: int) -> int:
    """What a group holds until the end."""
    n_vm, n_class = group.given.count, group.class_ns.size
    sums = n_vm * _OF_VM + -(-n_vm // group.block) * n_class * 5 * 8
    counted = sum(1 for ns in group.class_ns if ns < 0 or group.law[entries.SLICE])
    counts = min(n_thread, n_part) * n_class * _HISTOGRAMS * 8 + counted * _HISTOGRAMS * 8
    return sums + n_part * _OF_PART + counts + _OF_GROUP


def _state(group: Group, quota: Quota) -> int:
    """What a thread holds of the part that it is at."""
    n_vm, vcpus = part_width(group), group.given.vcpus
    if group.is_lanes:
        return n_vm * vcpus * 8 * _LANE_COPIES
    padded = 1 << (vcpus - 1).bit_length()
    slots = n_slot(group, sum(steps_of(group, quota)))
    return n_vm * 8 * (vcpus * _EACH_COPIES + padded * _EACH_PADDED + slots)


def check(scenario: Scenario, groups: list[Group], threads: int) -> None:
    """Checks that the memory which a simulation will take is to be had.

    Raises:
        InputError: it is not.
    """
    needed = predicted_bytes(scenario, groups, threads)
    if needed <= _NOT_ASKED:
        return
    n_vm, n_vcpu = sum(group.given.count for group in groups), scenario.n_vcpu
    what = f"this scenario, of {n_vm:,} VMs with {n_vcpu:,} vCPUs in all,"
    memory.require(needed, what, "give it fewer VMs, or smaller ones")
