"""Fields of ID registers that a destination accepts, refuses or ignores, release by release, each with its source."""

from __future__ import annotations

from errno import EINVAL
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.facts.id_fields import IdField, Rule, id_fields
from fastsmc.facts.registers import PSTATE, Encoding, sysreg
from fastsmc.facts.releases import Host, release
from fastsmc.reference.id_registers import id_register
from fastsmc.reference.restore import RegisterDump, predict
from fastsmc.reference.restore_rules import system_register
from fastsmc.reference.state import OK

FIELDS = {field.name: field for fields in id_fields().values() for field in fields}
MIDR, PFR0 = sysreg(3, 0, 0, 0, 0), sysreg(3, 0, 0, 4, 0)
NEOVERSE_V1, NEOVERSE_N1 = 0x411F_D401, 0x413F_D0C1
HAS_AARCH32 = 0x1100_0000_1011_1112
RELEASES = ("5.10", "5.10.50", "6.1", "6.2", "6.6", "6.7", "6.11", "6.12.5", "6.12.7", "6.12", "6.14", "6.16", "6.18")


def fate(name: str, field: str, wanted: int, own: int, *, rest: int = 0) -> int | None:
    """What a release does with one field of a register that is equal otherwise."""
    row = FIELDS[field]
    reg = sysreg(*row.encoding)
    fresh = {PFR0: HAS_AARCH32, reg: rest | own << row.low}
    return id_register(reg, rest | wanted << row.low, fresh, release(name))[0]


class Case(NamedTuple):
    """One field in one release, and the source of what is right."""

    name: str
    field: str
    wanted: int
    own: int
    errno: int | None
    source: str


SELFTEST = "tools/testing/selftests/kvm/arm64/set_id_regs.c"
CASES = [
    # while the registers are fixed, CSV2 and CSV3 may be lowered and never raised: sys_regs.c of 6.2
    Case("5.15", "ID_AA64PFR0_EL1.CSV2", 0, 1, OK, "set_id_aa64pfr0_el1"),
    Case("6.1", "ID_AA64PFR0_EL1.CSV2", 1, 0, EINVAL, "set_id_aa64pfr0_el1: promises more than there is"),
    Case("6.1", "ID_AA64PFR0_EL1.CSV3", 0, 1, OK, "set_id_aa64pfr0_el1"),
    Case("6.6", "ID_AA64PFR0_EL1.CSV2", 2, 1, EINVAL, "set_id_aa64pfr0_el1: above 1"),
    Case("5.10", "ID_AA64PFR0_EL1.CSV3", 0, 1, EINVAL, "commit 4f1df628d4ec is in 5.11, and in no 5.10.y"),
    Case("6.1", "ID_AA64PFR0_EL1.DIT", 0, 1, EINVAL, "set_id_aa64pfr0_el1: only CSV2 and CSV3 may differ"),
    # the PMU's version since 6.2, by commits 60e651ff1f48 and d82e0dfdfda7
    Case("6.1", "ID_AA64DFR0_EL1.PMUVer", 4, 5, EINVAL, "recorded: EINVAL in 6.1.192"),
    Case("6.2", "ID_AA64DFR0_EL1.PMUVer", 4, 5, OK, "commit 60e651ff1f48"),
    Case("6.2", "ID_AA64DFR0_EL1.PMUVer", 6, 5, EINVAL, "commit 60e651ff1f48"),
    Case("6.6", "ID_AA64DFR0_EL1.PMUVer", 0, 5, EINVAL, "valid_pmu: none, where the vCPU has one"),
    Case("6.7", "ID_AA64DFR0_EL1.PMUVer", 0, 5, OK, "recorded in 6.12.107"),
    Case("6.6", "ID_DFR0_EL1.PerfMon", 3, 6, OK, "commit d82e0dfdfda7"),
    Case("6.6", "ID_DFR0_EL1.PerfMon", 2, 6, EINVAL, "below PMUv3"),
    Case("6.6", "ID_AA64DFR0_EL1.PMUVer", 0xF, 5, None, "rewritten since 6.5, and not seen in full"),
    Case("6.12", "ID_AA64DFR0_EL1.PMUVer", 0xF, 5, OK, "set_id_aa64dfr0_el1: implementation defined is none"),
    Case("6.12", "ID_AA64DFR0_EL1.PMUVer", 9, 6, None, "the field is signed: what a version above 7 does was not seen"),
    Case("6.12", "ID_DFR0_EL1.PerfMon", 0xF, 6, OK, "set_id_dfr0_el1: implementation defined is none"),
    # written from 6.7 on
    Case("6.6", "ID_AA64DFR0_EL1.DebugVer", 6, 9, EINVAL, "commit 9f9917bc71b0 is in 6.7"),
    Case("6.7", "ID_AA64DFR0_EL1.DebugVer", 6, 9, OK, "commit 9f9917bc71b0"),
    Case("6.6", "ID_AA64ISAR0_EL1.RNDR", 0, 1, EINVAL, "commit 56d77aa8bdf5 is in 6.7"),
    Case("6.7", "ID_AA64ISAR0_EL1.RNDR", 0, 1, OK, SELFTEST),
    Case("6.7", "ID_AA64ISAR0_EL1.RNDR", 1, 0, EINVAL, SELFTEST),
    Case("6.7", "ID_AA64ISAR1_EL1.APA", 0, 1, EINVAL, "pointer authentication is the vCPU's: commit 56d77aa8bdf5"),
    Case("6.7", "ID_AA64MMFR0_EL1.PARange", 2, 5, OK, SELFTEST),
    Case("6.7", "ID_AA64MMFR0_EL1.TGran4", 0xF, 0, OK, "signed: " + SELFTEST),
    Case("6.7", "ID_AA64MMFR0_EL1.TGran4", 0, 0xF, EINVAL, "signed: " + SELFTEST),
    Case("6.7", "ID_AA64MMFR1_EL1.SpecSEI", 1, 0, OK, "FTR_HIGHER_SAFE: " + SELFTEST),
    Case("6.7", "ID_AA64MMFR1_EL1.SpecSEI", 0, 1, EINVAL, "FTR_HIGHER_SAFE: " + SELFTEST),
    Case("6.7", "ID_AA64MMFR2_EL1.CCIDX", 1, 0, EINVAL, "commit bf48040cd9b0 hides it, d5a32b60dc18 leaves it fixed"),
    Case("6.7", "ID_AA64MMFR1_EL1.ECBHB", 0, 1, OK, "FTR_LOWER_SAFE; Firecracker 1a410fbce"),
    Case("6.1", "ID_AA64MMFR1_EL1.ECBHB", 0, 1, EINVAL, "Debian's 6.1.149 shows it, and 6.1 is fixed"),
    Case("7.3", "ID_AA64PFR0_EL1.SVE", 1, 0, EINVAL, "vCPU without SVE"),
    Case("7.3", "ID_AA64PFR0_EL1.SVE", 0, 1, EINVAL, "vCPU with SVE"),
    # AArch64 itself
    Case("6.12.118", "ID_AA64PFR0_EL1.EL0", 0, 2, OK, "measured; commit 7af7cfbe78e2 is in 6.15"),
    Case("6.14", "ID_AA64PFR0_EL1.EL1", 0, 2, OK, "commit 7af7cfbe78e2 is in 6.15"),
    Case("6.15", "ID_AA64PFR0_EL1.EL1", 0, 2, EINVAL, "commit 7af7cfbe78e2"),
    Case("6.17.13", "ID_AA64PFR0_EL1.EL0", 0, 2, EINVAL, "measured"),
    Case("6.17.13", "ID_AA64PFR0_EL1.EL0", 1, 2, OK, "measured"),
    Case("6.17.13", "ID_AA64PFR0_EL1.EL2", 0, 2, OK, "measured"),
    # CTR_EL0
    Case("6.6", "CTR_EL0.IDC", 0, 1, EINVAL, "AltraMax hosts that differ in CTR_EL0 (RFC on CPU models)"),
    Case("6.11", "CTR_EL0.IDC", 0, 1, OK, "commit 2843cae26644"),
    Case("6.11", "CTR_EL0.DIC", 1, 0, EINVAL, "commit 2843cae26644"),
    Case("6.11", "CTR_EL0.IminLine", 3, 4, OK, "commit 2843cae26644"),
    Case("6.11", "CTR_EL0.CWG", 3, 4, EINVAL, "commit 2843cae26644: not in the mask"),
    Case("6.12", "CTR_EL0.L1Ip", 2, 3, EINVAL, "commit e9b57d7f9740 is in 6.13"),
    Case("6.13", "CTR_EL0.L1Ip", 2, 3, OK, "commit e9b57d7f9740: PIPT as VIPT"),
    Case("6.13", "CTR_EL0.L1Ip", 3, 2, EINVAL, "commit e9b57d7f9740: not the other way"),
    Case("6.13", "CTR_EL0.L1Ip", 1, 3, EINVAL, "set_ctr_el0: reserved"),
    # 6.12
    Case("6.11", "ID_AA64PFR1_EL1.SSBS", 1, 2, EINVAL, "commit 78c4446b5f95 is in 6.12"),
    Case("6.12", "ID_AA64PFR1_EL1.SSBS", 1, 2, OK, "commit 78c4446b5f95"),
    Case("6.12", "ID_AA64PFR1_EL1.SSBS", 2, 1, EINVAL, "commit 78c4446b5f95"),
    Case("6.12", "ID_AA64PFR1_EL1.BT", 0, 1, OK, "commit 78c4446b5f95"),
    Case("6.12", "ID_AA64PFR1_EL1.MTE", 0, 2, EINVAL, "commit 78c4446b5f95: not in the mask"),
    Case("6.11", "ID_AA64DFR0_EL1.WRPs", 3, 5, EINVAL, "commit 980c41f554c3 is in 6.12"),
    Case("6.12", "ID_AA64DFR0_EL1.WRPs", 3, 5, OK, "commit 980c41f554c3"),
    Case("6.12", "ID_AA64DFR0_EL1.WRPs", 5, 3, EINVAL, "commit 980c41f554c3: more than there are"),
    Case("6.12", "ID_AA64DFR0_EL1.BRPs", 3, 5, EINVAL, "commit 980c41f554c3: context-aware ones are the last"),
    Case("6.12", "ID_AA64DFR0_EL1.DoubleLock", 0xF, 0, OK, "signed: " + SELFTEST),
    Case("6.12", "ID_AA64DFR0_EL1.DoubleLock", 0, 0xF, EINVAL, "signed: " + SELFTEST),
    Case("6.11", "ID_AA64PFR0_EL1.GIC", 0, 1, EINVAL, "commit 5cb57a1aff75 is in 6.12"),
    Case("6.12", "ID_AA64PFR0_EL1.GIC", 0, 1, OK, "commit 5cb57a1aff75"),
    Case("6.12", "ID_AA64PFR0_EL1.GIC", 3, 1, EINVAL, "5.10 shows 3 on Neoverse V1"),
    Case("6.11", "ID_AA64MMFR3_EL1.S1POE", 0, 1, EINVAL, "commit 70ed7238297f is in 6.12"),
    Case("6.12", "ID_AA64MMFR3_EL1.S1POE", 0, 1, OK, "commit 70ed7238297f"),
    Case("7.3", "ID_AA64MMFR3_EL1.S1POE", 0, 1, None, "7.3.4: made consistent; the rule of a write was not seen"),
    # once writable, fixed again
    Case("6.12.6", "ID_AA64MMFR0_EL1.ASIDBits", 0, 2, OK, "commit 03c7527e97f7 is in 6.12.7"),
    Case("6.12.7", "ID_AA64MMFR0_EL1.ASIDBits", 0, 2, EINVAL, "commit 03c7527e97f7"),
    Case("6.13", "ID_AA64MMFR0_EL1.ASIDBits", 0, 2, EINVAL, "commit 03c7527e97f7"),
    # 32-bit registers: Peter Maydell, October 2025, a GICv2 VM; Debian's changelog of 6.12.60
    Case("6.12.59", "ID_PFR1_EL1.GIC", 0, 1, EINVAL, "the 64-bit twin is writable, this one is not"),
    Case("6.12.60", "ID_PFR1_EL1.GIC", 0, 1, OK, "commit 3f9eacf4f070 and its series"),
    Case("6.17.8", "ID_PFR1_EL1.GIC", 0, 1, EINVAL, "Debian's changelog of 6.17.9"),
    Case("6.17.9", "ID_PFR1_EL1.GIC", 0, 1, OK, "Debian's changelog of 6.17.9; measured in 6.17.13"),
    Case("6.18", "ID_PFR1_EL1.GIC", 0, 1, OK, "6.18"),
    Case("6.18", "ID_MMFR4_EL1.CCIDX", 1, 0, EINVAL, "5.10 shows it on Neoverse V1; nothing may be promised"),
    Case("6.18", "ID_MMFR0_EL1.InnerShr", 0xF, 0, OK, "signed, cpufeature.c"),
    # 6.14 to 6.18
    Case("6.13", "ID_AA64ISAR3_EL1.FAMINMAX", 0, 1, EINVAL, "commit fd22af17a458"),
    Case("6.14", "ID_AA64ISAR3_EL1.FAMINMAX", 0, 1, OK, "commit fd22af17a458"),
    Case("6.14", "ID_AA64MMFR0_EL1.TGran4_2", 1, 2, EINVAL, "6.15 pull request"),
    Case("6.15", "ID_AA64MMFR0_EL1.TGran4_2", 1, 2, OK, "6.15 pull request; FTR_EXACT, 1 is safe"),
    Case("6.15", "ID_AA64MMFR0_EL1.TGran4_2", 3, 2, EINVAL, "6.15 pull request; FTR_EXACT"),
    Case("6.14", "ID_AA64MMFR4_EL1.NV_frac", 0, 1, EINVAL, "6.15 pull request"),
    Case("6.15", "ID_AA64MMFR4_EL1.NV_frac", 0, 1, OK, "6.15 pull request"),
    Case("6.16", "ID_AA64PFR0_EL1.RAS", 1, 2, EINVAL, "commit 1fab657cb2a0 is in 6.17"),
    Case("6.17", "ID_AA64PFR0_EL1.RAS", 1, 2, OK, "commit 1fab657cb2a0"),
    Case("6.17", "ID_AA64MMFR1_EL1.TWED", 0, 1, EINVAL, "commit 1a0b2bf6ff11 is in 6.18"),
    Case("6.18", "ID_AA64MMFR1_EL1.TWED", 0, 1, OK, "commit 1a0b2bf6ff11"),
    Case("6.18", "ID_AA64MMFR1_EL1.HCX", 1, 0, EINVAL, "recorded in 6.18.15"),
    Case("7.3", "ID_AA64PFR2_EL1.FPMR", 0, 1, None, "7.1: the mask was not seen in a release"),
    Case("7.0", "ID_AA64PFR2_EL1.FPMR", 0, 1, OK, "6.12, series on FP8"),
    Case("7.3", "ID_AA64ISAR3_EL1.LSUI", 0, 1, None, "series of 2026"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.field} {case.wanted} for {case.own}")
def test_a_field_with_another_value(case: Case) -> None:
    assert fate(case.name, case.field, case.wanted, case.own) == case.errno


@pytest.mark.parametrize(
    ("field", "last_without", "first_with"),
    [
        ("ID_AA64PFR0_EL1.MPAM", "6.12.5", "6.12.6"),  # commit 6685f5d572c2, Debian's changelog of 6.12.6
        ("ID_AA64PFR1_EL1.MPAM_frac", "6.12.5", "6.13"),
        ("ID_AA64MMFR2_EL1.NV", "6.14", "6.15"),  # commit 9d6745572899, 6.15 pull request
    ],
)
def test_what_the_hardware_has_is_accepted_and_ignored_once_it_is_hidden(
    field: str, last_without: str, first_with: str
) -> None:
    row = FIELDS[field]
    reg, shown = sysreg(*row.encoding), 2 << row.low

    def told(name: str, fresh: dict[int, int], source: dict[int, int]) -> int | None:
        return id_register(reg, shown, {reg: 0, **fresh}, release(name), {reg: shown, **source})[0]

    same = ({MIDR: NEOVERSE_V1}, {MIDR: NEOVERSE_V1})
    assert told(last_without, *same) == EINVAL
    assert told(first_with, *same) == OK
    assert told("7.3", *same) == OK
    assert told("7.3", {MIDR: NEOVERSE_N1}, {MIDR: NEOVERSE_V1}) is None  # not this hardware's value
    assert told("7.3", {}, {MIDR: NEOVERSE_V1}) is None
    assert told("7.3", {MIDR: NEOVERSE_V1}, {}) is None
    back = {reg: shown, MIDR: NEOVERSE_V1}  # the way back: 0 where the older kernel shows it
    assert id_register(reg, 0, back, release(last_without), {reg: 0, MIDR: NEOVERSE_V1})[0] == EINVAL


def test_mte_frac_of_kernels_that_did_not_show_it_is_ignored() -> None:
    """Commit fe21ff5d4b46: MTE is 2, the hardware has 0xf, and older kernels showed 0."""
    mte = 2 << FIELDS["ID_AA64PFR1_EL1.MTE"].low
    assert fate("6.15", "ID_AA64PFR1_EL1.MTE_frac", 0, 0xF, rest=mte) == EINVAL
    assert fate("6.16", "ID_AA64PFR1_EL1.MTE_frac", 0, 0xF, rest=mte) == OK
    assert fate("6.16", "ID_AA64PFR1_EL1.MTE_frac", 1, 0xF, rest=mte) == EINVAL
    assert fate("6.16", "ID_AA64PFR1_EL1.MTE_frac", 0, 0xF, rest=mte + mte // 2) == EINVAL  # MTE is 3


def test_aarch32_registers_ignore_everything_where_el0_has_no_aarch32() -> None:
    """Commit d5efec7ed826, 6.1; selftest aarch32_id_regs.c writes all ones. A Neoverse V2 is such a machine."""
    reg, unallocated, hidden = sysreg(3, 0, 0, 1, 0), sysreg(3, 0, 0, 3, 3), sysreg(3, 0, 0, 1, 3)
    fresh = {reg: 0, unallocated: 0, hidden: 0, PFR0: 0x1101_0110_2111_1111}
    assert id_register(reg, 0x1111, fresh, release("6.1"))[0] == OK
    assert id_register(reg, 0x1111, fresh, release("6.18"))[0] == OK
    assert id_register(reg, 0x1111, fresh, release("6.0"))[0] == EINVAL
    assert id_register(unallocated, 1, fresh, release("6.18"))[0] == EINVAL
    assert id_register(hidden, 1, fresh, release("6.18"))[0] == EINVAL
    assert id_register(reg, 0x1111, {reg: 0}, release("6.1"))[0] is None
    has_aarch32 = {reg: 0x1131, PFR0: 0x1101_0110_2111_1112}
    assert id_register(reg, 0x1111, has_aarch32, release("6.1"))[0] == EINVAL


def test_one_refused_field_refuses_the_register_and_one_unknown_leaves_it_open() -> None:
    reg = sysreg(3, 0, 0, 6, 0)
    rndr, aes, nothing = 1 << 60, 1 << 4, 1
    own = {reg: rndr | aes}
    assert id_register(reg, aes, own, release("6.12"))[0] == OK
    assert id_register(reg, aes | nothing, own, release("6.12"))[0] is None
    assert id_register(reg, aes * 2 | nothing, own, release("6.12"))[0] == EINVAL


def test_a_register_that_reads_as_zero_takes_nothing_else() -> None:
    """sys_regs.c, ID_UNALLOCATED and ID_HIDDEN; before 6.5 ID_AA64MMFR3_EL1 was one."""
    for encoding in (Encoding(3, 0, 0, 4, 3), Encoding(3, 0, 0, 4, 5), Encoding(3, 0, 0, 5, 1)):
        reg = sysreg(*encoding)
        assert [id_register(reg, 1 << 8, {reg: 0}, release(name))[0] for name in ("6.1", "6.12", "7.3")] == [EINVAL] * 3


def test_the_os_lock_is_state_and_the_rest_of_its_register_is_not() -> None:
    """sys_regs.c, set_oslsr_el1: OSLK, bit 1, is the only bit that may differ."""
    reg = sysreg(2, 0, 1, 1, 4)
    assert system_register(reg, 0xA, {reg: 0x8}, release("6.12"))[0] == OK
    assert system_register(reg, 0x9, {reg: 0x8}, release("6.12"))[0] == EINVAL


LOWERED_BY_THE_SELFTEST = """
ID_AA64ISAR0_EL1: RNDR TLB TS FHM DP SM4 SM3 SHA3 RDM TME ATOMIC CRC32 SHA2 SHA1 AES
ID_AA64ISAR1_EL1: LS64 XS I8MM DGH BF16 SPECRES SB FRINTTS LRCPC FCMA JSCVT DPB
ID_AA64ISAR2_EL1: BC RPRES WFxT
ID_AA64PFR0_EL1: CSV3 CSV2 DIT SEL2 EL3 EL2 EL1 EL0
ID_AA64PFR1_EL1: CSV2_frac SSBS BT
ID_AA64MMFR0_EL1: ECV ExS TGran4 TGran64 TGran16 BigEndEL0 SNSMem BigEnd PARange
ID_AA64MMFR1_EL1: TIDCP1 AFP ETS PAN LO HPDS HAFDBS
ID_AA64MMFR2_EL1: E0PD BBM TTL AT ST VARange IESB LSM UAO CnP
ID_AA64ZFR0_EL1: F64MM F32MM I8MM SM4 SHA3 BF16 BitPerm AES SVEver
"""
"""What set_id_regs.c of 6.13 expects to be lowered, and to be refused when it is raised."""


@pytest.mark.parametrize("line", LOWERED_BY_THE_SELFTEST.strip().splitlines())
def test_every_field_of_the_kernels_own_test_is_lowered_and_not_raised(line: str) -> None:
    register, _, fields = line.partition(": ")
    for name in fields.split():
        told = [fate("6.13", f"{register}.{name}", wanted, 3) for wanted in (2, 4)]
        assert told == [OK, EINVAL], name


# -- the table -------------------------------------------------------------------------------------------------


def test_no_two_fields_share_a_bit_and_every_name_of_a_release_is_a_field_or_a_register() -> None:
    for fields in id_fields().values():
        assert sum(field.mask for field in fields) == sum({1 << bit for field in fields for bit in bits(field)})
    known = FIELDS.keys() | {field.register for field in FIELDS.values()}
    for name in RELEASES:
        row = release(name)
        told = row.writable_id_fields | row.maybe_writable_id_fields | row.fixed_id_fields
        assert told | row.ignored_id_fields | row.nonzero_id_fields | row.unknown_id_fields <= known


def bits(field: IdField) -> range:
    return range(field.low, field.low + field.width)


def test_what_a_release_ignores_follows_the_hardware() -> None:
    hidden = {field.name for field in FIELDS.values() if field.rule is Rule.HARDWARE}
    assert release("7.3").ignored_id_fields == hidden


# -- properties ------------------------------------------------------------------------------------------------

REGISTERS = st.builds(lambda crm, op2: sysreg(3, 0, 0, crm, op2), st.integers(1, 7), st.integers(0, 7))
VALUES = st.integers(0, 2**64 - 1)


@given(REGISTERS, VALUES, VALUES, st.sampled_from(RELEASES))
@settings(max_examples=200)
def test_a_field_that_is_equal_never_decides(reg: int, value: int, own: int, name: str) -> None:
    """What a register's fate is follows from the fields that differ, and a single one from itself."""
    if value == own:
        return
    both = id_register(reg, value, {reg: own}, release(name))[0]
    single = []
    for low in range(0, 64, 4):
        mask = 0xF << low
        if (value ^ own) & mask:
            single.append(id_register(reg, own & ~mask | value & mask, {reg: own}, release(name))[0])
    assert both == (EINVAL if EINVAL in single else None if None in single else OK)


@given(st.sampled_from(sorted(FIELDS)), st.integers(0, 15), st.integers(0, 15), st.sampled_from(RELEASES))
@settings(max_examples=300)
def test_no_value_passes_both_ways_and_a_fixed_release_takes_what_later_ones_take(
    field: str, wanted: int, own: int, name: str
) -> None:
    limit = (1 << FIELDS[field].width) - 1
    wanted, own = wanted & limit, own & limit
    if wanted == own:
        return
    there, back = fate(name, field, wanted, own), fate(name, field, own, wanted)
    rewritten = field in ("ID_AA64DFR0_EL1.PMUVer", "ID_DFR0_EL1.PerfMon") and 0xF in (wanted, own)
    if not rewritten:
        assert (there, back) != (OK, OK)
    if fate("6.1", field, wanted, own) == OK:
        assert fate("6.7", field, wanted, own) == OK


@given(REGISTERS, VALUES, VALUES, st.integers(0, 2), st.sampled_from(RELEASES))
@settings(max_examples=300)
def test_knowing_less_never_makes_a_yes_or_a_no(reg: int, value: int, own: int, el0: int, name: str) -> None:
    """Without MIDR_EL1 of one side, or without ID_AA64PFR0_EL1, a fate is the same or unknown."""
    if value == own or reg == PFR0:
        return
    fresh, source = {MIDR: NEOVERSE_V1, PFR0: el0, reg: own}, {MIDR: NEOVERSE_V1, reg: value}
    full = id_register(reg, value, fresh, release(name), source)[0]
    for left_out in (MIDR, PFR0):
        less = {other: told for other, told in fresh.items() if other != left_out}
        assert id_register(reg, value, less, release(name), source)[0] in (full, None)
    assert id_register(reg, value, fresh, release(name), {reg: value})[0] in (full, None)


@given(st.dictionaries(REGISTERS, VALUES, max_size=12), st.sampled_from(RELEASES))
@settings(max_examples=60)
def test_a_machine_against_itself_is_never_refused(values: dict[int, int], name: str) -> None:
    one = RegisterDump("psci02", {MIDR: NEOVERSE_N1, PSTATE: 0x8000_0000, **values})
    assert {p.errno for p in predict(one, Host.of(name), one)} == {OK}


def test_every_register_is_judged_where_no_field_is_unknown() -> None:
    """Two CPUs, with numbers of our own: ID_AA64ISAR0_EL1 is only lowered, ID_AA64MMFR2_EL1.E0PD would be raised."""
    isar0, mmfr2 = sysreg(3, 0, 0, 6, 0), sysreg(3, 0, 0, 7, 2)
    n1 = {MIDR: NEOVERSE_N1, isar0: 0x0000_1000_1021_1120, mmfr2: 0x1000_0000_0010_1011}
    v1 = {MIDR: NEOVERSE_V1, isar0: 0x0021_1110_1021_2120, mmfr2: 0x0220_0111_0200_1011}
    told = predict(RegisterDump("psci02", n1), Host.of("6.12"), RegisterDump("psci02", v1))
    assert {p.reg: p.errno for p in told} == {MIDR: EINVAL, isar0: OK, mmfr2: EINVAL}
