"""Answers of the services that are not PSCI: Arm architecture, TRNG, paravirtualised time, vendor calls.

Each answer is a function of (vm, vcpu, x1, x2, x3). Sources: Linux arch/arm64/kvm/{hypercalls,trng,pvtime}.c.
"""

from __future__ import annotations

from fastsmc.facts.registers import WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED
from fastsmc.facts.services import TRNG_UUID, VENDOR_UID
from fastsmc.facts.smccc import (
    FUNCTION_BY_ID,
    SMCCC_VERSION_1_1,
    STD_HYP_BMAP,
    VENDOR_HYP_BMAP,
    VENDOR_HYP_BMAP_2,
    Verdict,
)
from fastsmc.reference.state import KNOWN, MASK32, NOT_SUPPORTED, REFUSED, Outcome, VmState, answered

TRNG_INVALID_PARAMETER = -2


def _smccc_version(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(SMCCC_VERSION_1_1)


def _arch_features(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    asked = x1 & MASK32
    row = FUNCTION_BY_ID.get(asked)
    if row is None or row.needs not in vm.release.answers:
        return REFUSED
    if row.name in ("SMCCC_ARCH_WORKAROUND_1", "SMCCC_ARCH_WORKAROUND_3"):
        level = vm.host.workaround[0 if row.name.endswith("1") else 2]
        return answered({0: NOT_SUPPORTED, WORKAROUND_NOT_REQUIRED: 1}.get(level, 0))
    if row.name == "SMCCC_ARCH_WORKAROUND_2":
        return answered(-2 if vm.host.workaround[1] == WORKAROUND_2_NOT_REQUIRED else NOT_SUPPORTED)
    if row.name == "PV_TIME_FEATURES":
        return answered(0 if vm.shown_bitmap(STD_HYP_BMAP) & 1 else NOT_SUPPORTED)
    return REFUSED


def _pv_time_features(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    is_pv_time = x1 & MASK32 in (0xC500_0020, 0xC500_0021)
    return answered(0 if is_pv_time and vm.steal_base[vcpu] is not None else NOT_SUPPORTED)


def _pv_time_st(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    base = vm.steal_base[vcpu]
    return answered(NOT_SUPPORTED if base is None else base)


def _trng_version(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(0x10000)


def _trng_features(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    known = (0x8400_0050, 0x8400_0051, 0x8400_0052, 0x8400_0053, 0xC400_0053)
    return answered(0 if x1 in known else NOT_SUPPORTED)  # all 64 bits are compared


def _trng_get_uuid(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(*TRNG_UUID)


def _trng_rnd(x1: int, word_bits: int) -> Outcome:
    """`n` random bits, right-aligned over x1..x3, most significant word first; n = 0 is accepted."""
    n = x1 & MASK32
    if n > 3 * word_bits:
        return answered(TRNG_INVALID_PARAMETER)
    mask = (1 << n) - 1
    word = (1 << word_bits) - 1
    free = (0, mask >> 2 * word_bits & word, mask >> word_bits & word, mask & word)
    return Outcome(Verdict.HANDLED, (0, 0, 0, 0), free)


def _trng_rnd32(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return _trng_rnd(x1, 32)


def _trng_rnd64(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return _trng_rnd(x1, 64)


def _vendor_uid(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(*VENDOR_UID)


def _vendor_features(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(vm.shown_bitmap(VENDOR_HYP_BMAP), 0, vm.shown_bitmap(VENDOR_HYP_BMAP_2))


def _ptp(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Four 32-bit words of wall clock and counter; any of their bits may be set."""
    if not vm.host.is_arch_counter_clocksource or x1 & MASK32 > 1:
        return REFUSED
    return Outcome(Verdict.HANDLED, KNOWN, free=(MASK32, MASK32, MASK32, MASK32))


ANSWERS = {
    0x8000_0000: _smccc_version,
    0x8000_0001: _arch_features,
    0xC500_0020: _pv_time_features,
    0xC500_0021: _pv_time_st,
    0x8400_0050: _trng_version,
    0x8400_0051: _trng_features,
    0x8400_0052: _trng_get_uuid,
    0x8400_0053: _trng_rnd32,
    0xC400_0053: _trng_rnd64,
    0x8600_FF01: _vendor_uid,
    0x8600_0000: _vendor_features,
    0x8600_0001: _ptp,
}
"""The answer of each function id outside PSCI that any release answers."""


def is_answered_by(vm: VmState, func_id: int) -> bool:
    """Whether the VM's kernel has the service to which a known function id belongs."""
    needs = FUNCTION_BY_ID[func_id].needs
    return not needs or needs in vm.release.answers
