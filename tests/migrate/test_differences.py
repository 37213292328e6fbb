"""`migrate diff` and `inspect --registers`, compared with a plain comparison of the values."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.field_names import Field, differing_fields, named_fields, runs
from fastsmc.facts.registers import sysreg
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.differences import Likeness, diff
from fastsmc.migrate.read.listing import MAX_OTHERS, listing, ranges
from fastsmc.migrate.read.result import RegisterFile
from tests.support.command import fastsmc
from tests.support.read_samples import STREAMS, fingerprint, payload_values, reg_list

PFR0, MIDR, PSCI, BMAP = sysreg(3, 0, 0, 4, 0), sysreg(3, 0, 0, 0, 0), 0x6030000000140000, 0x6030000000160002


def of(values: dict[int, int | str]) -> RegisterFile:
    """A fingerprint with these values; text is a bitmap."""
    entries = [
        {"addr": hex(reg), "bitmap": value if isinstance(value, str) else f"0b{value:b}"}
        for reg, value in values.items()
    ]
    found = inspect(io.BytesIO(json.dumps({"guest_cpu_config": {"reg_modifiers": entries}}).encode()))
    assert isinstance(found, RegisterFile)
    return found


def saved(path: Path, values: dict[int, int | str]) -> Path:
    entries = [
        {"addr": hex(reg), "bitmap": value if isinstance(value, str) else f"0b{value:b}"}
        for reg, value in values.items()
    ]
    path.write_text(json.dumps({"guest_cpu_config": {"reg_modifiers": entries}}))
    return path


# -- fields --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reg", "one", "other", "told"),
    [  # positions from the Arm ARM
        (PFR0, 0x1100000011111112, 0x1101010021111112, "RAS (31:28), MPAM (43:40), DIT (51:48)"),
        (sysreg(3, 0, 0, 7, 1), 0, 1 << 60, "ECBHB (63:60)"),
        (sysreg(3, 0, 0, 7, 2), 0, 0x2 << 24, "NV (27:24)"),
        (sysreg(3, 0, 0, 7, 2), 0, 0x1 << 44, "bits 47:44"),
        (MIDR, 0x413FD0C1, 0x411FD401, "PartNum (15:4), Variant (23:20)"),
        (sysreg(3, 3, 0, 0, 1), 0, 1 << 28 | 1 << 40, "IDC (28:28), bits 40:40"),
        (sysreg(3, 0, 0, 1, 1), 0x10010000, 0x30010000, "GIC (31:28)"),
        (sysreg(3, 0, 2, 0, 0), 0, 1, ""),
        (0x6030000000100040, 0, 1, ""),
    ],
)
def test_differing_fields_are_named(reg: int, one: int, other: int, told: str) -> None:
    assert ", ".join(map(str, differing_fields(reg, one, other))) == told


def test_fields_of_a_register_do_not_overlap_and_give_its_value_back() -> None:
    value = 0x0123_4567_89AB_CDEF
    for crm in range(1, 8):
        for op2 in range(8):
            fields = named_fields(sysreg(3, 0, 0, crm, op2))
            assert sum(field.of(value) << field.low for field in fields) == value
    assert runs(0) == ()
    assert runs((1 << 64) - 1) == (Field("", 63, 0),)


# -- diff ----------------------------------------------------------------------------------------------------------


def test_a_diff_is_the_plain_comparison() -> None:
    own = {reg: int.from_bytes(value, "little") for reg, value in payload_values("psci02").items()}
    changed: dict[int, int | str] = {reg: value for number, (reg, value) in enumerate(own.items()) if number % 5}
    wide = 0x60400000001000A0
    changed |= {PFR0: own[PFR0] ^ 0x1_0000_0000, wide: own[wide] ^ 1 << 100, 0x603000000013FFFF: 7}
    found = diff(inspect(io.BytesIO(fingerprint("psci02"))), of(changed))  # type: ignore[arg-type]
    assert found.only_a == {reg: value for reg, value in own.items() if reg not in changed}
    assert found.only_b == {0x603000000013FFFF: 7}
    assert {one.reg: (one.a, one.b) for one in found.differing} == {
        reg: (own[reg], changed[reg]) for reg in (PFR0, wide)
    }
    assert set(found.equal) == own.keys() & changed.keys() - {PFR0, wide}
    assert found.likeness is Likeness.DIFFERENT


def test_fields_and_bits_say_how_values_differ() -> None:
    found = diff(of({PFR0: 0x11, PSCI: 0x10001, BMAP: 0b01}), of({PFR0: 0x1_0000_0011, PSCI: 0x10003, BMAP: 0b11}))
    assert [str(one) for one in found.differing] == [
        "0x603000000013c020 ID_AA64PFR0_EL1: 0x11 -> 0x100000011; SVE (35:32) 0x0 -> 0x1",
        "0x6030000000140000 PSCI_VERSION: 0x10001 -> 0x10003; minor (15:0) 0x1 -> 0x3",
        "0x6030000000160002 VENDOR_HYP_BMAP: 0x1 -> 0x3; PTP (1:1) 0x0 -> 0x1",
    ]
    told = found.as_dict()["differing"][0]
    assert told["fields"] == [{"field": "SVE (35:32)", "a": "0x0", "b": "0x1"}]


def test_vector_lengths_are_told_in_bits() -> None:
    """field-reports.md, kind 1: two files with SVE vector lengths 0x3 and 0x1."""
    vls = 0x606000000015FFFF
    (change,) = diff(of({vls: 0b11}), of({vls: 0b1})).differing
    assert str(change) == f"{vls:#x} KVM_REG_ARM64_SVE_VLS: 0x3 -> 0x1; vectors of 256 (1:1) 0x1 -> 0x0"


def test_unknown_is_not_equal() -> None:
    found = diff(of({PFR0: 1, MIDR: "0b1x"}), of({PFR0: 1, MIDR: 2}))
    assert (found.likeness, found.equal) == (Likeness.UNKNOWN, (PFR0,))
    assert [(one.a, one.b) for one in found.untold] == [(None, 2)]
    assert diff(of({PFR0: 1, MIDR: "0b1x"}), of({PFR0: 2, MIDR: 2})).likeness is Likeness.DIFFERENT
    with_list = diff(io.BytesIO(fingerprint("psci02+sve")), io.BytesIO(reg_list("psci02+sve")))
    assert with_list.likeness is Likeness.UNKNOWN


def test_two_lists_are_compared_by_ids_and_say_so() -> None:
    found = diff(io.BytesIO(reg_list()), io.BytesIO(reg_list()))
    assert (found.likeness, len(found.equal)) == (Likeness.EQUAL, len(payload_values("psci02+sve")))
    assert "Neither file tells values: ids are compared." in found.notes
    assert diff(io.BytesIO(reg_list()), io.BytesIO(reg_list("psci02"))).likeness is Likeness.DIFFERENT


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        ({PFR0: 1}, {PFR0: 1}, 0),
        ({PFR0: 1}, {PFR0: 2}, 4),
        ({PFR0: 1}, {MIDR: 1}, 4),
        ({PFR0: 1, MIDR: "0b1x"}, {PFR0: 1, MIDR: 2}, 5),
    ],
)
def test_the_exit_code_says_equal_different_or_unknown(
    a: dict[int, Any], b: dict[int, Any], code: int, tmp_path: Path
) -> None:
    paths = saved(tmp_path / "a.json", a), saved(tmp_path / "b.json", b)
    done = fastsmc("migrate", "diff", *paths, "--json")
    assert done.returncode == code
    assert json.loads(done.stdout)["likeness"] == {0: "equal", 4: "different", 5: "unknown"}[code]
    assert bool(done.stderr) == bool(code)


def test_what_has_no_registers_and_a_vcpu_that_is_not_there_are_refused(tmp_path: Path) -> None:
    log = tmp_path / "qemu.log"
    log.write_text("qemu-system-aarch64: Could not set register fw reg 3 to 2 (is 1)\n")
    with pytest.raises(
        InputError, match=r"qemu.log: is a log of QEMU: it names .*; a diff needs the registers of a vCPU"
    ):
        smc.migrate.diff(log, STREAMS / "max-1.bin.xz")
    with pytest.raises(InputError, match=r"vCPU 1: .* tells about 1 vCPUs"):
        smc.migrate.diff(STREAMS / "max-1.bin.xz", STREAMS / "max-1.bin.xz", vcpu=1)
    with pytest.raises(InputError, match="standard input can be one of the two files"):
        smc.migrate.diff("-", "-")


# -- every register ------------------------------------------------------------------------------------------------


def test_every_register_is_listed_with_every_vcpus_value() -> None:
    file = inspect(STREAMS / "cortex-a53-8-el2.bin.xz")
    assert isinstance(file, RegisterFile)
    assert file.core is not None
    listed = {one.reg: one for one in listing(file)}
    own = file.values_of(0)
    assert own.keys() < listed.keys()
    assert listed.keys() - own.keys() == set(file.core.registers.ids.tolist())
    for reg, one in listed.items():
        told = dict.fromkeys(range(8), one.value)
        for vcpus, value in one.others:
            for part in vcpus.split(","):
                first, _, last = part.partition("-")
                told |= dict.fromkeys(range(int(first), int(last or first) + 1), value)
        if reg in own:
            assert told == {vcpu: file.values_of(vcpu)[reg] for vcpu in range(8)}
    text = file.listed().splitlines()
    assert len(text) == len(listed)
    assert text[0].startswith("0x")


def snapshot(values: list[dict[int, int]]) -> RegisterFile:
    lines = []
    for vcpu, registers in enumerate(values):
        lines += [f"vcpu {vcpu}:", *(f"{reg:#x} {value:#x}" for reg, value in registers.items())]
    found = inspect(io.BytesIO("\n".join(lines).encode()))
    assert isinstance(found, RegisterFile)
    return found


def test_many_values_of_many_vcpus_stay_bounded() -> None:
    file = snapshot([{MIDR: 5, PFR0: vcpu, PSCI: vcpu % 2} for vcpu in range(512)])
    midr, pfr0, psci = listing(file)
    assert (midr.value, midr.others, midr.n_more) == (5, (), 0)
    assert [vcpus for vcpus, _ in pfr0.others] == [str(n) for n in range(1, 1 + MAX_OTHERS)]
    assert pfr0.n_more == 511 - MAX_OTHERS
    assert psci.others == (("1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 and 240 more", 1),)
    assert len(json.dumps(file.as_dict())) < 20_000


def test_a_register_that_some_vcpus_lack_says_which() -> None:
    file = snapshot([{PSCI: 1}, {PSCI: 1, MIDR: 7}, {PSCI: 2}])
    midr, psci = listing(file)
    assert (midr.value, midr.others, midr.absent) == (None, (("1", 7),), "0,2")
    assert (psci.value, psci.others, psci.absent) == (1, (("2", 2),), "")


def test_ranges_join_neighbours() -> None:
    numbers = np.flatnonzero(np.random.default_rng(1).random(40) < 0.7)
    told = [part.partition("-") for part in ranges(numbers).split(",")]
    assert [n for first, _, last in told for n in range(int(first), int(last or first) + 1)] == numbers.tolist()


def test_the_command_shows_registers_when_asked_and_always_in_json(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", {PFR0: 0x11, 0x603000000013C01B: 3})
    assert (
        "0x603000000013c020 ID_AA64PFR0_EL1          0x11" in fastsmc("migrate", "inspect", path, "--registers").stdout
    )
    assert "S3_0_C0_C3_3" in fastsmc("migrate", "inspect", path, "--registers").stdout
    assert "ID_AA64PFR0_EL1" not in fastsmc("migrate", "inspect", path).stdout
    told = json.loads(fastsmc("migrate", "inspect", path, "--json").stdout)["registers"]
    assert told[1] == {"id": "0x603000000013c020", "name": "ID_AA64PFR0_EL1", "value": "0x11"}
