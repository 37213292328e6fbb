"""Small sweeps for tests, and what their cells are by other ways."""

from __future__ import annotations

from typing import Any

from fastsmc.latency import Simulation, simulate
from fastsmc.scenario import Scenario

THINK = {"law": "exponential", "mean_us": 20}
TABLE: dict[str, Any] = {
    "seed": 3,
    "calls": 5,
    "warmup": 0,
    "vms": [
        {
            "name": "web",
            "vcpus": 4,
            "workload": "w",
            "filter": [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}],
            "vmm": {"lock": "vm"},
        }
    ],
    "workloads": {"w": {"kind": "closed", "think": THINK, "mix": {"TRNG_RND64": 0.5, "PTP": 0.5}}},
}
"""One VM whose VMM answers half of the calls."""
TOML = """seed = 3
calls = 5
warmup = 0
[[vms]]
name = "web"
vcpus = 4
workload = "w"
filter = [{ base = "TRNG_RND64", action = "FWD_TO_USER" }]
vmm = { lock = "vm" }
[workloads.w]
kind = "closed"
think = { law = "exponential", mean_us = 20 }
mix = { TRNG_RND64 = 0.5, PTP = 0.5 }
"""
"""The same as a file's text."""
OVER: dict[str, Any] = {"vms[0].vcpus": [1, 2, 3], "vms[0].vmm.lock": ["vm", "none"]}


def simulated(vcpus: int, lock: str, seed: int) -> Simulation:
    """A cell of OVER, asked of `simulate` without any sweep."""
    vm = TABLE["vms"][0] | {"vcpus": vcpus, "vmm": {"lock": lock}}
    return simulate(Scenario.of(TABLE | {"vms": [vm], "seed": seed}))
