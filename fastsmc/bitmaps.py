"""Policies turned into tables a kernel can index: function id -> slot, (policy, conduit, slot) -> verdict.

Everything a call's verdict depends on except its arguments is folded here, once per policy: release, features, PSCI
version, bitmaps, capability and filter. So a filter costs a known id nothing, and a million VMs with five policies
cost five rows. NumPy only; written independently of `reference`, with which the tests compare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.guests import PROTECTED_ANSWERS
from fastsmc.facts.releases import Host
from fastsmc.facts.services import SMC64_REFUSED_EARLY
from fastsmc.facts.smccc import FUNCTIONS, SMC64, FilterAction, Gate, Service, Verdict, is_psci_allowed
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_EL2

N_HASH_BITS = 7
N_BUCKET = 1 << N_HASH_BITS
"""Buckets of the hash of known ids: 128 for 62 ids, so that two wide registers hold a byte for each bucket. One
multiplier in 40 000 gives every id a bucket of its own."""

_FIRST_MULTIPLIER = 0x2615_65F6
"""The multiplier that is tried first. It gives every id of today a bucket of its own; found by trying."""

N_PLANE = 3
"""Conduit planes of an action row: HVC (any immediate), SMC, SMC with an immediate."""


def _perfect_multiplier(ids: NDArray[np.uint32]) -> int:
    """A multiplier with which the top bits of products give every id its own bucket; deterministic.

    It is twice an odd number: products with half of it tell all ids apart, and have the bucket in the low bits of their
    top byte, where the wide kernel needs no shift to find it.

    Cost: one try while the ids are those of today, then about 0.2 s.
    """
    rng = np.random.default_rng(0)
    multiplier = np.array([_FIRST_MULTIPLIER], np.uint32)
    while True:
        bucket = np.sort(_bucket(ids, multiplier[:, None]), axis=1)
        separates = np.flatnonzero((bucket[:, 1:] != bucket[:, :-1]).all(axis=1))
        if separates.size:
            return int(multiplier[separates[0]])
        multiplier = (rng.integers(1 << 31, size=1 << 12, dtype=np.uint32) | np.uint32(1)) << np.uint32(1)


def _bucket(ids: NDArray[np.uint32], multiplier: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return (ids * multiplier) >> np.uint32(32 - N_HASH_BITS)


SLOT_ID = np.array([f.func_id for f in FUNCTIONS], np.uint32)
"""uint32[n_slot]: the id of each slot; slots number the rows of smccc.FUNCTIONS."""
MULTIPLIER = _perfect_multiplier(SLOT_ID)
SLOT_OF_BUCKET = np.zeros(N_BUCKET, np.uint8)
"""uint8[n_bucket]: an empty bucket names slot 0, whose id hashes elsewhere, so the comparison with SLOT_ID fails."""
SLOT_OF_BUCKET[_bucket(SLOT_ID, np.array([MULTIPLIER], np.uint32))] = np.arange(SLOT_ID.size)
KEY_OF_BUCKET = SLOT_ID[SLOT_OF_BUCKET]
"""uint32[n_bucket]: the only known id a bucket can hold; in an empty bucket an id that hashes elsewhere."""
SLOT_SERVICE = np.array([f.service for f in FUNCTIONS], np.uint8)

_GATE = np.array([f.gate for f in FUNCTIONS])
_BITMAP = np.array([f.bitmap for f in FUNCTIONS])
_BIT = np.array([f.bit for f in FUNCTIONS], np.uint64)
_PSCI_MIN = np.array([f.psci_min for f in FUNCTIONS])
_PSCI_MAX = np.array([f.psci_max for f in FUNCTIONS])
_NEEDS_CAP = np.array([bool(f.vm_cap) for f in FUNCTIONS])
_EXITS = np.array([f.exits for f in FUNCTIONS])
_IS_PSCI_ALLOWED = np.array([is_psci_allowed(f.func_id) for f in FUNCTIONS])
_IS_PSCI64 = (SLOT_SERVICE == Service.PSCI) & (SLOT_ID & SMC64 != 0)
_IS_FAST_IF_PROTECTED = np.isin(SLOT_ID, list(PROTECTED_ANSWERS))
_IS_PSCI64_EARLY = np.isin(SLOT_ID, list(SMC64_REFUSED_EARLY))


@dataclass(frozen=True, slots=True)
class Policies:
    """Distinct policies, a row each.

    Attributes:
        host: int64[n_policy], index into a list of hosts. features: uint32, word 0 of KVM_ARM_VCPU_INIT.
        is_protected: bool, the VM's type. bitmap: uint64[n_policy, 4]. psci_version: uint32, the effective one.
        has_system_suspend: bool. filter: int64, index into a list of filters.
    """

    host: NDArray[np.int64]
    features: NDArray[np.uint32]
    is_protected: NDArray[np.bool_]
    bitmap: NDArray[np.uint64]
    psci_version: NDArray[np.uint32]
    has_system_suspend: NDArray[np.bool_]
    filter: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.host.size)


def interned(vms: Policies) -> tuple[Policies, NDArray[np.uint32]]:
    """Distinct rows of per-VM columns, and each VM's row: uint32[n_vm].

    Cost: one sort of n_vm rows of 9 words.
    """
    kind = vms.features.astype(np.uint64) | vms.is_protected.astype(np.uint64) << np.uint64(32)
    columns = (vms.host, kind, *vms.bitmap.T, vms.psci_version, vms.has_system_suspend, vms.filter)
    rows = np.stack([column.astype(np.uint64) for column in columns], axis=1)
    _, first, policy = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    kept = Policies(
        vms.host[first],
        vms.features[first],
        vms.is_protected[first],
        vms.bitmap[first],
        vms.psci_version[first],
        vms.has_system_suspend[first],
        vms.filter[first],
    )
    return kept, policy.reshape(-1).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the dispatch kernels index.

    Attributes:
        action: uint8[n_policy, N_PLANE, n_slot], the verdict of each known id.
        unknown: uint8[n_policy, N_PLANE, 2], the verdict of an unknown id no range covers; last axis: whether the
            PSCI allow rule passes it.
        filter_of_policy: uint32[n_policy], an index into a list of filters.
    """

    action: NDArray[np.uint8]
    unknown: NDArray[np.uint8]
    filter_of_policy: NDArray[np.uint32]


Steps = tuple[NDArray[np.uint32], NDArray[np.uint8]]
"""A filter as a step function (`Filter.steps`): where each step starts, and its FilterAction."""


def build_tables(policies: Policies, hosts: Sequence[Host], filters: Sequence[Steps]) -> Tables:
    """Fold policies into tables.

    Args:
        hosts: what `policies.host` indexes.
        filters: step functions (`Filter.steps`) of what `policies.filter` indexes.

    Cost: O(n_policy * n_slot + n_filter * (n_slot * log n_step)).
    """
    by_filter = np.stack([action[np.searchsorted(start, SLOT_ID, side="right") - 1] for start, action in filters])
    filter_action = by_filter[policies.filter]
    gated, serves_smc = (
        np.array([getattr(h.release, n) for h in hosts])[policies.host] for n in ("is_gated", "serves_smc")
    )
    is_fast = (np.stack([_fast_path(h) for h in hosts]))[policies.host]
    handled = _handled(policies, hosts, gated[:, None])
    verdict = np.where(filter_action == FilterAction.DENY, Verdict.DENIED, handled)
    verdict = np.where(filter_action == FilterAction.FWD_TO_USER, Verdict.FORWARDED, verdict)
    action = np.full((len(policies), N_PLANE, SLOT_ID.size), Verdict.SMC_REFUSED, np.uint8)
    has_el2 = policies.features & FEATURE_EL2 != 0
    # An HVC of a guest with EL2 is its own hypervisor's, whatever the VM's filter and bitmaps say (recorded).
    by_hvc = np.where(has_el2[:, None], Verdict.TO_VEL2, verdict)
    is_fast = is_fast | policies.is_protected[:, None] & _IS_FAST_IF_PROTECTED
    action[:, 0] = np.where(is_fast, Verdict.FAST_PATH, by_hvc)
    action[:, 1] = np.where(serves_smc[:, None], verdict, Verdict.SMC_REFUSED)
    unknown = np.full((len(policies), N_PLANE, 2), Verdict.SMC_REFUSED, np.uint8)
    by_rule = np.stack(
        [np.where(gated, Verdict.DENIED, Verdict.NOT_SUPPORTED), np.full(len(policies), Verdict.NOT_SUPPORTED)], 1
    )
    unknown[:, 0] = np.where(has_el2[:, None], Verdict.TO_VEL2, by_rule)
    unknown[:, 1] = np.where(serves_smc[:, None], by_rule, Verdict.SMC_REFUSED)
    return Tables(action, unknown, policies.filter.astype(np.uint32))


def _fast_path(host: Host) -> NDArray[np.bool_]:
    return np.array([f.gate is Gate.FAST_PATH and f.needs in host.release.answers for f in FUNCTIONS])


def _handled(policies: Policies, hosts: Sequence[Host], gated: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Verdicts where the filter says HANDLE: uint8[n_policy, n_slot]."""
    bit_set = policies.bitmap[:, _BITMAP] >> _BIT & np.uint64(1) == 1
    passes = (_GATE == Gate.DEFAULT) | ((_GATE == Gate.BITMAP) & bit_set) | ((_GATE >= Gate.NONE) & _IS_PSCI_ALLOWED)
    has_service = np.stack([[not f.needs or f.needs in h.release.answers for f in FUNCTIONS] for h in hosts])
    psci = policies.psci_version[:, None].astype(np.int64)
    in_version = (SLOT_SERVICE != Service.PSCI) | ((psci >= _PSCI_MIN) & (psci <= _PSCI_MAX))
    has_cap = ~_NEEDS_CAP | policies.has_system_suspend[:, None]
    is_a32 = policies.features[:, None] & FEATURE_EL1_32BIT != 0
    refuses_all = np.array([h.release.a32_refuses_all_smc64 for h in hosts])[policies.host][:, None]
    a32_refused = is_a32 & np.where(refuses_all, _IS_PSCI64, _IS_PSCI64_EARLY)
    answers = has_service[policies.host] & (_GATE != Gate.FAST_PATH) & in_version & has_cap & ~a32_refused
    inside = np.where(answers, np.where(_EXITS, Verdict.EXIT, Verdict.HANDLED), Verdict.NOT_SUPPORTED)
    return np.where(passes | ~gated, inside, Verdict.DENIED).astype(np.uint8)
