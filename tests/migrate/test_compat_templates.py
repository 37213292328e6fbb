"""Firecracker's CPU templates as a part of a side: the VM that leaves it starts with one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.registers import sysreg
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import Outlook
from fastsmc.migrate.compat.values import PACKAGED, payload
from tests.support.command import fastsmc
from tests.support.dumps import dumped, field, written
from tests.support.whole_vms import Values, snapshot_editor

ISAR0, SHA2 = sysreg(3, 0, 0, 6, 0), 12
FIRECRACKER = "firecracker:1.16"


def template(folder: Path, *, modifiers: dict[int, str] | None = None, features: str = "") -> Path:
    """A custom CPU template that forces bits of registers, given from the highest, and of the features' word 0."""
    told = {
        "kvm_capabilities": [],
        "vcpu_features": [{"index": 0, "bitmap": features}] if features else [],
        "reg_modifiers": [{"addr": f"{reg:#x}", "bitmap": bits} for reg, bits in (modifiers or {}).items()],
    }
    path = folder / "template.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def without_sha2(folder: Path) -> Path:
    return template(folder, modifiers={ISAR0: "0b" + "x" * 48 + "0000" + "x" * 12})


def test_a_guest_that_is_offered_less_restores_where_less_is_there(tmp_path: Path) -> None:
    """A CPU without SHA-2 beside one with it: the source's template hides it."""
    less = written(tmp_path, "less", dumped("linux-6.12.107-max", fields={field(3, 0, 0, 6, 0, SHA2): 0}))
    bare = check("6.12", less, vmm=FIRECRACKER)
    assert [fate.name for fate in bare.forward.failing] == ["ID_AA64ISAR0_EL1"]
    found = check("6.12", less, vmm=FIRECRACKER, source_template=without_sha2(tmp_path))
    assert found.forward.outlook is Outlook.RESTORES
    assert "with the CPU template" not in " ".join(found.dest.notes)
    assert found.backward.outlook is Outlook.RESTORES, "a template is not applied to a VM that is restored"


def test_where_id_registers_are_fixed_the_vm_never_starts(tmp_path: Path) -> None:
    found = check("6.1", "6.1", vmm=FIRECRACKER, source_template=without_sha2(tmp_path)).forward
    assert found.outlook is Outlook.FAILS
    assert "never starts" in found.summary
    assert "ID_AA64ISAR0_EL1" in found.summary


def test_where_a_vendor_may_let_them_be_written_it_is_unknown(tmp_path: Path) -> None:
    """Amazon's 6.1: templates work there, by patches of its own that were not read."""
    host = written(tmp_path, "host", dumped("linux-6.1.192-max", kernel="6.1.172-216.329.amzn2023.aarch64"))
    found = check(host, host, vmm=FIRECRACKER, source_template=without_sha2(tmp_path)).forward
    assert found.outlook is Outlook.UNKNOWN
    assert "ID_AA64ISAR0_EL1" in {fate.name for fate in found.unjudged}


def test_features_of_a_template_travel_with_the_snapshot(tmp_path: Path) -> None:
    """SVE and pointer authentication, bits 4 to 6. Source: aarch64_with_sve_and_pac.json, Firecracker 1320786a7."""
    path = template(tmp_path, features="0b111xxxx")
    found = check("6.12", "6.12", vmm=FIRECRACKER, source_template=path)
    assert found.source.features == found.dest.features == "psci02+sve+pauth"
    assert found.forward.outlook is Outlook.RESTORES
    assert check("6.12", "6.12+psci02", vmm=FIRECRACKER, source_template=path).forward.outlook is Outlook.FAILS


@pytest.mark.parametrize(
    ("release", "word", "bitmap", "told"),
    [
        ("6.12", 0, "0b1xxxxx", r"bit 5 \(pauth address\) without bit 6 .*EINVAL"),
        ("6.12", 0, "0b1xxxxxx", r"bit 6 \(pauth generic\) without bit 5 .*EINVAL"),
        ("6.12", 0, "0b1xxxxxxx", r"knows bits 0 to 6 of the vCPU features, not bit 7 \(ENOENT\)"),
        ("6.12", 0, "0b1xxxxxxxx", r"not bit 8 \(ENOENT\)"),
        ("6.12", 0, "0b1xxxxxxxxxxxx", r"not bit 12 \(ENOENT\)"),
        ("6.18", 0, "0b1xxxxxxxxxxxx", r"knows bits 0 to 8 of the vCPU features, not bit 12 \(ENOENT\)"),
        ("6.12", 1, "0b1", r"not word 1 \(ENOENT\)"),
    ],
)
def test_a_vcpu_that_kvm_does_not_initialise_never_starts(
    tmp_path: Path, release: str, word: int, bitmap: str, told: str
) -> None:
    """As recorded for KVM_ARM_VCPU_INIT: half of pauth is EINVAL, what the release does not know is ENOENT."""
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"vcpu_features": [{"index": word, "bitmap": bitmap}]}), encoding="utf-8")
    for side in (release, written(tmp_path, "host", dumped("linux-6.12.107-max"))):
        if side == release or release == "6.12":
            found = check(side, release, vmm=FIRECRACKER, source_template=path)
            assert found.forward.outlook is Outlook.FAILS
            assert re.search(told, found.forward.reason)


@pytest.mark.parametrize(
    ("release", "features", "told"),
    [
        ("6.18", "0b1xxxxxxx", "HAS_EL2.*nothing is known of Firecracker's guests with EL2"),
        ("6.18", "0b1xxxxxxxx", "HAS_EL2_E2H0.*nothing is known of Firecracker's guests with EL2"),
        ("6.12", "0b1", "sets the vCPU feature power_off"),
    ],
)
def test_templates_of_which_nothing_can_be_said_are_refused(
    tmp_path: Path, release: str, features: str, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        check(release, release, vmm=FIRECRACKER, source_template=template(tmp_path, features=features))


@pytest.mark.parametrize(("vmm", "told"), [("1.4", "no vCPUs with"), ("1.5", ""), ("1.16", "")])
def test_a_template_gives_vcpu_features_from_1_5_on(tmp_path: Path, vmm: str, told: str) -> None:
    found = check("6.12", "6.12", vmm=f"firecracker:{vmm}", source_template=template(tmp_path, features="0b11xxxxx"))
    assert (found.forward.outlook is Outlook.FAILS) is bool(told)
    assert told in found.forward.stopped_by


def test_a_guest_of_aarch32_never_starts_with_firecracker(tmp_path: Path) -> None:
    """It writes the PSTATE of AArch64, which KVM refuses (derived)."""
    path = template(tmp_path, features="0b1x")
    assert "no vCPUs with el1_32bit" in check("6.12", "6.12", vmm=FIRECRACKER, source_template=path).forward.stopped_by


def test_a_file_of_a_vcpu_without_what_the_template_gives_is_refused(tmp_path: Path) -> None:
    host = written(tmp_path, "host", dumped("linux-6.12.107-max"))
    with pytest.raises(InputError, match=r"changes the vCPU feature sve, which the vCPU of .* lacks"):
        check(host, "6.12", vmm=FIRECRACKER, source_template=template(tmp_path, features="0b1xxxx"))


@pytest.mark.parametrize("place", ["source_template", "dest_template"])
@pytest.mark.parametrize(("vmm", "told"), [(FIRECRACKER, "refuses a vCPU with the PMU"), ("firecracker:1.14", "ran")])
def test_a_template_with_the_pmu_fails_beside_a_file_too(tmp_path: Path, place: str, vmm: str, told: str) -> None:
    """5.10 lists the PMU's registers of every vCPU, so they do not tell whether it has one."""
    path = template(tmp_path, features="0b1xxx")
    for host in ("linux-6.18.15-max", "linux-5.10.218-max"):
        file = written(tmp_path, "host", dumped(host))
        chosen = {place: path}
        way = check(file, file, vmm=vmm, **chosen)  # type: ignore[arg-type]
        found = way.backward if place == "dest_template" else way.forward
        assert found.outlook is Outlook.FAILS
        assert told in found.stopped_by


def test_a_file_of_a_vcpu_with_a_pmu_that_the_template_takes_away_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "host", dumped("linux-6.18.15-max", features="psci02+pmu"))
    with pytest.raises(InputError, match=r"changes the vCPU feature pmu, which the vCPU of .* has"):
        check(file, file, vmm=FIRECRACKER, source_template=template(tmp_path, features="0b0xxx"))


@pytest.mark.parametrize(
    ("features", "told"), [("0b0xx", "clears the vCPU feature psci02"), ("0b1", "sets the vCPU feature power_off")]
)
def test_a_template_without_psci_or_with_vcpus_off_is_refused_beside_a_file_too(
    tmp_path: Path, features: str, told: str
) -> None:
    values = dumped_values("linux-6.18.15-max")
    editor = tmp_path / "vm.txt"
    editor.write_bytes(snapshot_editor([values, values]))
    for file in (written(tmp_path, "host", dumped("linux-6.18.15-max")), editor):
        with pytest.raises(InputError, match=told):
            check(
                file,
                file,
                vmm=FIRECRACKER,
                source_release="6.18",
                source_template=template(tmp_path, features=features),
            )


def dumped_values(host: str) -> Values:
    """A recorded host's registers with psci02."""
    found = payload(PACKAGED / host, "psci02")
    assert found is not None
    return found


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_the_template_is_refused_at_whichever_vcpu_lacks_it(tmp_path: Path, lacking: int) -> None:
    """RNDR, forced where one vCPU's machine has none."""
    rndr, host = 0xF << 60, "linux-6.18.15-max"
    whole = dumped_values(host)
    vcpus = [dict(whole) for _ in range(3)]
    vcpus[lacking][ISAR0] &= ~rndr
    file = tmp_path / "vm.txt"
    file.write_bytes(snapshot_editor(vcpus))
    forced = template(tmp_path, modifiers={ISAR0: "0b0001" + "x" * 60})
    found = check(file, f"{host}+psci02", vmm=FIRECRACKER, source_template=forced, source_release="6.18").forward
    assert found.outlook is Outlook.FAILS
    assert found.reason.startswith("the VM never starts")
    assert found.reason.endswith(f"(vCPU {lacking})")


@pytest.mark.parametrize(
    ("vmm", "features", "told"),
    [
        ("qemu", "", "CPU templates are Firecracker's, from 1.4 on; qemu 11.1 takes none"),
        ("firecracker:1.3", "", "firecracker 1.3 takes none"),
        (FIRECRACKER, "0b1110000", "clears the vCPU feature psci02"),  # Firecracker's own before 1320786a7
    ],
)
def test_templates_that_cannot_be_applied_say_why(tmp_path: Path, vmm: str, features: str, told: str) -> None:
    path = template(tmp_path, features=features)
    with pytest.raises(InputError, match=told):
        check("6.12", "6.12", vmm=vmm, source_template=path)


def test_what_is_no_template_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "host", dumped("linux-6.12.107-max"))
    with pytest.raises(InputError, match="is no Firecracker CPU template"):
        check("6.12", "6.12", vmm=FIRECRACKER, source_template=path)
    with pytest.raises(InputError, match="is a Firecracker CPU template"):
        check(without_sha2(tmp_path), "6.12", vmm=FIRECRACKER)


def test_what_the_kernel_ignores_of_a_template_reaches_no_snapshot(tmp_path: Path) -> None:
    """MPAM, forced on 6.18, stays 0 there; 6.1 shows it on this machine and refuses 0. Linux 6685f5d572c2."""
    pfr0, low = sysreg(3, 0, 0, 4, 0), 40
    old = written(tmp_path, "old", dumped("linux-6.1.192-max", fields={field(3, 0, 0, 4, 0, low): 1}))
    forced = template(tmp_path, modifiers={pfr0: "0b" + "x" * 20 + "0001" + "x" * 40})
    for chosen in (None, forced):
        found = check("6.18", old, vmm=FIRECRACKER, source_template=chosen).forward
        assert "ID_AA64PFR0_EL1" in {fate.name for fate in found.failing}


def test_a_vm_that_never_starts_ends_in_4_and_is_told_no_restore(tmp_path: Path) -> None:
    path = without_sha2(tmp_path)
    arguments = ("migrate", "check", "6.1", "6.18", "--vmm", FIRECRACKER, "--source-template", path)
    done = fastsmc(*arguments)
    assert done.returncode == 4
    forward = done.stdout.partition("backward:")[0]
    assert "stopped by" not in forward
    assert forward.count("remedy") == 1


def test_a_template_that_hides_ssbs_leaves_the_level_of_a_workaround_open(tmp_path: Path) -> None:
    """KVM reports level 3 for such a vCPU where it mitigates by SSBS (measured): not even the same host is a yes.

    Before 6.12 nobody may hide it, and a template that leaves SSBS alone opens nothing.
    """
    hidden = template(tmp_path, modifiers={sysreg(3, 0, 0, 4, 1): "0b" + "x" * 56 + "0000xxxx"})
    found = check("6.12", "6.12", vmm=FIRECRACKER, source_template=hidden).forward
    assert found.outlook is Outlook.UNKNOWN
    assert [fate.name for fate in found.unjudged] == ["SMCCC_ARCH_WORKAROUND_2"]
    assert check("6.6", "6.6", vmm=FIRECRACKER, source_template=hidden).forward.outlook is Outlook.FAILS
    other = without_sha2(tmp_path)
    assert check("6.12", "6.12", vmm=FIRECRACKER, source_template=other).forward.outlook is Outlook.RESTORES
