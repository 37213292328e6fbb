"""Host profiles where a side of a move is asked for: `migrate check` and `migrate inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.packaged import SAMPLES
from tests.support.fake_kvm import RECORDINGS, probed, written

REAL = SAMPLES["host.json.xz"]


def test_two_hosts_are_checked_as_their_recordings_are(tmp_path: Path) -> None:
    """By what each KVM said, register for register as from the recorded lists."""
    names = ("linux-6.12.107-max", "linux-6.18.15-max")
    paths = [written(tmp_path, probed(name), f"{name}.json") for name in names]
    for features in ("psci02+pmu", "psci02+pmu+sve+pauth"):
        there = smc.migrate.check(*paths, source_features=features, dest_features=features)
        told = smc.migrate.check(*names, source_features=features, dest_features=features)
        for way, other in ((there.forward, told.forward), (there.backward, told.backward)):
            assert way.outlook == other.outlook
            assert [fate.reg for fate in way.failing] == [fate.reg for fate in other.failing]
            assert [fate.reg for fate in way.unjudged] == [fate.reg for fate in other.unjudged]


def test_a_side_has_a_pmu_where_the_host_has_one_and_any_feature_set_on_request() -> None:
    file = smc.migrate.inspect(REAL)
    assert file.provenance.told_by == {"kernel_version": "6.1.192", "features": "psci02+pmu"}
    assert any("Other feature sets in the file: none, psci02, psci02+sve" in note for note in file.notes)
    assert any("emulated" in note for note in file.notes)
    assert smc.migrate.inspect(REAL, features="psci02+sve").registers_per_vcpu == 261
    found = smc.migrate.check(REAL, REAL)
    assert found.forward.ok
    assert found.backward.ok


def test_a_host_without_such_vcpus_is_a_no_and_one_that_was_not_asked_is_none(tmp_path: Path) -> None:
    """By the capability that is not there, or by the errno that the probe was given."""
    found = smc.migrate.check("6.12", REAL, dest_features="el2", source_features="pmu")
    assert found.forward.outlook == found.backward.outlook == "fails"
    assert found.forward.reason == f"{REAL}: its KVM lacks capability 240, so it has no vCPU with psci02+el2"
    content = json.loads(probed("linux-6.12.107-max"))
    content["refused"] = [{"features": "psci02+pmu+sve", "init": "0x1c", "errno": 22}]
    content["register_sets"] = [one for one in content["register_sets"] if one["features"] != "psci02+pmu+sve"]
    path = written(tmp_path, content)
    reason = smc.migrate.check(path, "6.12+pmu+sve").forward.reason
    assert reason == f"{path}: KVM_ARM_VCPU_INIT refused a vCPU with psci02+pmu+sve (EINVAL)"
    with pytest.raises(
        InputError, match=r"features 'power_off\+psci02' have no registers here; there are none, psci02"
    ):
        smc.migrate.check(REAL, "6.12", source_features="power_off")


def test_a_host_has_the_features_of_the_vm_that_goes_there(tmp_path: Path) -> None:
    """As a file shows them, or as they are named; two hosts have what QEMU gives a VM."""
    payload = RECORDINGS / "linux-6.18.15-max" / "payload-psci02+pmu+sve+pauth.bin.xz"
    host = written(tmp_path, probed("linux-6.18.15-max"))
    to_host = smc.migrate.check(payload, host)
    assert to_host.dest.features == "psci02+pmu+sve+pauth"
    assert to_host.forward.ok
    assert smc.migrate.check(host, payload).source.features == "psci02+pmu+sve+pauth"
    assert smc.migrate.check("6.18+sve", host).dest.features == "psci02+sve"
    assert smc.migrate.check("6.18", host, source_features="pauth").dest.features == "psci02+pauth"
    assert smc.migrate.check(host, host).dest.features == "psci02+pmu"
    assert smc.migrate.check(host, host, source_features="sve").dest.features == "psci02+sve"
    chosen = smc.migrate.check("6.18+sve", host, dest_features="pmu")
    assert (chosen.source.features, chosen.dest.features) == ("psci02+sve", "psci02+pmu")


def test_a_side_has_the_rules_that_wereprobed(tmp_path: Path) -> None:
    """A host that takes PSCI 1.3 although its release is not known to: a VM with PSCI 1.3 restores there."""
    content = json.loads(probed("linux-6.12.107-max"))
    content["firmware"][0]["accepted"] += ["0x10002", "0x10003"]
    old, new = written(tmp_path, probed("linux-6.12.107-max"), "a.json"), written(tmp_path, content, "b.json")
    psci = 0x6030000000140000
    assert psci in {fate.reg for fate in smc.migrate.check("6.18", old).forward.failing}
    assert psci not in {fate.reg for fate in smc.migrate.check("6.18", new).forward.failing}
    assert any(note.startswith("Otherwise than known, PSCI versions: found") for note in smc.migrate.inspect(new).notes)
    content["kernel"] |= {"release": "9.1.0", "version": "#1 SMP"}
    unknown = smc.migrate.check("6.18", written(tmp_path, content, "c.json"))
    assert unknown.forward.outlook == "unknown"
    assert "its kernel is none fastsmc knows" in str(unknown)
