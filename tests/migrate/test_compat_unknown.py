"""Unknown is an outlook of its own: knowing less never turns a no into a yes, and one machine restores its own VMs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.facts.registers import CLASS_SYSREG, FIRMWARE_CLASSES, SVE_VLS, reg_class, reg_size, register
from fastsmc.facts.vmm_features import never_given
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.migrate.compat import values
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.lists import feature_of
from fastsmc.migrate.compat.matrix import known_releases
from fastsmc.migrate.compat.result import Direction, Outlook
from fastsmc.migrate.compat.vmms import RULES
from tests.support.places import TESTS
from tests.support.read_samples import expression
from tests.support.whole_vms import ALL

RECORDED = sorted({folder.name for folder in values._folders().values()})
FEATURES = ("pmu", "sve", "pauth")
OPTIONAL = st.sets(st.sampled_from(FEATURES)).map(lambda names: "+".join(["psci02", *sorted(names)]))
VMMS = st.sampled_from(("kvm", "qemu:10.0", "qemu:11.1", "cloud-hypervisor:v53", "firecracker:1.16", "crosvm"))
RELEASES = st.sampled_from(known_releases())


def forward(source: object, dest: object, vmm: str = "qemu:11.1") -> Direction:
    return check(source, dest, vmm=vmm).forward  # type: ignore[arg-type]


def dumped(host: str) -> dict[str, Any]:
    """A recorded host's plain vCPU in the form of Firecracker's CPU fingerprint."""
    found = values.payload(values.PACKAGED / host, "psci02")
    assert found is not None
    modifiers = [{"addr": f"{reg:#x}", "bitmap": f"0b{value:0{8 * reg_size(reg)}b}"} for reg, value in found.items()]
    config = {"kvm_capabilities": [], "vcpu_features": [], "reg_modifiers": modifiers}
    return {"kernel_version": host.split("-")[1], "guest_cpu_config": config}


# The cases that were found


@pytest.mark.parametrize("features", ["pmu", "pmu+sve", "pmu+pauth", "sve+pauth", "pmu+sve+pauth"])
def test_a_level_that_is_too_high_is_known_with_any_features(features: str) -> None:
    """5.10.218 has WORKAROUND_3 at level 2 on the recorded CPU, 6.18.15 at 0; few features were recorded together."""
    found = forward(f"5.10+{features}", f"6.18+{features}")
    assert found.outlook is Outlook.FAILS
    assert "SMCCC_ARCH_WORKAROUND_3" in {fate.name for fate in found.failing}


@pytest.mark.parametrize("vmm", ["cloud-hypervisor:v53", "firecracker:1.16", "kvm"])
def test_v_registers_are_refused_by_a_vcpu_with_sve(vmm: str) -> None:
    """Source: github.com/cloud-hypervisor, issue 8057; Linux arch/arm64/kvm/guest.c."""
    found = forward("6.12", "6.12+sve", vmm)
    refused = {fate.name for fate in found.failing if fate.errno == 22}
    assert refused >= {f"V{number}" for number in range(32)}


@pytest.mark.parametrize(("vmm", "said"), [("v52", "GetAarchCoreRegister"), ("v53", "")])
def test_cloud_hypervisor_saves_sve_from_v53_on(vmm: str, said: str) -> None:
    found = forward("6.12+sve", "6.12+sve", f"cloud-hypervisor:{vmm}")
    assert (found.outlook is Outlook.FAILS) == bool(said)
    assert said in " ".join(found.error)


@pytest.mark.parametrize(("vmm", "restores"), [("firecracker:1.6", False), ("firecracker:1.7", True)])
def test_firecracker_restores_sve_from_1_7_on(vmm: str, restores: bool) -> None:
    """Source: github.com/firecracker-microvm/firecracker, pull request 4413."""
    assert forward("6.1+sve", "6.1+sve", vmm).ok is restores


def test_snapshots_of_an_old_firecracker_hold_half_of_each_vector() -> None:
    """Source: Firecracker's CHANGELOG, 1.2.0."""
    assert forward("5.10", "5.10", "firecracker:1.1.3").outlook is Outlook.FAILS
    assert forward("5.10", "5.10", "firecracker:1.1.4").outlook is Outlook.RESTORES


def test_6_12_goes_to_6_18_with_a_qemu_that_tolerates_and_back_with_psci_pinned() -> None:
    """Source: QEMU commits bb36be6fd799 to 202126dcb9d6."""
    assert forward("6.12", "6.18", "qemu:11.1").outlook is Outlook.RESTORES
    back = forward("6.18", "6.12", "qemu:11.1")
    assert [fate.name for fate in back.failing] == ["PSCI_VERSION"]
    assert [remedy.command for remedy in back.remedies] == ["-cpu host,kvm-psci-version=1.1"]
    older = forward("6.18", "6.12", "qemu:10.2")
    assert not any("kvm-psci-version" in remedy.command for remedy in older.remedies)


def test_a_bitmap_is_missed_without_harm_only_if_it_is_0(tmp_path: Path) -> None:
    """VENDOR_HYP_BMAP_2 on 6.18, and no such register on 6.12."""
    for value, refused in ((0, False), (3, True)):
        whole = dumped("linux-6.18.15-max")
        for modifier in whole["guest_cpu_config"]["reg_modifiers"]:
            if int(modifier["addr"], 16) == register("VENDOR_HYP_BMAP_2"):
                modifier["bitmap"] = f"0b{value:b}"
        path = tmp_path / f"{value}.json"
        path.write_text(json.dumps(whole), encoding="utf-8")
        names = {fate.name for fate in check(path, "6.12", vmm="qemu:11.1").forward.failing}
        assert ("VENDOR_HYP_BMAP_2" in names) is refused


def test_qemu_warns_of_vector_lengths_that_differ(tmp_path: Path) -> None:
    """QEMU does not carry them: both ends are started with the same. Source: QEMU docs/system/arm/cpu-features.rst."""
    paths = []
    for lengths in (0x3, 0x1):
        path = tmp_path / f"{lengths}.json"
        modifiers = [
            {"addr": f"{SVE_VLS:#x}", "bitmap": f"0b{lengths:b}"},
            *dumped("linux-6.12.107-max")["guest_cpu_config"]["reg_modifiers"],
        ]
        told = {"guest_cpu_config": {"reg_modifiers": modifiers}, "kernel_version": "6.12.107"}
        path.write_text(json.dumps(told), encoding="utf-8")
        paths.append(path)
    for one, other in (paths, paths[::-1]):
        text = next(str(c) for c in forward(one, other, "qemu:11.1").cautions if c.kind == "vector lengths")
        assert "-cpu host,sve256=off" in text
        found = forward(one, other, "firecracker:1.16")
        assert ("KVM_REG_ARM64_SVE_VLS" in {fate.name for fate in found.failing}) is (one == paths[0])


def test_a_single_register_is_a_fragment_and_gets_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "line").write_text(f"\t{expression(register('PSCI_VERSION'))},\n", encoding="utf-8")
    with pytest.raises(InputError, match="a fragment of a list"):
        check(tmp_path / "line", "6.12")


def test_a_stream_of_tcg_never_runs_on_kvm_and_says_so_first() -> None:
    path = TESTS / "streams" / "max-1.bin.xz"
    for kernel in (None, "6.12"):
        found = check(path, "6.18", source_release=kernel).forward
        assert found.outlook is Outlook.FAILS
        assert "TCG" in str(found).splitlines()[0]
        assert "TCG" in found.summary
        assert max(map(len, str(found).splitlines())) < 1000


@pytest.mark.parametrize("kernel", ["", "7.9.0", "4.14.355"])
def test_a_file_whose_kernel_is_not_known_is_never_a_yes(kernel: str, tmp_path: Path) -> None:
    """What its kernel lists is not known, so registers that would fail may have been left out of it."""
    told = dumped("linux-6.18.15-max") | {"kernel_version": kernel}
    failing = {fate.reg for fate in _judged(told, "6.1+psci02").failing}
    modifiers = told["guest_cpu_config"]["reg_modifiers"]
    told["guest_cpu_config"]["reg_modifiers"] = [m for m in modifiers if int(m["addr"], 16) not in failing]
    found = _judged(told, "6.1+psci02")
    assert failing
    assert found.outlook is Outlook.UNKNOWN
    assert "--source-release" in found.open_question
    assert "TCG" not in str(found), "Firecracker has none"
    told["guest_cpu_config"]["reg_modifiers"] = modifiers[:2]
    with pytest.raises(InputError, match="a fragment, 2 registers"):
        _judged(told, "6.1+psci02")


@pytest.mark.parametrize("vmm", ["qemu:7.2", "qemu:11.1", "kvm", "crosvm", "cloud-hypervisor", "firecracker"])
def test_a_guest_of_aarch32_goes_to_no_vcpu_of_aarch64(vmm: str) -> None:
    """KVM refuses its PSTATE, which QEMU carries apart and writes all the same."""
    for one, other in (("6.12+el1_32bit", "6.12+psci02"), ("6.12+psci02", "6.12+el1_32bit")):
        assert forward(one, other, vmm).outlook is Outlook.FAILS
    is_had = vmm.startswith(("qemu", "kvm"))
    assert forward("6.12+el1_32bit", "6.12+el1_32bit", vmm).ok is is_had


@pytest.mark.parametrize(
    ("source", "dest", "vmm"),
    [
        ("6.12+pmu", "6.12+pmu", "cloud-hypervisor:v21"),
        ("6.12", "6.12+pmu", "cloud-hypervisor:v20"),
        ("6.12", "6.12+pmu", "firecracker"),
        ("6.12+sve", "6.12+sve", "cloud-hypervisor:v41"),
    ],
)
def test_a_vcpu_that_a_vmm_does_not_have_restores_nowhere(source: str, dest: str, vmm: str) -> None:
    assert forward(source, dest, vmm).outlook is Outlook.FAILS


def test_qemu_names_registers_in_the_order_of_their_ids() -> None:
    """It merges and writes ascending lists."""
    names = [line for line in forward("5.10+pmu", "6.12+pmu", "qemu:10.2").error if "Could not set" in line]
    assert len(names) > 1
    assert [("fw reg" in line) for line in names] == sorted("fw reg" in line for line in names)


# Rules


@pytest.mark.parametrize("host", RECORDED)
def test_what_features_change_alone_gives_the_recorded_vcpu_that_has_them_all(host: str) -> None:
    folder, features = values.PACKAGED / host, "psci02+pmu+sve+pauth"
    recorded = values.payload(folder, features)
    composed = values.composed_values(folder, features)
    assert recorded is not None
    compared = {reg for reg in recorded if reg_class(reg) == CLASS_SYSREG or reg_class(reg) in FIRMWARE_CLASSES}
    known = {reg for reg in compared if composed.get(reg) is not None}
    assert {reg: composed[reg] for reg in known} == {reg: recorded[reg] for reg in known}
    assert composed.keys() == recorded.keys()
    assert len(compared - known) <= 2


@settings(deadline=None)
@given(RELEASES, OPTIONAL, VMMS)
def test_one_machine_restores_its_own_vms(release: str, features: str, vmm: str) -> None:
    host = f"{release}+{features}"
    found = forward(host, host, vmm)
    unsaved = vmm in ("kvm", "crosvm") and "sve" in features
    never = unsaved or never_given(VmmVersion.of(vmm, tuple(RULES)), features)
    assert found.outlook is (Outlook.FAILS if never else Outlook.RESTORES)


@settings(deadline=None)
@given(RELEASES, RELEASES, OPTIONAL, st.sampled_from(FEATURES), VMMS)
def test_one_more_feature_on_both_sides_hides_no_failure(
    source: str, dest: str, features: str, more: str, vmm: str
) -> None:
    """A failure of the feature's own registers apart, which the feature mends."""
    fewer = forward(f"{source}+{features}", f"{dest}+{features}", vmm)
    added = features if more in features.split("+") else f"{features}+{more}"
    found = forward(f"{source}+{added}", f"{dest}+{added}", vmm)
    stands = {fate.reg for fate in fewer.failing if feature_of(fate.reg) != more and fate.reg not in _RAISED[more]}
    assert stands <= {fate.reg for fate in found.failing}
    if stands:
        assert found.outlook is Outlook.FAILS


_RAISED = {
    "pmu": {0x603000000013C00A, 0x603000000013C028},
    "sve": {0x603000000013C020, 0x603000000013C024},
    "pauth": {0x603000000013C031},
}
"""ID registers of which a field tells of the feature: ID_DFR0, ID_AA64DFR0; ID_AA64PFR0, ID_AA64ZFR0; ID_AA64ISAR1."""


@settings(deadline=None)
@given(st.sampled_from(RECORDED), st.sampled_from(RECORDED), st.data())
def test_a_file_with_registers_removed_never_restores_where_the_whole_one_fails(
    source: str, dest: str, data: st.DataObject
) -> None:
    whole = dumped(source)
    modifiers = whole["guest_cpu_config"]["reg_modifiers"]
    before = _judged(whole, f"{dest}+psci02")
    if before.outlook is Outlook.RESTORES:
        return
    failing = [fate.reg for fate in before.failing]
    removed = set(data.draw(st.lists(st.sampled_from([int(m["addr"], 16) for m in modifiers]), max_size=5)))
    removed |= set(data.draw(st.sets(st.sampled_from(failing)) if failing else st.just(set())))
    if data.draw(st.booleans()):
        removed |= set(failing)
    left = [m for m in modifiers if int(m["addr"], 16) not in removed]
    after = _judged(whole | {"guest_cpu_config": {"reg_modifiers": left}}, f"{dest}+psci02")
    assert after.outlook is not Outlook.RESTORES


def _judged(told: dict[str, Any], dest: str) -> Direction:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fp.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        return check(path, dest, vmm="firecracker:1.16").forward


CUT_FEATURES = ("psci02", "psci02+pmu", "psci02+sve", "psci02+pauth")


@settings(deadline=None)
@given(st.sampled_from(sorted(ALL)), st.sampled_from(RECORDED), st.sampled_from(RECORDED), VMMS, st.data())
def test_a_file_of_any_format_never_restores_once_registers_are_removed_where_the_hosts_do_not(
    format: str, source: str, dest: str, vmm: str, data: st.DataObject
) -> None:
    """No file here tells its kernel. All registers in the way are removed, or all of the firmware, and some others."""
    features = data.draw(st.sampled_from(CUT_FEATURES))
    before = forward(f"{source}+{features}", f"{dest}+{features}", vmm)
    if before.outlook is Outlook.RESTORES:
        return
    whole = [dict(found) for host in (source, dest) if (found := values.payload(values.PACKAGED / host, features))]
    in_the_way = {fate.reg for fate in before.failing} & whole[0].keys()
    firmware = {reg for reg in whole[0] if reg_class(reg) in FIRMWARE_CLASSES}
    removed = set(data.draw(st.sampled_from((in_the_way, firmware, in_the_way | firmware, set()))))
    removed |= data.draw(st.sets(st.sampled_from(list(whole[0])), max_size=8))
    removed_there = data.draw(st.sets(st.sampled_from(list(whole[1])), max_size=8)) - removed
    cut = [{reg: value for reg, value in whole[0].items() if reg not in removed}] * 2
    other = [{reg: value for reg, value in whole[1].items() if reg not in removed_there}] * 2
    for there in (f"{dest}+{features}", ALL[format](other)):
        assert _of_files(ALL[format](cut), there, vmm) is not Outlook.RESTORES


def _of_files(source: bytes, dest: bytes | str, vmm: str) -> Outlook | None:
    """The outlook between a file and a host or another file; None where one is refused as a fragment."""
    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path | str] = []
        for number, told in enumerate((source, dest)):
            paths.append(told if isinstance(told, str) else Path(folder) / str(number))
            if isinstance(told, bytes):
                (Path(folder) / str(number)).write_bytes(told)
        try:
            return forward(*paths, vmm).outlook
        except InputError:
            return None


@pytest.mark.parametrize("vmm", ["qemu:10.0", "firecracker:1.16"])
def test_hiding_a_recording_never_turns_a_no_into_a_yes(vmm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(one.split("-")[1], other.split("-")[1]) for one in RECORDED for other in RECORDED if one != other]
    before = {pair: forward(*(f"{each}+psci02" for each in pair), vmm).outlook for pair in pairs}
    folders = values._folders()
    for pair, outlook in before.items():
        for hidden in (pair[:1], pair[1:], pair):
            left = {name: folder for name, folder in folders.items() if folder.name.split("-")[1] not in hidden}
            monkeypatch.setattr(values, "_folders", lambda left=left: left)
            found = forward(*(f"{each}+psci02" for each in pair), vmm).outlook
            assert (outlook, found) != (Outlook.FAILS, Outlook.RESTORES), (pair, hidden)
        monkeypatch.setattr(values, "_folders", lambda: folders)
