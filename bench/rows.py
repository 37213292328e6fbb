"""Tables for the baselines, filled by the reference: a row of verdicts per distinct policy, a hash of the named ids.

They share nothing with `fastsmc.bitmaps`, so a baseline that agrees with our kernels confirms both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.smccc import FUNCTIONS, FilterAction
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet

KNOWN = np.array([f.func_id for f in FUNCTIONS], np.uint32)
SERVICE = np.array([f.service for f in FUNCTIONS], np.uint8)
N_SLOT = 64
"""Slots of a row: the named ids, and room for two more."""

_PROBES = (0x1234_5678, 0x8400_001B)
"""Ids without a name: one off the PSCI allow list, one on it."""
_HASH_BITS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a table needs to give a verdict.

    Attributes:
        policy_of_vcpu: uint32[n_vcpu]. policy_of_vm: uint32[n_vm].
        action: uint8[n_policy, N_SLOT], verdict of each named id, filter included.
        unknown: uint8[n_policy, 2], verdict of an id without a name; last axis: on the PSCI allow list.
        step_first: uint64[n_policy + 1] into step_start: uint32 and step_action: uint8, no step where no filter is.
        vms: a reference VM per policy.
    """

    multiplier: int
    shift: int
    slot_of_bucket: NDArray[np.uint8]
    slot_id: NDArray[np.uint32]
    policy_of_vcpu: NDArray[np.uint32]
    policy_of_vm: NDArray[np.uint32]
    action: NDArray[np.uint8]
    unknown: NDArray[np.uint8]
    step_first: NDArray[np.uint64]
    step_start: NDArray[np.uint32]
    step_action: NDArray[np.uint8]
    vms: list[Vm]


def rows_of(fleet: Fleet) -> Rows:
    """The rows of a fleet's distinct policies. Cost: about 1 ms per policy, more with long filters."""
    _, first, policy = np.unique(policy_words(fleet), axis=0, return_index=True, return_inverse=True)
    policy_of_vm = policy.reshape(-1).astype(np.uint32)
    vms = [reference_vm(fleet, int(vm)) for vm in first]
    steps = [_steps(vm) for vm in vms]
    multiplier = _multiplier()
    slot_of_bucket = np.zeros(1 << _HASH_BITS, np.uint8)
    slot_of_bucket[_bucket(multiplier)] = np.arange(KNOWN.size)
    action = np.zeros((len(vms), N_SLOT), np.uint8)
    action[:, : KNOWN.size] = [[vm.call(0, int(func_id)).verdict for func_id in KNOWN] for vm in vms]
    return Rows(
        multiplier,
        32 - _HASH_BITS,
        slot_of_bucket,
        KNOWN,
        policy_of_vm[fleet.vm_of_vcpu],
        policy_of_vm,
        action,
        np.array([_without_filter(vm) for vm in vms], np.uint8),
        np.cumsum([0, *(len(step) for step in steps)], dtype=np.uint64),
        np.array([start for step in steps for start, _ in step], np.uint32),
        np.array([what for step in steps for _, what in step], np.uint8),
        vms,
    )


def policy_words(fleet: Fleet) -> NDArray[np.uint64]:
    """All that a verdict depends on except the call: uint64[n_vm, n_word]."""
    columns = (
        fleet.host_of_vm,
        fleet.features,
        *fleet.fw_bmap.T,
        fleet.effective_psci_version(),
        fleet.has_system_suspend,
        fleet.filter_of_vm,
    )
    return np.stack([column.astype(np.uint64) for column in columns], axis=1)


def reference_vm(fleet: Fleet, vm: int) -> Vm:
    """One VM of a fleet, of one vCPU, as the reference models it."""
    one = Vm(fleet.hosts[fleet.host_of_vm[vm]], features=int(fleet.features[vm]))
    one.bitmap = fleet.fw_bmap[vm].tolist()
    one.psci_version = int(fleet.psci_version[vm])
    one.has_system_suspend = bool(fleet.has_system_suspend[vm])
    ranges = fleet.filters[fleet.filter_of_vm[vm]].ranges
    one.filter = [(first, last, FilterAction(action)) for first, last, action in ranges]
    return one


def _without_filter(vm: Vm) -> list[int]:
    kept, vm.filter = vm.filter, []
    verdict = [int(vm.call(0, probe).verdict) for probe in _PROBES]
    vm.filter = kept
    return verdict


def _steps(vm: Vm) -> list[tuple[int, int]]:
    """The filter as (start, action) pairs that cover every id from 0 on; none without a filter."""
    steps: list[tuple[int, int]] = []
    end = 0
    for first, last, action in sorted(vm.filter):
        if first > end:
            steps.append((end, 0))
        steps.append((first, int(action)))
        end = last + 1
    return [*steps, (end, 0)] if steps and end < 1 << 32 else steps


def _multiplier() -> int:
    """The first odd number of a seeded row that gives every named id a bucket of its own."""
    rng: Any = np.random.default_rng(4)
    while True:
        multiplier = int(rng.integers(1 << 32)) | 1
        if np.unique(_bucket(multiplier)).size == KNOWN.size:
            return multiplier


def _bucket(multiplier: int) -> NDArray[np.uint32]:
    bucket: NDArray[np.uint32] = (KNOWN * np.uint32(multiplier)) >> np.uint32(32 - _HASH_BITS)
    return bucket
