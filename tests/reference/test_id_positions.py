"""Where fields of ID registers are: recorded vCPUs have in them what /proc/cpuinfo of their hosts says of the CPU.

The flags of /proc/cpuinfo are the kernel's own reading of the same registers (Documentation/arch/arm64/elf_hwcaps.rst).
"""

from __future__ import annotations

import json

import pytest

from fastsmc.facts.id_fields import id_fields
from fastsmc.facts.registers import Encoding, sysreg
from fastsmc.recordings.folder import payload_path, read_payload
from fastsmc.reference.restore import RegisterDump
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
FIELDS = {field.name: field for fields in id_fields().values() for field in fields}
FLAGS = """
aes ID_AA64ISAR0_EL1.AES 1, pmull ID_AA64ISAR0_EL1.AES 2, sha1 ID_AA64ISAR0_EL1.SHA1 1, sha2 ID_AA64ISAR0_EL1.SHA2 1,
sha512 ID_AA64ISAR0_EL1.SHA2 2, crc32 ID_AA64ISAR0_EL1.CRC32 1, atomics ID_AA64ISAR0_EL1.ATOMIC 2,
asimdrdm ID_AA64ISAR0_EL1.RDM 1, sha3 ID_AA64ISAR0_EL1.SHA3 1, sm3 ID_AA64ISAR0_EL1.SM3 1, sm4 ID_AA64ISAR0_EL1.SM4 1,
asimddp ID_AA64ISAR0_EL1.DP 1, asimdfhm ID_AA64ISAR0_EL1.FHM 1, flagm ID_AA64ISAR0_EL1.TS 1,
rng ID_AA64ISAR0_EL1.RNDR 1, dcpop ID_AA64ISAR1_EL1.DPB 1, dcpodp ID_AA64ISAR1_EL1.DPB 2,
jscvt ID_AA64ISAR1_EL1.JSCVT 1, fcma ID_AA64ISAR1_EL1.FCMA 1, lrcpc ID_AA64ISAR1_EL1.LRCPC 1,
frint ID_AA64ISAR1_EL1.FRINTTS 1, sb ID_AA64ISAR1_EL1.SB 1, bf16 ID_AA64ISAR1_EL1.BF16 1, dgh ID_AA64ISAR1_EL1.DGH 1,
i8mm ID_AA64ISAR1_EL1.I8MM 1, dit ID_AA64PFR0_EL1.DIT 1, bti ID_AA64PFR1_EL1.BT 1
"""
OF_MAX = """
ssbs ID_AA64PFR1_EL1.SSBS 2,
sve ID_AA64PFR0_EL1.SVE 1, sve2 ID_AA64ZFR0_EL1.SVEver 1, sveaes ID_AA64ZFR0_EL1.AES 1,
svepmull ID_AA64ZFR0_EL1.AES 2, svebitperm ID_AA64ZFR0_EL1.BitPerm 1, svebf16 ID_AA64ZFR0_EL1.BF16 1,
svesha3 ID_AA64ZFR0_EL1.SHA3 1, svesm4 ID_AA64ZFR0_EL1.SM4 1, svei8mm ID_AA64ZFR0_EL1.I8MM 1,
svef32mm ID_AA64ZFR0_EL1.F32MM 1, svef64mm ID_AA64ZFR0_EL1.F64MM 1
"""
"""Neoverse N1 has no SVE, and erratum 3194386 hides its SSBS from programs, but not from guests."""
HOSTS = sorted(path.parent.name for path in RECORDINGS.glob("*/reglist.jsonl.xz"))


def values(host: str, features: str) -> dict[int, int]:
    return dict(RegisterDump.parse(read_payload(payload_path(RECORDINGS / host, features)), features).values)


def differing(host: str, features: str, flags: str) -> list[str]:
    """Flags that the host has and the vCPU's registers do not, or the other way round."""
    told = json.loads((RECORDINGS / host / "meta.json").read_text("utf-8"))["cpuinfo"]
    has = set(told.partition("Features : ")[2].partition(";")[0].split())
    registers = values(host, features)
    wrong = []
    for entry in flags.replace("\n", " ").split(","):
        flag, name, least = entry.split()
        field = FIELDS[name]
        if (flag in has) != (field.of(registers[sysreg(*field.encoding)]) >= int(least)):
            wrong.append(flag)
    return wrong


@pytest.mark.parametrize("host", HOSTS)
def test_what_a_host_says_of_its_cpu_is_in_the_fields_of_its_vcpus(host: str) -> None:
    assert differing(host, "psci02", FLAGS) == []


@pytest.mark.parametrize("host", [host for host in HOSTS if host.endswith("max")])
def test_and_what_it_says_of_sve_and_ssbs(host: str) -> None:
    assert differing(host, "psci02+sve", OF_MAX) == []


@pytest.mark.parametrize("host", HOSTS)
def test_fields_with_a_floor_lie_above_it_and_unallocated_registers_are_zero(host: str) -> None:
    registers = values(host, "psci02")
    for field in FIELDS.values():
        reg = sysreg(*field.encoding)
        if field.lowest and not field.or_zero and registers[reg]:
            assert field.of(registers[reg]) >= field.lowest, field.name
    known = {*id_fields(), *(Encoding(3, 0, 0, crm, op2) for crm, op2 in ((1, 3), (3, 5), (4, 5), (4, 7), (5, 1)))}
    block = [reg for reg in registers if Encoding.of(reg).is_id_register and reg >> 16 & 0xFFF == 0x13]
    assert [hex(reg) for reg in block if Encoding.of(reg) not in known and registers[reg]] == []
