"""Host profiles as hosts: what the probe finds is what its release is known to do, and what is damaged is refused."""

from __future__ import annotations

import copy
import json
import lzma
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.errors import InputError, MachineError
from fastsmc.facts.packaged import PROBE, SAMPLES
from fastsmc.facts.registers import COUNTERS
from fastsmc.facts.releases import release
from fastsmc.migrate.read.result import RegisterFile
from fastsmc.probing import standalone
from fastsmc.probing.found import differences, rules_found, settled
from fastsmc.probing.profile import HostProfile, profile_of
from tests.support.command import fastsmc
from tests.support.fake_kvm import HOSTS, RECORDINGS, FakeKvm, probed, recorded_host, recorded_lists, written

REAL = SAMPLES["host.json.xz"]
REAL_HOSTS = {
    "linux-6.1.192-max": REAL,
    "linux-7.3.4-max": Path(__file__).with_name("linux-7.3.4-emulated.json.xz"),
}
"""What the probe found on Debian's kernels under QEMU 7.2, -cpu max,pauth-impdef=on, by the recorded host alike.

No KVM of ours had a part in it."""


def found(name: str) -> HostProfile:
    """The profile of a recorded host."""
    return profile_of(json.loads(probed(name)), f"{name}.json")


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_found_is_what_the_release_does(name: str) -> None:
    """Of a KVM that follows the reference, by registers, bits, PSCI versions and errnos that the probe tried out."""
    profile, recorded = found(name), recorded_host(name)
    assert profile.differences == ()
    assert profile.known == recorded.release
    for rule, value in rules_found(profile.content).items():
        if rule != "has_system_suspend":  # of which capabilities tell, as they were recorded
            assert value == getattr(recorded.release, rule), rule
    assert profile.host == replace(recorded, name=f"{name}.json")
    assert profile.host.release.has_system_suspend == recorded.release.has_system_suspend


@pytest.mark.parametrize("name", REAL_HOSTS)
def test_a_real_kernel_is_what_another_recorderprobed(name: str) -> None:
    """Every list, in its order, every value but the counters', every capability, and the rules of the release."""
    profile, lists = smc.probe(REAL_HOSTS[name]), recorded_lists(name)
    meta = json.loads((RECORDINGS / name / "meta.json").read_text("utf-8"))
    n = 0
    for one in profile.content["register_sets"]:
        if int(one["init"], 16) in lists:
            told, recorded = profile.registers(one["features"]), lists[int(one["init"], 16)]
            assert list(told) == list(recorded)
            assert {reg for reg, value in told.items() if value != recorded[reg]} <= COUNTERS
            n += 1
    assert n == 7
    capabilities = profile.content["kvm"]["capabilities"]
    assert {number: [max(one, -1) for one in told] for number, told in capabilities.items()} == meta["caps"]
    assert profile.content["vulnerabilities"].items() >= meta["vulnerabilities"].items()
    assert profile.content["filter"]["errno"] == meta["has_smccc_filter_errno"]
    assert profile.kernel == name.split("-")[1]
    assert profile.host == replace(recorded_host(name), name=str(REAL_HOSTS[name]))
    assert "linux,dummy-virt" in profile.emulated
    assert profile.answer.endswith(f"Linux {profile.kernel}, kvm-arm.mode default, emulated; as is known of it")


def test_a_fleet_on_hosts_that_were_probed() -> None:
    """SYSTEM_OFF2 and TRNG on two of them, as on the releases that they run."""
    names = ["linux-5.10.218-n1", "linux-7.3.4-max"]
    probed, known = (
        smc.Fleet([2, 2], hosts=hosts, host_of_vm=[0, 1])
        for hosts in ([found(name).host for name in names], [recorded_host(name) for name in names])
    )
    for func_id in (0xC4000015, 0x84000053, 0x86000001):
        calls = smc.Calls.one_each(func_id, n_vcpu=4)
        assert smc.dispatch(probed, calls).verdict.tolist() == smc.dispatch(known, calls).verdict.tolist()


# -- what a host has otherwise -------------------------------------------------------------------------------------


def test_a_host_that_is_otherwise_has_its_own_rules_and_says_so() -> None:
    content = json.loads(probed("linux-6.12.107-max"))
    by_name = {one["name"]: one for one in content["firmware"]}
    by_name["STD_BMAP"] |= {"accepted_bits": "0x3", "reset": "0x0"}
    by_name["PSCI_VERSION"]["accepted"] = ["0x1", "0x2", "0x10000", "0x10001", "0x10003"]
    content["firmware"].remove(by_name["SMCCC_ARCH_WORKAROUND_3"])
    content["filter"] = {"errno": 22, "empty_at_0_errno": 22, "empty_errno": 22}
    profile = profile_of(content, "own.json")
    assert [text.partition(":")[0] for text in profile.differences] == [
        "firmware registers",
        "bits that bitmaps accept",
        "bits of bitmaps after reset",
        "PSCI versions",
        "SMCCC filter",
    ]
    assert profile.differences[3] == (
        "PSCI versions: found 0.1, 0.2, 1.0, 1.3, 1.1; known of Linux 6.12.107: 0.1, 0.2, 1.0, 1.1"
    )
    own = profile.host.release
    assert (own.bitmap_limit[0], own.bitmap_reset[0], own.psci_versions[-1]) == (3, 0, 0x10001)
    assert not own.has_filter
    assert "SMCCC_ARCH_WORKAROUND_3" not in own.fw_registers
    assert smc.Fleet.uniform(n_vm=1, n_vcpu=1, host=profile.host).fw_bmap.tolist()[0][0] == 0
    assert "5 differences" in profile.answer


def test_a_register_that_nobody_knows_is_told_and_gates_nothing() -> None:
    content = json.loads(probed("linux-7.3.4-max"))
    content["firmware"].append({"id": "0x6030000000160004", "name": None, "reset": "0x1", "accepted_bits": "0x1"})
    profile = profile_of(content, "new.json")
    assert profile.differences == ("firmware register 0x6030000000160004 is none that fastsmc knows",)
    assert profile.host.release.fw_registers == release("7.3.4").fw_registers
    assert "0x6030000000160004" in str(profile.table())


def test_a_register_that_could_not_be_read_is_there_without_a_value(tmp_path: Path) -> None:
    content = json.loads(probed("linux-7.3.4-max"))
    one = next(one for one in content["register_sets"] if one["features"] == "psci02")
    del one["registers"]["0x6030000000100040"]
    one["unread"] = {"0x6030000000100040": 22}
    path = written(tmp_path, content)
    values = smc.probe(path).registers("psci02")
    assert len(values) == 257
    assert values[0x6030000000100040] is None
    file = smc.migrate.inspect(path, features="psci02")
    assert isinstance(file, RegisterFile)
    assert file.values_of()[0x6030000000100040] is None
    assert file.registers_per_vcpu == 257


def test_what_was_found_is_in_doubt_no_more() -> None:
    """A vendor's kernel of which it is not known whether it has WORKAROUND_3: the probe saw whether it has.

    Then it is known whether it answers it too, as both came by one change.
    """
    rules = release("5.15.0-125-generic")
    (doubt,) = [doubt for doubt in rules.doubts if "fw_registers" in doubt.fields]
    assert doubt.fields == ("fw_registers", "answers")
    others = [one for one in rules.doubts if one is not doubt]
    as_taken = settled(rules, {"fw_registers": rules.fw_registers})
    assert (as_taken.answers, as_taken.fw_registers) == (rules.answers, rules.fw_registers)
    assert list(differences(rules, {"fw_registers": doubt.others[0].fw_registers})) == []  # as it was in doubt
    otherwise = settled(rules, {"fw_registers": doubt.others[0].fw_registers})
    assert otherwise.answers == doubt.others[0].answers != rules.answers
    for new in (as_taken, otherwise):
        assert [one.fields for one in new.doubts] == [one.fields for one in others]
        assert all(other.fw_registers == new.fw_registers for one in new.doubts for other in one.others)
    assert settled(rules, {name: getattr(rules, name) for name in rules.uncertain}).doubts == ()


def test_what_is_neither_way_stays_in_doubt() -> None:
    """A kernel whose bitmaps are none of the two that it may have: of the rest nothing follows."""
    rules = release("5.14.0-427.el9.aarch64")
    (doubt,) = [doubt for doubt in rules.doubts if "bitmap_limit" in doubt.fields]
    new = settled(rules, {"bitmap_limit": (9, 9, 9, 9)})
    assert set(new.uncertain) == set(rules.uncertain) - {"bitmap_limit"}
    assert (new.is_gated, new.fw_registers) == (rules.is_gated, rules.fw_registers)
    assert {other.bitmap_limit for one in new.doubts for other in one.others} == {(9, 9, 9, 9)}
    assert len(doubt.others) == 1


def test_of_a_vendor_that_takes_over_any_change_only_what_was_found_is_known() -> None:
    """A filter that is there says nothing of other changes, of which each may be there by itself."""
    rules = release("5.14.0-427.el9.aarch64")
    (doubt,) = [doubt for doubt in rules.doubts if len(doubt.others) > 1]
    name = next(name for name in doubt.fields if getattr(doubt.others[0], name) != getattr(rules, name))
    new = settled(rules, {name: getattr(doubt.others[-1], name)})
    assert name not in new.uncertain
    assert set(new.uncertain) == set(rules.uncertain) - {name}
    assert getattr(new, name) == getattr(doubt.others[-1], name)


def test_a_filter_that_failed_for_another_reason_settles_nothing() -> None:
    content = json.loads(probed("linux-6.12.107-max"))
    content["filter"]["errno"] = 12
    assert "has_filter" not in rules_found(content)
    assert profile_of(content, "x").host.release.has_filter


def test_levels_clock_and_mode_are_the_machines() -> None:
    content = json.loads(probed("linux-6.18.15-max"))
    content["firmware"][2]["reset"] = "0x13"  # with the flag that old kernels showed
    content["kvm"]["mode"] = "nested"
    content["cpu"]["clocksource"] = "timer0"
    host = profile_of(content, "h.json").host
    assert host.workaround == (recorded_host("linux-6.18.15-max").workaround[0], 3, 0)
    assert host.kvm_arm_mode == "nested"
    assert not host.is_arch_counter_clocksource
    content["cpu"]["clocksource"] = None
    assert profile_of(content, "h.json").host.is_arch_counter_clocksource
    content["firmware"][1]["reset"] = "0x7"
    with pytest.raises(InputError, match=r"h\.json: the level of SMCCC_ARCH_WORKAROUND_1 is 7"):
        _ = profile_of(content, "h.json").host


def test_a_kernel_that_is_not_known_makes_no_host_and_is_shown_all_the_same(tmp_path: Path) -> None:
    content = json.loads(probed("linux-7.3.4-max"))
    content["kernel"] |= {"release": "9.1.0", "version": "#1 SMP"}
    profile = smc.probe(written(tmp_path, content))
    assert "a kernel that fastsmc does not know" in profile.answer
    assert "no host: " in str(profile)
    assert profile.numbers()["differences"] == [None]
    with pytest.raises(InputError, match=r"host\.json: .*9\.1"):
        _ = profile.host


# -- what is refused -----------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], Any]
WRONG: dict[str, tuple[Change, str]] = {
    "schema": (lambda it: it.update(schema="other"), "is no host profile: its schema is 'other'"),
    "version": (lambda it: it.update(version=2), "of version 2, and this fastsmc reads version 1: probe the host with"),
    "true": (lambda it: it.update(version=True), "of version True"),
    "lacks": (lambda it: it.pop("kernel"), "the profile lacks 'kernel': is the file whole?"),
    "more": (lambda it: it["kvm"].update(more=1), "the profile, kvm has an entry 'more', which no host profile"),
    "type": (lambda it: it["kernel"].update(release=6), "the profile, kernel, release is 6: it must be text"),
    "count": (lambda it: it["filter"].update(errno=-1), "filter, errno is -1: it must be a whole number from 0 on"),
    "yes": (lambda it: it["filter"].update(errno=True), "filter, errno is True: it must be a whole number from 0 on"),
    "list": (lambda it: it.update(firmware={}), "the profile, firmware is {}: it must be a list"),
    "object": (lambda it: it.update(filter=[]), r"the profile, filter is \[\]: it must be an object"),
    "mode": (lambda it: it["kvm"].update(mode="fast"), "mode is 'fast': it must be one of default, nvhe"),
    "api": (lambda it: it["kvm"].update(api_version=11), "api_version is 11: it must be 12"),
    "hex": (lambda it: it["firmware"][0].update(reset="10"), r"firmware\[0\], reset is '10': it must be a number"),
    "long": (lambda it: it["firmware"][0].update(reset="0x1" + "0" * 16), "it must be a number of 64 bits"),
    "twice": (lambda it: it["firmware"].append(it["firmware"][0]), "one of its firmware registers is there twice"),
    "sets": (lambda it: it["register_sets"].append(it["register_sets"][0]), "one of its feature sets is there twice"),
    "neither": (lambda it: it["firmware"][0].pop("accepted"), "must have either accepted or accepted_bits"),
    "both": (lambda it: it["firmware"][0].update(accepted_bits="0x1"), "must have either accepted or accepted_bits"),
    "bits": (
        lambda it: it["firmware"][-1].update(accepted=it["firmware"][-1].pop("accepted_bits") and []),
        "must tell",
    ),
    "pair": (lambda it: it["kvm"]["capabilities"].update({"9": [1]}), "capability 9 has 1 values"),
    "cap": (lambda it: it["kvm"]["capabilities"].update({"x": [1, 1]}), "is 'x': it must be a capability's number"),
    "fits": (
        lambda it: it["register_sets"][0]["registers"].update({"0x6030000000100000": "0x1" + "0" * 16}),
        "register 0x6030000000100000 of 'none' has 8 bytes, and 0x1",
    ),
    "unread": (
        lambda it: it["register_sets"][0]["unread"].update({"0x6030000000100000": 2}),
        "register 0x6030000000100000 of 'none' is both read and unread",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_profile_that_is_none_is_refused_in_a_sentence(what: str, tmp_path: Path) -> None:
    content = copy.deepcopy(json.loads(probed("linux-6.12.107-max")))
    change, words = WRONG[what]
    change(content)
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        smc.probe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    if what != "schema":
        with pytest.raises(InputError, match=words):
            smc.migrate.inspect(path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": "fastsmc-host-profile"', "no JSON", "7", "\0\1"])
def test_what_is_no_profile_at_all(content: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "host.json"))):
        smc.probe(written(tmp_path, content))
    done = fastsmc("probe", tmp_path / "host.json")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_and_one_that_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no\\.json"):
        smc.probe(tmp_path / "no.json")
    text = lzma.decompress(REAL.read_bytes()).decode()
    for length in range(0, len(text), len(text) // 7):
        with pytest.raises(InputError):
            smc.probe(written(tmp_path, text[:length]))


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command_shows_a_profile_and_prints_it_as_it_is() -> None:
    done = fastsmc("probe", REAL)
    assert done.returncode == 0
    assert "VENDOR_HYP_BMAP          0x3; accepts bits 0x3" in done.stdout
    assert json.loads(fastsmc("probe", REAL, "--json").stdout) == json.loads(lzma.decompress(REAL.read_bytes()))


def test_what_the_command_saves_is_a_profile_again(tmp_path: Path) -> None:
    assert fastsmc("probe", REAL, "--out", "again.json", "--quiet", cwd=tmp_path).returncode == 0
    again = smc.probe(tmp_path / "again.json")
    assert again.as_dict() == smc.probe(REAL).as_dict()
    assert smc.migrate.inspect(tmp_path / "again.json").format == "host-profile"


def test_the_probe_that_is_written_is_the_one_that_is_here(tmp_path: Path) -> None:
    begun = smc.new("probe", tmp_path / "p.py")
    assert (tmp_path / "p.py").read_bytes() == PROBE.read_bytes()
    assert begun.then == f"python3 {tmp_path / 'p.py'} -o host.json"


@pytest.mark.parametrize(
    ("release", "version", "vendor", "kernel"),
    [
        ("6.12.107+deb13-arm64", "#1 SMP Debian 6.12.107-1 (2026-08-29)", "", "6.12.107"),
        ("5.14.0-427.el9.aarch64", "#1 SMP PREEMPT_DYNAMIC Fri Feb 23", "RHEL 9", "5.14.0-427.el9.aarch64"),
        ("5.15.0-125-generic", "#135-Ubuntu SMP", "Ubuntu", "5.15.0-125-generic"),
    ],
)
def test_a_vendor_is_known_by_the_name_of_its_kernel(release: str, version: str, vendor: str, kernel: str) -> None:
    content = json.loads(probed("linux-6.12.107-max"))
    content["kernel"] |= {"release": release, "version": version}
    profile = profile_of(content, "h.json")
    assert profile.kernel == kernel
    assert profile.host.release.vendor.startswith(vendor)
    assert bool(profile.host.release.vendor) == bool(vendor)


def test_a_machine_that_cannot_be_asked_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone.System, "uname", lambda _: ("Linux", "6.1", "#1", "x86_64"))
    with pytest.raises(MachineError, match=r"this machine is Linux on x86_64.*: write the probe \(fastsmc new probe\)"):
        smc.probe()
    monkeypatch.setattr(standalone, "System", lambda: FakeKvm("linux-7.3.4-max"))
    profile = smc.probe()
    assert profile.host == replace(recorded_host("linux-7.3.4-max"), name="this host")
    kvm = FakeKvm()
    kvm.fails["open"] = 13
    monkeypatch.setattr(standalone, "System", lambda: kvm)
    with pytest.raises(MachineError, match="cannot be opened"):
        smc.probe()


def test_a_hostile_profile_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    content = json.loads(probed("linux-6.12.107-max"))
    content["kernel"]["version"] = "\x1b[31mred\nhead"
    content["emulated_by"] = ["\x1b]0;title\x07"]
    told = str(smc.probe(written(tmp_path, content)))
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\nhead" not in told
