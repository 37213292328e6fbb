"""Rolling upgrades: who moves, who stops and why, what is not known, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.compat.check import check
from fastsmc.plan import Inventory, upgrade
from fastsmc.plan.result import Plan
from tests.support.upgrades import replayed

OLD, NEW, QEMU = "6.12.107", "6.18", "qemu:11.1"


def hosts(n: int = 3, **columns: Any) -> dict[str, Any]:
    """Hosts alike: 8 cores, 32 GiB, 6.12."""
    names = [f"h{k}" for k in range(n)]
    alike = {"kernel": [OLD] * n, "cpu": ["one"] * n, "vmm": [QEMU] * n, "cores": [8] * n, "memory_gib": [32.0] * n}
    return {"name": names, **alike, **columns}


def vms(at: str, **columns: Any) -> dict[str, Any]:
    """VMs of 4 vCPUs and 8 GiB on the hosts of these numbers: "012"."""
    n = len(at)
    alike = {"vcpus": [4] * n, "memory_gib": [8.0] * n, "features": ["psci02+pmu"] * n}
    return {"name": [f"v{k}" for k in range(n)], "host": [f"h{k}" for k in at], **alike, **columns}


def planned(given: Mapping[str, Any], own: Mapping[str, Any], to: str = NEW, **asked: Any) -> Plan:
    """A plan that was gone through move by move."""
    inv = Inventory.of(hosts=given, vms=own)
    plan = upgrade(inv, to=to, **asked)
    if not asked.keys() & {"spare_hosts", "vmm", "to_vmm", "vcpus_per_core"}:
        limits = asked.get("hosts_at_once", 1), asked.get("per_tenant_at_once")
        replayed(inv, plan, to, at_once=limits[0], per_tenant=limits[1])
    return plan


def words(plan: Plan) -> list[str]:
    """What becomes of each VM, "v0 moves"."""
    return sorted({f"{row['vm']} {row['what']}" for row in plan.tables["moves"].rows()})


def test_a_pool_with_room_moves_every_vm_once() -> None:
    plan = planned(hosts(), vms("012"))
    assert plan.is_met is True
    assert words(plan) == ["v0 moves", "v1 moves", "v2 moves"]
    assert plan.table["hosts"].tolist() == [1, 1, 1]
    assert plan.answer.startswith("3 hosts reach 6.18 in 3 waves: 3 VMs move live")
    assert plan.bottleneck == "concurrency: 1 host at once"
    assert plan.exit_code == 0


def test_more_hosts_at_once_are_fewer_waves() -> None:
    assert planned(hosts(4), vms("01"), hosts_at_once=2).table.n_row == 2


def test_the_register_in_the_way_is_told_with_its_remedy() -> None:
    """QEMU 10.1 tolerates no register that the destination lacks; 6.13 and later hide three."""
    plan = planned(hosts(vmm=["qemu:10.1"] * 3), vms("012"))
    forward = check(OLD, NEW, vmm="qemu:10.1", source_features="psci02+pmu", dest_features="psci02+pmu").forward
    table = plan.tables["blocking"]
    assert plan.is_met is False
    assert plan.exit_code == 4
    assert table["register"].tolist() == [fate.name for fate in forward.failing] == ["TCR2_EL1", "PIRE0_EL1", "PIR_EL1"]
    assert table["why"].tolist() == [fate.reason for fate in forward.failing]
    assert set(table["remedy"].tolist()) == {forward.remedies[0].text}
    assert table["vms"].tolist() == [3, 3, 3]
    assert plan.excuses[0].n_row == 3
    assert "TCR2_EL1" in plan.answer
    assert "TCR2_EL1" in plan.excuses[0].why
    assert plan.bottleneck.startswith("compatibility")
    assert not set(planned(hosts(vmm=["qemu:10.1"] * 3), vms("0"), pins="none").tables["blocking"]["remedy"]) - {""}


def test_another_vmm_after_the_upgrade_lifts_what_it_tolerates() -> None:
    plan = planned(hosts(vmm=["qemu:10.1"] * 3), vms("012"), to_vmm=QEMU)
    assert plan.is_met is True


def test_direction_matters() -> None:
    """A VM begun on 6.18 has PSCI 1.3, which 6.12 does not know."""
    back = planned(hosts(kernel=[NEW] * 3), vms("012"), to="7.1").tables["back"]
    assert back["verdict"].tolist() == ["restores"]
    plan = planned(hosts(kernel=["6.18", OLD, OLD]), vms("012"), to=NEW)
    assert plan.tables["back"].n_row == 1
    assert "PSCI_VERSION" in plan.tables["back"]["why"][0]
    assert "of which 0 could go back" in plan.answer


def test_a_host_that_is_newer_needs_nothing() -> None:
    plan = upgrade(Inventory.of(hosts=hosts(kernel=["7.1", OLD, "6.18.15"]), vms=vms("012")), to=NEW)
    assert plan.tables["hosts"]["wave"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("kernel", ["", "5.99", "kernel"])
def test_a_kernel_that_is_not_known_is_no_yes_and_no_error(kernel: str) -> None:
    plan = planned(hosts(kernel=[kernel, OLD, OLD]), vms("012"))
    assert plan.is_met is None
    assert plan.exit_code == 5
    assert words(plan) == ["v0 unknown", "v1 moves", "v2 moves"]
    assert "of 1 it cannot be known" in plan.answer
    assert plan.tables["vms"]["vm"].tolist() == ["v0"]


@pytest.mark.parametrize(
    ("own", "given", "why"),
    [
        ({"memory_gib": [8.0, float("nan")]}, {}, "its vCPUs or memory are not told"),
        ({"vcpus": [4, 0]}, {}, "its vCPUs or memory are not told"),
        ({}, {"vmm": [QEMU, ""]}, "the VMM is not told"),
        ({}, {"cpu": ["one", "two"]}, "CPU one in place of two: MIDR_EL1 may differ"),
        ({}, {"memory_gib": [float("nan"), 32.0]}, "do not tell cores and memory"),
        ({}, {"cores": [0, 8]}, "do not tell cores and memory"),
    ],
)
def test_what_is_not_told_is_unknown(own: dict[str, Any], given: dict[str, Any], why: str) -> None:
    """Two hosts: v1, on h1, can only go to h0."""
    held = planned(hosts(2, **given), vms("01", **own)).tables["vms"]
    told = {row["vm"]: row for row in held.rows()}
    assert told["v1"]["what"] == "unknown"
    assert why in told["v1"]["why"] or "of others it is not known" in told["v1"]["why"]


def test_a_vm_that_cannot_be_migrated_stops_and_says_so() -> None:
    plan = planned(hosts(), vms("012", moves=["no", "", ""]))
    assert words(plan) == ["v0 stops", "v1 moves", "v2 moves"]
    assert plan.is_met is False
    assert "moves: no" in plan.excuses[0].why


def test_full_hosts_stop_their_vms_unless_there_is_a_spare() -> None:
    full = vms("001122")
    plan = planned(hosts(), full)
    assert plan.is_met is False
    assert words(plan) == [f"v{k} stops" for k in range(6)]
    assert plan.bottleneck.startswith("cores")
    assert "spare" in plan.tables["blocking"]["remedy"][0]
    spared = planned(hosts(), full, spare_hosts=1)
    assert spared.is_met is True
    assert spared.tables["hosts"]["host"].tolist()[-1] == "spare 1 of the pool"


def test_memory_limits_as_cores_do() -> None:
    plan = planned(hosts(), vms("001122", vcpus=[1] * 6, memory_gib=[16.0] * 6))
    assert plan.is_met is False
    assert plan.bottleneck.startswith("memory")


def test_vcpus_per_core_makes_room() -> None:
    assert planned(hosts(), vms("001122"), vcpus_per_core=2.0).is_met is True


def test_groups_never_share_a_host() -> None:
    plan = planned(hosts(), vms("012", apart=["x", "x", "x"]))
    assert plan.is_met is False
    assert plan.bottleneck.startswith("conflicts")
    assert planned(hosts(), vms("01", apart=["x", "x"])).is_met is True


def test_vms_stay_in_their_pool_and_off_cordoned_hosts() -> None:
    apart = planned(hosts(pool=["a", "b", "b"]), vms("012"))
    assert words(apart) == ["v0 stops", "v1 moves", "v2 moves"]
    assert planned(hosts(state=["", "cordoned", "cordoned"]), vms("0")).is_met is False
    moved = planned(hosts(state=["cordoned", "", "cordoned"]), vms("0")).tables["moves"]
    assert moved["to"].tolist() == ["h1"]


def test_hosts_that_are_down_and_their_vms_are_left_out_and_told() -> None:
    plan = planned(hosts(state=["down", "", ""]), vms("012"))
    assert "h0" not in plan.tables["hosts"]["host"].tolist()
    assert any("down" in excuse.why and excuse.n_row == 1 for excuse in plan.excuses)
    assert plan.is_met is True


def test_a_vm_on_a_host_that_does_not_exist_is_counted_and_decides() -> None:
    plan = upgrade(Inventory.of(hosts=hosts(), vms=vms("012", host=["h0", "h1", "nowhere"])), to=NEW)
    assert plan.is_met is None
    assert any("not in the inventory" in excuse.why for excuse in plan.excuses)


def test_no_tenant_has_more_vms_on_the_move_than_it_may() -> None:
    own = vms("000123", vcpus=[1] * 6, tenant=["t", "t", "t", "", "u", "u"])
    plan = planned(hosts(4), own, hosts_at_once=4, per_tenant_at_once=1)
    assert plan.table["rounds"].max() == 3
    assert planned(hosts(4), own, hosts_at_once=4).table["rounds"].max() == 1


def test_a_vm_of_another_vmm_than_the_hosts_fails() -> None:
    plan = planned(hosts(vmm=[QEMU, QEMU, "firecracker:1.12"]), vms("0", features=["psci02"]))
    assert plan.is_met is True
    plan = planned(hosts(2, vmm=[QEMU, "firecracker:1.12"]), vms("0", features=["psci02"]), hosts_at_once=2)
    assert plan.is_met is False


def test_nothing_to_do_is_an_answer() -> None:
    plan = planned(hosts(kernel=[NEW] * 3), vms("012"))
    assert plan.answer == "no host needs the upgrade to 6.18"
    assert plan.is_met is True
    assert upgrade(Inventory.of(hosts=hosts(), vms=vms("")), to=NEW).is_met is True


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"to": "9.9"}, "9.9"),
        ({"to": ""}, "release"),
        ({"hosts_at_once": 0}, "hosts_at_once is 0"),
        ({"per_tenant_at_once": 0}, "per_tenant_at_once is 0"),
        ({"spare_hosts": -1}, "spare_hosts is -1"),
        ({"vcpus_per_core": 0.0}, "vcpus_per_core is 0.0"),
        ({"vcpus_per_core": float("nan")}, "vcpus_per_core is nan"),
        ({"vmm": "xen"}, "xen"),
        ({"pins": "all"}, "pins is 'all'"),
        ({"method": "best"}, "method is 'best'"),
    ],
)
def test_bad_input_is_one_sentence(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        upgrade(Inventory.of(hosts=hosts(), vms=vms("0")), **({"to": NEW} | asked))


def test_no_host_in_service_is_refused() -> None:
    with pytest.raises(InputError, match="no host is in service"):
        upgrade(Inventory.of(hosts=hosts(1, state=["down"]), vms=vms("0")), to=NEW)


def test_a_plan_is_plain_values() -> None:
    plan = planned(hosts(vmm=["qemu:10.1"] * 3), vms("012"))
    told = plan.as_dict()
    assert told["tables"]["blocking"][0]["register"] == "TCR2_EL1"
    assert told["inputs"]["to"] == NEW
    assert len(repr(plan)) <= 200
