"""Hosts of an inventory that were probed: judged by what was found on them, as `migrate check` judges two profiles."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts.packaged import SAMPLES
from fastsmc.migrate.compat.check import check
from fastsmc.plan import evacuate, upgrade
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.ways import Guest, Place, way

MIDR, COUNTER = "0x603000000013c000", "0x603000000013df1a"
PSCI = "0x6030000000140000"
SETS = ("psci02", "psci02+pmu", "psci02+sve", "psci02+pauth", "psci02+el2")


def profile() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lzma.decompress(SAMPLES["host.json.xz"].read_bytes()))
    return found


def with_register(content: dict[str, Any], reg: str, value: str) -> dict[str, Any]:
    """The profile with another value of a register in each feature set that lists it."""
    assert any(reg in one["registers"] for one in content["register_sets"])
    for one in content["register_sets"]:
        if reg in one["registers"]:
            one["registers"][reg] = value
    return content


def of_older_psci(content: dict[str, Any]) -> dict[str, Any]:
    """The profile of a host that knows no PSCI 1.1."""
    for one in content["firmware"]:
        if one["id"] == PSCI:
            one["accepted"] = [word for word in one["accepted"] if int(word, 16) <= 0x10000]
            one["reset"] = "0x10000"
    return with_register(content, PSCI, "0x10000")


def saved(folder: Path, **profiles: dict[str, Any]) -> None:
    for name, content in profiles.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def fleet(folder: Path, *hosts: str, features: str = "psci02+pmu", more: str = "") -> Inventory:
    """Hosts with a profile each by their names, of one CPU text each, and a VM on the first."""
    lines = ["name,kernel,cpu,profile,vmm,cores,memory_gib,mode"]
    lines += [f"{name},,cpu of {name},{name}.json,qemu:11.1,64,256," for name in hosts]
    (folder / "hosts.csv").write_text("\n".join([*lines, more]))
    vms = {"name": ["a"], "host": [hosts[0]], "vcpus": [4], "memory_gib": [8.0], "features": [features]}
    return Inventory.read(hosts=folder / "hosts.csv", vms=vms)


def places(inventory: Inventory) -> list[Place]:
    columns = [inventory.hosts[name] for name in ("kernel", "cpu", "vmm", "mode")]
    return [Place(*map(str, each)) for each in zip(*columns, inventory.probed, strict=True)]


def test_a_profile_tells_kernel_and_mode_and_the_folder_is_that_of_the_table(tmp_path: Path) -> None:
    saved(tmp_path, h1=profile())
    found = fleet(tmp_path, "h1")
    content = profile()
    assert found.hosts["kernel"].tolist() == ["6.1.192"]  # of which `uname -r` says 6.1.0 and `uname -v` the update
    assert found.hosts["mode"].tolist() == [content["kvm"]["mode"]]
    assert found.releases[0] is not None
    assert not found.problems().n_wrong


@pytest.mark.parametrize("features", SETS)
def test_each_way_is_as_check_says_of_the_two_profiles(features: str, tmp_path: Path) -> None:
    others = {
        "same": profile(),
        "midr": with_register(profile(), MIDR, "0x431f0af1"),
        "psci": of_older_psci(profile()),
    }
    saved(tmp_path, **others)
    inventory = fleet(tmp_path, *others)
    all_places, seen = places(inventory), set()
    for one, source in zip(others, all_places, strict=True):
        for other, dest in zip(others, all_places, strict=True):
            found = way(Guest(features, ""), source, dest)
            try:
                files = [str(tmp_path / f"{name}.json") for name in (one, other)]
                told = check(*files, vmm="qemu:11.1", source_features=features, dest_features=features).forward
            except InputError:
                assert found.outlook.value == "unknown"
                continue
            assert found.outlook is told.outlook, (one, other, found, told)
            regs = told.failing or told.unjudged
            assert found.registers == tuple(fate.reg for fate in regs), (one, other)
            seen.add(found.outlook.value)
    assert features.endswith("el2") or len(seen) > 1, "some restore, and some do not"


def test_hosts_alike_are_one_whatever_their_counters_and_dates(tmp_path: Path) -> None:
    other = with_register(profile(), COUNTER, "0x1234567") | {"date_utc": "2027-01-01T00:00:00Z"}
    other["cpu"]["kinds"][0]["cores"] += 7
    apart = with_register(profile(), MIDR, "0x431f0af1")
    saved(tmp_path, h1=profile(), h2=other, h3=apart)
    words = fleet(tmp_path, "h1", "h2", "h3").probed
    assert words[0] == words[1] != words[2]


def test_on_which_kind_of_cpu_a_vcpu_runs_is_not_known(tmp_path: Path) -> None:
    """Two kinds on either host: a yes would rest on the one that the probe happened to run on."""
    several = profile()
    several["cpu"]["kinds"].append({"midr": "0x412fd0f0", "cores": 2})
    saved(tmp_path, h1=profile(), h2=several)
    one, other = places(fleet(tmp_path, "h1", "h2"))
    for source, dest in ((one, other), (other, one), (other, other)):
        found = way(Guest("psci02+pmu", ""), source, dest)
        files = [str(tmp_path / ("h1.json" if place is one else "h2.json")) for place in (source, dest)]
        assert check(*files, vmm="qemu:11.1").forward.outlook.value == found.outlook.value == "unknown"
        assert "MIDR_EL1" in found.names
    assert way(Guest("psci02+pmu", ""), one, one).outlook.value == "restores"


def test_hosts_alike_are_not_one_machine_where_a_value_is_not_told(tmp_path: Path) -> None:
    """What KVM did not let the probe read may be otherwise on the other host."""
    partly = profile()
    for one in partly["register_sets"]:
        one["unread"][MIDR] = 13
        del one["registers"][MIDR]
    saved(tmp_path, h1=partly, h2=partly)
    source, dest = places(fleet(tmp_path, "h1", "h2"))
    assert source.probed == dest.probed
    assert way(Guest("psci02+pmu", ""), source, dest).outlook.value == "unknown"


def test_a_profile_read_anew_is_judged_anew(tmp_path: Path) -> None:
    saved(tmp_path, h1=profile(), h2=profile())
    here, there = places(fleet(tmp_path, "h1", "h2"))
    assert way(Guest("psci02+pmu", ""), here, there).outlook.value == "restores"
    saved(tmp_path, h2=with_register(profile(), MIDR, "0x431f0af1"))
    here, there = places(fleet(tmp_path, "h1", "h2"))
    assert way(Guest("psci02+pmu", ""), here, there).outlook.value == "fails"


@pytest.mark.parametrize(("there", "n_stays"), [("h2", 1), ("h3", 0)])
def test_plans_go_by_profiles(there: str, n_stays: int, tmp_path: Path) -> None:
    saved(tmp_path, h1=profile(), h2=with_register(profile(), MIDR, "0x431f0af1"), h3=profile())
    left = evacuate(fleet(tmp_path, "h1", there), hosts="h1", within_s=3600, replicas=100)
    assert [excuse.n_row for excuse in left.excuses if "it restores on no other host" in excuse.why] == [1] * n_stays
    rolled = upgrade(fleet(tmp_path, "h1", there), to="6.1.192", hosts_at_once=1)
    assert rolled.is_met  # both have that kernel already


@pytest.mark.parametrize("to", ["6.1.192", "6.12", "5.10"])
def test_after_an_upgrade_a_host_goes_by_its_new_kernel(to: str, tmp_path: Path) -> None:
    saved(tmp_path, h1=profile(), h2=profile())
    here = places(fleet(tmp_path, "h1", "h2"))[0]
    found = way(Guest("psci02+pmu", ""), here, here._replace(kernel=to, probed=""))
    told = check(str(tmp_path / "h1.json"), to, vmm="qemu:11.1").forward
    assert found.outlook is told.outlook
    assert found.registers == tuple(fate.reg for fate in told.failing or told.unjudged)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("bad,,,nowhere.json,,,,", "hosts.csv line 3, profile 'nowhere.json': "),
        ("bad,,,hosts.csv,,,,", "profile 'hosts.csv': "),
        ("bad,5.10.1,,h1.json,,,,", "profile 'h1.json': its profile is of kernel "),
        ("bad,6.1.100,,h1.json,,,,", "its profile is of kernel 6.1.192, and the row says 6.1.100"),
        ("bad,,,h1.json,,,,protected", "profile 'h1.json': its profile is of mode default, and the row says protected"),
    ],
)
def test_a_profile_that_cannot_be_or_contradicts_is_wrong(row: str, said: str, tmp_path: Path) -> None:
    saved(tmp_path, h1=profile())
    with pytest.raises(InputError) as told:
        fleet(tmp_path, "h1", more=row)
    assert said in str(told.value)
    assert str(tmp_path) not in str(told.value)
    hosts, vms = tmp_path / "hosts.csv", {"name": ["a"], "host": ["h1"], "vcpus": [4]}
    from fastsmc.plan import problems

    found = problems(hosts=hosts, vms=vms)
    assert found.n_wrong == 1
    assert "profile '" in str(found[0])


def test_a_kernel_may_be_told_shorter(tmp_path: Path) -> None:
    saved(tmp_path, h1=profile())
    series = ".".join(profile()["kernel"]["release"].split(".")[:2])
    more = [f"{name},{kernel},,h1.json,,,,default" for name, kernel in (("b", series), ("c", "6.1.0-57-cloud-arm64"))]
    found = fleet(tmp_path, "h1", more="\n".join(more))
    assert found.hosts["kernel"].tolist()[1:] == [series, "6.1.0-57-cloud-arm64"]


@pytest.mark.parametrize(
    ("mode", "outlook"), [("", "unknown"), ("nested", "restores"), ("default", "fails"), ("protected", "fails")]
)
def test_the_mode_that_is_told_decides_for_guests_with_el2(mode: str, outlook: str) -> None:
    here, there = (Place(kernel, "", "qemu:11.1", mode) for kernel in ("7.2.13", "7.3.4"))
    assert way(Guest("psci02+el2", ""), here, there).outlook.value == outlook
    ordinary = Guest("psci02+pmu", "")
    assert way(ordinary, here, there) == way(ordinary, here._replace(mode=""), there._replace(mode=""))


def test_columns_of_a_copy_are_read_only(tmp_path: Path) -> None:
    saved(tmp_path, h1=profile())
    found = fleet(tmp_path, "h1")
    with pytest.raises(ValueError, match="read-only"):
        found.hosts["kernel"][0] = np.str_("6.1")
