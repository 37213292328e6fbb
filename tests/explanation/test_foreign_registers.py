"""Ids of other architectures' registers are told as what they are, and not as function ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.explanation import explain
from fastsmc.facts.register_arches import ARCHITECTURES, coprocessor_name, foreign_architecture


def test_a_coprocessor_id_of_a_tcg_stream_is_a_register() -> None:
    """The id was shown as function id 0x200E0298 (a report of November 2026); QEMU's TCG lists it for DBGDTRTX."""
    told = explain("0x40200000200e0298")
    assert (told.kind, told.id, told.name) == ("register", 0x40200000200E0298, "DBGDTRTX")
    assert told.summary == "DBGDTRTX, a 32-bit coprocessor register (KVM_REG_ARM), which no arm64 kernel has"
    anatomy = dict(told.lines)["anatomy"]
    assert "4 bytes, coprocessor 14, opc1 3, CRn 0, CRm 5, opc2 0, non-secure bank (QEMU)" in anatomy
    assert "TCG" in dict(told.lines)["found in"]


@pytest.mark.parametrize(
    ("reg", "macro", "text"),
    [
        (0x4020_0000_000F_6801, "KVM_REG_ARM", "coprocessor 15, opc1 0, CRn 13, CRm 0, opc2 1"),  # CONTEXTIDR, secure
        (0x4030_0000_200F_0730, "KVM_REG_ARM", "8 bytes, coprocessor 15, opc1 6, CRm 14"),  # CNTVOFF
        (0x8030_0000_0200_0000, "KVM_REG_RISCV", "RISC-V (KVM_REG_RISCV), 8 bytes"),
        (0x5030_0000_0000_0002, "KVM_REG_S390", "s390 (KVM_REG_S390), 8 bytes"),
        (0x2030_0002_C000_0080, "KVM_REG_X86", "x86 (KVM_REG_X86), 8 bytes, bits 31:0 0xC0000080"),  # the MSR EFER
        (0x2030_0004_0000_0080, None, ""),  # x86 has the types 2 and 3 only
        (0x8030_0002_0000_0080, None, ""),  # and RISC-V none there
        (0x9030_0000_0001_0000, "KVM_REG_LOONGARCH", "LoongArch (KVM_REG_LOONGARCH), 8 bytes"),
        (0x1030_0000_0000_0001, "KVM_REG_PPC", "PowerPC (KVM_REG_PPC), 8 bytes"),
        (0x7030_0000_0000_0001, "KVM_REG_MIPS", "MIPS (KVM_REG_MIPS), 8 bytes"),
    ],
)
def test_the_architecture_is_named(reg: int, macro: str | None, text: str) -> None:
    if macro is None:
        assert foreign_architecture(reg) is None
        return
    told = explain(reg)
    assert (told.kind, told.near) == ("register", ())
    assert f"({macro})" in told.summary
    assert text in dict(told.lines)["anatomy"]
    assert dict(told.lines)["arch"].startswith("EINVAL")


@given(st.integers(0, 2**64 - 1))
def test_only_what_has_an_architecture_and_a_size_is_foreign(value: int) -> None:
    found = foreign_architecture(value)
    expected = (
        value & 0xFF00_0000_0000_0000 in ARCHITECTURES
        and 2 <= value >> 52 & 0xF <= 8
        and (not value & 0x000F_FFFF_0000_0000 or value >> 32 & 0xFF0F_FFFF in (0x2000_0002, 0x2000_0003))
    )
    assert (found is not None) == expected
    if found == ("32-bit Arm", "KVM_REG_ARM"):
        assert coprocessor_name(value) in (None, "DBGDTRTX")


@given(st.integers(0, 2**32 - 1), st.sampled_from([0xFFFF_FFFF, 0x8000_0000, 0x4000_0000, 1, 0x6020_0001]))
def test_an_x0_with_dirt_above_is_still_a_function(low: int, high: int) -> None:
    told = explain(high << 32 | low)
    assert told.kind == ("register" if high >> 24 == 0x60 else "function")
