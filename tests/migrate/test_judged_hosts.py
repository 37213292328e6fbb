"""`migrate check` beside real KVM: what emulated hosts refused of the registers that other hosts had saved.

judged.json.xz is what `tools.hosts_judge` collected: host profiles of eight releases and three of another CPU, vCPUs
saved in several states, and the errno of every register that a fresh vCPU of each other host refused.
"""

from __future__ import annotations

import copy
import json
import lzma
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.facts.registers import SVE_VLS, Encoding
from tests.support.places import TESTS
from tools.hosts_judge import FILES, FRESH, LISTED, PROFILES, Judged, Sides, Verdict, errnos, verdicts
from tools.hosts_judge_collect import collect
from tools.hosts_judge_inside import is_id_register

FILE = TESTS / "migrate" / "judged.json.xz"
STRIDE = 17
"""Of each host every seventeenth restore, so that all features and states come up; `tools.hosts_judge` takes all."""
PSCI, LEVEL = smc.register("PSCI_VERSION"), smc.register("SMCCC_ARCH_WORKAROUND_2")


@cache
def judged() -> Judged:
    return Judged.read(FILE)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return Sides(judged(), tmp_path_factory.mktemp("hosts"))


def records(dest: str) -> list[dict[str, Any]]:
    return [one for one in judged().restores if one["dest"] == dest]


def wrong(found: Iterable[Verdict]) -> list[str]:
    """Verdicts that are wrong, as text that says which."""
    return [f"{one.record['src']} {one.record['feat']} {one.way} {one.vmm}" for one in found if one.kind == "wrong"]


HOSTS = sorted(judged().hosts)


@pytest.mark.parametrize("dest", HOSTS)
def test_no_verdict_is_otherwise_than_kvm(dest: str, sides: Sides) -> None:
    """By files, by profiles and by releases; by list order, by QEMU's and by Firecracker's."""
    found = list(verdicts(sides, records(dest)[HOSTS.index(dest) % STRIDE :: STRIDE]))
    assert wrong(found) == []
    by_files = [one for one in found if one.way in (FILES, PROFILES)]
    left_open = {reg for one in by_files if one.kind == "unknown" for reg in one.unjudged}
    assert left_open <= {LEVEL}, "of files nothing is open but a level that QEMU's order decides"
    assert sum(one.kind == "right" for one in by_files) > len(by_files) / 2


@pytest.mark.parametrize("dest", HOSTS)
def test_two_profiles_leave_nothing_open(dest: str, sides: Sides) -> None:
    """Every pair of hosts with the PMU: yes or no, and every refused register with its errno."""
    wanted = [one for one in records(dest) if (one["feat"], one["state"]) == ("psci02+pmu", FRESH)]
    assert {one["src"] for one in wanted} == set(HOSTS)
    for one in verdicts(sides, wanted, (LISTED,)):
        if one.way == PROFILES:
            assert one.is_exact, (one.record["src"], one.missed, one.invented)


def test_the_command_says_it_of_two_files_of_a_user(sides: Sides) -> None:
    """7.3.4 to 6.1.192 fails as measured, the way back restores as measured."""
    found = smc.migrate.check(sides.profile("7.3.4"), sides.profile("6.1.192"), vmm="kvm")
    ways = {"6.1.192": found.forward, "7.3.4": found.backward}
    for dest, way in ways.items():
        source = next(name for name in ways if name != dest)
        record = next(
            one for one in records(dest) if (one["src"], one["feat"], one["state"]) == (source, "psci02+pmu", FRESH)
        )
        assert {fate.reg: fate.errno for fate in way.failing} == errnos(record["fails"])
    assert [way.outlook.value for way in ways.values()] == ["fails", "restores"]


def test_a_vcpu_that_hides_ssbs_does_not_even_go_back_where_it_came_from(sides: Sides) -> None:
    """KVM reports level 3 for it, and refuses that before SSBS is hidden; QEMU writes ID registers first."""
    path = sides.payload("7.3.4", "psci02+pmu", "id-zeroed")
    found = smc.migrate.check(path, sides.profile("7.3.4"), vmm="kvm").forward
    assert [(fate.reg, fate.errno) for fate in found.failing] == [(LEVEL, 22)]
    assert "hides SSBS" in found.failing[0].reason
    assert [remedy.text for remedy in found.remedies] == [
        "leave SSBS (ID_AA64PFR1_EL1) as the source's host has it, from the VM's start"
    ]
    by_qemu = smc.migrate.check(path, sides.profile("7.3.4"), vmm="qemu").forward
    assert by_qemu.outlook == "unknown"
    assert [fate.reg for fate in by_qemu.unjudged] == [LEVEL]
    record = next(
        one
        for one in records("7.3.4")
        if (one["src"], one["feat"], one["state"]) == ("7.3.4", "psci02+pmu", "id-zeroed")
    )
    assert errnos(record["fails"]) == {LEVEL: 22}
    assert record["ascending"] == []


def test_what_releases_leave_open_profiles_settle(sides: Sides) -> None:
    """The advice of an unknown verdict helps: with the profiles of both hosts it is a yes, as KVM did it."""
    by_name = smc.migrate.check("6.17.13", "7.3.4").forward
    assert by_name.outlook == "unknown"
    advice = (
        "give the profile of that very host (fastsmc new probe), or a fingerprint, a stream or a state file of a VM"
    )
    assert by_name.to_know == (f"{advice} on it, for SOURCE in place of '6.17.13'",)
    found = smc.migrate.check(sides.profile("6.17.13"), sides.profile("7.3.4")).forward
    assert found.outlook == "restores"


def test_what_no_remedy_helps_is_told(sides: Sides) -> None:
    """Of 23 registers remedies take care of five: a reader must not take these for all."""
    found = smc.migrate.check(sides.profile("7.3.4"), sides.profile("6.1.192"), vmm="qemu")
    helped = {reg for remedy in found.forward.remedies for reg in remedy.registers}
    left = len(found.forward.failing) - len(helped)
    assert 0 < left < len(found.forward.failing)
    assert f"no remedy is known for the other {left}: start the VM at the destination" in str(found)
    same = smc.migrate.check(sides.profile("6.1.192"), sides.profile("6.1.192"))
    assert "no remedy" not in str(same)


def test_there_are_many_pairs_and_every_state_makes_a_difference_somewhere() -> None:
    """Evidence that is always a no, or the same in every state, would judge nothing."""
    pairs = {(one["src"], one["dest"]) for one in judged().restores if one["src"] != one["dest"]}
    assert len(pairs) == len(HOSTS) * (len(HOSTS) - 1) >= 12
    outcomes: dict[tuple[str, ...], set[str]] = {}
    for one in judged().restores:
        case = one["src"], one["dest"], one["feat"]
        outcomes.setdefault(case, set()).add(json.dumps(one.get("fails")))
    assert sum(len(found) > 1 for found in outcomes.values()) > 100
    fresh = [one for one in judged().restores if one["state"] == FRESH and one["src"] != one["dest"]]
    n_taken = sum(not errnos(one.get("fails", ())).keys() - {SVE_VLS} for one in fresh if "none" not in one)
    assert n_taken > 50
    assert len(fresh) - n_taken > 50


def test_every_host_takes_its_own_vcpus_after_a_reset() -> None:
    for one in judged().restores:
        if one["src"] == one["dest"] and one["state"] == FRESH:
            assert errnos(one["fails"]).keys() <= {SVE_VLS}


def test_what_boots_gave_is_collected_as_it_was(tmp_path: Path) -> None:
    """The files that two boots leave, written from the evidence, are put together to the same evidence."""
    source, dest = "6.1.192", "7.3.4"
    content = judged()
    paths = []
    for host in (source, dest):
        payloads = {
            features: {state: list(content.payload(host, features, state).items()) for state in states}
            for features, states in content.saved[host].items()
        }
        loads = [
            {key: value for key, value in one.items() if key not in ("dest", "fails", "early", "ascending")}
            | {key: [[int(reg, 16), code] for reg, code in one[key]] for key in one.keys() & {"fails", "ascending"}}
            for one in records(host)
            if one["src"] in (source, dest)
        ]
        made = {"save": {"profile": content.hosts[host], "saved": payloads}, "load": {"restores": loads}}
        for what, told in made.items():
            paths.append(tmp_path / f"{host}-{what}.json")
            paths[-1].write_text(json.dumps(told), "utf-8")
    collect(paths, tmp_path / "both.json.xz")
    again = Judged.read(tmp_path / "both.json.xz")
    assert again.hosts == {host: content.hosts[host] for host in (source, dest)}
    assert again.saved == {host: content.saved[host] for host in (source, dest)}
    assert again.restores == [one for one in content.restores if {one["src"], one["dest"]} <= {source, dest}]


def test_which_registers_are_made_less() -> None:
    """Those whose encoding says that they are ID registers, of all that a vCPU has, but for MIDR_EL1's like."""
    regs = judged().payload("7.3.4", "psci02+pmu+sve+pauth", FRESH)
    wanted = {
        reg for reg in regs if reg >> 16 == 0x603000000013 and Encoding.of(reg).is_id_register and Encoding.of(reg).crm
    }
    assert {reg for reg in regs if is_id_register(reg)} == wanted
    assert len(wanted) == 56


# Whether this test can fail


def changed(record: dict[str, Any], change: str) -> dict[str, Any]:
    new = copy.deepcopy(record)
    if change == "one refusal less":
        del new["fails"][0]
    elif change == "another errno":
        new["fails"][0][1] ^= 1
    elif change == "none refused":
        new["fails"] = []
    else:
        new["fails"].append([f"{smc.register('STD_BMAP'):#x}", 22])
    return new


@pytest.mark.parametrize("change", ["one refusal less", "another errno", "none refused", "one refusal more"])
def test_an_outcome_that_were_otherwise_is_a_wrong_verdict(change: str, sides: Sides) -> None:
    wanted = [one for one in records("6.1.192") if one["state"] == FRESH and one["src"] in ("6.12.118", "7.3.4")]
    found = list(verdicts(sides, [changed(one, change) for one in wanted], (LISTED,)))
    assert {one.kind for one in found if one.way == PROFILES} == {"wrong"}


def test_a_rule_that_were_otherwise_is_a_wrong_verdict(tmp_path: Path) -> None:
    """A host whose profile says that it takes PSCI 1.3, where KVM refused it."""
    other = copy.deepcopy(judged())
    other.hosts["6.1.192"]["firmware"][0]["accepted"] += ["0x10002", "0x10003"]
    wanted = [one for one in records("6.1.192") if one["src"] == "7.3.4" and one["feat"] == "psci02"]
    found = [one for one in verdicts(Sides(other, tmp_path), wanted) if one.way == PROFILES]
    assert found
    assert all(one.kind == "wrong" and PSCI in one.missed for one in found)


def test_the_tool_ends_with_4_where_a_verdict_is_wrong(tmp_path: Path) -> None:
    """And prints which; with the evidence as it is, 0."""
    content = json.loads(lzma.decompress(FILE.read_bytes()))
    hosts = ("6.1.192", "7.3.4")
    content["hosts"] = {name: content["hosts"][name] for name in hosts}
    content["restores"] = [
        one
        for one in content["restores"]
        if {one["src"], one["dest"]} <= set(hosts) and one["feat"] == "psci02" and one["state"] == FRESH
    ]
    codes = []
    for errno in (22, 5):
        next(one for one in content["restores"] if one["src"] > one["dest"])["fails"][0][1] = errno
        path = tmp_path / f"{errno}.json.xz"
        path.write_bytes(lzma.compress(json.dumps(content).encode()))
        done = subprocess.run(
            [sys.executable, "-m", "tools.hosts_judge", path], capture_output=True, text=True, check=False
        )
        codes.append(done.returncode)
    assert codes == [0, 4], done.stdout + done.stderr
    assert "wrong: 7.3.4 6.1.192 psci02 fresh" in done.stdout
