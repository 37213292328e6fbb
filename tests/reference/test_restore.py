"""What a destination does with a source's registers: rules by hand, and dumps that cannot be read."""

from __future__ import annotations

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.registers import FW_REGISTERS, SVE_VLS, register
from fastsmc.facts.releases import release
from fastsmc.recordings.folder import open_recording, payload_path, read_payload
from fastsmc.reference.restore import Prediction, RegisterDump, predict, vcpu_init_errno
from fastsmc.reference.restore_rules import cache_size, system_register
from fastsmc.verification import host_of
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
SYSREG = 0x6030_0000_0013_0000
CCSIDR = 0x6020_0000_0011_0000
OK, EPERM, ENOENT, EINVAL = 0, 1, 2, 22


def dump(name: str, features: str = "psci02") -> RegisterDump:
    return RegisterDump.parse(read_payload(payload_path(RECORDINGS / f"linux-{name}-max", features)), features)


def restored(source: str, destination: str, features: str = "psci02") -> dict[int, Prediction]:
    host = host_of(open_recording(RECORDINGS / f"linux-{destination}-max"))
    return {p.reg: p for p in predict(dump(source, features), host, dump(destination, features))}


# -- rules, by hand --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination", "fails"),
    [
        ("5.10.218", "6.1.192", {"SMCCC_ARCH_WORKAROUND_3": EINVAL}),
        ("6.16.12", "6.12.107", {"PSCI_VERSION": EINVAL, "VENDOR_HYP_BMAP_2": ENOENT}),
        ("7.3.4", "6.1.192", {"PSCI_VERSION": EINVAL, "VENDOR_HYP_BMAP_2": ENOENT}),
        (
            "6.1.192",
            "5.10.218",
            {"PSCI_VERSION": EINVAL, "STD_BMAP": ENOENT, "STD_HYP_BMAP": ENOENT, "VENDOR_HYP_BMAP": ENOENT},
        ),
        ("6.1.192", "6.12.107", {}),
        ("6.12.107", "7.3.4", {}),
        ("7.3.4", "6.16.12", {}),
    ],
)
def test_firmware_registers_that_fail(source: str, destination: str, fails: dict[str, int]) -> None:
    told = restored(source, destination)
    assert {row.name: p.errno for row in FW_REGISTERS if (p := told.get(row.reg)) and p.errno} == fails


ID_DFR0, ID_AA64DFR0, ID_AA64MMFR1, CLIDR = (SYSREG | encoding for encoding in (0xC00A, 0xC028, 0xC039, 0xC801))
MIDR, AA64PFR0, CTR, CNTP_CTL = (SYSREG | encoding for encoding in (0xC000, 0xC020, 0xD801, 0xDF11))


@pytest.mark.parametrize(
    ("source", "destination", "features", "fates"),
    [
        ("5.10.218", "6.1.192", "psci02+pmu", {ID_DFR0: EINVAL, ID_AA64DFR0: EINVAL, CLIDR: OK, CCSIDR: OK}),
        ("5.10.218", "6.12.107", "psci02+pmu", {ID_DFR0: OK, ID_AA64DFR0: OK, CLIDR: OK, CCSIDR: OK}),
        ("5.10.218", "6.12.107", "psci02", {ID_DFR0: EINVAL, ID_AA64DFR0: EINVAL}),  # promises a PMU
        ("6.12.107", "6.1.192", "psci02", {CLIDR: EINVAL, CCSIDR: EINVAL, CCSIDR | 3: ENOENT, CNTP_CTL: ENOENT}),
        ("6.1.192", "6.16.12", "psci02", {ID_AA64MMFR1: EINVAL}),  # lacks HCX
        ("6.1.192", "6.18.15", "psci02", {ID_AA64MMFR1: OK}),
        ("7.3.4", "7.3.4", "psci02+sve", {SVE_VLS: EPERM, ID_AA64MMFR1: OK}),
    ],
)
def test_other_registers(source: str, destination: str, features: str, fates: dict[int, int]) -> None:
    told = restored(source, destination, features)
    assert {reg: told[reg].errno for reg in fates} == fates
    assert {p.is_modelled for p in told.values()} == {True}


@pytest.mark.parametrize(
    ("name", "encoding", "value", "own", "errno"),
    [
        ("6.1", 0xC030, 0x1, 0x2, EINVAL),  # any field, while they are fixed
        ("6.6", 0xC028, 4 << 8, 0, EINVAL),  # PMUVer raised
        ("6.6", 0xC039, 0, 1 << 40, EINVAL),  # HCX: fixed
        ("6.12", 0xC030, 0x1, 0x2, None),  # ID_AA64ISAR0: bits without a field
        ("6.12", 0xC039, 0x1 << 8 | 0x1, 0x2, EINVAL),  # VH is fixed, whatever HAFDBS would do
        ("6.12", 0xC039, 0x1, 0x2, OK),
        ("6.12", 0xC028, 0x5, 0x9, EINVAL),  # DebugVer: 6 is the lowest there is
        ("6.12", 0xC028, 0xA, 0x9, EINVAL),
        ("6.12", 0xC00A, 0x2 << 24, 0x6 << 24, EINVAL),  # PerfMon below PMUv3
        ("6.12", 0xC00A, 0x0 << 24, 0x6 << 24, OK),
        ("6.17", 0xC039, 0, 1 << 40, EINVAL),  # HCX: 6.18
        ("6.18", 0xC039, 0, 1 << 40, OK),
        ("6.18", 0xC039, 1 << 40, 0, EINVAL),
        ("7.3", 0xC000, 0x414F_D0C1, 0xF_0510, EINVAL),  # MIDR
        ("7.3", 0xC4F6, 1, 2, None),  # PMMIR
        ("7.3", 0xDF11, 1, 2, OK),  # CNTP_CTL: state
        ("6.1", 0xC801, 0x21, 0x23, EINVAL),
        ("6.12", 0xC801, 1 << 47, 0x23, EINVAL),
        ("6.12", 0xC801, 0x0100_0023, 0x0200_0021, None),  # coherence that CTR_EL0 has to promise
        ("6.12", 0xC801, 0x0920_0023, 0x0200_0021, OK),
    ],
)
def test_system_registers_with_another_value(name: str, encoding: int, value: int, own: int, errno: int | None) -> None:
    reg = SYSREG | encoding
    assert system_register(reg, value, {reg: own}, release(name))[0] == errno


@pytest.mark.parametrize(("ctr", "errno"), [(0, EINVAL), (1 << 28, OK)])
def test_cache_levels_promise_no_more_than_ctr_el0(ctr: int, errno: int) -> None:
    assert system_register(CLIDR, 0x0100_0023, {CLIDR: 0x0200_0021, CTR: ctr}, release("6.12"))[0] == errno


@pytest.mark.parametrize(("name", "value", "errno"), [("6.1", 3, EINVAL), ("6.3", 3, OK), ("6.3", 0x1001, EINVAL)])
def test_cache_sizes(name: str, value: int, errno: int) -> None:
    assert cache_size(value, 2, release(name))[0] == errno


def test_a_destination_with_fewer_features_and_registers_nobody_modelled() -> None:
    host = host_of(open_recording(RECORDINGS / "linux-6.18.15-max"))
    sve, plain = dump("6.18.15", "psci02+sve"), dump("6.18.15")
    told = {p.reg: p for p in predict(sve, host, plain)}
    assert {p.errno for reg, p in told.items() if reg >> 16 & 0xFFF == 0x15} == {ENOENT}
    told = {p.reg: p for p in predict(plain, host, sve)}
    vregs = [p for reg, p in told.items() if reg >> 48 == 0x6040]
    assert len(vregs) == 32
    assert {p.errno for p in vregs} == {EINVAL}  # cloud-hypervisor issue 8057; guest.c, core_reg_size_from_offset
    nowhere = RegisterDump("psci02", {0x6020_0000_0010_00D6: 1, 0x6030_0000_0010_0000: 77})
    assert [p.errno for p in predict(nowhere, host, plain)] == [None, OK]


CAPS = frozenset((93, 126, 170, 171, 172))


@pytest.mark.parametrize(
    ("features", "name", "caps", "errno"),
    [
        ("psci02+pmu+sve+pauth", "6.12", CAPS, OK),
        ("psci02+sve", "6.12", CAPS - {170}, EINVAL),
        ("psci02+pauth", "6.12", CAPS - {171}, EINVAL),
        ("psci02+el1_32bit", "6.12", CAPS - {93}, EINVAL),
        ("pauth_address_only", "7.3", CAPS, EINVAL),
        ("psci02+el2", "6.12", CAPS, ENOENT),
        ("psci02+el2", "6.16", CAPS, EINVAL),
        ("psci02+el2", "6.16", CAPS | {240}, OK),
        ("psci02+el2+e2h0", "7.3", CAPS | {240, 241}, OK),
        ("psci02+el2+e2h0", "7.3", CAPS | {240}, EINVAL),
        ("psci02+e2h0", "7.3", CAPS, OK),  # nested-recordings, 7.3.4-mode-default: 0x104 is an ordinary vCPU
        ("psci02+e2h0", "6.12", CAPS, ENOENT),
        ("psci02+el1_32bit+el2", "7.3", CAPS | {240}, EINVAL),
        ("none", "5.10", frozenset(), OK),
    ],
)
def test_which_vcpus_can_be_initialised(features: str, name: str, caps: frozenset[int], errno: int) -> None:
    assert vcpu_init_errno(features, release(name), caps) == errno


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(InputError, match=r"'sme' is not one of .*psci02"):
        vcpu_init_errno("psci02+sme", release("7.3"), CAPS)


# -- dumps -----------------------------------------------------------------------------------------------------


def packed(*rows: tuple[int, bytes], count: int | None = None) -> bytes:
    head = (len(rows) if count is None else count).to_bytes(8, "little")
    return head + b"".join(reg.to_bytes(8, "little") + value for reg, value in rows)


PSCI = register("PSCI_VERSION")


def test_a_dump_is_read_at_true_sizes() -> None:
    raw = packed((PSCI, b"\2" + bytes(7)), (CCSIDR, b"\3\0\0\0"), (SVE_VLS, bytes(63) + b"\1"))
    assert RegisterDump.parse(raw, "psci02").values == {PSCI: 2, CCSIDR: 3, SVE_VLS: 1 << 504}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "0 bytes; a count of 0"),
        (packed((PSCI, bytes(8)))[:-1], "ends at byte 24 of 23"),
        (packed((PSCI, bytes(8)), count=2), "hold 1 registers; their count says 2"),
        (packed((PSCI, bytes(8)), count=0), "24 bytes; a count of 0 .* 8"),
        (packed((PSCI, bytes(8)), (PSCI, bytes(8))), "register 1, at byte 24: .* occurs twice"),
        (packed((0x6090_0000_0014_0000, bytes(512))), "0x6090000000140000 is not an arm64 register of a known size"),
        (packed((0x4030_0000_0014_0000, bytes(8))), "0x4030000000140000 is not an arm64 register"),
    ],
)
def test_a_damaged_dump_says_where(raw: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        RegisterDump.parse(raw, "psci02")
