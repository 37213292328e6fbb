"""`fastsmc plan evacuate`: its exit codes, what it prints, and one sentence for each thing that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastsmc.plan.result import Plan
from tests.support.command import Done, fastsmc

HOSTS = """name,kernel,vmm,nic_gbit_per_s,memory_gib
h1,6.12.107,qemu:10.1,10,256
h2,6.12.107,qemu:10.1,10,256
"""
VMS = """name,host,vcpus,memory_gib,dirty_mib_per_s,moves
a,h1,4,64,20,
b,h1,8,64,{dirty},{moves}
"""


def asked(folder: Path, *more: str | int | Path, dirty: str = "20", moves: str = "") -> Done:
    (folder / "hosts.csv").write_text(HOSTS)
    (folder / "vms.csv").write_text(VMS.format(dirty=dirty, moves=moves))
    files = ("--hosts", folder / "hosts.csv", "--vms", folder / "vms.csv")
    usual = ("--drain", "h1", "--within", "2min", "--replicas", "20")
    return fastsmc("plan", "evacuate", *files, *usual, *map(str, more))


def test_hosts_that_are_empty_in_time(tmp_path: Path) -> None:
    done = asked(tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("h1 is empty within 2 min in 20 of 20 replicas (p50 114 s, p90 114 s, ")
    assert "\nbottleneck: source NIC (100" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("dirty", "moves", "more", "code", "said"),
    [
        ("20", "", ("--within", "100s"), 4, "in 0 of 20 replicas"),
        ("20", "no", (), 4, "h1 cannot be emptied: 1 of 2 VMs cannot leave; the others have left within 2 min"),
        ("20", "", ("--downtime-ms", "20"), 4, "over what is tolerated in 100"),
        ("", "", (), 5, "what is not known decides whether that will do"),
        ("", "", ("--within", "1min"), 4, "in 0 of 20 replicas"),
    ],
)
def test_hosts_that_are_not(
    tmp_path: Path, dirty: str, moves: str, more: tuple[str, ...], code: int, said: str
) -> None:
    done = asked(tmp_path, *more, dirty=dirty, moves=moves)
    assert (done.returncode, said in " ".join(done.stdout.split())) == (code, True), done.stdout


def test_limits_may_be_given_one_by_one(tmp_path: Path) -> None:
    done = asked(tmp_path, "--limits", "hco-1.19", "--outbound", 2, "--json")
    limits = json.loads(done.stdout)["inputs"]["limits"]
    assert (limits["name"], limits["outbound"], limits["cluster"]) == ("hco-1.19, changed", 2, 5)
    done = asked(tmp_path, "--limits", "none", "--inbound", 1, "--json")
    limits = json.loads(done.stdout)["inputs"]["limits"]
    assert (limits["name"], limits["outbound"], limits["inbound"]) == ("given", None, 1)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--within", "30"), "--within '30': give a time with its unit, such as 30min, 900s or 2h"),
        (("--within", "0s"), "--within is 0.0: it must be a number above 0"),
        (("--drain", "h1,h22"), "--drain: hosts: the inventory has no host 'h22'; did you mean 'h2'?"),
        (("--limits", "kubevirt"), "--limits 'kubevirt': there are kubevirt-1.3, kubevirt-1.6, hco-1.18, "),
        (("--outbound", "0"), "--outbound"),
        (("--discipline", "waves"), "--discipline is 'waves': it must be one of window, batches"),
        (("--line-rate", "0G"), "--line-rate is 0.0: it must be a number above 0"),
        (("--replicas", "0"), "--replicas"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    done = asked(tmp_path, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[0]
    assert done.stderr.count("\n") == 3


def test_a_fleet_that_cannot_be(tmp_path: Path) -> None:
    done = asked(tmp_path, dirty="-3")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "dirty_mib_per_s" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_has_to_be_said(tmp_path: Path) -> None:
    done = fastsmc("plan", "evacuate", "--hosts", tmp_path / "hosts.csv")
    assert done.returncode == 2


def test_a_plan_is_saved_and_read_back(tmp_path: Path) -> None:
    done = asked(tmp_path, "--out", tmp_path / "plan.json", "--quiet")
    plan = Plan.load(tmp_path / "plan.json")
    assert plan.answer + "\n" == done.stdout
    assert plan.inputs["limits"]["settings"][0]["name"] == "parallelMigrationsPerCluster"
    assert plan.provenance.seed == 1
