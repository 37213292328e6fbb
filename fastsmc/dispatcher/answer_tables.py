"""Tables of answers: what functions answer by name, and what policies answer that differ.

Independent of `reference`, with which the tests compare it. No vCPU has a steal-time record, so PV_TIME_ST and
PV_TIME_FEATURES answer -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.bitmaps import SLOT_ID, SLOT_OF_BUCKET
from fastsmc.dispatcher.kernels import answers as kinds
from fastsmc.facts.registers import WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED
from fastsmc.facts.releases import Host
from fastsmc.facts.services import (
    NARROWED,
    PSCI_FEATURES_KNOWN,
    SHOWN_BEFORE_BITMAPS,
    SMC64_REFUSED_EARLY,
    TRNG_UUID,
    VENDOR_UID,
)
from fastsmc.facts.smccc import (
    FUNCTIONS,
    N_VERDICT,
    PSCI_0_1,
    PSCI_1_1,
    PSCI_1_3,
    SMC64,
    SMCCC_VERSION_1_1,
    STD_HYP_BMAP,
    VENDOR_HYP_BMAP,
    VENDOR_HYP_BMAP_2,
    Verdict,
)
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT
from fastsmc.fleet.rows import narrowest
from fastsmc.fleet.snapshot import Snapshot
from fastsmc.jit.cache_lines import on_lines
from fastsmc.jit.types import Index

_SLOT = {function.name: slot for slot, function in enumerate(FUNCTIONS)}
VALUE_ROW = SLOT_ID.size + N_VERDICT - kinds.LOWEST
"""The row of the answer x0..x3 = 0; the row of x0 = n lies n rows further."""
_ARCH, _PSCI, _TRNG = range(3)
"""Numbers of the tables that feature queries are answered from: SMCCC_ARCH_FEATURES, PSCI_FEATURES, TRNG_FEATURES."""
_MINUS_ONE = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_KINDS = {
    "PSCI_VERSION": (kinds.WORD, 0),
    "VENDOR_HYP_FEATURES": (kinds.WORD, 1),
    "SMCCC_ARCH_FEATURES": (kinds.FEATURE, _ARCH),
    "PSCI_FEATURES": (kinds.FEATURE, _PSCI),
    "TRNG_FEATURES": (kinds.TRNG_FEATURES, _TRNG),
    "TRNG_RND32": (kinds.TRNG_RND, 32),
    "TRNG_RND64": (kinds.TRNG_RND, 64),
    "VENDOR_HYP_PTP": (kinds.PTP, 0),
    **dict.fromkeys(("PSCI_0_1_CPU_ON", "PSCI_CPU_ON", "PSCI_CPU_ON64"), (kinds.CPU_ON, 0)),
    **dict.fromkeys(("PSCI_AFFINITY_INFO", "PSCI_AFFINITY_INFO64"), (kinds.AFFINITY_INFO, 0)),
    **dict.fromkeys(("PSCI_SYSTEM_SUSPEND", "PSCI_SYSTEM_SUSPEND64"), (kinds.SUSPEND, 0)),
    **dict.fromkeys(("PSCI_SYSTEM_RESET2", "PSCI_SYSTEM_RESET2_64"), (kinds.SYSTEM2, 1)),
    **dict.fromkeys(("PSCI_SYSTEM_OFF2", "PSCI_SYSTEM_OFF2_64"), (kinds.SYSTEM2, 0)),
}
"""Functions whose answer is not fixed: the kind of the answer, and its parameter (which word, which feature table, how
many bits, whether x1..x3 stay)."""
_FIXED_WORDS = {
    "SMCCC_VERSION": (SMCCC_VERSION_1_1,),
    "PSCI_MIGRATE_INFO_TYPE": (2,),
    "PSCI_SYSTEM_OFF": (-6,),
    "PSCI_SYSTEM_RESET": (-6,),
    "TRNG_VERSION": (0x10000,),
    "TRNG_GET_UUID": TRNG_UUID,
    "VENDOR_HYP_CALL_UID": VENDOR_UID,
    "PV_TIME_FEATURES": (-1,),
    "PV_TIME_ST": (-1,),
    "VENDOR_HYP_PTP": (-1,),
}
_BARE_WORD = {kinds.FEATURE: -1, kinds.TRNG_FEATURES: -1, kinds.SYSTEM2: -6}
"""x0 of calls whose arguments are all 0, by kind. No function has id 0, so a feature query with x1 = 0 is answered by
-1."""


@dataclass(frozen=True, slots=True)
class AnswerTables:
    """What the answers of a fleet's VMs depend on; VMs whose answers are the same share a policy of answers.

    Attributes:
        of_vcpu: unsigned[n_vcpu].
        answer: uint64[n_row, 4], x0..x3 of every answer that keeps no register: by slot; by verdict, where no function
            answered; of x0 alone, from kinds.LOWEST up; then those that policies differ in.
        word_row: uint16[n_policy, 2], the rows of PSCI_VERSION and of the vendor bitmaps.
        feature: int64[n_policy, 3, n_slot + 1], x0 of feature queries; the last is for ids without a name.
        flags: bool[n_policy, 3]: MPIDR bits outside the fields are ignored; PSCI is 0.1; PTP has a clock.
    """

    of_vcpu: Index
    answer: NDArray[np.uint64]
    word_row: NDArray[np.uint16]
    feature: NDArray[np.int64]
    flags: NDArray[np.bool_]


def _fixed() -> NDArray[np.uint64]:
    """Rows no policy changes: functions' answers to arguments of 0, and those of verdicts without a function."""
    fixed = np.zeros((VALUE_ROW + 4, 4), np.uint64)
    fixed[VALUE_ROW + kinds.LOWEST :, 0] = np.arange(kinds.LOWEST, 4).astype(np.uint64)
    for name, words in _FIXED_WORDS.items():
        fixed[_SLOT[name], : len(words)] = np.array(words, np.int64).astype(np.uint64)
    for slot, (how, _) in enumerate(_KINDS.get(function.name, (kinds.FIXED, 0)) for function in FUNCTIONS):
        if how == kinds.SUSPEND:
            fixed[slot, 0] = SLOT_ID[slot]
        elif how in _BARE_WORD:
            fixed[slot, 0] = np.int64(_BARE_WORD[how]).astype(np.uint64)
    for verdict in (Verdict.DENIED, Verdict.NOT_SUPPORTED, Verdict.SMC_REFUSED):
        fixed[SLOT_ID.size + verdict, 0] = _MINUS_ONE
    return fixed


def build_answer_tables(fleet: Snapshot) -> AnswerTables:
    """Folds the fleet's policies into tables of answers.

    Cost: one sort of n_vm rows of 7 words; O(n_policy * n_slot).
    """
    columns = (fleet.host_of_vm, fleet.features, fleet.effective_psci_version(), fleet.has_system_suspend)
    content = np.stack([*(column.astype(np.uint64) for column in columns), *fleet.fw_bmap.T], axis=1)
    _, first, policy = np.unique(content, axis=0, return_index=True, return_inverse=True)
    host, version = fleet.host_of_vm[first], fleet.effective_psci_version()[first]
    is_gated = _of_hosts(fleet.hosts, "is_gated")[host]
    shown = np.where(is_gated[:, None], fleet.fw_bmap[first], np.array(SHOWN_BEFORE_BITMAPS, np.uint64))
    words = np.zeros((first.size, 2, 4), np.uint64)
    words[:, 0, 0] = version
    words[:, 1, 0], words[:, 1, 2] = shown[:, VENDOR_HYP_BMAP], shown[:, VENDOR_HYP_BMAP_2]
    differing, of_word = np.unique(words.reshape(-1, 4), axis=0, return_inverse=True)
    word_row = (len(_FIXED) + of_word.reshape(-1, 2)).astype(np.uint16)
    feature = np.full((first.size, 3, SLOT_ID.size + 1), -1, np.int64)
    feature[:, _ARCH, :-1] = np.stack([_arch_features(h) for h in fleet.hosts])[host]
    pv_time = _SLOT["PV_TIME_FEATURES"]
    feature[:, _ARCH, pv_time] = np.where(shown[:, STD_HYP_BMAP] & np.uint64(1), 0, -1)
    feature[:, _PSCI, :-1] = _psci_features(fleet, first, version)
    feature[:, _TRNG, :-1][:, [f.name.startswith("TRNG") for f in FUNCTIONS]] = 0
    clock = np.array([h.is_arch_counter_clocksource for h in fleet.hosts])[host]
    flags = np.stack([_of_hosts(fleet.hosts, "mpidr_masks_extra_bits")[host], version == PSCI_0_1, clock], axis=1)
    of_vm = policy.reshape(-1).astype(narrowest(first.size - 1))
    return AnswerTables(
        of_vm[fleet.vm_of_vcpu], on_lines(np.concatenate([_FIXED, differing])), word_row, feature, flags
    )


def _of_hosts(hosts: tuple[Host, ...], name: str) -> NDArray[np.bool_]:
    return np.array([getattr(h.release, name) for h in hosts])


def _arch_features(host: Host) -> NDArray[np.int64]:
    """What SMCCC_ARCH_FEATURES says of each slot, bitmaps apart: int64[n_slot]."""
    found = np.full(SLOT_ID.size, -1)
    first, second, third = host.workaround
    for number, level in ((1, first), (3, third)):
        if f"WORKAROUND_{number}" in host.release.answers and level:
            found[_SLOT[f"SMCCC_ARCH_WORKAROUND_{number}"]] = int(level == WORKAROUND_NOT_REQUIRED)
    if "WORKAROUND_2" in host.release.answers and second == WORKAROUND_2_NOT_REQUIRED:
        found[_SLOT["SMCCC_ARCH_WORKAROUND_2"]] = -2
    return found


def _psci_features(fleet: Snapshot, vm: NDArray[Any], version: NDArray[np.uint32]) -> NDArray[np.int64]:
    """What PSCI_FEATURES says of each slot: int64[n_selected, n_slot]."""
    found = np.where(np.isin(SLOT_ID, list(PSCI_FEATURES_KNOWN)), 0, -1)[None].repeat(vm.size, axis=0)
    plain = SLOT_ID & ~np.uint32(SMC64)
    for base, answer, is_there in (
        (0x8400_000E, 0, fleet.has_system_suspend[vm]),
        (0x8400_0012, 0, version >= PSCI_1_1),
        (0x8400_0015, 1, version >= PSCI_1_3),
    ):
        found[np.ix_(is_there, plain == base)] = answer
    is_a32 = fleet.features[vm] & FEATURE_EL1_32BIT != 0
    refuses_all = _of_hosts(fleet.hosts, "a32_refuses_all_smc64")[fleet.host_of_vm[vm]]
    is_smc64 = SLOT_ID & np.uint32(SMC64) != 0
    is_early = np.isin(SLOT_ID, list(SMC64_REFUSED_EARLY))
    found[is_a32[:, None] & np.where(refuses_all[:, None], is_smc64, is_early)] = -1
    return found


_IS_KEPT = np.isin(np.arange(N_VERDICT), [Verdict.FORWARDED, Verdict.FAST_PATH, Verdict.SMC_REFUSED])
_KIND = np.array(
    [
        *(_KINDS.get(f.name, (kinds.FIXED, 0))[0] for f in FUNCTIONS),
        *np.where(_IS_KEPT, kinds.KEPT, kinds.FIXED),
    ],
    np.uint8,
)
PARAMETER = np.array([_KINDS.get(f.name, (kinds.FIXED, 0))[1] for f in FUNCTIONS] + [0] * N_VERDICT, np.uint8)
IS_NARROW = np.isin(np.append(SLOT_ID, np.zeros(N_VERDICT, np.uint32)), list(NARROWED))
_KIND_BARE = np.where(np.isin(_KIND, [kinds.WORD, kinds.PTP, kinds.CPU_ON, kinds.AFFINITY_INFO]), _KIND, kinds.FIXED)
"""The kind of each row, for calls whose arguments are all 0: the rows of other kinds then hold their answers, and
forwarded calls keep their ids."""
_KIND_BARE[SLOT_ID.size + Verdict.FORWARDED] = kinds.KEPT
_HAS_ANSWERED = np.isin(np.arange(N_VERDICT), [Verdict.HANDLED, Verdict.EXIT])


def _lookup(kind: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """The table that `kinds.list_block` looks answers up in, laid out from kinds.BUCKET_AT on."""
    lookup = np.zeros(kinds.LOOKUP_BYTES, np.uint8)
    lookup[kinds.BUCKET_AT : kinds.KEEPS_AT] = SLOT_OF_BUCKET
    lookup[kinds.KEEPS_AT :][:N_VERDICT] = np.where(_HAS_ANSWERED, 0xFF, 0)
    lookup[kinds.VERDICT_AT :][:N_VERDICT] = np.where(_HAS_ANSWERED, 0, SLOT_ID.size + np.arange(N_VERDICT))
    lookup[kinds.KIND_AT :][: kind.size] = kind
    return lookup


LOOKUP, LOOKUP_BARE = _lookup(_KIND), _lookup(_KIND_BARE)
_FIXED = _fixed()
