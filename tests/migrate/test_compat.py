"""Will it restore? Against recorded restores, a plain merge of two lists, QEMU's own words, and public reports."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet, register_set, register_sets
from fastsmc.facts.registers import SVE_VLS
from fastsmc.facts.releases import release
from fastsmc.facts.vmm_features import never_given
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.lists import inferred_ids, list_changes
from fastsmc.migrate.compat.matrix import groups, matrix
from fastsmc.migrate.compat.named import listed
from fastsmc.migrate.compat.result import Direction, Outlook, SideBasis
from fastsmc.migrate.compat.vmms import RULES
from tests.support.places import TESTS
from tests.support.read_samples import STREAMS, expression

RECORDINGS = TESTS / "recordings"
PSCI, BMAP_2 = smc.register("PSCI_VERSION"), smc.register("VENDOR_HYP_BMAP_2")
BITMAPS = {smc.register(name) for name in ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2")}
TCR2_PIR = {0x603000000013C103, 0x603000000013C512, 0x603000000013C513}
ID_AA64ZFR0 = 0x603000000013C024
HOSTS = sorted(path.parent.name for path in RECORDINGS.glob("*-max/restore.jsonl.xz"))


def restores(dest: str) -> Iterator[dict[str, Any]]:
    for line in lzma.decompress((RECORDINGS / dest / "restore.jsonl.xz").read_bytes()).splitlines():
        yield json.loads(line)


def errnos(direction: Direction) -> dict[int, int | None]:
    return {fate.reg: fate.errno for fate in direction.failing}


def ids(direction: Direction) -> set[int]:
    return {fate.reg for fate in direction.failing}


def by_name(what: str, record: dict[str, Any]) -> str:
    """A recorded host with the record's features: by name, or by its folder where its series has another's list."""
    if what in {path.name for path in RECORDINGS.iterdir()} - {found.name.split()[0] for found in register_sets()}:
        return str(RECORDINGS / what)
    return what + ("+none" if record["feat"] == "none" else f"+{record['feat']}")


# Recorded restores


@pytest.mark.parametrize("dest", HOSTS)
def test_recorded_restores_fail_as_recorded_with_every_vmm(dest: str) -> None:
    n_record = 0
    for record in restores(dest):
        n_record += 1
        recorded = {int(reg, 16): errno for reg, errno in record["fails"]}
        without_vls = {reg: errno for reg, errno in recorded.items() if reg != SVE_VLS}
        source, there = by_name(record["src"], record), by_name(dest, record)
        wanted: dict[str, dict[int, int]] = {
            Vmm.KVM: recorded,
            "qemu:10.2": without_vls,
            Vmm.CLOUD_HYPERVISOR: without_vls,
            Vmm.CROSVM: {reg: errno for reg, errno in without_vls.items() if reg not in BITMAPS},
        }
        features = record["feat"] if there.startswith("/") else None
        for vmm, fails in wanted.items():
            found = check(source, there, vmm=vmm, dest_features=features)
            assert errnos(found.forward) == fails, (source, there, vmm)
            is_had = not never_given(VmmVersion.of(vmm, tuple(RULES)), found.source.features)
            is_saved = vmm != Vmm.CROSVM or "sve" not in found.source.features
            assert found.forward.ok == (not fails and is_had and is_saved)
            assert found.forward.unjudged == ()
            assert found.source.basis is found.dest.basis is SideBasis.RECORDED
    assert n_record == 48


def test_backward_is_the_recorded_restore_the_other_way() -> None:
    record = next(r for r in restores("linux-6.1.192-max") if (r["src"], r["feat"]) == ("linux-7.3.4-max", "psci02"))
    found = check("linux-6.1.192-max", "linux-7.3.4-max", vmm="firecracker")
    assert errnos(found.backward) == {int(reg, 16): errno for reg, errno in record["fails"]}
    assert found.forward.ok


def test_a_folder_of_a_recorded_host_is_that_host() -> None:
    named = check("linux-6.18.15-max", "linux-6.12.107-max")
    there = check(RECORDINGS / "linux-6.18.15-max", RECORDINGS / "linux-6.12.107-max")
    assert errnos(there.forward) == errnos(named.forward) != {}
    assert there.source.release == "6.18.15"


# QEMU's rule


def merged(incoming: list[int], own: list[int]) -> bool:
    """QEMU's merge of two ascending lists, told one by one."""
    mine, theirs = 0, 0
    while mine < len(own) and theirs < len(incoming):
        if own[mine] > incoming[theirs]:
            return False  # in the stream, not here
        theirs += own[mine] == incoming[theirs]
        mine += 1
    return theirs == len(incoming)


def test_qemus_length_check_and_merge_for_every_pair_of_recorded_lists() -> None:
    def host(found: RegisterSet) -> str:
        return by_name(found.name.split()[0], {"feat": found.name.split()[1]})

    wanted = ("psci02", "psci02+pmu", "psci02+pmu+sve+pauth")
    chosen = [found for found in register_sets() if found.cpu == "max" and found.name.split()[1] in wanted]
    seen = set()
    for one in chosen:
        for other in chosen:
            incoming, own = sorted(one.cpreg_ids.tolist()), sorted(other.cpreg_ids.tolist())
            forward = check(host(one), host(other), vmm="qemu:10.0").forward
            assert forward.lengths == (len(incoming), len(own))
            told = forward.stopped_by.split()[1] if forward.stopped_by else ""
            if len(incoming) > len(own):
                assert forward.error[:2] == (
                    f"qemu-system-aarch64: Invalid value {len(incoming)} expecting positive value <= {len(own)}",
                    "qemu-system-aarch64: Failed to load cpu:cpreg_vmstate_array_len",
                )
            elif not merged(incoming, own):
                assert told == "merge"
            else:
                assert told in ("", "values")
            if forward.error and len(incoming) <= len(own):
                assert forward.error[-1] == "qemu-system-aarch64: load of migration failed: Operation not permitted"
            missing = {reg for reg in incoming if reg not in own}
            assert missing == {fate.reg for fate in forward.failing if fate.errno == 2}
            seen.add(told)
    assert seen == {"", "length", "merge", "values"}


def test_real_qemu_streams_fail_as_real_qemu_did() -> None:
    """QEMU 7.2, run on such streams: both directions and the whole text."""
    found = check(STREAMS / "max-4.bin.xz", STREAMS / "cortex-a57-4-gicv2-nodesc.bin.xz", vmm="qemu:7.2")
    head = "qemu-system-aarch64: "
    instance = f"{head}error while loading state for instance 0x0 of device 'cpu'"
    assert found.forward.error == (
        f"{head}Invalid value 304 expecting positive value <= 258",
        f"{head}Failed to load cpu:cpreg_vmstate_array_len",
        instance,
        f"{head}load of migration failed: Invalid argument",
    )
    assert found.backward.error == (instance, f"{head}load of migration failed: Operation not permitted")
    assert "CLIDR_EL1" in {fate.name for fate in found.backward.failing}
    assert found.source.release == ""
    assert "TCG" in " ".join(found.source.notes)
    same = check(STREAMS / "cortex-a57-64.bin.xz", STREAMS / "cortex-a57-2.bin.xz")
    assert same.forward.failing == same.backward.failing == ()
    assert {fate.reg for fate in same.forward.unjudged} == {0x40200000200F480A}, "L2CTLR counts the cores"


# Four public failures


def test_236_against_162_when_the_pmu_was_hidden() -> None:
    """Armada 8040, 5.11 to 5.13, September 2021: the 74 registers of the PMU."""
    found = check("5.11+psci02", "5.13+psci02", vmm="qemu:7.2")
    assert found.forward.lengths == (236, 162)
    assert found.forward.error[0].endswith("Invalid value 236 expecting positive value <= 162")
    pmu = set(register_set("6.1", features="psci02+pmu").ids.tolist()) - set(register_set("6.1").ids.tolist())
    assert ids(found.forward) == pmu
    assert len(pmu) == 74
    assert {fate.reason for fate in found.forward.failing} == {
        "missing there: hidden without the vCPU feature pmu since 5.12"
    }
    assert not found.backward.failing
    remedy = found.forward.remedies[0]
    assert (remedy.command, set(remedy.registers)) == ("-cpu host,pmu=on", pmu)
    assert not check("5.11+psci02", "5.13+pmu").forward.failing


def test_233_against_232_when_zfr0_was_hidden(tmp_path: Path) -> None:
    """CentOS 4.18.0-80 to -147, October 2020: ID_AA64ZFR0_EL1 hidden without SVE. Lists of these lengths."""
    listed = register_set("5.10").ids.tolist()
    spared = (ID_AA64ZFR0, 0x6030000000140003)
    more = [reg for reg in register_set("5.10").cpreg_ids.tolist() if reg not in spared and reg & 0xFFFF < 0xC300][-4:]
    before = [reg for reg in listed if reg not in more]
    for name, found in (("before", before), ("after", [reg for reg in before if reg != ID_AA64ZFR0])):
        (tmp_path / name).write_text("\n" + "".join(f"\t{expression(reg)},\n" for reg in found) + "\n")
    result = check(tmp_path / "before", tmp_path / "after", vmm="qemu:7.2")
    assert result.forward.error[:2] == (
        "qemu-system-aarch64: Invalid value 233 expecting positive value <= 232",
        "qemu-system-aarch64: Failed to load cpu:cpreg_vmstate_array_len",
    )
    assert ids(result.forward) == {ID_AA64ZFR0}
    assert result.backward.outlook is Outlook.UNKNOWN, "ids without values"


@pytest.mark.parametrize("new", ["6.16", "6.17", "6.18", "7.3"])
@pytest.mark.parametrize("old", ["6.1", "6.6", "6.12", "6.14"])
def test_bmap_2_goes_forward_and_not_back(old: str, new: str) -> None:
    found = check(new, old, vmm="qemu:10.2")
    assert not found.forward.ok
    assert BMAP_2 in ids(found.forward)
    assert BMAP_2 not in ids(found.backward)
    assert any(
        "QEMU 11.1 or newer at the destination" in r.text and BMAP_2 in r.registers for r in found.forward.remedies
    )
    assert not any("x-mig" in r.text + r.command for r in found.forward.remedies), "properties that no QEMU has"
    newer = check(new, old, vmm="qemu:11.1").forward
    assert BMAP_2 not in ids(newer), "its value is 0"


@pytest.mark.parametrize("old", ["6.6", "6.12", "linux-6.12.107-n1"])
@pytest.mark.parametrize("new", ["6.13", "6.16", "linux-7.3.4-n1"])
def test_tcr2_and_pir_stay_behind_from_6_13_on(old: str, new: str) -> None:
    found = check(old, new, vmm="qemu:10.2")
    assert {fate.reg for fate in found.forward.failing if fate.errno == 2} == TCR2_PIR
    assert not TCR2_PIR & ids(found.backward)
    tolerated = [r for r in found.forward.remedies if "QEMU 11.1 or newer" in r.text]
    assert [set(r.registers) for r in tolerated] == [TCR2_PIR]
    newer = check(old, new, vmm="qemu:11.1").forward
    assert not TCR2_PIR & {fate.reg for fate in (*newer.failing, *newer.unjudged)}


# Reasons and remedies


def test_a_psci_version_unknown_there_is_named_and_pinned() -> None:
    found = check("6.13", "6.12")
    assert errnos(found.forward) == {PSCI: 22}
    assert found.forward.failing[0].reason == "PSCI version unknown: 1.3 there, where 1.1 is the newest"
    assert [r.command for r in found.forward.remedies] == ["-cpu host,kvm-psci-version=1.1"]
    assert [r.command for r in check("6.13", "6.12", vmm="qemu:10.2").forward.remedies] == [""], "it lacks the property"
    told = check("6.13", "6.12", vmm="firecracker").forward
    first = "Failed to set register 0x6030000000140000 to value 0x0000000000010003: Invalid argument (os error 22)"
    assert told.error == (f"Failed to restore the state of the vcpu: {first}",)
    assert any("remove-regs" in r.command and r.command.endswith(f" {PSCI:#x}") for r in told.remedies)


def test_a_workaround_level_above_the_hosts_is_named() -> None:
    forward = check("linux-5.10.218-max+pmu", "linux-7.3.4-max+pmu").forward
    assert [(fate.name, fate.errno) for fate in forward.failing] == [("SMCCC_ARCH_WORKAROUND_3", 22)]
    assert forward.failing[0].reason == "workaround level: 0x2 of the source's host is above the 0 of this one"


def test_a_bit_above_the_limit_is_named(tmp_path: Path) -> None:
    path = RECORDINGS / "linux-6.12.107-max" / "payload-psci02.bin.xz"
    raw, reg = lzma.decompress(path.read_bytes()), smc.register("VENDOR_HYP_BMAP")
    at = raw.index(reg.to_bytes(8, "little")) + 8
    (tmp_path / "payload.bin").write_bytes(raw[:at] + (7).to_bytes(8, "little") + raw[at + 8 :])
    forward = check(tmp_path / "payload.bin", "linux-6.12.107-max", source_release="6.12").forward
    assert errnos(forward) == {reg: 22}
    assert forward.failing[0].reason == "value above limit: 0x7 has bits outside 0x3, all that 6.12.107 knows"


def test_psci_0_1_needs_a_vcpu_without_the_feature() -> None:
    found = check("6.18+none", "6.18")
    assert errnos(found.forward) == errnos(found.backward) == {PSCI: 22}
    assert "PSCI version 0.1 needs a vCPU without feature psci02" in found.forward.failing[0].reason


def test_a_firecracker_template_pins_every_bit_of_a_register() -> None:
    """Bits that a bitmap's text does not have keep the host's value, as its reader in Firecracker has it."""
    found = check("linux-7.3.4-max", "linux-6.1.192-max", vmm="firecracker")
    commands = [r.command.removeprefix("CPU template: ") for r in found.forward.remedies if "CPU temp" in r.command]
    pinned = [one for command in commands for one in json.loads(command)["reg_modifiers"]]
    widths = {int(one["addr"], 16): len(one["bitmap"].removeprefix("0b")) for one in pinned}
    assert (widths[PSCI], widths[0x603000000013C028]) == (64, 64)
    assert 0x6020000000110000 not in widths, "a cache's size is no ID register"


def test_the_matrix_names_the_vmms_when_given_another() -> None:
    with pytest.raises(InputError, match="vmm is 'xen': it must be one of qemu, firecracker"):
        matrix(["6.12"], vmm="xen")


def test_firecracker_refuses_a_pmu() -> None:
    forward = check("6.18+pmu", "6.18+pmu", vmm="firecracker").forward
    assert (forward.ok, forward.failing) == (False, ())
    assert forward.error == ("Found unsupported KVM_ARM_VCPU_PMU_V3 bit set in vcpu features.",)
    assert [remedy.text for remedy in forward.remedies] == [
        "start the VM without pmu: Firecracker has no vCPUs with it"
    ]


def test_sve_vector_lengths_are_written_before_finalize_by_vmms() -> None:
    assert check("6.18+sve", "6.18+sve", vmm="firecracker").forward.ok
    assert errnos(check("6.18+sve", "6.18+sve", vmm="kvm").forward) == {SVE_VLS: 1}


# What the guest sees


def changes(direction: Direction) -> dict[str, tuple[str, ...]]:
    return {warning.kind: warning.names for warning in direction.cautions}


def test_a_payload_of_5_10_gains_services() -> None:
    """5.10 has no bitmaps to send, so the newer kernel's defaults stand."""
    gained = set(changes(check("5.10", "6.18").forward)["gains"])
    assert {"TRNG_RND64", "VENDOR_HYP_CALL_UID", "VENDOR_HYP_PTP"} <= gained
    assert not any(name.startswith("PSCI") for name in gained), "the PSCI version travels"
    assert set(changes(check("5.10", "6.18").backward)["loses"]) >= gained


def test_crosvm_leaves_bitmaps_at_their_defaults(tmp_path: Path) -> None:
    path = RECORDINGS / "linux-6.18.15-max" / "payload-psci02.bin.xz"
    raw = lzma.decompress(path.read_bytes())
    at = raw.index(smc.register("STD_BMAP").to_bytes(8, "little")) + 8
    (tmp_path / "payload.bin").write_bytes(raw[:at] + bytes(8) + raw[at + 8 :])
    seen = {}
    for vmm in ("crosvm", "qemu"):
        forward = check(tmp_path / "payload.bin", "linux-6.18.15-max", vmm=vmm, source_release="6.18.15").forward
        assert forward.ok
        seen[vmm] = changes(forward)
    assert set(seen["crosvm"]["gains"]) == {
        "TRNG_VERSION",
        "TRNG_FEATURES",
        "TRNG_GET_UUID",
        "TRNG_RND32",
        "TRNG_RND64",
    }
    assert len(seen["crosvm"]["not carried"]) == 4
    assert seen["qemu"] == {}


def test_the_same_kernel_changes_nothing() -> None:
    found = check("7.3", "7.3")
    assert (found.forward.ok, found.forward.cautions, found.forward.remedies) == (True, (), ())


def test_registers_a_stream_lacks_keep_their_reset_values() -> None:
    names = changes(check("6.1", "6.18").forward)["keeps reset value"]
    assert "VENDOR_HYP_BMAP_2" in names
    assert sum(name.startswith("CCSIDR") for name in names) == 11


# Releases nobody recorded


def test_the_changes_of_the_list_reproduce_every_recorded_list() -> None:
    for found in register_sets():
        assert inferred_ids(release(found.release), found.name.split()[1]) == tuple(sorted(found.ids.tolist()))


def test_a_release_is_listed_alike_by_check_and_by_what_counts_its_registers() -> None:
    for features in ("sve", "psci02+sve", "sve+psci02"):
        assert listed("6.18", features) is register_set("6.18", features="psci02+sve")
    assert listed("6.12+pmu").ids.tolist() == sorted(inferred_ids(release("6.12"), "psci02+pmu"))
    inferred = listed("6.17", "sve")
    assert inferred.ids.tolist() == sorted(inferred_ids(release("6.17"), "psci02+sve"))
    assert (inferred.has_sve, inferred.features) == (True, ("psci02", "sve"))
    assert check("6.17+sve", "6.17+sve").forward.lengths == (inferred.qemu_cpregs, inferred.qemu_cpregs)
    with pytest.raises(InputError, match=r"release 7\.9 is outside"):
        listed("7.9")


def test_changes_are_in_order_and_have_sources() -> None:
    changed = list_changes()
    assert [change.by for change in changed] == sorted(change.by for change in changed)
    assert all(change.source and change.after < change.by <= change.known for change in changed)


def test_a_release_without_recording_is_marked_and_not_guessed() -> None:
    found = check("6.17", "6.6")
    assert found.source.basis is SideBasis.INFERRED
    assert "not recorded" in found.source.notes[0]
    assert errnos(found.forward) == {PSCI: 22}, "QEMU 11.1 tolerates the bitmap, whose value is 0"
    unjudged = {fate.name for fate in found.forward.unjudged}
    assert {"ID_AA64DFR0_EL1", "CLIDR_EL1"} <= unjudged, "which changed between 6.1 and 6.12"
    assert not {"SCTLR_EL1", "PSCI_VERSION", "x0", "MIDR_EL1"} & unjudged
    assert check("6.17", "6.17").forward.outlook is Outlook.RESTORES, "one machine"
    assert check("6.17", "6.16").forward.outlook is Outlook.UNKNOWN


def test_an_assumed_workaround_level_is_not_judged_unless_nothing_can_refuse_it() -> None:
    """5.10.218 has level 2 of _1 and _3; whether 5.15 has depends on the machine."""
    found = check("5.10", "5.15+pmu")
    levels = {"SMCCC_ARCH_WORKAROUND_1", "SMCCC_ARCH_WORKAROUND_3"}
    unjudged = {fate.name for fate in found.forward.unjudged if fate.name.startswith("SMCCC_ARCH")}
    assert unjudged == levels, "level 0 of _2 is accepted everywhere"
    assert not any(fate.name.startswith("SMCCC_ARCH") for fate in found.forward.failing)


def test_the_matrix_says_what_single_checks_say() -> None:
    names = ("5.10", "5.13", "6.12", "6.18")
    found = matrix(names, vmm="firecracker")
    for cell in found.cells:
        forward = check(cell.source, cell.dest, vmm="firecracker").forward
        assert (cell.outlook, cell.failing) == (forward.outlook, tuple(fate.name for fate in forward.failing))
    assert groups(found) == (("5.10",), ("5.13",), ("6.12",), ("6.18",))
    assert groups(matrix(("6.13", "6.14"))) == (("6.13", "6.14"),)
