"""Registers by every spelling: each comes back to its id, and what is none is told from what is one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.register_macros import core_fields
from fastsmc.facts.register_names import core_names, name_of, recorded_ids
from fastsmc.facts.register_spellings import register_spelled
from fastsmc.facts.registers import FW_REGISTERS, Encoding, reg_class, reg_size
from fastsmc.migrate.compat.result import shown_name

FIRMWARE = {row.reg: row.name for row in FW_REGISTERS}
KNOWN = sorted({*recorded_ids(), *FIRMWARE, *core_names().values(), *(0x6020000000110000 + n for n in range(16))})
FIELD_OF = {reg: field for field, reg in core_fields().items()}
CLASSES = {0x10: "CORE", 0x11: "DEMUX", 0x13: "SYSREG", 0x14: "FW", 0x15: "SVE", 0x16: "FW_FEAT_BMAP"}


def spellings(reg: int) -> Iterator[str]:
    """Every way in which kernels, selftests and QEMU write a register, made here from its bits."""
    low = reg & 0xFFFF
    named = name_of(reg)
    if named:
        yield from (named, named.lower())
        yield f"Could not set register {named.lower()} to 2 (is 1)"
    arm = "ARM64" if reg_class(reg) in (0x130000, 0x150000) else "ARM"
    size = f"KVM_REG_ARM64 | KVM_REG_SIZE_U{8 * reg_size(reg)} | KVM_REG_{arm}_{CLASSES[reg_class(reg) >> 16]}"
    yield f"{size} | {low}"
    yield f"{size}|{low:#x}"
    match reg_class(reg) >> 16:
        case 0x10:
            field = FIELD_OF[reg]
            yield from (field, f"KVM_REG_ARM_CORE_REG({field})", f"ARM64_CORE_REG( {field} )")
            yield f"{size} | KVM_REG_ARM_CORE_REG({field})"
            yield from (f"core reg {reg:x}", f"core reg 0x{reg:X}", f"core reg {low:#x}")
        case 0x11:
            yield f"{size} | KVM_REG_ARM_DEMUX_ID_CCSIDR | {low}"
            yield from (f"demuxed reg {reg:x}", f"demuxed reg 0x{low:x}", f"CCSIDR({low})", f"CCSIDR[{low}]")
            yield shown_name(reg)
            yield f"Could not get register demuxed reg {reg:x}: Invalid argument"
        case 0x13:
            op0, op1, crn, crm, op2 = Encoding.of(reg)
            five = f"{op0}, {op1}, {crn}, {crm}, {op2}"
            for macro in ("ARM64_SYS_REG", "KVM_ARM64_SYS_REG", "sys_reg"):
                yield from (f"{macro}({five})", f"{macro} ({five.replace(' ', '')})")
            yield f"KVM_ARM64_SYS_REG(sys_reg({five}))"
            yield from (f"S{op0}_{op1}_C{crn}_C{crm}_{op2}", f"s{op0}_{op1}_c{crn}_c{crm}_{op2}", str(Encoding.of(reg)))
            qemu = f"op0:{op0} op1:{op1} crn:{crn} crm:{crm} op2:{op2}"
            yield from (
                qemu,
                f"system register {qemu}",
                f"Could not set register system register {qemu}: unknown to KVM",
            )
            yield f"qemu-system-aarch64: Unexpected register in input stream: 0 {reg:#x} {qemu}"
            if named and not named.startswith("KVM_"):
                yield from (f"SYS_{named}", f"KVM_ARM64_SYS_REG(SYS_{named})")
        case 0x14:
            yield from (f"KVM_REG_ARM_FW_REG({low})", f"fw reg {low}", f"KVM_REG_ARM_{named}")
        case 0x16:
            yield from (f"KVM_REG_ARM_FW_FEAT_BMAP_REG({low})", f"fw feat reg {low}", f"KVM_REG_ARM_{named}")
        case 0x15 if low == 0xFFFF:
            yield from ("KVM_REG_ARM64_SVE_VLS", "SVE VLS")
        case 0x15:
            number, part = low >> 5 & 0x1F, low & 0x1F
            if low < 0x400:
                yield from (f"KVM_REG_ARM64_SVE_ZREG({number}, {part})", f"SVE zreg n:{number} slice:{part}")
            elif low < 0x600:
                yield from (f"KVM_REG_ARM64_SVE_PREG({number}, {part})", f"SVE preg n:{number} slice:{part}")
            else:
                yield from (f"KVM_REG_ARM64_SVE_FFR({part})", f"SVE ffr slice:{part}")


@pytest.mark.parametrize("reg", KNOWN, ids=hex)
def test_every_spelling_of_every_known_register_comes_back_to_its_id(reg: int) -> None:
    wrong = {text: found for text in spellings(reg) if (found := register_spelled(text)) != reg}
    assert wrong == {}
    assert len(list(spellings(reg))) >= 4


@given(st.sampled_from(KNOWN), st.data())
def test_spaces_and_case_do_not_matter_where_names_have_none(reg: int, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([text for text in spellings(reg) if "KVM_" not in text and "_REG" not in text]))
    if re.search(r"regs|sys_reg|spsr\[|ARM64", text):  # C is particular
        return
    said = "  ".join(text.split(" ")).swapcase()
    assert register_spelled(f" {said}\n") == reg


@given(
    st.tuples(*(st.integers(0, last) for last in (3, 7, 15, 15, 7))),
    st.sampled_from(
        ["ARM64_SYS_REG({}, {}, {}, {}, {})", "S{}_{}_C{}_C{}_{}", "system register op0:{} op1:{} crn:{} crm:{} op2:{}"]
    ),
)
def test_any_encoding_is_read(five: tuple[int, ...], form: str) -> None:
    reg = register_spelled(form.format(*five))
    assert reg is not None
    assert Encoding.of(reg) == five
    assert reg >> 16 == 0x603000000013


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("KVM_REG_ARM_FWREG(3)", "did you mean KVM_REG_ARM_FW_REG?"),
        ("ARM64_SYS_RGE(3, 0, 10, 2, 2)", "did you mean ARM64_SYS_REG?"),
        ("KVM_REG_ARM_CORE_REG(regs.pcc)", "did you mean regs.pc?"),
        ("KVM_REG_ARM_CORE_REG(regs.regs[31])", "regs.regs has 31 entries, from 0"),
        ("ARM64_SYS_REG(3, 0, 10, 2)", "it takes op0, op1, CRn, CRm and op2"),
        ("S3_0_C16_C2_2", "CRn and CRm 0 to 15"),
        ("op0:3 op1:8 crn:0 crm:0 op2:0", "op1 and op2 are 0 to 7"),
        ("fw reg 65536", "numbers up to 65535"),
        ("KVM_ARM64_SYS_REG(SYS_PIR_ELL1)", "did you mean SYS_PIR_EL1?"),
        ("KVM_REG_ARM64_SVE_ZREG(32, 0)", "takes a number up to 31"),
        ("Z32 slice 0", "there are Z0 to Z31"),
        ("CCSIDR(16)", "16 cache sizes"),
        ("CCSIDR_EL1", "one register for each cache"),
        ("KVM_REG_ARM_CORE", "is a part of register ids"),
        ("cntv_cval_el0", "write KVM_REG_ARM_TIMER_CVAL or KVM_REG_ARM_TIMER_CNT"),
        ("1|2", "has no architecture"),
        ("|".join(["KVM_REG_ARM64"] * 20), "more than 16 terms"),
    ],
)
def test_what_looks_like_a_register_and_is_none_says_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        register_spelled(text)


@pytest.mark.parametrize(
    "text", ["", "PTP", "0x6030000000140000", "fw reg", "core reg x", "nonsense", "x31", "9" * 5000]
)
def test_another_shape_is_left_to_others(text: str) -> None:
    assert register_spelled(text) is None


_PIECES = "KVM_REG_ARM64 | ( ) KVM_REG_ARM_CORE_REG regs.regs[ ] op0: crn: fw reg , S3_0_C slice CCSIDR 0x 7 _ spsr["
_WORDS = st.sampled_from([*_PIECES.split(" "), "9" * 20, "sys_reg(", "SYS_", "\n", " ", "\N{ARABIC-INDIC DIGIT THREE}"])


@given(st.lists(_WORDS, max_size=40).map("".join) | st.text(max_size=60))
@example("KVM_ARM64_SYS_REG(" * 300)
@example("KVM_REG_ARM_CORE_REG(regs.regs[\N{ARABIC-INDIC DIGIT THREE}])")
@example("spsr[\N{SUPERSCRIPT TWO}]")
def test_whatever_is_written_gives_an_id_nothing_or_one_sentence(text: str) -> None:
    said, reg = "", None
    try:
        reg = register_spelled(text)
    except InputError as error:
        said = str(error)
    assert len(said) < 400
    assert "\n" not in said
    assert reg is None or 0 <= reg < 1 << 64


@pytest.mark.parametrize(
    ("name", "instruction"),
    # "mrs x0, NAME" as LLVM 14's assembler encodes it: op0, op1, CRn, CRm and op2 in bits 20 to 5.
    [
        ("HCR_EL2", 0xD53C1100),
        ("VNCR_EL2", 0xD53C2200),
        ("HDFGRTR_EL2", 0xD53C3180),
        ("TPIDR2_EL0", 0xD53BD0A0),
        ("SMCR_EL1", 0xD53812C0),
        ("SVCR", 0xD53B4240),
        ("ICH_LR0_EL2", 0xD53CCC00),
        ("ICH_AP1R3_EL2", 0xD53CC960),
        ("CNTHV_CVAL_EL2", 0xD53CE340),
        ("CNTP_CTL_EL0", 0xD53BE220),
        ("MIDR_EL1", 0xD5380000),
        ("MDSCR_EL1", 0xD5300240),
    ],
)
def test_names_have_the_encoding_that_an_assembler_gives_them(name: str, instruction: int) -> None:
    reg = register_spelled(name)
    assert reg is not None
    assert reg & 0x7FFF == instruction >> 5 & 0x7FFF
    assert reg >> 14 & 3 == 2 + (instruction >> 19 & 1)


def test_register_takes_every_spelling_of_a_firmware_register() -> None:
    for reg, name in FIRMWARE.items():
        assert {smc.register(text) for text in (name, *spellings(reg))} == {reg}
    with pytest.raises(InputError, match="is 0x603000000013c512, which is no firmware register"):
        smc.register("S3_0_C10_C2_2")
    with pytest.raises(InputError, match="did you mean STD_BMAP"):
        smc.register("STD_BMP")
