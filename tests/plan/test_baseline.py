"""Baselines against sets: what the reference says each host has, one VM at a time, intersected by Python."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.registers import BIT_NAMES, FW_REGISTERS, register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTIONS, Verdict, psci_name
from fastsmc.facts.vcpu import VCPU_FEATURES, feature_bits
from fastsmc.plan import Inventory, Plan, baseline
from fastsmc.reference.vm import Vm

KERNELS = ("5.10.218", "5.10.50", "5.14.21", "6.1.192", "6.8.0-106-generic", "6.12.107", "6.13.2", "6.18.15", "7.3.4")
"""Of none of these is anything in doubt that a baseline has."""
PSCI = (0x1, 0x2, 0x10000, 0x10001, 0x10002, 0x10003)
ASKED = {
    "WORKAROUND_1": "SMCCC_ARCH_WORKAROUND_1",
    "WORKAROUND_2": "SMCCC_ARCH_WORKAROUND_2",
    "WORKAROUND_3": "SMCCC_ARCH_WORKAROUND_3",
    "TRNG": "TRNG_VERSION",
    "PV_TIME": "PV_TIME_FEATURES",
    "VENDOR_HYP": "VENDOR_HYP_CALL_UID",
}
"""By service, a function that a guest asks it."""
ID_OF = {function.name: function.func_id for function in FUNCTIONS}
FEATURES = ("psci02", "pmu", "sve", "pauth", "el1_32bit", "el2", "e2h0")


def new_vm(kernel: str, features: int = 0x4) -> Vm:
    return Vm(Host.of(kernel), features=features)


@cache
def has(kernel: str) -> frozenset[str]:
    """What VMs of a kernel can be given, found by asking the reference for each."""
    found = {row.name for row in FW_REGISTERS if new_vm(kernel).get_one_reg(0, row.reg)[0] == 0}
    for (name, bit), word in BIT_NAMES.items():
        if new_vm(kernel).set_one_reg(0, register(name), 1 << bit) == 0:
            found.add(f"{name}.{word}")
    for word in PSCI:
        if new_vm(kernel, 0 if word == 1 else 0x4).set_one_reg(0, register("PSCI_VERSION"), word) == 0:
            found.add(f"PSCI {psci_name(word)}")
    n_feature = smc.Host.of(kernel).release.n_vcpu_feature
    found |= {name for name in FEATURES if all(bit < n_feature for bit in range(9) if VCPU_FEATURES[name] >> bit & 1)}
    return frozenset(found | services(kernel))


@cache
def services(kernel: str) -> frozenset[str]:
    vm = new_vm(kernel)
    answered = (Verdict.HANDLED, Verdict.FAST_PATH)
    return frozenset(s for s, name in ASKED.items() if vm.call(0, ID_OF[name], 0xC500_0021).verdict in answered)


def given_to(kernel: str, features: str) -> set[str]:
    """What a new VM has: services, registers, bits that are set, its PSCI version, the features it asks for."""
    vm = new_vm(kernel, feature_bits(features or "psci02") & 0x4)
    found = set(services(kernel)) | {f for f in FEATURES if f in (features or "psci02").split("+")}
    for row in FW_REGISTERS:
        errno, value = vm.get_one_reg(0, row.reg)
        if errno == 0:
            found.add(row.name)
            found |= {
                f"{row.name}.{w}" for (name, bit), w in BIT_NAMES.items() if name == row.name and value >> bit & 1
            }
    return found | ({f"PSCI {psci_name(vm.effective_psci_version())}"} if "psci02" in (features or "psci02") else set())


def an_inventory(kernels: list[str], pools: list[str], vms: list[tuple[int, str]], **hosts: Any) -> Inventory:
    n = len(kernels)
    columns = {"name": [f"h{i}" for i in range(n)], "kernel": kernels, "pool": pools, "cpu": ["n1"] * n}
    rows = {"host": [f"h{at % n}" for at, _ in vms], "features": [features for _, features in vms]}
    names = [f"v{i}" for i in range(len(vms))]
    return Inventory.of(hosts=columns | hosts, vms={"name": names, "vcpus": [1] * len(vms)} | rows)


VMS = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["", "none", "psci02", "psci02+el2", "psci02+pmu"])), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KERNELS), st.sampled_from(["a", "b"])), min_size=1, max_size=6), VMS)
def test_a_baseline_is_the_intersection_of_what_hosts_have(
    hosts: list[tuple[str, str]], vms: list[tuple[int, str]]
) -> None:
    kernels, pools = [kernel for kernel, _ in hosts], [pool for _, pool in hosts]
    plan = baseline(an_inventory(kernels, pools, vms))
    for pool in sorted(set(pools)):
        its = [kernel for kernel, of in hosts if of == pool]
        common = frozenset.intersection(*map(has, its))
        rows = {row["name"]: row for row in plan.table.where(pool=pool).rows()}
        at = [(kernels[i % len(kernels)], features) for i, features in vms if pools[i % len(kernels)] == pool]
        used = {name for _, features in at for name in features.split("+")} & set(FEATURES)
        assert set(rows) == frozenset.union(*map(has, its)) | used
        for name, row in rows.items():
            if name in ("pmu", "sve", "pauth", "el1_32bit", "el2", "e2h0") and row["in_common"] == "unknown":
                assert not any(name in features for _, features in at)  # nobody was seen to use it
                continue
            assert row["in_common"] == ("yes" if name in common else "no"), name
            assert row["n_host_without"] == sum(name not in has(kernel) for kernel in its)
            losing = sum(name in given_to(kernel, features) and name not in common for kernel, features in at)
            assert row["n_vm_losing"] == losing, name
            lacking = [kernel for kernel in its if name not in has(kernel)]
            most = max((lacking.count(kernel) for kernel in lacking), default=0)
            assert row["lowered_by"] in [k for k in lacking if lacking.count(k) == most] or row[
                "lowered_by"
            ] == "" == "".join(lacking)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(KERNELS), min_size=1, max_size=6))
def test_every_host_takes_the_registers_and_the_psci_version_is_the_newest_it_could_be(kernels: list[str]) -> None:
    plan = baseline(an_inventory(kernels, ["a"] * len(kernels), []))
    values = {row["name"]: int(row["set_to"], 0) for row in plan.table.rows() if row["set_to"]}
    assert "PSCI_VERSION" in values
    for kernel in kernels:
        for name, value in values.items():
            assert new_vm(kernel).set_one_reg(0, register(name), value) == 0
    for word in PSCI:
        if word > values["PSCI_VERSION"]:
            assert any(new_vm(kernel).set_one_reg(0, register("PSCI_VERSION"), word) for kernel in kernels)
    for name, value in values.items():
        if name != "PSCI_VERSION":
            given = [new_vm(kernel).get_one_reg(0, register(name))[1] for kernel in kernels]
            assert all(value & ~one == 0 for one in given)
            assert all(value >> bit & 1 for bit in range(64) if all(one >> bit & 1 for one in given))


def test_an_unknown_kernel_makes_its_pools_baseline_unknown_and_is_counted() -> None:
    inventory = an_inventory(["6.12.107", "6.12.107", "homemade", "", ""], ["a", "b", "b", "b", "b"], [(0, "")])
    plan = baseline(inventory)
    assert (plan.is_met, plan.exit_code) == (None, 5)
    assert baseline(inventory, pool="a").exit_code == 0
    rows = {row["name"]: row for row in baseline(inventory, pool="b").table.rows()}
    assert (rows["TRNG"]["in_common"], rows["TRNG"]["n_host_unknown"], rows["TRNG"]["set_to"]) == ("unknown", 3, "")
    assert rows["VENDOR_HYP_BMAP_2"]["in_common"] == "no"  # whatever the others are, 6.12.107 lacks it
    assert rows["PSCI_VERSION"]["set_to"] == ""
    counted = {excuse.why: excuse.n_row for excuse in plan.excuses}
    assert counted["hosts of pool 'b' whose kernel was not told"] == 2
    assert counted["hosts of pool 'b' whose kernel 'homemade' is none that fastsmc knows"] == 1
    assert baseline(an_inventory(["homemade"] * 2, ["a"] * 2, [])).is_met is None
    assert "is not known, as the kernel of 3 hosts is not" in baseline(inventory, pool="b").answer


def test_a_feature_that_some_host_lacks_is_missed_and_one_of_an_unknown_cpu_unknown() -> None:
    plan = baseline(an_inventory(["6.12.107", "6.18.15"], ["", ""], [(1, "psci02+el2"), (1, "psci02")]))
    assert (plan.is_met, plan.exit_code) == (False, 4)
    assert "VMs on kernel 6.18.15 use el2, which some host has not" in {excuse.why for excuse in plan.excuses}
    for cpus, met in ((["n1", "n1"], True), (["n1", "v1"], None), (["", ""], None)):
        plan = baseline(an_inventory(["6.18.15", "6.18.15"], ["", ""], [(1, "psci02+sve")], cpu=cpus))
        assert plan.is_met is met, cpus
        assert plan.table.where(name="sve")["n_vm_perhaps"].tolist() == [int(met is None)]


def test_a_release_in_doubt_decides_only_where_it_meets_another() -> None:
    uek = "6.12.0-202.76.4.1.el9uek.aarch64"
    alone = baseline(an_inventory([uek, uek], ["", ""], [(0, "")]))
    assert alone.is_met is True
    assert alone.table.where(name="VENDOR_HYP_BMAP_2")["in_common"].tolist() == ["unknown"]
    both = baseline(an_inventory([uek, "6.18.15"], ["", ""], [(0, "")]))
    assert both.is_met is None
    assert any("may have" in excuse.why and "VENDOR_HYP_BMAP_2" in excuse.why for excuse in both.excuses)
    assert "VENDOR_HYP_BMAP_2" not in both.answer
    assert both.table.where(name="PSCI 1.3")["in_common"].tolist() == ["unknown"]
    assert both.table.where(name="PSCI_VERSION")["set_to"].tolist() == ["0x10001"]


def test_the_kernel_that_lowers_a_pool_is_named_with_what_it_costs() -> None:
    plan = baseline(an_inventory(["6.18.15", "7.3.4", "5.10.218"], [""] * 3, [(0, "")] * 5))
    assert plan.bottleneck.startswith("kernel 5.10.218 on 1 host: all others have TRNG, VENDOR_HYP, STD_BMAP")
    assert plan.answer == (
        "3 hosts with 3 kernels have 12 of 33 things in common: set PSCI_VERSION 0x10000 (PSCI 1.0); "
        "5 of 5 VMs would lose something if pinned to it, 5 carry firmware registers that some host has not."
    )
    assert ("VMs on kernel 6.18.15 would lose TRNG, VENDOR_HYP, PSCI 1.3", 5) in {e[:2] for e in plan.excuses}


def test_of_what_an_inventory_assumes_a_plan_says_what_it_rests_on() -> None:
    assumed = {"hosts.kernel": "drawn", "vms.dirty_mib_per_s": "10 each"}
    hosts = {"name": ["h"], "kernel": ["6.18.15"]}
    inventory = Inventory.of(
        hosts=hosts, vms={"name": ["a"], "host": ["h"], "vcpus": [1]}, assumed=assumed, notes=("two VMs were left out",)
    )
    told = baseline(inventory).assumptions
    assert told[-2:] == ("hosts.kernel: drawn", "two VMs were left out")
    assert not any("10 each" in text for text in told)
    assert "1 VM whose features nobody told have psci02 only" in told


def test_hosts_that_are_down_are_left_out_and_vms_of_no_host_are_unknown() -> None:
    down = {"state": ["", "down"]}
    inventory = an_inventory(["6.18.15", "5.10.218"], ["", ""], [(0, "")], **down)
    assert set(baseline(inventory).table["in_common"]) == {"yes", "unknown"}
    gone = Inventory.of(hosts={"name": ["h"], "kernel": ["6.18.15"]}, vms={"name": ["a"], "host": ["x"], "vcpus": [1]})
    assert baseline(gone).is_met is None
    assert baseline(gone).excuses[0].example == {"vm": "a", "host": "x"}


@pytest.mark.parametrize(
    ("hosts", "features", "pool", "words"),
    [
        ({}, "", "c", "pool is 'c': it must be one of a, b"),
        ({"state": ["down", "down"]}, "", None, "no host is in service"),
        ({"state": ["down", ""]}, "", "a", "no host of pool 'a' is in service"),
        ({}, "psci02+wings", None, "vms row 0, 'v0': vCPU feature 'wings' is not one of"),
    ],
)
def test_what_cannot_be_asked_is_refused(hosts: Any, features: str, pool: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        baseline(an_inventory(["6.18.15", "6.18.15"], ["a", "b"], [(0, features)], **hosts), pool=pool)


def test_a_baseline_is_a_plan_that_is_saved_and_compared(tmp_path: Any) -> None:
    before = baseline(an_inventory(["6.12.107", "5.10.218"], ["", ""], [(0, "")]))
    after = baseline(an_inventory(["6.12.107", "6.1.192"], ["", ""], [(0, "")]))
    before.save(tmp_path / "before.json")
    found = Plan.load(tmp_path / "before.json").compare(after)
    cells = {(c.row["name"], c.column): (c.first, c.second) for c in found.changes}
    assert cells["TRNG", "in_common"] == ("no", "yes")
    assert cells["PSCI_VERSION", "set_to"] == ("0x10000", "0x10001")
