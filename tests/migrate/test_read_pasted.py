"""What people paste: templates, reports, logs, answers. Own numbers in the shape of the public ones that are named."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.errors import InputError, RegisterFileError
from fastsmc.facts.registers import sysreg
from fastsmc.migrate.read.cpu_model import CpuModel
from fastsmc.migrate.read.cpu_template import CpuTemplate, Forced
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.naming import NamedRegisters
from fastsmc.migrate.read.qemu_log import ONLY_DEST, ONLY_SOURCE, REFUSED, UNKNOWN_TO_KVM, register_meant
from fastsmc.migrate.read.reg_report import MISSING, NEW
from fastsmc.migrate.read.result import Format, RegisterFile
from tests.support.places import ROOT
from tests.support.read_samples import analyze_migration, fingerprint, reg_list, stream

PFR0, ISAR0 = sysreg(3, 0, 0, 4, 0), sysreg(3, 0, 0, 6, 0)


def read(text: str | bytes | dict[str, Any]) -> Any:
    data = json.dumps(text) if isinstance(text, dict) else text
    return inspect(io.BytesIO(data.encode() if isinstance(data, str) else data))


def refuse(text: str | dict[str, Any], match: str) -> None:
    with pytest.raises(RegisterFileError, match=match):
        read(text)


def template(*registers: tuple[str, str], **others: Any) -> dict[str, Any]:
    return {"reg_modifiers": [{"addr": addr, "bitmap": bitmap} for addr, bitmap in registers], **others}


# -- Firecracker CPU templates -------------------------------------------------------------------------------------


def test_the_example_of_the_documentation_clears_and_leaves_what_it_says() -> None:
    """Firecracker's cpu-templates.md, "An example of configuring a custom CPU template on ARM"."""
    bitmap = "0bxxxxxxxxxxxx0000xxxxxxxxxxxx0000xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    found = read(
        template(
            ("0x603000000013c020", bitmap),
            kvm_capabilities=["171", "172", "!56"],
            vcpu_features=[{"index": 0, "bitmap": "0b11xxxxx"}],
        )
    )
    assert isinstance(found, CpuTemplate)
    forced = found.registers[PFR0]
    assert forced.cleared == 0b0000000000001111000000000000111100000000000000000000000000000000
    assert ~forced.filter & (1 << 64) - 1 == 0b1111111111110000111111111111000011111111111111111111111111111111
    assert (found.added, found.removed) == ((171, 172), (56,))
    assert found.as_dict()["vcpu_features"] == [{"index": 0, "set": ["pauth_address", "pauth_generic"], "cleared": []}]
    assert found.apply_features(0b100) == 0b1100100
    assert "SVE (35:32) = 0x0; DIT (51:48) = 0x0" in str(found)


@pytest.mark.parametrize(
    ("bitmap", "before", "after"),
    [
        ("0b101", 0xFFFF_FFF0, 0xFFFF_FFF5),  # missing digits are x
        ("0b0000_xxxx", 0xABCD, 0xAB0D),  # _ separates
        ("1x0", 0b011, 0b110),  # 0b may be missing
        ("0b" + "x" * 64 + "0" * 64, 7, 0),
    ],
)
def test_a_bitmap_forces_its_digits(bitmap: str, before: int, after: int) -> None:
    assert read(template((hex(PFR0), bitmap))).apply({PFR0: before}) == {PFR0: after}


def test_v1n1_makes_an_n1_of_a_v1() -> None:
    """Values of Firecracker's fingerprints of Neoverse V1 and N1, kernel 6.1; its V1N1.json for these registers."""
    isar0 = "0b0000xxxx00000000xxxx000000000000xxxxxxxxxxxxxxxx0001xxxxxxxxxxxx"
    isar1 = "0bxxxxxxxx000000000000xxxxxxxxxxxxxxxxxxxx000100000000xxxxxxxx0001"
    found = read(template((hex(ISAR0), isar0), (hex(ISAR0 + 1), isar1)))
    assert found.apply({ISAR0: 0x1011111110212120, ISAR0 + 1: 0x0011100000211002}) == {
        ISAR0: 0x100010211120,
        ISAR0 + 1: 0x100001,
    }


def test_applying_a_template_knows_what_it_does_not_know() -> None:
    found = CpuTemplate("t", {PFR0: Forced((1 << 64) - 1, 0x11), ISAR0: Forced(0xF0, 0x10)}, {})
    own = {PFR0: None, ISAR0: None, 5: 6}
    assert found.apply(own) == {PFR0: 0x11, ISAR0: None, 5: 6}
    assert own[PFR0] is None
    with pytest.raises(
        InputError, match=r"forces bits of 0x603000000013c030 ID_AA64ISAR0_EL1, which this vCPU does not"
    ):
        found.apply({PFR0: 0})


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"cpuid_modifiers": []}, r'template of x86 \("cpuid_modifiers"\)'),
        ({"reg_modifiers": [], "reg_modifier": []}, 'no key "reg_modifier", .*did you mean reg_modifiers?'),
        (template((hex(PFR0), "0b2")), "bitmap '0b2' is not"),
        (template((hex(PFR0), "0b" + "1" * 65)), "a bitmap of 65 digits for 64 bits"),
        (template((str(PFR0), "0b1")), r"addr is '\d+': it must be text such as"),
        (template((hex(PFR0), "0b1"), (hex(PFR0), "0b0")), "is there twice: Firecracker would take the last"),
        (template(("0x606000000015ffff", "0b1")), "has 512 bits; Firecracker takes 32, 64 and 128"),
        ({"vcpu_features": [{"index": 7, "bitmap": "0b1"}]}, r"index is 7: it must be a whole number in 0\.\.6"),
        ({"kvm_capabilities": ["!a2"]}, "is '!a2': it must be text such as"),
    ],
)
def test_a_template_that_firecracker_refuses_is_refused(value: dict[str, Any], match: str) -> None:
    refuse(value, match)


def test_the_dump_of_a_whole_configuration_is_a_vcpu_and_no_template() -> None:
    """`cpu-template-helper template dump` writes a vCPU's registers in a template's form."""
    dump = json.loads(fingerprint())["guest_cpu_config"]
    found = read(dump)
    assert isinstance(found, RegisterFile)
    assert found.values_of() == read(fingerprint()).values_of()


# -- get-reg-list's report -----------------------------------------------------------------------------------------

REPORT = """vregs: Number blessed registers:   300
vregs: Number registers:           299 (includes 2 filtered registers)

vregs: There are 1 new registers.
Consider adding them to the blessed reg list with the following lines:

\tKVM_REG_ARM_FW_FEAT_BMAP_REG(3),


vregs: There are 2 missing registers.
The following lines are missing registers:

\tARM64_SYS_REG(3, 0, 2, 0, 3),
\tKVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc),

pmu: PASS
"""


@pytest.mark.parametrize("prefix", ["", "# ", "> > ", "| "])
@pytest.mark.parametrize("name", ["vregs: ", ""])
def test_a_report_names_new_and_missing_registers(prefix: str, name: str) -> None:
    text = "".join(f"{prefix}{line}\n" for line in REPORT.replace("vregs: ", name).split("\n"))
    found = read(text)
    assert isinstance(found, NamedRegisters)
    assert [(one.reg, one.said, one.group) for one in found.registers] == [
        (0x6030000000160003, NEW, name[:-2]),
        (sysreg(3, 0, 2, 0, 3), MISSING, name[:-2]),
        (0x6030000000100040, MISSING, name[:-2]),
    ]
    assert "300 registers in the test's own list" in str(found)


def test_a_report_that_lacks_a_register_it_announces_is_refused() -> None:
    refuse(REPORT.replace("\tARM64_SYS_REG(3, 0, 2, 0, 3),\n", ""), "2 registers are announced as missing, and 1 are")
    refuse(REPORT.replace("3, 0, 2, 0, 3", "3, 0, 2, 0, 9"), "line 13: 'ARM64_SYS_REG.* is no system register")


def test_a_line_of_a_list_alone_is_a_fragment_and_a_whole_list_is_not() -> None:
    assert "fragment of a list" in read("\tKVM_REG_ARM_FW_REG(3),\n").no_host
    assert read(reg_list()).no_host == ""
    refuse((reg_list() * 2).decode(), "is there twice in the list: lists of two vCPUs")


# -- QEMU's log ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reg", "said", "values"),
    [  # 10.2
        ("Could not set register fw reg 3 to 2 (is 1)", 0x6030000000140003, REFUSED, (2, 1)),
        ("Could not set register fw feat reg 2 to 7 (is 3)", 0x6030000000160002, REFUSED, (7, 3)),
        ("Could not set register demuxed reg 6020000000110000 to ff", 0x6020000000110000, REFUSED, (255, None)),
        (
            "Could not set register op0:3 op1:0 crn:0 crm:4 op2:0 to 1100000011111112 (is 11111112)",
            *(PFR0, REFUSED, (0x1100000011111112, 0x11111112)),
        ),
        ("Could not set register fw feat reg 3: unknown to KVM", 0x6030000000160003, UNKNOWN_TO_KVM, (None, None)),
        (
            "Could not set register core reg 6030000000100040: Device or resource busy",
            0x6030000000100040,
            None,
            (None,) * 2,
        ),
        # 11.1
        (
            "handle_cpreg_only_in_incoming_stream: fw feat reg 3 in the incoming stream but unknown on the "
            "destination: fail migration",
            *(0x6030000000160003, ONLY_SOURCE, (None, None)),
        ),
        (
            "handle_cpreg_missing_in_incoming_stream: system register op0:3 op1:0 crn:2 crm:0 op2:3 expected by the "
            "destination but not in the incoming stream: skip it",
            *(sysreg(3, 0, 2, 0, 3), ONLY_DEST, (None, None)),
        ),
        # the series before it was merged, and its trace points
        (
            "kvm_arm_cpu_post_load Missing register in input stream: 0 0x6030000000160003 fw feat reg 3",
            *(0x6030000000160003, ONLY_DEST, (None, None)),
        ),
        (
            "cpu_post_load_unexpected unexpected register in input stream: v=4 index=0x603000000013c103 (i=4)",
            *(sysreg(3, 0, 2, 0, 3), ONLY_SOURCE, (None, None)),
        ),
    ],
)
def test_a_line_of_qemus_log_names_its_register(line: str, reg: int, said: str | None, values: tuple[int, int]) -> None:
    text = f"char device redirected\n2026-11-02T10:11:12.123456Z qemu-system-aarch64: {line}\n"
    (one,) = read(text).registers
    assert (one.reg, one.given, one.own, one.line) == (reg, *values, 2)
    assert one.said == said if said else one.said.endswith("Device or resource busy")


@pytest.mark.parametrize(
    ("spelled", "reg"),
    [
        ("SVE VLS", 0x606000000015FFFF),
        ("SVE zreg n:1 slice:0", 0x6080000000150020),
        ("SVE preg n:1 slice:0", 0x6050000000150420),
        ("SVE ffr slice:0", 0x6050000000150600),
        ("SVE ???", None),
        ("fw reg 70000", None),
        ("op0:4 op1:0 crn:0 crm:0 op2:0", None),
        ("6030000000160003", 0x6030000000160003),
    ],
)
def test_words_of_qemu_for_registers(spelled: str, reg: int | None) -> None:
    assert register_meant(spelled) == reg


def test_a_log_of_a_qemu_that_names_no_register_tells_the_lengths() -> None:
    text = (
        "qemu-system-aarch64: Invalid value 184 expecting positive value <= 182\n"
        "qemu-system-aarch64: Failed to load cpu:cpreg_vmstate_array_len\n"
        "qemu-system-aarch64: error while loading state for instance 0x0 of device 'cpu'\n"
        "qemu-system-aarch64: load of migration failed: Invalid argument\n"
    )
    found = read(text)
    assert found.registers == ()
    assert found.told[0] == "184 registers in the stream, 182 at the destination: too many."
    assert "No register is named" in str(found)


# -- debugfs, QMP --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "SYS_"])
def test_idregs_of_debugfs_are_a_fragment_with_values(prefix: str) -> None:
    names = {"ID_PFR0_EL1": 0x10010131, "ID_AA64PFR0_EL1": 0x1100000011111112, "S3_0_0_3_3": 0, "ID_AA64NEW9_EL1": 1}
    found = read("".join(f"{prefix + name:>20}:\t{value:016x}\n" for name, value in names.items()))
    assert found.values_of() == {sysreg(3, 0, 0, 1, 0): 0x10010131, sysreg(3, 0, 0, 3, 3): 0, PFR0: 0x1100000011111112}
    assert "ID_AA64NEW9_EL1" in found.notes[0]
    assert found.no_host.startswith("is the ID registers of a VM")
    refuse("ID_PFR0_EL1:\t0000000010010131\nwhat\n", "line 2: 'what' is not")


@pytest.mark.parametrize("is_bare", [True, False])
def test_a_cpu_model_tells_features_and_lengths(is_bare: bool) -> None:
    props = {"sve": True, "sve128": True, "sve256": True, "sve512": False, "pmu": True, "pauth": False, "sve-max-vq": 2}
    answer: dict[str, Any] = {"model": {"name": "host", "props": props}}
    found = read(answer if is_bare else {"return": answer, "id": "libvirt-7"})
    assert isinstance(found, CpuModel)
    assert (found.features, found.sve_lengths) == (("pmu", "sve"), (128, 256))
    assert "-cpu host,sve512=off" in str(found)
    refuse({"return": {"model": {"name": "host", "props": {"a": [1]}}}}, r"""property "a" is \[1\]:""")


def test_a_qmp_session_is_read_to_its_last_answer() -> None:
    model = {"return": {"model": {"name": "max", "props": {"sve": True}}}}
    session = [{"QMP": {"version": {}}}, {"return": {}}, {"event": "RESUME"}, model]
    found = read("\n".join(map(json.dumps, session)) + "\n")
    assert (found.name, found.features) == ("max", ("sve",))


# -- encodings -----------------------------------------------------------------------------------------------------


def test_no_escape_sequence_of_a_file_reaches_the_terminal() -> None:
    log = "Could not set register fw\x1b[31m reg 3: unknown to KVM\nload of migration failed: \x1b]0;x\n"
    model = {"model": {"name": "ho\x1bst", "props": {"a\x1bb": True, "sve128": True, "sve256": False, "c": "\x1b[2J"}}}
    for found in (read(log), read(model)):
        assert str(found).replace("\n", "").isprintable()
        assert repr(found).isprintable()


def test_a_firecracker_snapshot_is_told_with_the_tool_that_prints_it() -> None:
    with pytest.raises(RegisterFileError, match="is a Firecracker snapshot: snapshot-editor info-vmstate"):
        read(b"\0\0\xaa\xaa\x84\x19\x10\x07" + bytes(64))


@pytest.mark.parametrize("text", [REPORT, "Could not set register fw reg 3 to 2 (is 1)\n", reg_list().decode()])
def test_text_with_a_byte_order_mark_and_crlf_is_read(text: str) -> None:
    plain, marked = read(text), read(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert type(plain) is type(marked)
    if isinstance(plain, RegisterFile):
        assert plain.values_of() == marked.values_of()
        assert sum(part.n_bytes for part in marked.parts) == marked.total_bytes
    else:
        assert plain.registers == marked.registers
    other = read(text.encode("utf-16"))
    assert type(plain) is type(other)
    if isinstance(plain, RegisterFile):
        assert plain.values_of() == other.values_of()


# -- no host, no verdict -------------------------------------------------------------------------------------------

NO_HOSTS = {
    "template": json.dumps(template((hex(PFR0), "0bx1"))),
    "features": '{"vcpu_features": [{"index": 0, "bitmap": "0b1x"}]}',
    "report": REPORT,
    "log": "qemu-system-aarch64: Could not set register fw reg 3 to 2 (is 1)\n",
    "fragment": "KVM_REG_ARM_FW_REG(3),\n",
    "idregs": "ID_PFR0_EL1:\t0000000010010131\n",
    "model": '{"return": {"model": {"name": "host", "props": {}}}}',
    "one vCPU": '{"Kvm": {"sys_regs": [{"id": 6931039826524504064, "addr": 65537}]}}',
}


@pytest.mark.parametrize("kind", NO_HOSTS)
def test_what_is_no_host_gets_no_verdict(kind: str, tmp_path: Any) -> None:
    """field-reports.md, kind 1: a template was taken for a host."""
    path = tmp_path / "pasted"
    path.write_text(NO_HOSTS[kind])
    found = inspect(path)
    assert found.no_host.startswith("is ")
    for sides in ((path, "6.12"), ("6.12", path)):
        with pytest.raises(InputError, match=re.escape(f"pasted: {found.no_host[:40]}")):
            smc.migrate.check(*sides)
    for told in (repr(found), str(found), json.dumps(found.as_dict())):
        assert told
    assert str(found).startswith(f"{path}: {found.format}")


def test_a_stream_of_tcg_says_so_in_its_first_line() -> None:
    for data in (stream(), analyze_migration()):
        first = str(read(data)).split("\n")[0]
        assert "emulated by QEMU's TCG, not KVM: " in first
    assert read(fingerprint()).emulated == ""
    kvm = {"ram (2)": {}, "cpu (3)": {"cpreg_vmstate_array_len": "0x1"}}
    kvm["cpu (3)"] |= {"cpreg_vmstate_indexes": "0x6030000000140000", "cpreg_vmstate_values": "0x10001"}  # type: ignore[dict-item]
    assert read(kvm).emulated == ""


def test_the_page_about_files_has_every_format() -> None:
    page = (ROOT / "docs" / "files.md").read_text("utf-8")
    assert [name for name in Format if f"`{name}`" not in page] == []
