"""Ids of registers: built from the fields of the manual, and read back."""

from __future__ import annotations

import pytest

from fastsmc.facts.register_names import recorded_ids, sysreg_ids
from fastsmc.facts.registers import CLASS_SYSREG, COUNTERS, Encoding, reg_class, sysreg


@pytest.mark.parametrize(
    ("name", "encoding", "reg"),
    [
        # Arm ARM, register descriptions; the ids as kernels list them.
        ("MIDR_EL1", (3, 0, 0, 0, 0), 0x6030_0000_0013_C000),
        ("REVIDR_EL1", (3, 0, 0, 0, 6), 0x6030_0000_0013_C006),
        ("ID_DFR0_EL1", (3, 0, 0, 1, 2), 0x6030_0000_0013_C00A),
        ("ID_AA64PFR0_EL1", (3, 0, 0, 4, 0), 0x6030_0000_0013_C020),
        ("ID_AA64DFR0_EL1", (3, 0, 0, 5, 0), 0x6030_0000_0013_C028),
        ("ID_AA64MMFR1_EL1", (3, 0, 0, 7, 1), 0x6030_0000_0013_C039),
        ("PMMIR_EL1", (3, 0, 9, 14, 6), 0x6030_0000_0013_C4F6),
        ("CLIDR_EL1", (3, 1, 0, 0, 1), 0x6030_0000_0013_C801),
        ("AIDR_EL1", (3, 1, 0, 0, 7), 0x6030_0000_0013_C807),
        ("CTR_EL0", (3, 3, 0, 0, 1), 0x6030_0000_0013_D801),
        ("OSLSR_EL1", (2, 0, 1, 1, 4), 0x6030_0000_0013_808C),
        ("KVM_REG_ARM_PTIMER_CNT", (3, 3, 14, 0, 1), 0x6030_0000_0013_DF01),
        ("KVM_REG_ARM_TIMER_CNT", (3, 3, 14, 3, 2), 0x6030_0000_0013_DF1A),
    ],
)
def test_a_system_register_is_its_encoding(name: str, encoding: tuple[int, int, int, int, int], reg: int) -> None:
    assert sysreg(*encoding) == sysreg_ids()[name] == reg
    assert Encoding.of(reg) == encoding


def test_every_recorded_system_register_is_read_back_from_its_encoding() -> None:
    recorded = [reg for reg in recorded_ids() if reg_class(reg) == CLASS_SYSREG]
    assert len(recorded) > 200
    assert [sysreg(*Encoding.of(reg)) for reg in recorded] == recorded
    assert set(recorded) >= COUNTERS


def test_the_block_of_id_registers_is_crm_1_to_7() -> None:
    assert [Encoding(3, 0, 0, crm, 0).is_id_register for crm in (0, 1, 7, 8)] == [False, True, True, False]
    assert not any(Encoding(*fields).is_id_register for fields in ((2, 0, 0, 1, 0), (3, 1, 0, 1, 0), (3, 0, 1, 1, 0)))
