"""Evacuations of small fleets whose answers are known by hand; where VMs go; what decides where much is not known."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.link import Link
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.plan import Inventory, Limits, evacuate
from fastsmc.plan.evacuation.destinations import GIB, placed
from fastsmc.plan.result import Plan

GBIT = 1e9 / 8
NONE = Limits()


def fleet(vms: dict[str, Any], **hosts: Any) -> Inventory:
    """Hosts of one kind, h0 to h3 unless named, and VMs that write nothing, on h0 unless said."""
    n = len(next(iter(hosts.values()))) if hosts else 4
    alike = {"name": [f"h{i}" for i in range(n)], "kernel": ["6.12.107"] * n, "vmm": ["qemu:10.1"] * n}
    m = len(next(iter(vms.values())))
    usual = {"name": [f"v{i}" for i in range(m)], "host": ["h0"] * m, "vcpus": [4] * m, "dirty_mib_per_s": [0.0] * m}
    return Inventory.of(
        hosts={**alike, "nic_gbit_per_s": [10.0] * n, **hosts},
        vms={**usual, "memory_gib": [8.0] * m, **vms},
    )


def asked(inventory: Inventory, **changed: Any) -> Plan:
    given: dict[str, Any] = {"hosts": ["h0"], "within_s": 600, "replicas": 20, "limits": NONE}
    return evacuate(inventory, **given | changed)


def test_one_vm_takes_its_memory_and_its_registers() -> None:
    plan = asked(fleet({"memory_gib": [8.0]}))
    registers = downtime("6.12.107", n_vcpu=4, link=Link(10)).total_ms
    assert plan.table["drain_p50_s"][0] == pytest.approx(8 * GIB / (10 * GBIT) + registers.mid / 1e3)
    assert plan.cube is not None
    assert plan.cube.values["downtime_ms"].values[100] == pytest.approx(registers.mid)
    assert plan.is_met
    assert plan.exit_code == 0
    assert plan.bottleneck.startswith("source NIC (100")


@pytest.mark.parametrize(("limits", "halved"), [("nova-2026.1", 4), ("kubevirt-1.6", 5), ("proxmox-9", 7)])
def test_the_guest_stops_at_its_orchestrators_limit(limits: str, halved: int) -> None:
    """A guest that writes half of what the link sends leaves half of each round: 8 GiB take 6.9 s, then 3.4, 1.7, …"""
    half = 10 * GBIT / 2**20 / 2
    plan = asked(fleet({"dirty_mib_per_s": [half]}), limits=limits, downtime_ms=300)
    registers = downtime("6.12.107", n_vcpu=4, link=Link(10)).total_ms.mid
    assert plan.cube is not None
    rest = 8 * GIB / (10 * GBIT) / 2**halved
    assert plan.cube.values["downtime_ms"].values[100] == pytest.approx(rest * 1e3 + registers)
    assert plan.is_met is (limits != "nova-2026.1")


def test_a_hot_set_is_all_that_a_vm_writes() -> None:
    half = 10 * GBIT / 2**20 / 2
    plan = asked(fleet({"dirty_mib_per_s": [half], "hot_set_mib": [64.0]}))
    registers = downtime("6.12.107", n_vcpu=4, link=Link(10)).total_ms.mid
    sent = 8 * GIB + 64 * 2**20
    assert plan.table["drain_p50_s"][0] == pytest.approx(sent / (10 * GBIT) + registers / 1e3)


def test_vms_go_to_the_hosts_of_their_pool_in_turn() -> None:
    inventory = fleet({"name": list("abcdef")}, pool=["x", "x", "x", "y", "x"], state=["", "", "", "", "cordoned"])
    plan = asked(inventory)
    found = placed(inventory, np.array([0]), np.array([0, -1, -1, -1, -1]), np.full(6, 8.0 * GIB))
    assert found.dest.tolist() == [1, 2, 1, 2, 1, 2]
    assert plan.table["leave"].tolist() == [6]


@pytest.mark.parametrize(
    ("vms", "hosts", "why"),
    [
        ({"moves": ["no"]}, {}, "it is marked as one that cannot be migrated"),
        ({"memory_gib": [8.0]}, {"pool": ["x", "y"]}, "its pool has no other host in service"),
        ({"memory_gib": [8.0]}, {"state": ["", "down"]}, "its pool has no other host in service"),
        ({"memory_gib": [8.0]}, {"memory_gib": [99.0, 7.0]}, "no host on which it restores has memory for it"),
        (
            {"host": ["h0", "h1"], "apart": ["web", "web"]},
            {"memory_gib": [99.0, 99.0]},
            "each host with memory for it holds a VM that must stay apart from it",
        ),
        (
            {"memory_gib": [8.0]},
            {"kernel": ["6.18", "6.12"]},
            "it restores on no other host of its pool: 6.18 to 6.12 with qemu:10.1, in the way: "
            "PSCI_VERSION, VENDOR_HYP_BMAP_2",
        ),
        (
            {"memory_gib": [8.0]},
            {"vmm": ["qemu:10.1", "firecracker"]},
            "it restores on no other host of its pool: firecracker restores no VM of qemu",
        ),
    ],
)
def test_a_vm_that_cannot_leave_is_an_excuse(vms: dict[str, Any], hosts: dict[str, Any], why: str) -> None:
    plan = asked(fleet(vms, **hosts))
    assert [(excuse.why, excuse.n_row, excuse.example["name"]) for excuse in plan.excuses] == [(why, 1, "v0")]
    assert plan.is_met is False
    assert plan.exit_code == 4
    assert "cannot be emptied: none of 1 VM can leave" in plan.answer
    assert plan.table["stay"].tolist() == [1]


def test_some_leave_and_some_stay() -> None:
    plan = asked(fleet({"moves": ["", "no", ""], "memory_gib": [1.0, 2.0, 3.0]}))
    assert (plan.table["leave"][0], plan.table["stay"][0]) == (2, 1)
    assert "1 of 3 VMs cannot leave; the others have left within 10 min in 20 of 20" in plan.answer
    assert plan.is_met is False


def test_what_is_not_known_of_guests_decides() -> None:
    """20 VMs of 8 GiB over 10 Gb/s take 137 s when they write nothing: 160 s are met or not by what they write."""
    inventory = fleet({"dirty_mib_per_s": [math.nan] * 20})
    plan = asked(inventory, within_s=160, limits=Limits(outbound=1), downtime_ms=1000)
    assert plan.is_met is None
    assert plan.exit_code == 5
    assert plan.answer.endswith("what is not known decides whether that will do")
    assert plan.weakest is not None
    assert plan.weakest.figure.startswith("memory that VMs write")
    assert (plan.weakest.low, plan.weakest.high) == (1, 256)
    assert "late in 0" in plan.weakest.at_low
    assert "late in 100" in plan.weakest.at_high
    assert any("20 of 20 VMs (assumed" in text for text in plan.assumptions)
    assert set(plan.table.kinds.values()) == {"", "modelled", "assumed"}
    assert asked(inventory, within_s=100, limits=Limits(outbound=1)).is_met is False  # nothing they may write helps
    assert asked(inventory, within_s=900, limits=Limits(outbound=1), downtime_ms=2000).is_met is True


@pytest.mark.parametrize("figure", ["memory_gib", "nic"])
def test_other_figures_may_decide_too(figure: str) -> None:
    hosts = {"nic_gbit_per_s": [math.nan] * 4} if figure == "nic" else {}
    vms = {"memory_gib": [math.nan] * 10} if figure == "memory_gib" else {"memory_gib": [14.0] * 10}
    plan = asked(fleet(vms, **hosts), within_s=100)
    assert plan.is_met is None
    assert plan.weakest is not None
    assert ("line rate" if figure == "nic" else "memory of VMs") in plan.weakest.figure
    if figure == "nic":
        known = asked(fleet(vms, **hosts), within_s=100, link=Link(25))
        assert known.is_met is True
        assert known.table["drain_p50_s"][0] == pytest.approx(140 * GIB / (25 * GBIT), rel=0.01)


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ({"vmm": ["", ""]}, "the VMM is not told"),
        ({"kernel": ["", ""]}, "no kernel is told"),
        ({"cpu": ["N1", "V2"]}, "CPU V2 in place of N1: MIDR_EL1 may differ"),
        (
            {"vmm": ["qemu:99", "qemu:99"]},
            "qemu '99' is no version that is known, 7.2 to 11.1 are; did you mean qemu:11.1?",
        ),
    ],
)
def test_a_vm_that_may_not_restore_leaves_it_open(hosts: dict[str, Any], why: str) -> None:
    plan = asked(fleet({"memory_gib": [8.0]}, **hosts))
    assert plan.is_met is None
    assert [(excuse.why, excuse.n_row) for excuse in plan.excuses] == [(f"it may not restore: {why}", 1)]
    assert asked(fleet({"memory_gib": [8.0]}, **hosts), within_s=1).is_met is False  # late in any case


def test_a_host_on_which_it_restores_goes_first() -> None:
    inventory = fleet({"memory_gib": [8.0] * 3}, cpu=["N1", "V2", "N1"], memory_gib=[64.0, 64.0, 17.0])
    plan = asked(inventory)
    assert plan.excuses[0].n_row == 1  # two have room on the host of the same CPU
    assert plan.is_met is None


def test_a_vm_has_a_downtime_of_its_own() -> None:
    vms = {"dirty_mib_per_s": [100.0, 100.0], "downtime_ms": [math.nan, 40.0], "memory_gib": [1.0, 1.0]}
    plan = asked(fleet(vms), downtime_ms=300, limits=Limits(outbound=1))
    assert plan.table["over_share"].tolist() == [0.5]
    assert plan.excuses[0].example["name"] == "v1"
    assert (
        plan.excuses[0].why == "its downtime is longer than it tolerates in more than 10\N{NO-BREAK SPACE}% of replicas"
    )
    assert plan.is_met is False
    assert asked(fleet(vms), limits=Limits(outbound=1), miss_share=0.5).is_met is True


def test_a_migration_that_takes_too_long_is_aborted() -> None:
    """8 GiB at 10 Gb/s take 6.9 s, HCO allows 160; a guest that outwrites the link never ends."""
    inventory = fleet({"dirty_mib_per_s": [0.0, 3000.0], "memory_gib": [8.0, 8.0]})
    plan = asked(inventory, limits="hco-1.19")
    assert plan.table["aborted"].tolist() == [1.0]
    assert plan.table["late_share"].tolist() == [1.0]
    assert plan.excuses[0].example["name"] == "v1"
    assert "not done within completionTimeoutPerGiB 20, in more than" in plan.excuses[0].why
    assert plan.bottleneck.startswith("VMs whose migration is aborted; then a VM that does not converge (9")
    assert plan.is_met is False
    assert plan.table["drain_p99_s"][0] <= 160 + 8


def test_limits_are_named_as_their_orchestrator_does() -> None:
    vms = {"memory_gib": [8.0] * 6}
    limits = Limits.preset("kubevirt-1.6").having(bandwidth_mib_per_s=64.0)
    plan = asked(fleet(vms), limits=limits)
    assert plan.bottleneck.startswith("outbound limit (parallelOutboundMigrationsPerNode 2, ")
    plan = asked(fleet(vms), limits=limits.having(outbound=None))
    assert plan.bottleneck.startswith("cluster limit (parallelMigrationsPerCluster 5, ")
    plan = asked(fleet(vms), limits=Limits(inbound=1, bandwidth_mib_per_s=64))
    assert plan.bottleneck.startswith("inbound limit (inbound 1, ")


def test_a_window_is_no_slower_than_batches() -> None:
    inventory = fleet({"memory_gib": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]})
    limits = Limits(outbound=2, bandwidth_mib_per_s=400)
    window, batches = (asked(inventory, limits=limits, discipline=name) for name in ("window", "batches"))
    for share in (50, 90, 99):
        assert window.table[f"drain_p{share}_s"][0] < batches.table[f"drain_p{share}_s"][0]
    assert "slowest migration of each batch" in batches.bottleneck


def test_each_host_by_itself_is_what_one_host_is() -> None:
    rng = random.Random(3)
    vms = {"host": [f"h{rng.randrange(6)}" for _ in range(40)], "memory_gib": [rng.uniform(1, 30) for _ in range(40)]}
    inventory = fleet(vms, memory_gib=[512.0] * 6)
    limits = Limits(cluster=1)  # the order does not matter then
    each = asked(inventory, hosts="each", limits=limits, within_s=100, replicas=1)
    alone = [asked(inventory, hosts=[f"h{i}"], limits=limits, replicas=1).table["drain_p50_s"][0] for i in range(6)]
    assert each.table["drain_p50_s"] == pytest.approx(alone)
    n_good = sum(took <= 100 for took in alone)
    assert 0 < n_good < 6
    assert each.answer.startswith(f"{n_good} of 6 hosts, each by itself, are empty within 100 s")
    assert each.is_met is False
    last_but_one = sorted(alone)[-2]  # one of six is late then, and that one in every replica
    late = asked(inventory, hosts="each", limits=limits, within_s=last_but_one * 1.001, replicas=1, miss_share=0.2)
    assert late.is_met is False
    assert asked(inventory, hosts="each", limits=limits, within_s=999, replicas=1).is_met is True


def test_the_next_drain_finds_room_that_the_one_before_took() -> None:
    vms = {"host": ["h0", "h2"], "memory_gib": [8.0, 8.0]}
    plan = asked(fleet(vms, memory_gib=[64.0, 9.0, 64.0], state=["cordoned", "", "cordoned"]), hosts="each")
    assert plan.table["leave"].tolist() == [1, 0, 1]


def test_several_hosts_at_once_take_no_vms() -> None:
    vms = {"host": ["h0"] * 3 + ["h1"] * 3}
    plan = asked(fleet(vms), hosts=["h0", "h1"])
    assert plan.table["host"].tolist() == ["h0", "h1"]
    assert plan.answer.startswith("h0, h1 are empty within")
    plan = asked(fleet(vms, memory_gib=[64.0, 64.0]), hosts=["h0", "h1"])
    assert "none of 6 VMs can leave" in plan.answer


def test_an_empty_host() -> None:
    plan = asked(fleet({"memory_gib": [8.0]}), hosts=["h2"])
    assert plan.answer == "h2 has no VMs: nothing has to move"
    assert plan.is_met is True
    assert plan.bottleneck == ""


def test_placement_keeps_what_it_must() -> None:
    rng = random.Random(9)
    n_placed = n_stuck = 0
    for _ in range(80):
        n, m = rng.randint(2, 9), rng.randint(1, 40)
        kernels = ["6.18", "6.12", "6.12.107"]
        inventory = fleet(
            {
                "host": [f"h{rng.randrange(n)}" for _ in range(m)],
                "memory_gib": [float(rng.randint(1, 20)) for _ in range(m)],
                "apart": [rng.choice(["", "", "a", "b"]) for _ in range(m)],
            },
            kernel=[rng.choice(kernels) for _ in range(n)],
            memory_gib=[rng.choice([math.nan, 60.0, 120.0]) for _ in range(n)],
            pool=[rng.choice("xy") for _ in range(n)],
            state=[rng.choice(["", "", "cordoned"]) for _ in range(n)],
        )
        memory = inventory.vms["memory_gib"]
        drained = np.array(sorted(rng.sample(range(n), rng.randint(1, max(1, n // 2)))))
        drain = np.full(n, -1)
        drain[drained] = 0
        found = placed(inventory, drained, drain, memory * GIB)
        at = inventory.host_of_vm.copy()
        at[found.vm] = found.dest
        pool, apart, kernel = inventory.hosts["pool"], inventory.vms["apart"], inventory.hosts["kernel"]

        def takes(vm: int, host: int, at: Any = at, inventory: Inventory = inventory) -> bool:
            """Whether a host has, as all stands now, what the VM needs."""
            home, group = inventory.host_of_vm[vm], inventory.vms["apart"][vm]
            others = [k for k in np.flatnonzero(at == host).tolist() if k != vm]
            room = inventory.hosts["memory_gib"][host] - sum(inventory.vms["memory_gib"][k] for k in others)
            of = inventory.hosts
            return bool(
                of["pool"][host] == of["pool"][home]
                and of["state"][host] == ""
                and (of["kernel"][home], of["kernel"][host]) != ("6.18", "6.12")
                and (math.isnan(room) or room >= inventory.vms["memory_gib"][vm])
                and not (group and any(inventory.vms["apart"][k] == group for k in others))
            )

        for vm, host in zip(found.vm.tolist(), found.dest.tolist(), strict=True):
            assert drain[host] < 0
            assert pool[host] == pool[inventory.host_of_vm[vm]]
            assert takes(vm, host), (vm, host)
        stuck = set(np.flatnonzero(drain[inventory.host_of_vm] == 0).tolist()) - set(found.vm.tolist())
        assert len(stuck) == sum(excuse.n_row for excuse in found.excuses) == found.n_stay.sum()
        for vm in stuck:  # what was left is no more than when its turn came
            fits = [h for h in range(n) if drain[h] < 0 and takes(vm, h)]
            assert not [h for h in fits if kernel[inventory.host_of_vm[vm]] == kernel[h]], (vm, apart[vm])
        n_placed, n_stuck = n_placed + len(found.vm), n_stuck + len(stuck)
    assert n_placed > 100
    assert n_stuck > 100


def test_equal_seeds_equal_plans_and_json() -> None:
    inventory = fleet({"dirty_mib_per_s": [math.nan] * 5, "memory_gib": [math.nan, 4.0, 8.0, 16.0, 32.0]})
    one, same, other = (asked(inventory, seed=seed, limits="kubevirt-1.6") for seed in (1, 1, 2))
    told, again = (plan.as_dict() for plan in (one, same))
    for of_one in (told, again):
        del of_one["provenance"]["date_utc"]  # the second in which each was made
    assert json.dumps(told, allow_nan=False) == json.dumps(again, allow_nan=False)
    assert one.as_dict()["rows"] != other.as_dict()["rows"]
    assert one.inputs["limits"]["settings"][0]["since"] == "2025-07-24"
    assert len(repr(one)) <= 200


def test_an_average_of_many_replicas_is_that_of_the_range() -> None:
    """One VM of unknown memory, 2 vCPUs: all magnitudes from 1.5 to 14 GiB alike."""
    plan = asked(fleet({"memory_gib": [math.nan], "vcpus": [2]}), replicas=20_000)
    assert plan.cube is not None
    seconds = plan.cube.values["drain_s"].values
    for share in (10, 50, 90):
        gib = 1.5 * (14 / 1.5) ** (share / 100)
        assert seconds[share] == pytest.approx(gib * GIB / (10 * GBIT), rel=0.03)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hosts": ["H0"]}, r"hosts: the inventory has no host 'H0'; did you mean 'h0'\?"),
        ({"hosts": []}, 'hosts: none is given; name those to empty, or "each"'),
        ({"within_s": 0}, "within_s is 0: it must be a number above 0"),
        ({"within_s": math.nan}, "within_s is nan: "),
        ({"downtime_ms": 0.5}, "downtime_ms is 0.5: it must be a number of 1 or more"),
        ({"limits": "kubevirt"}, "limits 'kubevirt': there are kubevirt-1.3, kubevirt-1.6, "),
        ({"discipline": "waves"}, "discipline is 'waves': it must be one of window, batches"),
        ({"replicas": 0}, "replicas"),
        ({"seed": -1}, "seed"),
        ({"miss_share": -0.1}, "miss_share is -0.1: "),
    ],
)
def test_impossible_questions_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        asked(fleet({"memory_gib": [8.0]}), **changed)


@pytest.mark.parametrize(
    ("vms", "hosts", "message"),
    [
        ({"memory_gib": [-1.0]}, {}, "vms: memory_gib of 'v0' is -1: it must be a number of 0 or more, or left empty"),
        ({"dirty_mib_per_s": [math.inf]}, {}, "vms: dirty_mib_per_s of 'v0' is inf: "),
        ({"downtime_ms": [0.0]}, {}, "vms: downtime_ms of 'v0' is 0: it must be a number above 0"),
        ({"memory_gib": [8.0]}, {"nic_gbit_per_s": [0.0, 10.0]}, "hosts: nic_gbit_per_s of 'h0' is 0: it must be"),
    ],
)
def test_impossible_fleets_are_refused(vms: dict[str, Any], hosts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        asked(fleet(vms, **hosts))
