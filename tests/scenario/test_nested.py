"""Scenarios of guests with EL2 and of protected VMs: what they mean, what they cost, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.costs import NESTED_HVC_NS
from fastsmc.facts.smccc import Verdict
from fastsmc.latency import simulate
from fastsmc.latency.verdicts import verdicts_of
from fastsmc.scenario import Scenario, fleet_of
from fastsmc.scenario.profiles import load_profile

NESTED: dict[str, Any] = {"release": "6.18", "kvm_arm_mode": "nested", "features": ["psci02", "el2"]}


def scenario(mix: list[dict[str, Any]], **keys: Any) -> Scenario:
    """One group of two vCPUs that think 10 us and call."""
    think = {"law": "deterministic", "mean_us": 10}
    group = {"vcpus": 2, "count": 3, "workload": "w", **keys}
    return Scenario.of({"vms": [group], "workloads": {"w": {"kind": "closed", "think": think, "mix": mix}}})


def test_levels_and_conduits_of_a_mix_decide_what_becomes_of_its_calls() -> None:
    rows: list[tuple[dict[str, Any], Verdict]] = [
        ({"call": "PSCI_VERSION"}, Verdict.TO_VEL2),
        ({"call": "PSCI_VERSION", "conduit": "smc"}, Verdict.HANDLED),
        ({"call": "PSCI_VERSION", "conduit": "smc", "level": "vel1"}, Verdict.HANDLED),
        ({"call": "PSCI_VERSION", "conduit": "smc", "level": "vel1_tsc"}, Verdict.TO_VEL2),
        ({"call": "PSCI_VERSION", "conduit": "smc", "level": "vel2_tsc"}, Verdict.HANDLED),
        ({"call": 0x80008000}, Verdict.FAST_PATH),
        ({"call": 0x80008000, "conduit": "smc", "level": "vel1_tsc"}, Verdict.TO_VEL2),
        ({"call": "PTP", "conduit": "smc"}, Verdict.HANDLED),
    ]
    mix = [row | {"share": 1 / len(rows)} for row, _ in rows]
    (group,) = scenario(mix, **NESTED).groups
    assert verdicts_of(group) == tuple(verdict for _, verdict in rows)
    assert fleet_of(group).features.tolist() == [0x84]


def test_a_call_that_goes_to_vel2_takes_its_own_figure_which_is_assumed() -> None:
    found = simulate(scenario([{"call": "PSCI_VERSION", "share": 1.0}], **NESTED))
    told = found.as_dict()
    (service,) = told["groups"][0]["services"]
    assert (service["verdict"], service["rests_on_assumed"]) == ("TO_VEL2", ["nested_hvc_ns"])
    assert service["service_ns"]["mean"] == pytest.approx(NESTED_HVC_NS.value)
    assert [figure["name"] for figure in told["profile"]["figures"]] == ["nested_hvc_ns"]
    assert any(sentence.startswith("nested_hvc_ns is 1000 ns") for sentence in told["assumed"])


def test_a_profile_may_say_what_it_costs(tmp_path: Any) -> None:
    base = load_profile("neoverse-n1")
    assert base.nested_hvc_ns == NESTED_HVC_NS
    assert base.with_overrides({"nested_hvc_ns": 700}, source="here").kernel_ns(Verdict.TO_VEL2, n_range=3) == 700
    path = tmp_path / "mine.toml"
    parts = ['title = "t"', 'source = "s"']
    for name, figure in (base.figures() | {"nested_hvc_ns": base.trap_ns}).items():
        parts.append(f'[{name}]\nvalue = {figure.value}\nunit = "ns"\nkind = "measured"\nsource = "here"')
    path.write_text("\n".join(parts), "utf-8")
    mine = load_profile(path)
    assert (mine.nested_hvc_ns.value, mine.nested_hvc_ns.kind) == (base.trap_ns.value, "measured")


def test_a_protected_vm_is_answered_by_the_real_el2() -> None:
    mix = [{"call": 0xC6000002, "share": 0.5}, {"call": 0xC6000002, "share": 0.5, "conduit": "smc"}]
    keys = {"release": "7.3", "kvm_arm_mode": "protected", "is_protected": True}
    (group,) = scenario(mix, **keys).groups
    assert verdicts_of(group) == (Verdict.FAST_PATH, Verdict.DENIED)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"features": ["el2"]}, r"features: .*without kvm-arm\.mode=nested refuses bit 7 \(HAS_EL2\) with EINVAL"),
        ({**NESTED, "release": "6.12"}, r"features: .*knows bits in 0x7f \(ENOENT\)"),
        ({**NESTED, "features": ["el2", "el1_32bit"]}, r"features: .*AArch64 vCPUs only \(EINVAL\)"),
        ({"kvm_arm_mode": "nestled"}, r"kvm_arm_mode: .*nested"),
        ({"is_protected": 1}, r"is_protected: it is 1: it must be true or false"),
        ({"is_protected": True}, r"without kvm-arm\.mode=protected refuses a protected VM with EINVAL"),
        (
            {"is_protected": True, "kvm_arm_mode": "protected", "filter": [{"base": "PTP", "action": "DENY"}]},
            r"filter.*a protected VM has no SMCCC filter",
        ),
    ],
)
def test_what_no_host_has_is_refused_with_its_key(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        scenario([{"call": "PTP", "share": 1.0}], **keys)


def test_a_level_of_an_ordinary_group_is_refused() -> None:
    with pytest.raises(InputError, match=r"workload: its mix has calls at level vel1, and these vCPUs have no EL2"):
        scenario([{"call": "PTP", "share": 1.0, "level": "vel1"}])
    with pytest.raises(InputError, match=r"level"):
        scenario([{"call": "PTP", "share": 1.0, "level": "el3"}], **NESTED)
