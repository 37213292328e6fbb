"""Notes beside a group's numbers: what is legal as a model and yet not what a guest could do, or had no effect."""

from __future__ import annotations

from typing import Any

import pytest

from fastsmc.latency import simulate
from fastsmc.scenario import Scenario


def group(rate_hz: float, **more: Any) -> dict[str, Any]:
    """The one group of an open scenario: PSCI_VERSION by one vCPU, 292 ns each."""
    vms = {"name": "g", "vcpus": 1, "workload": "w", **more}
    arrivals = {"law": "poisson", "rate_hz": rate_hz}
    workload = {"kind": "open", "arrivals": arrivals, "mix": {"PSCI_VERSION": 1.0}}
    scenario = Scenario.of({"calls": 50, "warmup": 0, "vms": [vms], "workloads": {"w": workload}})
    found: dict[str, Any] = simulate(scenario).as_dict()["groups"][0]
    return found


def test_more_than_a_vcpu_can_do_is_noted_with_the_rate_it_could() -> None:
    (note,) = group(1e7)["notes"]
    assert "2.92 times the time there is" in note
    assert "below 3.425e+06 calls/s" in note  # 1 / 292 ns


@pytest.mark.parametrize("more", [{}, {"vmm": {"lock": "none"}}])
def test_what_a_vcpu_can_do_is_not(more: dict[str, Any]) -> None:
    assert group(1e6, **more)["notes"] == []


def test_a_service_that_nothing_asks_for_is_noted() -> None:
    (note,) = group(1000, service={"law": "deterministic", "mean_us": 3.0})["notes"]
    assert "no call goes to the VMM" in note


def test_a_vendors_kernel_and_what_is_not_certain_of_it_are_noted() -> None:
    notes = group(1000, release="6.12.0-39.el10.aarch64")["notes"]
    assert notes[0] == "a kernel of RHEL 10, which carries many backports: judged as Linux 6.12"
    assert notes[1].startswith("not certain: PSCI_VERSION, PSCI_FEATURES, PSCI_SYSTEM_OFF2")
