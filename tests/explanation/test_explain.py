"""What `explain` says: complete, equal to the reference and to KVM's recorded behaviour, and never at a loss."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.explanation import Explanation, explain
from fastsmc.explanation.answers import ANSWERS, NEEDS
from fastsmc.explanation.guests import FATES
from fastsmc.facts.other_calls import call_name
from fastsmc.facts.register_arches import foreign_architecture
from fastsmc.facts.register_names import recorded_ids
from fastsmc.facts.register_sets import register_sets
from fastsmc.facts.registers import BIT_NAMES, FW_REGISTERS, FwKind, FwRegister
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, Conduit, Function, Gate, Service
from fastsmc.reference.vm import Vm
from tests.support.command import fastsmc
from tests.support.strategies import RELEASES, func_ids

STD_BMAP = 0x6030_0000_0016_0000


def lines(told: Explanation) -> dict[str, str]:
    return dict(told.lines)


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return fastsmc("explain", *arguments)


# Functions


def test_every_function_has_a_sentence_and_nothing_else_has() -> None:
    assert ANSWERS.keys() == FUNCTION_BY_ID.keys()
    assert NEEDS.keys() <= FUNCTION_BY_ID.keys()


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: row.name)
def test_every_function_shows_its_gate_and_source(row: Function) -> None:
    told = explain(row.func_id)
    shown = lines(told)
    assert (told.kind, told.id, told.name) == ("function", row.func_id, row.name)
    gates = {Gate.DEFAULT: "default:", Gate.NONE: "none:", Gate.FAST_PATH: "fast path:", Gate.BITMAP: "KVM_REG_ARM_"}
    assert shown["gate"].startswith(gates[row.gate])
    assert all(source.split(",")[0] in str(told) for source in row.source.split("; "))
    assert shown["answer"] == ANSWERS[row.func_id]
    assert ("x0 = -1 in every release" in shown["answer"]) <= shown["since"].startswith("no release")
    assert len(told.lines) == len(shown), "a label comes twice"
    json.dumps(told.as_dict())


@pytest.mark.parametrize(
    ("what", "label", "expected"),
    [
        ("PTP", "since", "5.13 by HVC, 6.4 by SMC"),
        ("PTP", "gate", "KVM_REG_ARM_VENDOR_HYP_BMAP bit 1 (PTP), set by default; ungated before 5.19"),
        ("TRNG_RND64", "since", "5.12 by HVC, 6.4 by SMC"),
        ("PV_TIME_ST", "since", "before 5.10 by HVC, 6.4 by SMC"),
        ("SMCCC_ARCH_WORKAROUND_3", "since", "5.17 and stable 5.10.105, 5.15.28, 5.16.14 by HVC, never by SMC"),
        ("SMCCC_ARCH_SOC_ID", "since", "no release from 5.10 to 7.3 answers it"),
        ("PSCI_SYSTEM_OFF2", "since", "6.13"),
        ("PSCI_SYSTEM_OFF2", "PSCI", "answered at version 1.3"),
        ("PSCI_SYSTEM_RESET2_64", "PSCI", "answered at version 1.1 to 1.3"),
        ("PSCI_SYSTEM_RESET2_64", "needs", "an AArch64 caller"),
        ("PSCI_SYSTEM_SUSPEND", "since", "5.19 by HVC, 6.4 by SMC"),
        ("PSCI_SYSTEM_SUSPEND", "needs", "VM capability KVM_CAP_ARM_SYSTEM_SUSPEND, off by default"),
        ("PSCI_CPU_ON", "PSCI", "answered at version 0.2 to 1.3"),
        ("PSCI_0_1_CPU_OFF", "PSCI", "answered at version 0.1"),
        ("PSCI_0_1_CPU_OFF", "needs", "a vCPU without the feature KVM_ARM_VCPU_PSCI_0_2"),
        ("SMCCC_VERSION", "filter", "reserved: a range that covers it is refused (EEXIST)"),
        (
            0x3200_0001,
            "anatomy",
            "yielding call, of which KVM answers none, SMC32, owner 50 (trusted OS), number 0x0001",
        ),
        (0xF000_FF01, "anatomy", "fast call, SMC64, owner 48 (trusted application), number 0xFF01"),
        (0x8800_0000, "anatomy", "fast call, SMC32, owner 8 (reserved), number 0x0000"),
        ("TRNG_RND32", "document", "Arm DEN0098 (TRNG firmware interface)"),
    ],
)
def test_functions_say_what_the_specification_says(what: int | str, label: str, expected: str) -> None:
    assert lines(explain(what))[label] == expected


@pytest.mark.parametrize(
    ("what", "of_release", "expected"),
    [
        ("SMCCC_VERSION", "7.3", "handled"),
        ("SMCCC_VERSION", "6.1", "HVC handled, SMC refused (x0 = -1)"),
        ("SMCCC_ARCH_WORKAROUND_1", "6.12", "HVC answered at EL2 (x0 = 0), SMC denied (x0 = -1)"),
        ("TRNG_VERSION", "5.10", "HVC not supported (x0 = -1), SMC refused (x0 = -1)"),
        ("PSCI_SYSTEM_OFF", "6.12", "exit to the VMM"),
        ("PSCI_SYSTEM_OFF2", "6.12", "not supported (x0 = -1)"),
        ("PSCI_SYSTEM_OFF2", "6.16", "exit to the VMM"),
        ("PSCI_SYSTEM_SUSPEND", "7.3", "not supported (x0 = -1)"),
        ("VENDOR_HYP_DISCOVER_IMPL_VER", "7.3", "denied (x0 = -1)"),
    ],
)
def test_defaults_are_as_recorded(what: str, of_release: str, expected: str) -> None:
    assert lines(explain(what, release=of_release))[f"default {of_release}"] == expected


@given(func_ids, st.sampled_from(RELEASES))
def test_stated_defaults_are_the_references(func_id: int, name: str) -> None:
    stated = lines(explain(func_id, release=name))[f"default {name}"]
    for conduit in (Conduit.HVC, Conduit.SMC):
        fate = FATES[Vm(Host(release(name))).call(0, func_id, conduit=conduit).verdict]
        assert stated == fate or f"{conduit.name} {fate}" in stated


def test_the_release_asked_for_comes_beside_the_newest() -> None:
    assert {"default 7.3", "default 6.12.107"} <= lines(explain("PTP", release="6.12.107")).keys()
    assert [label for label, _ in explain("PTP", release="7.3").lines].count("default 7.3") == 1


# Near misses


def test_the_example_of_the_issue() -> None:
    text = str(explain(0xC6000001))
    assert text.startswith("0xC6000001: SMC64 form is unknown; the SMC32 form 0x86000001 is PTP\n")


@pytest.mark.parametrize(
    ("asked", "meant", "why"),
    [
        (0xC6000001, 0x86000001, "the SMC32 form"),
        (0x85000020, 0xC5000020, "the SMC64 form"),
        (0x84010050, 0x84000050, "without the SVE hint"),
        (0xC6010001, 0x86000001, "without the SVE hint, the SMC32 form"),
        (0x84FF0050, 0x84000050, "without bits 23:16"),
        (0x04000003, 0x84000003, "as a fast call"),
        (0xC6000042, 0xC6000041, "its neighbour"),
        (0x84000150, 0x84000050, "with bit 8 clear"),
        (0x86000040, 0x86000000, "with bit 6 clear"),
        (0x84000003, 0xC4000003, "the SMC64 form"),
        (0x84000003, 0x95C1BA60, "the same call of another PSCI version"),
        (0x80008000, 0x6030000000140001, "the firmware register of that name"),
        ("86000001", 0x86000001, "read as hexadecimal"),
        ("6030000000160000", STD_BMAP, "read as hexadecimal"),
        (0x6020000000160000, STD_BMAP, "with 8 bytes"),
        (0x6030000000160004, 0x6030000000160003, "its neighbour"),
        (0x6030000010160000, STD_BMAP, "with bit 28 clear"),
        ("KVM_REG_ARM_PSCI_VERSION", 0x84000000, "the function of that name"),
    ],
)
def test_near_misses(asked: int | str, meant: int, why: str) -> None:
    assert (meant, why) in [(other, reason) for other, _, reason in explain(asked).near]


def test_nothing_near_is_said_so() -> None:
    told = explain(0x0F00_1234)
    assert (told.name, told.near) == (None, ())
    assert told.summary == "no function KVM/arm64 knows; owner 15, yielding calls of the trusted OS"


# Registers


@pytest.mark.parametrize("row", FW_REGISTERS, ids=lambda row: row.name)
def test_every_firmware_register_explains(row: FwRegister) -> None:
    told = explain(row.reg)
    shown = lines(told)
    assert (told.kind, told.name, told.sources[0]) == ("register", row.name, row.source)
    assert shown["anatomy"].startswith("arm64, 8 bytes, class 0x001")
    # Two independent facts: which release has it by the tables, and which recorded kernels list it.
    recorded = {found.release: row.reg in found.ids for found in register_sets()}
    assert recorded == {name: row.name in release(name).fw_registers for name in recorded}
    assert shown["listed"].endswith("for every vCPU")
    if row.kind is FwKind.BITMAP:
        assert {f"bit {bit}" for name, bit in BIT_NAMES if name == row.name} <= shown.keys()
        limit = release("7.3").bitmap_limit[row.index]
        assert limit == sum(1 << bit for name, bit in BIT_NAMES if name == row.name)
        assert f"limit 0x{limit:X}, reset 0x{release('7.3').bitmap_reset[row.index]:X}" in shown["values"]


@pytest.mark.parametrize(
    ("what", "label", "expected"),
    [
        ("STD_BMAP", "since", "5.19"),
        ("STD_BMAP", "default 5.10", "GET is ENOENT"),
        ("VENDOR_HYP_BMAP", "bit 1", "PTP: allows VENDOR_HYP_PTP"),
        ("VENDOR_HYP_BMAP", "bit 0", "FUNC_FEAT: allows VENDOR_HYP_CALL_UID, VENDOR_HYP_FEATURES"),
        ("VENDOR_HYP_BMAP_2", "since", "6.15"),
        ("VENDOR_HYP_BMAP_2", "values", "limit 0x3, reset 0x0"),
        ("KVM_REG_ARM_PSCI_VERSION", "since", "before 5.10"),
        ("KVM_REG_ARM_PSCI_VERSION", "default 5.10", "0x10000 (1.0)"),
        ("KVM_REG_ARM_PSCI_VERSION", "default 7.3", "0x10003 (1.3)"),
        ("KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3", "since", "5.17 and stable 5.10.105, 5.15.28, 5.16.14"),
        ("MIDR_EL1", "scope", "VM: one value, although every vCPU lists it (derived)"),
        ("MPIDR_EL1", "scope", "vCPU"),
        ("CCSIDR(0)", "scope", "vCPU"),
        # Firecracker's issue 6139: what a VMM wrote is lost at CPU_ON, on 6.3 to 6.9.
        (
            "CLIDR_EL1",
            "scope",
            "vCPU: a vCPU has its own since 6.3; from 6.3 to 6.9 CPU_ON resets it on the vCPU that starts, so that a "
            "value a VMM wrote stays on the first one only",
        ),
        (0x60800000001500A0, "listed", "all of 5.10.218 to 7.3.4 (recorded), on cpu max with sve"),
        (0x6040000000100058, "listed", "all of 5.10.218 to 7.3.4 (recorded), without sve"),
        (0x6030000000170000, "default 7.3", "GET is ENOENT"),
        (0x6030_1234_0014_0000, "default 7.3", "GET is EINVAL"),
    ],
)
def test_registers_say_what_the_specification_says(what: int | str, label: str, expected: str) -> None:
    assert lines(explain(what, release="5.10"))[label] == expected


def test_errnos_of_a_bitmap_come_in_the_stated_order() -> None:
    stated = re.findall(r"\bE[A-Z]+\b", lines(explain("STD_BMAP"))["SET fails"])
    assert stated == ["ENOEXEC", "ENOENT", "EFAULT", "ENOENT", "EINVAL", "EBUSY"]
    vm = Vm(Host(release("7.3")))
    wrong_size, unknown = STD_BMAP ^ 0x0010_0000_0000_0000, STD_BMAP | 0xFF
    vm.run(0)
    vm.is_initialised[0] = False
    found = [vm.set_one_reg(0, wrong_size, 2, is_pointer_bad=True)]
    vm.is_initialised[0] = True
    found.append(vm.set_one_reg(0, wrong_size, 2, is_pointer_bad=True))
    found.append(vm.set_one_reg(0, unknown, 2, is_pointer_bad=True))
    found += [vm.set_one_reg(0, unknown, 2), vm.set_one_reg(0, STD_BMAP, 2), vm.set_one_reg(0, STD_BMAP, 0)]
    assert found == [8, 2, 14, 2, 22, 16]
    assert vm.set_one_reg(0, STD_BMAP, 1) == 0, "the value it has is accepted"


# What it is asked


def test_an_x0_is_explained_by_its_low_half() -> None:
    told = explain(0xFFFF_FFFF_8400_0050)
    assert (told.kind, told.name) == ("function", "TRNG_VERSION")
    assert str(told).splitlines()[0].endswith("TRNG_VERSION (the upper half of x0, 0xFFFFFFFF, is ignored)")
    assert "bits 63:32 of x0, 0xFFFFFFFF, are ignored" in lines(told)["x0"]


def test_only_numbers_and_names_are_ids() -> None:
    with pytest.raises(InputError, match="neither a number nor a name"):
        explain(1.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="function ids have 32 bits"):
        explain(10**5000)
    with pytest.raises(InputError, match="outside"):
        explain("PTP", release="4.9")


@given(func_ids)
def test_any_32_bits_are_explained(func_id: int) -> None:
    told = explain(func_id)
    assert (told.kind, told.id) == ("function", func_id)
    assert str(told).startswith(f"0x{func_id:08X}: ")
    row = FUNCTION_BY_ID.get(func_id)
    assert told.name == call_name(func_id)
    assert lines(told)["since"].startswith("no release") == (row is None or row.needs == "-")
    assert all(len(line) <= 100 for line in str(told).splitlines()[1:])
    assert len({other for other, _, _ in told.near}) == len(told.near)


_REGISTERS = st.sampled_from(sorted(recorded_ids()) + [row.reg for row in FW_REGISTERS])


@given(
    st.integers(0, 2**64 - 1)
    | st.integers(0, 2**56 - 1).map(lambda low: 0x60 << 56 | low)
    | st.builds(lambda reg, bit: reg ^ (1 << bit), _REGISTERS, st.integers(0, 63))
    | _REGISTERS
)
def test_any_64_bits_are_explained(value: int) -> None:
    told = explain(value, release="6.1")
    is_register = value >> 56 == 0x60 or foreign_architecture(value) is not None
    assert told.kind == ("register" if is_register else "function")
    assert told.id == (value if is_register else value & 0xFFFF_FFFF)
    assert str(told)
    json.dumps(told.as_dict())
    assert all(
        call_name(other) or other in recorded_ids() | {row.reg for row in FW_REGISTERS} for other, _, _ in told.near
    )


# The command


def test_the_command_explains_several_ids() -> None:
    done = run_cli("0xC6000001", "STD_BMAP", "--release", "6.12")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{explain(0xC6000001, release='6.12')}\n\n{explain('STD_BMAP', release='6.12')}\n"


def test_help_ends_with_an_example() -> None:
    assert "Examples:\n  fastsmc explain 0xC6000001" in run_cli("--help").stdout


def test_the_command_as_json() -> None:
    (one, two) = json.loads(run_cli("--json", "PTP", "0x603000000013c020").stdout)
    assert (one["id"], one["kind"], one["lines"]["since"]) == ("0x86000001", "function", "5.13 by HVC, 6.4 by SMC")
    assert (two["id"], two["name"]) == ("0x603000000013C020", "ID_AA64PFR0_EL1")


def test_the_command_ends_in_2_for_a_name_it_does_not_know() -> None:
    done = run_cli("PTP", "STDBMAP")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == (
        "fastsmc: ID: no function or register is called 'STDBMAP'; did you mean STD_BMAP or STD_HYP_BMAP?"
    )


def test_explaining_compiles_nothing() -> None:
    code = (
        "import sys; from fastsmc.cli.app import app; app(['explain', 'PTP', 'STD_BMAP'], standalone_mode=False);"
        "sys.exit(' '.join({'numba', 'llvmlite', 'matplotlib'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_services_have_names() -> None:
    assert {row.service for row in FUNCTIONS} == set(Service) - {Service.UNKNOWN}


def test_several_ids_are_explained_in_the_order_asked_for() -> None:
    told = explain(["STD_BMAP", "0xC6000001", "PTP"], release="6.12.118")
    assert [one.id for one in told] == [0x6030000000160000, 0xC6000001, 0x86000001]
    assert (len(told), told[2]) == (3, explain("PTP", release="6.12.118"))
    assert str(told) == "\n\n".join(str(one) for one in told)
    assert told.as_dict() == [one.as_dict() for one in told]
    assert explain((0x86000001,)).each == (explain("PTP"),)
    assert "default 6.12.118" in lines(told[1])
    assert repr(told) == "Explanations(0x6030000000160000, 0xC6000001, 0x86000001)"
    assert repr(explain("PTP")) == "Explanation(0x86000001: VENDOR_HYP_PTP)"
    assert len(repr(explain([1] * 1000))) <= 200


@pytest.mark.parametrize("text", ["\u0663", "0x\u0663", "\uff13"])
def test_a_number_has_the_digits_that_tools_print(text: str) -> None:
    with pytest.raises(InputError):
        explain(text)
