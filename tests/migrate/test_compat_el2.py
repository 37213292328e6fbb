"""Moves of guests with EL2: what recorded restores did, which kernels have such vCPUs, and what cannot be known."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from errno import EINVAL, ENOENT
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.registers import CLASS_SYSREG, Encoding, reg_class, sysreg
from fastsmc.facts.releases import Host, release
from fastsmc.migrate import inspect, outlooks
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.lists import HIDDEN_BY_E2H0, el2_registers, inferred_ids, is_known
from fastsmc.migrate.compat.named import by_release, listed
from fastsmc.migrate.compat.result import Direction, Outlook
from fastsmc.migrate.compat.values import PACKAGED, composed_values, payload
from fastsmc.migrate.read.result import RegisterFile
from fastsmc.recordings.folder import payload_path
from fastsmc.reference.restore import RegisterDump, predict
from tests.support.command import fastsmc
from tests.support.dumps import dumped, written
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
ICH = {
    *(f"ICH_AP{group}R{number}_EL2" for group in (0, 1) for number in range(4)),
    *(f"ICH_LR{number}_EL2" for number in range(16)),
    *("ICH_HCR_EL2", "ICH_VMCR_EL2"),
}
MMFR1, MMFR4, DFR0 = sysreg(3, 0, 0, 7, 1), sysreg(3, 0, 0, 7, 4), sysreg(3, 0, 0, 5, 0)


def errnos(way: Direction) -> dict[str, int | None]:
    return {fate.name: fate.errno for fate in way.failing}


def names(ids: set[int]) -> set[str]:
    from fastsmc.migrate.compat.result import shown_name

    return set(map(shown_name, ids))


def recorded(feat: str = "psci02+el2") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(source, destination, record) of restores between hosts in the mode `nested`."""
    for dest in ("6.18.15", "7.3.4"):
        raw = (RECORDINGS / f"linux-{dest}-max-nested" / "restore.jsonl.xz").read_bytes()
        for record in map(json.loads, lzma.decompress(raw).splitlines()):
            if record["feat"] == feat:
                yield record["src"].removeprefix("nested/"), dest, record


# -- lists -----------------------------------------------------------------------------------------------------


def test_6_16_lists_what_its_restores_show() -> None:
    """The record of a restore tells the number; those that failed as missing are all that 6.18 has not."""
    for source, dest, record in recorded():
        ids, theirs = (set(inferred_ids(release(name), "psci02+el2")) for name in (source, dest))
        assert record["n"] == len(ids)
        assert {int(reg, 16) for reg, errno in record["fails"] if errno == ENOENT} == ids - theirs
    old, new = (set(inferred_ids(release(name), "psci02+el2")) for name in ("6.16", "6.18"))
    assert (len(old), len(new)) == (325, 300)
    assert names(old - new) == {"RVBAR_EL2", *ICH}
    assert names(new - old) == {"VSESR_EL2", "VDISR_EL2"}


def test_what_e2h0_hides_and_what_sve_brings() -> None:
    plain, small, everything = (
        set(inferred_ids(release("7.3"), features))
        for features in ("psci02+el2", "psci02+el2+e2h0", "psci02+pmu+sve+pauth+el2")
    )
    assert names(plain - small) == {"VNCR_EL2", "CNTHV_CTL_EL2", "CNTHV_CVAL_EL2"}
    ordinary = set(inferred_ids(release("7.3"), "psci02+pmu+sve+pauth"))
    assert names(everything - ordinary - plain) == {"ZCR_EL2"}
    assert inferred_ids(release("7.3"), "psci02+e2h0") == inferred_ids(release("7.3"), "psci02"), "no guest with EL2"


@pytest.mark.parametrize(
    ("name", "features", "is_told"),
    [
        ("6.16", "psci02+el2", True),
        ("6.16", "none+el2", True),
        ("6.16", "psci02+el2+e2h0", False),
        ("6.16", "psci02+pmu+sve+pauth+el2", False),
        ("6.18", "psci02+el2+e2h0", True),
        ("7.3", "psci02+pmu+sve+pauth+el2", True),
        ("7.3", "psci02+sve+el2", False),
        ("7.3", "psci02+pmu+el2", False),
        ("7.3", "psci02+pmu+sve+pauth+el2+e2h0", False),
        ("6.15", "psci02+el2", False),
        ("6.12", "psci02+pmu+sve", True),
    ],
)
def test_which_lists_are_known(name: str, features: str, is_told: bool) -> None:
    assert is_known(release(name), features) is is_told


def test_what_is_not_certain_with_el2_is_no_doubt_about_ordinary_vcpus() -> None:
    plain, with_el2 = by_release("6.17+psci02", None), by_release("6.17+el2", None)
    assert names(set(with_el2.doubtful)) == {"RVBAR_EL2", "VSESR_EL2", "VDISR_EL2", *ICH}
    assert not set(plain.doubtful) & el2_registers()
    assert not any("EL2" in note for note in plain.notes)
    assert any("RVBAR_EL2" in note for note in with_el2.notes)


def test_which_register_e2h0_hides_on_6_16_is_not_known() -> None:
    """324 registers with E2H0, 325 without: one of the three that later releases hide, or another."""
    found = check("6.16+el2+e2h0", "6.18+el2+e2h0", vmm="kvm").forward
    unsure = {fate.name for fate in found.unjudged if "certain" in fate.reason}
    assert unsure == {"VNCR_EL2", "CNTHV_CTL_EL2", "CNTHV_CVAL_EL2"}


def test_lists_that_nobody_recorded_are_not_counted() -> None:
    assert listed("6.16+el2").n_reg == 325
    with pytest.raises(InputError, match=r"no register list of a vCPU with psci02\+sve\+el2 was recorded"):
        listed("7.3+el2+sve")
    with pytest.raises(InputError, match="refuses el2"):
        listed("6.12+el2")


# -- recorded restores -----------------------------------------------------------------------------------------


def test_every_recorded_restore_is_what_check_says() -> None:
    n_whole = 0
    for source, dest, record in recorded():
        found = check(f"{source}+el2", f"{dest}+el2", vmm="kvm").forward
        fails = {int(reg, 16): errno for reg, errno in record["fails"]}
        failing = {fate.reg: fate.errno for fate in found.failing}
        if source == "6.16.12":  # whose values are not known
            assert failing.items() <= fails.items()
            assert fails.keys() <= failing.keys() | {fate.reg for fate in found.unjudged}
            continue
        assert (failing, found.unjudged) == (fails, ())
        n_whole += 1
    assert n_whole == 6


def test_restores_between_two_hosts_in_the_mode_nested_with_any_features() -> None:
    n_record = 0
    for features in ("none", "psci02", *(f"psci02+{more}" for more in ("pmu", "sve", "pauth", "pmu+sve+pauth", "el2"))):
        for source, dest, record in recorded(features):
            if source not in ("6.18.15", "7.3.4"):
                continue
            found = check(
                f"linux-{source}-max-nested+{features}", f"linux-{dest}-max-nested+{features}", vmm="kvm"
            ).forward
            fails = {int(reg, 16): errno for reg, errno in record["fails"]}
            assert ({fate.reg: fate.errno for fate in found.failing}, found.unjudged) == (fails, ())
            n_record += 1
    assert n_record == 28


def test_what_was_told_of_the_way_back_to_6_16() -> None:
    """nested-recordings, item 9: VSESR_EL2 and VDISR_EL2 are missing, three ID registers are refused."""
    for source in ("6.18", "7.2", "7.3"):
        found = check(f"{source}+el2", "6.16+el2", vmm="kvm").forward
        assert errnos(found) == {"VSESR_EL2": ENOENT, "VDISR_EL2": ENOENT}
        assert {"ID_AA64PFR0_EL1", "ID_AA64DFR0_EL1", "ID_AA64MMFR1_EL1"} <= {fate.name for fate in found.unjudged}


# -- outlooks --------------------------------------------------------------------------------------------------


CASES = [
    ("6.16+el2", "6.18+el2", 4, {"RVBAR_EL2": ENOENT, **dict.fromkeys(sorted(ICH), ENOENT)}),
    ("6.18+el2", "7.2+el2", 4, {"ID_AA64MMFR1_EL1": EINVAL}),
    ("7.2+el2", "6.18+el2", 4, {"ID_AA64MMFR1_EL1": EINVAL}),
    ("7.2+el2", "7.3+el2", 0, {}),
    ("7.3+el2", "7.2+el2", 0, {}),
    ("6.16+el2", "6.16+el2", 0, {}),
    ("7.2+el2+e2h0", "7.3+el2+e2h0", 0, {}),
    ("6.18+el2+e2h0", "7.3+el2+e2h0", 4, {"ID_AA64MMFR1_EL1": EINVAL}),
    ("6.17+el2", "6.18+el2", 5, {}),
    ("6.18+el2", "6.17+el2", 5, {}),
    ("6.18+el2", "7.0+el2", 5, {}),
    ("7.0+el2", "7.3+el2", 5, {}),
    ("7.2.12+el2", "7.3+el2", 5, {}),
    ("7.2+el2+pauth", "7.3+el2+pauth", 5, {}),
    ("7.3.4+el2+pauth", "7.3+el2+pauth", 5, {}),
    ("6.16+el2+e2h0", "6.17+el2+e2h0", 5, {}),
]


@pytest.mark.parametrize(("source", "dest", "code", "failing"), CASES)
def test_outlooks_between_kernels_with_el2(source: str, dest: str, code: int, failing: dict[str, int]) -> None:
    found = check(source, dest, vmm="kvm").forward
    assert errnos(found) == failing
    assert {Outlook.RESTORES: 0, Outlook.FAILS: 4, Outlook.UNKNOWN: 5}[found.outlook] == code
    assert found.unjudged or found.open_question or code != 5
    (release_name, *features), (other, *_) = source.split("+"), dest.split("+")
    column = outlooks(release_name, other, features="+".join(features), vmm="kvm")
    assert column[0].outlook is found.outlook
    assert str(column[0])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("7.2+el2", "7.3+el2"), 0), (("6.16+el2", "6.18+el2"), 4), (("7.0+el2", "7.3+el2"), 5)],
)
def test_the_command_ends_with_the_outlook(arguments: tuple[str, str], code: int) -> None:
    assert fastsmc("migrate", "check", *arguments, "--quiet").returncode == code


def test_a_kernel_before_6_16_has_no_such_vcpus() -> None:
    found = check("6.18+el2", "6.12+el2")
    for way in (found.forward, found.backward):
        assert (way.outlook, way.failing) == (Outlook.FAILS, ())
        assert way.reason == "KVM_ARM_VCPU_INIT of 6.12 refuses el2 (ENOENT): Linux has such vCPUs from 6.16 on"
    assert outlooks("6.18", "6.12", features="psci02+el2")[0].why == found.forward.reason
    assert check("6.12+el2", "6.12+el2").forward.outlook is Outlook.FAILS


@pytest.mark.parametrize(
    ("vmm", "told"), [("kvm", ""), ("qemu:10.1", ""), ("qemu:10.0", "no vCPUs with el2 (from 10.1")]
)
def test_which_qemu_gives_el2(vmm: str, told: str) -> None:
    found = check("7.2+el2", "7.3+el2", vmm=vmm).forward
    assert told in found.stopped_by
    assert found.ok is not bool(told)


def test_a_vendor_may_have_taken_el2_over() -> None:
    """RHEL 10 is based on 6.12, and may have what later releases brought."""
    rhel = "6.12.0-55.el10.aarch64+el2"
    for source, dest in ((rhel, "6.18+el2"), ("6.18+el2", rhel)):
        found = check(source, dest, vmm="kvm").forward
        assert (found.outlook, found.reason) == (Outlook.UNKNOWN, "")
    unsure = {fate.name for fate in found.unjudged if "has vCPUs with el2 is not certain" in fate.reason}
    assert {"HCR_EL2", "VNCR_EL2", "SP_EL2"} <= unsure


def test_a_guest_with_el2_and_a_vcpu_without_are_told_apart() -> None:
    found = check("6.18+el2", "6.18+psci02")
    assert "DEST must be Linux 6.16 or later, booted with kvm-arm.mode=nested" in found.forward.reason
    assert len(found.forward.failing) == 43
    assert {fate.reason for fate in found.forward.failing} == {"missing there: listed with the vCPU feature el2 only"}
    assert found.backward.reason == "DEST's vCPU has EL2 and the guest has none: start DEST's vCPU without el2"
    for way in (found.forward, found.backward):
        assert way.outlook is Outlook.FAILS
        assert not [caution for caution in way.cautions if caution.kind in ("gains", "loses", "answers", "smc")]
    assert "another machine than the one with el2" in " ".join(found.dest.notes)


def test_a_guest_without_el2_cannot_take_the_id_registers_of_one_with_it() -> None:
    """Two vCPUs of one host, by the rules that every recorded restore follows (derived: nobody recorded such a one)."""
    for name in ("6.18.15", "7.3.4"):
        folder = PACKAGED / f"linux-{name}-max-nested"
        plain, with_el2 = (RegisterDump(f, payload(folder, f) or {}) for f in ("psci02", "psci02+el2"))
        refused = {p.reg: p.errno for p in predict(plain, Host.of(name), with_el2) if p.errno}
        assert {MMFR4: EINVAL, DFR0: EINVAL}.items() <= refused.items()
        back = {p.reg: p.errno for p in predict(with_el2, Host.of(name), plain) if p.errno}
        assert sum(errno == ENOENT for errno in back.values()) == 43


def test_e2h0_on_one_side_only() -> None:
    found = check("6.18+el2", "6.18+el2+e2h0", vmm="kvm").forward
    missing = {name for name, errno in errnos(found).items() if errno == ENOENT}
    assert missing == {"VNCR_EL2", "CNTHV_CTL_EL2", "CNTHV_CVAL_EL2"}
    assert errnos(found).keys() - missing == {"ID_AA64MMFR1_EL1", "ID_AA64MMFR4_EL1"}
    assert any("hidden with e2h0 since 6.18" in fate.reason for fate in found.failing)
    assert any("give both sides the same vCPU features" in str(remedy) for remedy in found.remedies)


# -- values ----------------------------------------------------------------------------------------------------


def test_values_with_e2h0_are_the_recorded_ones() -> None:
    """nested.jsonl, reg_list of features 0x184."""
    for name, mmfr1 in (("6.18.15", 0x10110000312020), ("7.3.4", 0x10110010312021)):
        values = composed_values(PACKAGED / f"linux-{name}-max-nested", "psci02+el2+e2h0")
        assert (values[MMFR1], values[MMFR4], len(values)) == (mmfr1, 0, 297)


def test_values_of_id_registers_are_composed_beside_el2_and_a_pmus_are_not() -> None:
    """nested.jsonl, reg_list of features 0xfc: ID_AA64DFR0_EL1 of everything."""
    values = composed_values(PACKAGED / "linux-6.18.15-max-nested", "psci02+pmu+sve+pauth+el2")
    ids = [reg for reg in values if reg_class(reg) == CLASS_SYSREG and Encoding.of(reg).is_id_register]
    assert None not in [values[reg] for reg in ids]
    assert values[sysreg(3, 4, 1, 1, 1)] is None, "MDCR_EL2 tells the PMU's counters"
    assert values[sysreg(3, 3, 9, 12, 0)] is None, "PMCR_EL0"


def test_values_of_ordinary_vcpus_are_those_of_the_ordinary_hosts() -> None:
    assert check("6.18", "7.3").source.notes[0] == "values of linux-6.18.15-max"
    assert check("6.18+el2", "7.3+el2").source.notes[0] == "values of linux-6.18.15-max-nested"
    beside_pauth = check("7.2+el2+pauth", "7.3+el2+pauth").forward
    assert "ID_AA64MMFR1_EL1" in {fate.name for fate in beside_pauth.unjudged}, "restores both ways were with EL2 alone"


# -- files -----------------------------------------------------------------------------------------------------


def file_of(path: Path) -> RegisterFile:
    found = inspect(path)
    assert isinstance(found, RegisterFile)
    return found


def test_inspect_tells_a_guest_with_el2() -> None:
    folder = RECORDINGS / "linux-7.3.4-max-nested"
    found = file_of(payload_path(folder, "psci02+el2"))
    told = "of a guest with EL2 (vCPU features el2): 43 of 300 registers are EL2's"
    assert told in found.answer
    assert f"It is {told}." in found.as_dict()["notes"]
    assert "EL2" not in file_of(payload_path(folder, "psci02")).answer
    assert "EL2" not in file_of(TESTS / "streams" / "cortex-a53-8-el2.bin.xz").answer, "QEMU's TCG, not KVM"


def test_el2_of_qemus_tcg_is_no_vcpu_feature() -> None:
    stream = str(TESTS / "streams" / "cortex-a53-8-el2.bin.xz")
    assert "el2" not in check(stream, stream).source.features
    assert check(stream, stream, source_features="el2").forward.outlook is Outlook.RESTORES


def test_a_file_shows_el2_and_what_lies_beside_it_takes_it(tmp_path: Path) -> None:
    host = "linux-7.3.4-max-nested"
    path = written(tmp_path, "guest", dumped(host, features="psci02+el2"))
    found = check(path, "7.3")
    assert (found.source.features, found.dest.features, found.forward.outlook) == ("psci02+el2",) * 2 + (
        Outlook.RESTORES,
    )
    assert check(path, "6.18").forward.failing[0].name == "ID_AA64MMFR1_EL1"
    small = dumped(host, features="psci02+el2", without=tuple(HIDDEN_BY_E2H0))
    assert check(written(tmp_path, "small", small), "7.3").source.features == "psci02+el2+e2h0"
