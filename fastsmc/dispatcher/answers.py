"""Full answers: the registers each call leaves, from a table of answers per policy and functions of the arguments.

Independent of `reference`, with which the tests compare it. Random and clock-derived bits are 0. No vCPU has a
steal-time record, so PV_TIME_ST and PV_TIME_FEATURES answer -1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.bitmaps import MULTIPLIER, SLOT_ID, SLOT_OF_BUCKET
from fastsmc.calls.grouped import AnyCalls, each_call
from fastsmc.dispatcher.batch import verdict_filler
from fastsmc.dispatcher.decide import takes_wide
from fastsmc.dispatcher.given import filled_array
from fastsmc.dispatcher.kernels import answers as kinds
from fastsmc.dispatcher.kernels.answers_wide import list_block as wide_list
from fastsmc.facts.registers import WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED
from fastsmc.facts.releases import Host
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
from fastsmc.fleet.rows import Index, narrowest
from fastsmc.jit.cache_lines import LINE, on_lines
from fastsmc.jit.threads import in_parts, thread_count
from fastsmc.vm import Fleet

STREAMED_BYTES = 1 << 24
"""Answers of so many bytes and more are written around the caches, which could not hold them."""

_SLOT = {function.name: slot for slot, function in enumerate(FUNCTIONS)}
_VALUE_ROW = SLOT_ID.size + N_VERDICT - kinds.LOWEST
"""The row of x0 = 0 and nothing else; x0 = n is n rows further."""
_ARCH, _PSCI, _TRNG = range(3)
"""Tables of what a feature query answers."""
_MINUS_ONE = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_SHOWN_BEFORE_BITMAPS = np.array([1, 1, 3, 0], np.uint64)

TRNG_UUID = (0x00E0_210D, 0xEB11_8443, 0x4452_7080, 0x4C5A_4E55)
"""0d21e000-4384-11eb-8070-5244554e5a4c. Source: arch/arm64/kvm/trng.c."""
VENDOR_UID = (0xB66F_B428, 0xE911_C52E, 0x564B_CAA9, 0x743A_004D)
"""28b46fb6-2ec5-11e9-a9ca-4b564d003a74. Source: include/linux/arm-smccc.h."""

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
"""What answers functions whose answer is not fixed, and its parameter: a word, a feature table, how
many bits, whether x1..x3 stay."""
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
"""x0 where every argument is 0, by kind; id 0 is nobody's, so a query for it is answered by -1."""
_NARROWED = ("PSCI_CPU_ON", "PSCI_AFFINITY_INFO", "PSCI_SYSTEM_SUSPEND", "PSCI_SYSTEM_RESET2", "PSCI_SYSTEM_OFF2")
"""Functions that look at the low halves of their arguments."""
_PSCI_FEATURES = (
    *(0x8400_0000 | number for number in (0, 1, 2, 3, 4, 6, 8, 9, 0xA)),
    *(0xC400_0000 | number for number in (1, 3, 4)),
    0x8000_0000,
)
"""Ids PSCI_FEATURES always knows; the last is how a guest finds SMCCC."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the answers of a fleet's VMs depend on, equal VMs sharing a profile.

    Attributes:
        of_vcpu: unsigned[n_vcpu].
        answer: uint64[n_row, 4], x0..x3 of every answer that keeps no register: by slot; by verdict, where no function
            answered; of x0 alone, from kinds.LOWEST up; then those that policies differ in.
        word_row: uint16[n_profile, 2], the rows of PSCI_VERSION and of the vendor bitmaps.
        feature: int64[n_profile, 3, n_slot + 1], x0 of feature queries; the last is for ids without a name.
        flags: bool[n_profile, 3]: MPIDR bits outside the fields are ignored; PSCI is 0.1; PTP has a clock.
    """

    of_vcpu: Index
    answer: NDArray[np.uint64]
    word_row: NDArray[np.uint16]
    feature: NDArray[np.int64]
    flags: NDArray[np.bool_]


def _fixed() -> NDArray[np.uint64]:
    """What functions answer if every argument is 0 and, where none answered, verdicts; policies not looked at."""
    fixed = np.zeros((_VALUE_ROW + 4, 4), np.uint64)
    fixed[_VALUE_ROW + kinds.LOWEST :, 0] = np.arange(kinds.LOWEST, 4).astype(np.uint64)
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


def answers(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint64] | None = None, *, threads: int | None = None
) -> NDArray[np.uint64]:
    """x0..x3 after every call, as the guest sees them, or userspace at an exit: uint64[n_call, 4].

    Each call is made on its own in the power state of `fleet.mp_state`, which is read and not changed. Bits that may be
    anything (random words, clocks) are 0.

    Args:
        out: filled and returned when given; uint64[n_call, 4], C-contiguous, apart from the columns of `calls`.
        threads: as `dispatch` has it.

    Raises:
        InputError: a call by a vCPU the fleet does not have; an `out` of another shape or dtype, or one that shares
            memory with a column.

    Cost: O(n_call); AFFINITY_INFO looks at every vCPU of its VM. 32 bytes are written per call.
    """
    calls = each_call(calls)
    out = filled_array(calls, out, np.uint64, 4)
    fill = verdict_filler(fleet, calls)
    profiles = fleet.kept(build_profiles)
    none = np.zeros(0, np.uint64)
    x1, x2, x3 = (none if column is None else column for column in (calls.x1, calls.x2, calls.x3))
    lookup = _LOOKUP if x1.size + x2.size + x3.size else _LOOKUP_BARE
    is_streamed = out.nbytes >= STREAMED_BYTES and out.ctypes.data % LINE == 0
    size = min(kinds.BLOCK, len(calls))
    its: tuple[Any, ...] = (
        *(profiles.of_vcpu, fleet.vm_of_vcpu, fleet.first_vcpu, fleet.mp_state),
        *((_MULTIPLIER, SLOT_OF_BUCKET, SLOT_ID), lookup[kinds.KIND_AT :], _IS_NARROW, _PARAMETER),
        *(profiles.answer, _VALUE_ROW, profiles.word_row, profiles.feature, profiles.flags),
    )

    def work(parts: Iterator[slice]) -> None:
        verdict, row = np.empty(size, np.uint8), np.empty(size, np.uint16)
        listed, by_kind = np.empty(kinds.LISTED, np.uint16), np.empty((kinds.N_KIND, size), np.uint16)
        for here in _blocks(parts, size):
            func_id, n_call = calls.func_id[here], here.stop - here.start
            what, rows = verdict[:n_call], row[:n_call]
            fill(here, what)
            list_block: Callable[..., int] = wide_list if takes_wide(n_call) else kinds.list_block
            n_listed = list_block(func_id, what, _MULTIPLIER, lookup, rows, listed)
            answer: Callable[..., None] = kinds.answer
            columns = (func_id, calls.vcpu[here], x1[here], x2[here], x3[here], what)
            answer(*columns, rows, listed[:n_listed], by_kind, is_streamed, *its, out[here])

    in_parts(work, len(calls), thread_count(threads, len(calls)))
    return out


def _blocks(parts: Iterator[slice], size: int) -> Iterator[slice]:
    for part in parts:
        for first in range(part.start, part.stop, size):
            yield slice(first, min(first + size, part.stop))


def build_profiles(fleet: Fleet) -> Profiles:
    """Cost: one sort of n_vm rows of 7 words; O(n_profile * n_slot)."""
    columns = (fleet.host_of_vm, fleet.features, fleet.effective_psci_version(), fleet.has_system_suspend)
    content = np.stack([*(column.astype(np.uint64) for column in columns), *fleet.fw_bmap.T], axis=1)
    _, first, profile = np.unique(content, axis=0, return_index=True, return_inverse=True)
    host, version = fleet.host_of_vm[first], fleet.effective_psci_version()[first]
    is_gated = _of_hosts(fleet.hosts, "is_gated")[host]
    shown = np.where(is_gated[:, None], fleet.fw_bmap[first], _SHOWN_BEFORE_BITMAPS)
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
    of_vm = profile.reshape(-1).astype(narrowest(first.size - 1))
    return Profiles(of_vm[fleet.vm_of_vcpu], on_lines(np.concatenate([_FIXED, differing])), word_row, feature, flags)


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


def _psci_features(fleet: Fleet, vm: NDArray[Any], version: NDArray[np.uint32]) -> NDArray[np.int64]:
    """What PSCI_FEATURES says of each slot: int64[n_selected, n_slot]."""
    found = np.where(np.isin(SLOT_ID, _PSCI_FEATURES), 0, -1)[None].repeat(vm.size, axis=0)
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
    is_early = np.isin(SLOT_ID, [0xC400_0001, 0xC400_0003, 0xC400_0004])
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
_PARAMETER = np.array([_KINDS.get(f.name, (kinds.FIXED, 0))[1] for f in FUNCTIONS] + [0] * N_VERDICT, np.uint8)
_IS_NARROW = np.array([f.name in _NARROWED for f in FUNCTIONS] + [False] * N_VERDICT)
_KIND_BARE = np.where(np.isin(_KIND, [kinds.WORD, kinds.PTP, kinds.CPU_ON, kinds.AFFINITY_INFO]), _KIND, kinds.FIXED)
"""Where every argument is 0, the row has what other kinds would answer; forwarded calls keep their ids."""
_KIND_BARE[SLOT_ID.size + Verdict.FORWARDED] = kinds.KEPT
_HAS_ANSWERED = np.isin(np.arange(N_VERDICT), [Verdict.HANDLED, Verdict.EXIT])


def _lookup(kind: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """The table of `kinds.list_block`."""
    lookup = np.zeros(kinds.LOOKUP_BYTES, np.uint8)
    lookup[kinds.BUCKET_AT : kinds.KEEPS_AT] = SLOT_OF_BUCKET
    lookup[kinds.KEEPS_AT :][:N_VERDICT] = np.where(_HAS_ANSWERED, 0xFF, 0)
    lookup[kinds.VERDICT_AT :][:N_VERDICT] = np.where(_HAS_ANSWERED, 0, SLOT_ID.size + np.arange(N_VERDICT))
    lookup[kinds.KIND_AT :][: kind.size] = kind
    return lookup


_LOOKUP, _LOOKUP_BARE = _lookup(_KIND), _lookup(_KIND_BARE)
_MULTIPLIER = np.uint32(MULTIPLIER)
_FIXED = _fixed()
