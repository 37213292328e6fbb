"""A plan with one of everything that a plan can have."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsmc.plan.result import Cube, Excuse, Plan, Values, Weakest
from fastsmc.results.tables import Column, Table


def a_table(link: list[int], n_vcpu: list[int], bound_by: list[str]) -> Table:
    return Table(
        "A row per link.",
        {
            "vmm": Column.of(["qemu"] * len(link), "input"),
            "link_gbit_per_s": Column.of(link, "input", "line rate"),
            "n_vcpu": Column.of(n_vcpu, "modelled", "largest shape"),
            "downtime_ms": Column.of([n * 0.75 for n in n_vcpu], "assumed"),
            "bound_by": Column.of(bound_by),
            "perhaps_ms": Column.of([None, *n_vcpu[1:]], "modelled", unknown=True),
            "is_hypothetical": Column.of([n > 512 for n in n_vcpu]),
        },
    )


def a_plan(**changed: Any) -> Plan:
    cube = Cube(
        {"link_gbit_per_s": np.array([10, 25]), "vmm": np.array(["qemu", "rust-vmm", "other"])},
        {
            "n_vcpu": Values(np.array([[390, 395, 0], [400, 512, 7]]), "modelled", "largest shape"),
            "downtime_ms": Values(np.array([[299.5, np.nan, 0.1], [1e-3, 300.0, 7.0]]), "assumed"),
            "bound_by": Values(np.array([["ioctls", "", "a"], ["b", "c", "d"]]), "modelled"),
            "fits": Values(np.array([[True, False, True]] * 2), "modelled"),
        },
    )
    given: dict[str, Any] = {
        "question": "largest_shape",
        "answer": "395 vCPUs fit 300 ms over 25 Gb/s.",
        "table": a_table([10, 25], [390, 395], ["ioctls", "bytes"]),
        "is_met": False,
        "cube": cube,
        "excuses": (
            Excuse("the link is too slow", 1, {"link_gbit_per_s": np.int64(10)}),
            Excuse("ioctls take longer than the budget", 3, {"vmm": "qemu", "n_vcpu": 512}),
        ),
        "bottleneck": "ioctls",
        "weakest": Weakest("cost of one ioctl, ns", 200, 1000, "512 vCPUs fit.", "200 vCPUs fit."),
        "inputs": {"downtime_ms": np.float64(300), "link": (10, 25), "seed": 3, "unknown": np.nan},
        "assumptions": ("the cost of one ioctl", "bytes at line rate", "the cost of one ioctl"),
    }
    return Plan(**given | changed)
