"""Sides from files: which kernel and features they are taken for, and what cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import register_set
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import Outlook
from tests.support.places import TESTS
from tests.support.read_samples import (
    HOST,
    cloud_hypervisor,
    expression,
    fingerprint,
    reg_list,
    reglist_lines,
    snapshot_editor,
)

RECORDED = "linux-6.12.107-max"
LEFT_OUT = {0x6030000000100040, 0x603000000013DF1A, 0x603000000013DF01}
"""What Firecracker's tool leaves out of a fingerprint: PC and the counters."""


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [fingerprint, cloud_hypervisor])
def test_a_file_is_judged_as_the_host_whose_values_it_holds(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = written(tmp_path / "file", make())
    for dest in ("linux-6.18.15-max", "linux-6.1.192-max", "linux-5.10.218-max"):
        named = check(f"{RECORDED}+psci02", f"{dest}+psci02", vmm="qemu:10.2")
        filed = check(path, dest, source_release="6.12", vmm="qemu:10.2")
        assert set(filed.forward.failing) == set(named.forward.failing)
        assert set(filed.backward.failing) == set(named.backward.failing)
        assert (filed.source.features, filed.source.release) == ("psci02", "6.12")


def test_values_that_a_text_tells_ambiguously_are_not_judged(tmp_path: Path) -> None:
    """snapshot-editor prints bytes without their leading zeros, so not every value can be read back."""
    path = written(tmp_path / "vcpus.txt", snapshot_editor())
    named = check(RECORDED, "linux-5.10.218-max", source_features="psci02", dest_features="psci02").forward
    filed = check(path, "linux-5.10.218-max", source_release="6.12").forward
    assert {fate.reg for fate in filed.failing} < {fate.reg for fate in named.failing}
    told = {fate.reg for fate in (*filed.failing, *filed.unjudged)}
    assert {fate.reg for fate in named.failing} <= told


def test_the_kernel_of_a_file_is_told_inferred_or_given(tmp_path: Path) -> None:
    told = check(written(tmp_path / "fp.json", fingerprint()), RECORDED)
    assert told.source.release == "6.12.107"
    inferred = check(written(tmp_path / "vcpus.txt", snapshot_editor()), RECORDED)
    assert "inferred" in inferred.source.notes[0]
    assert not inferred.forward.failing
    beside = check(HOST / "reglist.jsonl.xz", RECORDED, source_features="psci02+pmu")
    assert (beside.source.release, beside.source.features) == ("6.12.107", "psci02+pmu")
    payload = check(HOST / "payload-psci02+sve.bin.xz", RECORDED + "+sve")
    assert (payload.source.release, payload.source.features) == ("6.12.107", "psci02+sve")


def test_a_list_without_values_is_judged_by_ids(tmp_path: Path) -> None:
    found = check(written(tmp_path / "list.txt", reg_list("psci02")), "linux-6.18.15-max", vmm="qemu:10.2")
    assert {fate.name for fate in found.forward.failing} == {"TCR2_EL1", "PIRE0_EL1", "PIR_EL1"}
    assert "PSCI_VERSION" in {fate.name for fate in found.forward.unjudged}
    assert "ids only" in found.source.notes[0]


def test_a_fingerprint_gets_back_what_its_tool_leaves_out(tmp_path: Path) -> None:
    whole = json.loads(fingerprint())
    modifiers = whole["guest_cpu_config"]["reg_modifiers"]
    whole["guest_cpu_config"]["reg_modifiers"] = [m for m in modifiers if int(m["addr"], 16) not in LEFT_OUT]
    path = written(tmp_path / "fp.json", json.dumps(whole).encode())
    found = check(path, RECORDED, vmm="firecracker")
    assert found.source.n_register == register_set("6.12").n_reg
    assert found.forward.failing == found.backward.failing == ()


def test_values_of_another_cpu_are_not_used_for_a_release(tmp_path: Path) -> None:
    whole = json.loads(fingerprint())
    for modifier in whole["guest_cpu_config"]["reg_modifiers"]:
        if modifier["addr"] == "0x603000000013c000":
            modifier["bitmap"] = f"0b{0x413FD0C1:b}"
    path = written(tmp_path / "fp.json", json.dumps(whole).encode())
    release = check(path, "6.12")
    assert release.forward.outlook is Outlook.UNKNOWN
    assert "another CPU's" in " ".join(release.dest.notes)
    between = check(path, "6.17")
    assert "another CPU's" in " ".join(between.dest.notes)
    assert between.dest.n_value == 8, "the firmware registers"
    host = check(path, RECORDED)
    assert [fate.name for fate in host.forward.failing] == ["MIDR_EL1"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ((0x603000000013C000, 0x603000000013C006), "another CPU model: no VMM moves a guest between these machines"),
        ((0x603000000013C006,), "another revision of the same CPU model"),
    ],
)
def test_another_cpu_is_no_register_to_be_pinned(tmp_path: Path, other: tuple[int, ...], told: str) -> None:
    whole = json.loads(fingerprint())
    for modifier in whole["guest_cpu_config"]["reg_modifiers"]:
        if int(modifier["addr"], 16) in other:
            modifier["bitmap"] = f"0b{0x413FD0C1:b}"
    forward = check(written(tmp_path / "fp.json", json.dumps(whole).encode()), RECORDED, vmm="firecracker").forward
    assert {fate.reg for fate in forward.failing} == set(other)
    assert (forward.remedies[0].text[: len(told)], forward.remedies[0].registers) == (told, other)
    assert len(forward.remedies) == 1, "what identifies the CPU is not taken out of a snapshot"


def test_the_lists_of_real_neoverse_hosts_have_their_known_lengths(tmp_path: Path) -> None:
    """Dumped N1 hosts list what the recorded kernels list, and two more on 5.10 and 6.1."""
    more = (0x603000000013DF11, 0x603000000013DF12)

    def listed(name: str, release: str, features: str = "psci02", extra: tuple[int, ...] = more) -> Path:
        ids = (*register_set(release, features=features).ids.tolist(), *extra)
        text = "\n" + "".join(f"\t{expression(reg)},\n" for reg in ids) + "\n"
        return written(tmp_path / name, text.encode())

    old, middle, new = listed("5.10", "5.10"), listed("6.1", "6.1"), listed("6.18", "6.18", extra=())
    first, second = check(old, middle, vmm="qemu:7.2"), check(middle, new, vmm="qemu:7.2")
    assert first.forward.lengths == (239, 169)
    assert sum(fate.errno == 2 for fate in first.forward.failing) == 74
    assert second.forward.lengths == (169, 182)
    assert not second.forward.failing
    with_pmu = check(old, listed("6.1+pmu", "6.1", "psci02+pmu"))
    assert with_pmu.forward.lengths == (239, 243)
    assert not with_pmu.forward.failing


@pytest.mark.parametrize("cpu", ["N1", "V1"])
def test_real_fingerprints_go_forward_and_back_as_known(cpu: str) -> None:
    """Counted by hand in the files: 74 registers, 239 against 169, 169 into 182."""
    folder = os.environ.get("FASTSMC_FINGERPRINTS")
    if not folder:
        pytest.skip("Firecracker's fingerprints are not copied here: FASTSMC_FINGERPRINTS names a folder of them")
    old, middle, new = (Path(folder) / f"fingerprint_ARM_NEOVERSE_{cpu}_{k}host.json" for k in ("5.10", "6.1", "6.18"))
    first = check(old, middle, vmm="qemu:7.2")
    assert first.forward.lengths == (239, 169)
    assert first.forward.error[0].endswith("Invalid value 239 expecting positive value <= 169")
    assert sum(fate.errno == 2 for fate in first.forward.failing) == 74
    second = check(middle, new)
    assert second.forward.lengths == (169, 182)
    assert not second.backward.ok
    assert (second.source.release[:4], second.dest.release[:5]) == ("6.1.", "6.18.")
    assert cpu == "V1" or not (first.forward.unjudged or second.forward.unjudged)


def test_a_firmware_register_of_the_future_is_not_judged_by_todays_rules(tmp_path: Path) -> None:
    future = 0x6030000000160004
    paths = []
    for name, value in (("one", 1), ("same", 1), ("other", 2)):
        whole = json.loads(fingerprint())
        whole["guest_cpu_config"]["reg_modifiers"].append({"addr": f"{future:#x}", "bitmap": f"0b{value:b}"})
        paths.append(written(tmp_path / name, json.dumps(whole).encode()))
    assert check(paths[0], paths[1]).forward.unjudged == ()
    forward = check(paths[0], paths[2]).forward
    assert forward.outlook is Outlook.UNKNOWN
    assert [fate.reg for fate in forward.unjudged] == [future]
    assert future in {fate.reg for fate in check(paths[0], RECORDED).forward.failing}


# What cannot be used


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("empty.json", json.dumps({"guest_cpu_config": {"reg_modifiers": []}}).encode(), "has no registers"),
        ("text", b"a poem\n", "no known format"),
        ("nothing", b"", "is empty"),
    ],
)
def test_files_of_nothing_end_in_one_sentence(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    path = written(tmp_path / name, data)
    for arguments in ((path, "6.12"), ("6.12", path)):
        with pytest.raises(InputError, match=told) as caught:
            check(*arguments)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"source": "linux-9.9-max"}, "no recorded host is called 'linux-9.9-max'; there are linux-5.10.218-max"),
        ({"source": "somewhere"}, "neither a file, nor a Linux release"),
        ({"source": ""}, "'' is neither a file"),
        ({"source": TESTS}, "tests: is a folder, and no recording: it has no meta.json"),
        ({"source": "4.18"}, "outside 5.10 to 7.3"),
        ({"source": "6.12+pmi"}, "pauth_address_only, el1_32bit, el2, e2h0; did you mean pmu?"),
        ({"source": "6.12+PMU"}, "did you mean pmu?"),
        ({"source": "7.3+e2h0"}, "write el2+e2h0, or leave it out"),
        ({"source": "7.3+el2+el1_32bit"}, "KVM gives EL2 to AArch64 vCPUs only"),
        ({"source": "linux-7.3.4-max+el2"}, "recorded on linux-7.3.4-max-nested"),
        ({"source": "6.12+pauth_address_only"}, "write pauth"),
        ({"source": "6.12+pmu", "source_features": "sve"}, "give them once"),
        ({"source": "linux-6.12.107-n1+sve"}, "were refused"),
        ({"source_release": "6.12"}, "is no file"),
        ({"vmm": "xen"}, "vmm is 'xen': it must be one of qemu, firecracker, cloud-hypervisor, crosvm, kvm"),
        ({"source": HOST, "source_features": "sve+pmu"}, "holds no payload with features 'psci02+pmu+sve'"),
    ],
)
def test_what_names_nothing_ends_in_one_sentence(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        check(**({"source": "6.12", "dest": "6.18"} | arguments))  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_features_of_a_recorded_list_must_be_in_it(tmp_path: Path) -> None:
    path = written(tmp_path / "reglist.jsonl", reglist_lines())
    with pytest.raises(InputError, match="have no list here"):
        check(path, "6.12", source_features="pmu+pauth", source_release="6.12")


def test_a_distributions_suffix_is_no_feature() -> None:
    found = check("6.12.107+deb13-arm64+pmu", "6.12+pmu")
    assert found.source.features == "psci02+pmu"
    assert found.forward.failing == ()
