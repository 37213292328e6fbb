"""Core registers that do not take any value: the vector registers of a vCPU with SVE, and the mode in PSTATE.

Source: Linux arch/arm64/kvm/guest.c, core_reg_size_from_offset and set_core_reg.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EINVAL

from fastsmc.facts.registers import CLASS_CORE, reg_class, reg_size, sysreg
from fastsmc.facts.releases import Release
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_EL2
from fastsmc.reference.id_registers import Fate
from fastsmc.reference.state import OK

MODE = 0x1F
"""The bits of PSTATE that hold the mode."""

_PFR0 = sysreg(3, 0, 0, 4, 0)
_FIRST_VECTOR, _END_OF_VECTORS = 0x54, 0xD4
_VECTOR_BYTES = 16

_EL0_AND_EL1 = (0b00000, 0b00100, 0b00101)  # EL0t, EL1t, EL1h
_EL2 = (0b01000, 0b01001)  # EL2t, EL2h
_AARCH32_USER, _AARCH32_SYSTEM = 0b10000, 0b11111
_AARCH32 = (0b10001, 0b10010, 0b10011, 0b10111, 0b11011)  # FIQ, IRQ, SVC, ABT, UND

REFUSED_VECTOR: Fate = (EINVAL, "a vCPU with SVE takes its vector registers as Z0 to Z31, not as V0 to V31")


def is_vector(reg: int) -> bool:
    """Whether a register is one of V0 to V31 as core registers.

    >>> is_vector(0x6040000000100054), is_vector(0x6030000000100040)  # V0, pc
    (True, False)
    """
    low = reg & 0xFFFF
    is_there = _FIRST_VECTOR <= low < _END_OF_VECTORS and low % 4 == 0
    return is_there and reg_class(reg) == CLASS_CORE and reg_size(reg) == _VECTOR_BYTES


def pstate_mode(value: int, features: int, fresh: Mapping[int, int], release: Release) -> Fate:
    """What becomes of a PSTATE with another mode than the fresh vCPU's.

    Args:
        features: bits of the fresh vCPU.
        fresh: its registers.
    """
    mode, is_32bit = value & MODE, bool(features & FEATURE_EL1_32BIT)
    refused: Fate = (EINVAL, f"PSTATE has mode {mode:#x}, which such a vCPU cannot have")
    if mode in _EL0_AND_EL1:
        return refused if is_32bit else (OK, "a mode of AArch64")
    if mode in _EL2:
        return (OK, "a mode of EL2") if features & FEATURE_EL2 and not is_32bit else refused
    if mode == _AARCH32_USER:
        if _PFR0 not in fresh:
            return None, "PSTATE in AArch32: whether EL0 has it, ID_AA64PFR0_EL1 would tell"
        return refused if fresh[_PFR0] & 0xF < 2 else (OK, "AArch32 at EL0")
    if not is_32bit or mode not in (*_AARCH32, _AARCH32_SYSTEM):
        return refused
    if mode == _AARCH32_SYSTEM and not release.takes_system_mode:
        if release.takes_system_mode is None or "takes_system_mode" in release.uncertain:
            return None, "whether System mode of AArch32 is accepted is not known, on this release"
        return EINVAL, "System mode of AArch32 is refused, on this release"
    return OK, "a mode of AArch32"
