"""Restoring a vCPU: what becomes of every register a source host wrote when a destination host reads it.

The destination is a fresh vCPU of a host, as KVM_GET_REG_LIST and GET_ONE_REG describe it; the source's registers are
written in list order. Firmware registers go through the reference. For the others the rules here are what recordings
of eight releases show, with Linux arch/arm64/kvm/{guest,sys_regs}.c where the recorded values happened to be equal;
where neither tells, a register is not modelled, and said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from errno import EINVAL, ENOENT, EPERM

from fastsmc.errors import InputError
from fastsmc.facts.registers import (
    ARCH_ARM64,
    ARCH_MASK,
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_SVE,
    CLASS_SYSREG,
    FIRMWARE_CLASSES,
    PSTATE,
    SIZE_SHIFT,
    SVE_VLS,
    reg_class,
    reg_size,
)
from fastsmc.facts.releases import Host, Release
from fastsmc.facts.vcpu import (
    CAPS_OF_FEATURE,
    FEATURE_EL2,
    FEATURE_EL2_E2H0,
    FEATURE_SVE,
    feature_bits,
    has_el2,
    not_served,
)
from fastsmc.reference.core_registers import MODE, REFUSED_VECTOR, is_vector, pstate_mode
from fastsmc.reference.id_registers import Fate
from fastsmc.reference.restore_rules import STATE, cache_size, is_state, system_register
from fastsmc.reference.state import OK
from fastsmc.reference.vm import Vm

_MAX_SIZE_FIELD = 8  # KVM_REG_SIZE_U2048


def vcpu_init_errno(features: str, release: Release, caps: frozenset[int]) -> int:
    """What KVM_ARM_VCPU_INIT returns for a feature set. E2H0 without EL2 is accepted everywhere, and means nothing.

    Args:
        caps: capabilities the host reports as present.
    """
    bits = feature_bits(features)
    if bits >> release.n_vcpu_feature:
        return ENOENT
    if not_served(bits) is not None:
        return EINVAL
    if not has_el2(bits):
        bits &= ~FEATURE_EL2_E2H0
    needed = {cap for bit, caps_of_bit in CAPS_OF_FEATURE.items() if bits & bit for cap in caps_of_bit}
    return OK if needed <= caps else EINVAL


def as_ordinary(features: str) -> int:
    """Bits of the ordinary vCPU whose firmware registers a vCPU has: with EL2 they are the same.

    Recorded: their set, limits, errnos and reset values, on 6.18.15 and 7.3.4 with kvm-arm.mode=nested.

    Raises:
        InputError: features without a known bit.

    >>> as_ordinary("psci02+el2+e2h0") == feature_bits("psci02")
    True
    """
    return feature_bits(features) & ~(FEATURE_EL2 | FEATURE_EL2_E2H0)


@dataclass(frozen=True, slots=True, repr=False)
class RegisterDump:
    """All registers of one vCPU.

    Attributes:
        features: names of the vCPU's features, as in register sets: "psci02+pmu".
        values: the registers' values by id, in the order of KVM_GET_REG_LIST.
    """

    features: str
    values: Mapping[int, int]

    def __repr__(self) -> str:
        return f"RegisterDump({self.features}, {len(self.values)} registers)"

    @classmethod
    def parse(cls, raw: bytes, features: str) -> RegisterDump:
        """Reads a dump: u64 count, then per register u64 id and its bytes, size from the id, little-endian.

        Raises:
            InputError: ids that are no arm64 registers, sizes that do not exist, or a length other than the count's.
        """
        n_reg, at = int.from_bytes(raw[:8], "little"), 8
        values: dict[int, int] = {}
        for number in range(n_reg):
            reg = int.from_bytes(raw[at : at + 8], "little")
            if at + 8 > len(raw):
                msg = f"{len(raw)} bytes hold {number} registers; their count says {n_reg}"
                raise InputError(msg)
            if reg & ARCH_MASK != ARCH_ARM64 or reg >> SIZE_SHIFT & 0xF > _MAX_SIZE_FIELD or reg in values:
                what = "occurs twice" if reg in values else "is not an arm64 register of a known size"
                msg = f"register {number}, at byte {at}: {reg:#018x} {what}"
                raise InputError(msg)
            end = at + 8 + reg_size(reg)
            if end > len(raw):
                msg = f"register {number}, {reg:#018x}, ends at byte {end} of {len(raw)}; their count says {n_reg}"
                raise InputError(msg)
            values[reg] = int.from_bytes(raw[at + 8 : end], "little")
            at = end
        if len(raw) < 8 or at != len(raw):
            msg = f"{len(raw)} bytes; a count of {n_reg} and its registers take {at}"
            raise InputError(msg)
        return cls(features, values)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What SET_ONE_REG does with one register of the source.

    Attributes:
        reg, value: the register's id, and the value the source had.
        errno: 0 when accepted; None where it is not modelled.
        why: the rule in words, or what is not known.
    """

    reg: int
    value: int
    errno: int | None
    why: str

    @property
    def is_modelled(self) -> bool:
        """Whether a rule tells what happens to the register."""
        return self.errno is not None


def predict(source: RegisterDump, host: Host, fresh: RegisterDump) -> tuple[Prediction, ...]:
    """One prediction per register of the source, in list order, for a vCPU that was initialised and finalised.

    Args:
        source: all registers of the vCPU that moves.
        host: the destination: its release, its workaround levels.
        fresh: a fresh vCPU of the destination; registers wider than 64 bits may carry their first 64 bits only.

    Raises:
        InputError: features without a known bit.
    """
    vm = Vm(host, features=as_ordinary(fresh.features))
    told = []
    errno: int | None
    for reg, value in source.values.items():
        if reg_class(reg) in FIRMWARE_CLASSES:
            errno, why = _firmware_fate(vm, reg, value)
        else:
            errno, why = _fate(reg, value, source, fresh, host.release)
        told.append(Prediction(reg, value, errno, why))
    return tuple(told)


def _firmware_fate(vm: Vm, reg: int, value: int) -> Fate:
    """What the reference says; nothing where it would say something else if a doubt about the release came true."""
    for doubt in vm.doubts_about(lambda one: one.set_one_reg(0, reg, value)):
        return None, f"not certain of the destination's kernel: {doubt.text} ({doubt.source})"
    return vm.set_one_reg(0, reg, value), "firmware register: the reference"


def _fate(reg: int, value: int, source: RegisterDump, fresh: RegisterDump, release: Release) -> Fate:
    kind, own = reg_class(reg), fresh.values.get(reg)
    if own is None:
        return unlisted(reg, fresh.features)
    if reg == SVE_VLS:
        return EPERM, "vector lengths are settled by KVM_ARM_VCPU_FINALIZE"
    if value == own:
        return OK, "the value it has already"
    if kind == CLASS_DEMUX:
        return cache_size(value, own, release)
    if kind == CLASS_SYSREG:
        return system_register(reg, value, fresh.values, release, source.values)
    if reg == PSTATE and (value ^ own) & MODE:
        return pstate_mode(value, feature_bits(fresh.features), fresh.values, release)
    if kind in (CLASS_CORE, CLASS_SVE):
        return STATE
    return None, f"class {kind:#010x}"


def unlisted(reg: int, features: str) -> Fate:
    """The fate of a register that a vCPU does not list, whatever its value.

    Args:
        features: of the fresh vCPU, as in register sets.

    Raises:
        InputError: features without a known bit.

    >>> unlisted(0x6040000000100054, "psci02+sve")[0]  # V0
    22
    """
    if reg_class(reg) != CLASS_CORE:
        return ENOENT, "not in the list of such a vCPU"
    if is_vector(reg) and feature_bits(features) & FEATURE_SVE:
        return REFUSED_VECTOR
    return None, "a core register this vCPU does not list"


def takes_any_value(reg: int) -> bool:
    """Whether a listed register outside the firmware classes accepts every value, so that none need be known.

    >>> from fastsmc.facts.registers import sysreg
    >>> takes_any_value(sysreg(3, 0, 1, 0, 0)), takes_any_value(sysreg(3, 0, 0, 0, 0))  # SCTLR_EL1, MIDR_EL1
    (True, False)
    """
    kind = reg_class(reg)
    if kind == CLASS_SYSREG:
        return is_state(reg)
    return kind in (CLASS_CORE, CLASS_SVE) and reg not in (PSTATE, SVE_VLS)
