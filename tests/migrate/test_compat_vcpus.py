"""All vCPUs of a file are judged, alike ones once; and whether both ends have as many."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.facts.registers import FIRMWARE_CLASSES, SVE_VLS, TIMER_CNT, reg_class, register, sysreg
from fastsmc.migrate.compat import values
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import MigrationCheck, Outlook
from fastsmc.migrate.compat.vcpus import vcpu_groups
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.result import RegisterFile
from tests.migrate.test_compat_unknown import RECORDED
from tests.support.places import TESTS
from tests.support.whole_vms import ALL, OF_VMS, Values

STREAMS = TESTS / "streams"
HOST, NEW = "linux-6.12.107-max", "linux-6.18.15-max"
MIDR, MPIDR, SCTLR2 = sysreg(3, 0, 0, 0, 0), sysreg(3, 0, 0, 0, 5), sysreg(3, 0, 1, 0, 3)
PSCI, BMAP_2 = register("PSCI_VERSION"), register("VENDOR_HYP_BMAP_2")
OTHERS = {"MIDR_EL1": {MIDR: 0x413FD0C1}, "PSCI_VERSION": {PSCI: 0x10003}, "SCTLR2_EL1": {SCTLR2: 0}}


def recorded(host: str = HOST, features: str = "psci02+pmu") -> dict[int, int]:
    found = values.payload(values.PACKAGED / host, features)
    assert found is not None
    return dict(found)


def moved(folder: Path, format: str, source: list[Values], dest: list[Values], vmm: str) -> MigrationCheck:
    paths = folder / "source", folder / "dest"
    for path, vcpus in zip(paths, (source, dest), strict=True):
        path.write_bytes(OF_VMS[format](vcpus))
    return check(*paths, vmm=vmm)


@pytest.mark.parametrize("format", sorted(OF_VMS))
@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_failure_of_vcpu_1_alone_is_told_with_its_vcpu(tmp_path: Path, format: str, name: str) -> None:
    whole = recorded()
    found = moved(tmp_path, format, [whole, whole | OTHERS[name]], [whole, whole], "qemu:10.1")
    assert found.forward.outlook is Outlook.FAILS
    assert [(fate.name, fate.vcpus) for fate in found.forward.failing] == [(name, "1")]
    assert f"vCPU 1 differs from vCPU 0 in {name}" in " ".join(found.source.notes)
    assert "(vCPU 1)" in str(found.forward)
    assert found.forward.as_dict()["failing"][0]["vcpus"] == "1"
    assert "instance 0x0" not in " ".join(found.forward.error)
    host = check(tmp_path / "source", f"{HOST}+psci02+pmu", vmm="qemu:10.1")
    assert host.forward.outlook is Outlook.FAILS


def test_each_vcpu_goes_to_that_of_its_number(tmp_path: Path) -> None:
    whole = recorded()
    other = whole | OTHERS["MIDR_EL1"]
    big_little = moved(tmp_path, "cloud-hypervisor", [whole, other], [whole, other], "cloud-hypervisor")
    assert big_little.forward.outlook is Outlook.RESTORES
    crossed = moved(tmp_path, "cloud-hypervisor", [whole, other], [other, whole], "cloud-hypervisor").forward
    assert [(fate.name, fate.vcpus) for fate in crossed.failing] == [("MIDR_EL1", "")]


def test_state_of_which_kvm_takes_any_is_no_difference(tmp_path: Path) -> None:
    whole = recorded()
    vcpus = [whole | {MPIDR: 0x8000_0000 + vcpu, sysreg(3, 0, 1, 0, 0): vcpu} for vcpu in range(4)]
    found = moved(tmp_path, "cloud-hypervisor", vcpus, vcpus, "cloud-hypervisor")
    assert found.forward.outlook is Outlook.RESTORES
    assert not any("differs" in note for note in found.source.notes)
    assert "each of 4 vCPUs" in found.forward.scope


def test_512_vcpus_are_judged_as_one() -> None:
    path = STREAMS / "cortex-a57-512-nodesc.bin.xz"
    file = inspect(path)
    assert isinstance(file, RegisterFile)
    assert vcpu_groups(file) == [tuple(range(512))]
    found = check(file, file).forward
    assert found.outlook is Outlook.RESTORES
    assert "each of 512 vCPUs" in found.scope


# Unequal numbers


@pytest.mark.parametrize(("source", "dest"), [(1, 4), (4, 1)])
def test_a_stream_loads_into_as_many_vcpus_only(source: int, dest: int) -> None:
    """Run with QEMU 7.2.22: 1 to 2, 2 to 1 and 2 to 3 vCPUs all end so."""
    found = check(STREAMS / f"max-{source}.bin.xz", STREAMS / f"max-{dest}.bin.xz", vmm="qemu:7.2").forward
    assert found.outlook is Outlook.FAILS
    assert f"{dest} at the destination" in found.reason
    assert found.error[0] == "qemu-system-aarch64: Missing section footer for arm_gicv3"
    assert found.remedies[0].command == f"-smp {source}"
    assert "number of vCPUs" not in found.scope


@pytest.mark.parametrize("vmm", ["cloud-hypervisor", "crosvm", "kvm", "qemu"])
def test_a_snapshot_has_its_own_number_of_vcpus(tmp_path: Path, vmm: str) -> None:
    whole = recorded()
    found = moved(tmp_path, "cloud-hypervisor", [whole, whole], [whole], vmm).forward
    assert found.outlook is Outlook.RESTORES
    assert any(caution.kind == "vCPUs" and "2 vCPUs in SOURCE, 1 in DEST" in str(caution) for caution in found.cautions)


def test_a_release_is_no_other_cpu_because_vcpu_0_lost_its_midr(tmp_path: Path) -> None:
    whole = recorded() | OTHERS["MIDR_EL1"]
    left = {reg: value for reg, value in whole.items() if reg != MIDR}
    path = tmp_path / "state.json"
    for vcpus in ([whole, whole], [left, whole], [whole, left]):
        path.write_bytes(OF_VMS["cloud-hypervisor"](vcpus))
        assert check(path, "6.12", vmm="cloud-hypervisor").forward.outlook is Outlook.UNKNOWN


# What is cut


@pytest.mark.parametrize("format", sorted(ALL))
@pytest.mark.parametrize("removed", ["firmware", "in the way"])
def test_a_file_without_the_registers_in_the_way_is_no_yes(tmp_path: Path, format: str, removed: str) -> None:
    whole = recorded(NEW)
    left = {
        reg: value
        for reg, value in whole.items()
        if not (reg_class(reg) in FIRMWARE_CLASSES if removed == "firmware" else reg in (PSCI, BMAP_2))
    }
    path = tmp_path / "file"
    for vmm in ("qemu:10.1", "cloud-hypervisor", "kvm"):
        path.write_bytes(ALL[format]([whole, whole]))
        before = check(path, f"{HOST}+psci02+pmu", vmm=vmm).forward
        path.write_bytes(ALL[format]([left, left]))
        after = check(path, f"{HOST}+psci02+pmu", vmm=vmm).forward
        assert (before.outlook, after.outlook is Outlook.RESTORES) == (Outlook.FAILS, False)
        assert after.open_question or after.to_know or after.outlook is Outlook.FAILS


@pytest.mark.parametrize("format", sorted(OF_VMS))
def test_a_destination_without_firmware_registers_is_a_part_too(tmp_path: Path, format: str) -> None:
    whole = recorded()
    left = {reg: value for reg, value in whole.items() if reg_class(reg) not in FIRMWARE_CLASSES}
    found = moved(tmp_path, format, [whole], [left], "qemu:10.1").forward
    assert (found.outlook, found.failing) == (Outlook.UNKNOWN, ())
    assert "name the kernel of DEST (--dest-release)" in found.to_know


def test_a_file_that_looks_older_for_want_of_a_register_is_no_yes(tmp_path: Path) -> None:
    """5.10.218 has WORKAROUND_3, at level 2 on the recorded host. Without it the file looks like 5.13's."""
    lost = register("SMCCC_ARCH_WORKAROUND_3")
    whole = recorded("linux-5.10.218-max")
    there = whole | {lost: 0}
    assert moved(tmp_path, "cloud-hypervisor", [whole], [there], "cloud-hypervisor").forward.outlook is Outlook.FAILS
    cut = {reg: value for reg, value in whole.items() if reg != lost}
    found = moved(tmp_path, "cloud-hypervisor", [cut], [there], "cloud-hypervisor")
    assert found.source.release == "5.13"
    assert found.forward.outlook is Outlook.UNKNOWN
    assert lost in {fate.reg for fate in found.forward.unjudged}
    assert "name the kernel of SOURCE (--source-release)" in found.forward.to_know
    told = check(tmp_path / "source", tmp_path / "dest", vmm="cloud-hypervisor", source_release="5.13").forward
    assert told.outlook is Outlook.RESTORES


def test_a_snapshot_without_a_register_on_purpose_is_judged_as_the_kernel_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "vcpus.txt"
    path.write_bytes(OF_VMS["snapshot-editor"]([recorded("linux-6.1.192-max", "psci02")]))
    host = "linux-6.1.192-max+psci02"
    assert check(path, host, vmm="firecracker").forward.outlook is Outlook.UNKNOWN, "6.12 lists more"
    assert check(path, host, vmm="firecracker", source_release="6.1").forward.outlook is Outlook.RESTORES


@pytest.mark.parametrize("vmm", ["firecracker", "cloud-hypervisor", "crosvm", "kvm"])
def test_streams_of_tcg_are_qemus_only(vmm: str) -> None:
    path = STREAMS / "cortex-a57-2.bin.xz"
    found = check(path, path, vmm=vmm).forward
    assert found.outlook is Outlook.FAILS
    assert "QEMU alone restores" in found.summary
    assert (found.stopped_by, found.error, found.cautions, found.remedies) == ("", (), (), ())


def test_a_register_of_aarch32_has_its_name() -> None:
    streams = STREAMS / "max-4.bin.xz", STREAMS / "cortex-a57-4-gicv2-nodesc.bin.xz"
    names = {fate.reg: fate.name for way in (check(*streams).forward, check(*streams).backward) for fate in way.failing}
    assert names.get(0x40200000200E0298, "DBGDTRTX") == "DBGDTRTX"


# Rules

CHANGED = st.dictionaries(
    st.sampled_from(sorted(reg for reg in recorded() if reg != SVE_VLS)), st.integers(0, 0xFFFF), min_size=1, max_size=3
)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(OF_VMS)), st.sampled_from(RECORDED), CHANGED, st.sets(st.sampled_from(RECORDED)), st.data()
)
def test_what_fails_on_vcpu_0_fails_on_vcpu_1(
    tmp_path_factory: pytest.TempPathFactory,
    format: str,
    dest: str,
    changed: Values,
    more: set[str],
    data: st.DataObject,
) -> None:
    """A vCPU that is altered, or has another kernel's registers besides, fails wherever it stands."""
    folder = tmp_path_factory.mktemp("vms")
    vmm = data.draw(st.sampled_from(("qemu:10.1", "cloud-hypervisor", "firecracker:1.16", "kvm")))
    whole = recorded(dest, "psci02")
    altered = {reg: value for host in more for reg, value in recorded(host, "psci02").items()} | whole
    altered |= {reg: value for reg, value in changed.items() if reg in altered}
    alone = moved(folder, format, [altered, altered], [whole, whole], vmm).forward
    beside = moved(folder, format, [whole, altered], [whole, whole], vmm).forward
    if alone.outlook is Outlook.FAILS:
        assert beside.outlook is Outlook.FAILS
        assert {fate.vcpus for fate in beside.failing} == {"1"}


def test_the_words_about_a_gicv3_are_told_of_one_only() -> None:
    found = check(STREAMS / "cortex-a57-4-gicv2-nodesc.bin.xz", STREAMS / "cortex-a57-2.bin.xz", vmm="qemu:7.2").forward
    assert found.outlook is Outlook.FAILS
    assert "2 at the destination" in found.reason
    assert (found.stopped_by, found.error) == ("the load", ())


@pytest.mark.parametrize("format", sorted(OF_VMS))
@pytest.mark.parametrize("lost", ["TIMER_CNT", "PSCI_VERSION"])
def test_what_a_destinations_file_may_have_lost_is_no_refusal(tmp_path: Path, format: str, lost: str) -> None:
    """Every kernel lists both; the file that lacks one does not tell its kernel."""
    whole = recorded(NEW)
    reg = TIMER_CNT if lost == "TIMER_CNT" else PSCI
    cut = {name: value for name, value in whole.items() if name != reg}
    found = moved(tmp_path, format, [whole], [cut], "kvm").forward
    assert found.outlook is Outlook.UNKNOWN
    assert not found.failing
