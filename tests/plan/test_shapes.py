"""The largest shapes against the waterfall: the answer fits and one vCPU more does not."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.link import Link
from fastsmc.migrate.switchover.arrays import Vms, total_ms
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.migrate.switchover.most import most_vcpus
from fastsmc.plan.result import Plan
from fastsmc.plan.shapes import largest_shape
from fastsmc.plan.shapes_told import MOST_ROWS


def answers(plan: Plan) -> np.ndarray[Any, Any]:
    assert plan.cube is not None
    return plan.cube.values["n_vcpu"].values


def held_to_the_waterfall(rng: random.Random, n_cell: int, limit: int) -> set[int]:
    """Random cells of a grid, each compared with the waterfalls of its answer and of one vCPU more."""
    registers: list[Any] = ["6.12+pmu", "6.17+sve", "7.3", *(rng.randint(1, 1500) for _ in range(5))]
    links = [Link(10 ** rng.uniform(-1.5, 2), rng.choice([0.0, 80.0, rng.uniform(0, 1000)])) for _ in range(8)]
    budgets = [0.1, 1e5, *(10 ** rng.uniform(-0.5, 3.5) for _ in range(10))]
    each = [sorted(rng.uniform(0, 3000) for _ in range(3)) for _ in range(4)]
    plan = largest_shape(registers=registers, link=links, downtime_ms=budgets, ioctl_ns=each, limit=limit)
    found = answers(plan)
    assert found.shape == (8, 8, 12, 4, 3)
    for _ in range(n_cell):
        i, k, b, c = (rng.randrange(n) for n in found.shape[:-1])
        asked: dict[str, Any] = {"link": links[k], "ioctl_ns": each[c]}
        for figure in range(3):
            n = int(found[i, k, b, c, figure])
            if n:
                assert tuple(downtime(registers[i], n_vcpu=n, **asked).total_ms)[figure] <= budgets[b]
            if n < limit:
                assert tuple(downtime(registers[i], n_vcpu=n + 1, **asked).total_ms)[figure] > budgets[b]
    return set(found.ravel().tolist())


def test_the_answer_fits_by_the_waterfall_and_one_more_does_not() -> None:
    seen = held_to_the_waterfall(random.Random(1), 60, 1024)
    assert {0, 1024} <= seen
    assert {len(str(n)) for n in seen} == {1, 2, 3, 4}


@pytest.mark.soak("10,000 cells, up to 65,536 vCPUs; make test compares 60 cells")
@pytest.mark.parametrize("seed", range(10))
def test_the_same_of_many_cells(seed: int) -> None:
    held_to_the_waterfall(random.Random(100 + seed), 1000, 1024 if seed % 2 else 65_536)


@pytest.mark.parametrize("n", [1, 2, 10, 11, 100, 101, 500, 1000, 1001])
def test_a_budget_that_is_a_downtime_to_the_last_bit_is_met_and_one_below_is_not(n: int) -> None:
    """A round trip of months among them, beside which a vCPU is a billionth."""
    vms = Vms(
        n_reg=np.array([[182], [1]]),
        n_vcpu=np.array([[n]]),
        has_sve=np.array([[False], [True]]),
        gbit_per_s=np.array([[0.3, 10, 25]]),
        rtt_us=np.array([[0, 80, 1e13]]),
        ioctl_ns=np.array([200.0, 500, 1000]),
    )
    exact = total_ms(vms)
    for figure in range(3):
        budget = exact[..., figure]
        assert (most_vcpus(vms, budget, 1024)[..., figure] == n).all()
        assert (most_vcpus(vms, np.nextafter(budget, 0), 1024)[..., figure] == n - 1).all()
        assert (most_vcpus(vms, budget, n)[..., figure] == n).all()


def test_blocks_of_a_large_grid_are_the_grid() -> None:
    budgets = np.geomspace(1, 1000, 70_000)
    whole = answers(largest_shape(registers=182, link="25G", downtime_ms=budgets))
    some = answers(largest_shape(registers=182, link="25G", downtime_ms=budgets[::999]))
    assert (whole[:, :, ::999] == some).all()
    assert (np.diff(whole, axis=2) >= 0).all()


def test_one_question_is_answered_in_a_sentence() -> None:
    plan = largest_shape(registers="7.3", link="25G")
    assert plan.answer == (
        "394 vCPUs of linux-7.3.4-max psci02 within 300 ms over 25 Gbit/s at the middle figures; 191 with all figures "
        "high, 748 with all low; more than 512 are hypothetical, as KVM stops there"
    )
    assert plan.exit_code == 0
    assert plan.cube is not None
    assert list(plan.cube.coords) == ["registers", "link", "downtime_ms", "figure"]
    assert plan.bottleneck == "ioctls: 62% of the 300 ms that 395 vCPUs would take"
    assert plan.weakest is not None
    assert (plan.weakest.low, plan.weakest.high, plan.weakest.at_low) == (200, 1000, "631 vCPUs")
    mids = [downtime("7.3", n_vcpu=n, link="25G", ioctl_ns=200).total_ms.mid for n in (631, 632)]
    assert mids[0] <= 300 < mids[1]
    assert list(plan.table.rows()) == [
        {
            "registers": "linux-7.3.4-max psci02",
            "registers_per_vcpu": 182,
            "gbit_per_s": 25.0,
            "rtt_us": 0.0,
            "downtime_ms": 300.0,
            "n_vcpu_low": 748,
            "n_vcpu_mid": 394,
            "n_vcpu_high": 191,
        }
    ]
    assert plan.as_dict()["inputs"]["registers_per_vcpu"] == [182]


def test_a_grid_has_a_row_of_each_cell_until_there_are_too_many() -> None:
    plan = largest_shape(
        registers=["6.12", 9], link=["10G", Link(25, 80)], downtime_ms=[100, 300], ioctl_ns=[[1, 2, 3]]
    )
    rows = list(plan.table.rows())
    assert [(row["registers"], row["rtt_us"], row["downtime_ms"]) for row in rows[:3]] == [
        ("linux-6.12.107-max psci02", 0, 100),
        ("linux-6.12.107-max psci02", 0, 300),
        ("linux-6.12.107-max psci02", 80, 100),
    ]
    assert rows[4]["registers"] == "9 registers per vCPU"
    assert [row["n_vcpu_mid"] for row in rows] == answers(plan)[..., 1].ravel().tolist()
    assert plan.answer.startswith("341 to 1,024 vCPUs over 8 cells at the middle figures")
    many = largest_shape(registers=[182, 9], link="10G", downtime_ms=np.linspace(100, 200, MOST_ROWS))
    assert [row["n_cell"] for row in many.table.rows()] == [MOST_ROWS, MOST_ROWS]
    mids = answers(many)[0, ..., 1]
    first = next(many.table.rows())
    assert (first["n_vcpu_least"], first["n_vcpu_most"]) == (mids.min(), mids.max())


@pytest.mark.parametrize(
    ("given", "code", "whys"),
    [
        (
            {"downtime_ms": 5, "link": Link(10, rtt_us=6000)},
            4,
            ["whatever the figures; most of its time is the round trip"],
        ),
        ({"downtime_ms": 0.3}, 4, ["whatever the figures; most of its time is ioctls"]),
        ({"downtime_ms": 0.3, "link": "1Mb/s"}, 4, ["whatever the figures; most of its time is bytes on the wire"]),
        ({"downtime_ms": 0.1, "ioctl_ns": 0}, 4, ["whatever the figures; most of its time is encoding and decoding"]),
        ({"downtime_ms": 1}, 5, ["with all figures high, and some do with all low; most of its time is ioctls"]),
        ({"downtime_ms": [0.3, 1, 300]}, 4, ["whatever the figures", "some do with all low"]),
        ({"downtime_ms": 10}, 0, []),
    ],
)
def test_where_nothing_fits_it_is_said_why(given: dict[str, Any], code: int, whys: list[str]) -> None:
    plan = largest_shape(**({"registers": 182, "link": "10G"} | given))
    assert plan.exit_code == code
    assert len(plan.excuses) == len(whys)
    for excuse, why in zip(plan.excuses, whys, strict=True):
        assert why in excuse.why
        assert excuse.n_row == 1
        assert excuse.example["one_vcpu_ms"] > excuse.example["downtime_ms"]


def test_the_bottleneck_is_what_takes_most_or_the_limit() -> None:
    assert "bytes on the wire: " in largest_shape(registers=182, link="100Mb/s", ioctl_ns=1).bottleneck
    assert largest_shape(registers=182, link="10G", limit=8).bottleneck == "the limit of 8 vCPUs that was asked about"
    plan = largest_shape(registers=182, link="10G", ioctl_ns=300)
    assert plan.weakest is not None
    assert (plan.weakest.low, plan.weakest.high) == (4, 64)
    assert plan.weakest.at_low == f"{answers(plan)[0, 0, 0, 0]} vCPUs"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"downtime_ms": 0}, "downtime_ms is 0: it must be a number above 0"),
        ({"downtime_ms": [300, -1]}, "downtime_ms is -1: "),
        ({"downtime_ms": np.array([300, math.nan])}, "downtime_ms is nan: "),
        ({"downtime_ms": "300"}, "downtime_ms is '300': "),
        ({"downtime_ms": []}, r"downtime_ms is \[\]: give a number or a list of numbers"),
        ({"downtime_ms": [[300]]}, r"downtime_ms is \[\[300\]\]: "),
        ({"downtime_ms": True}, "downtime_ms is True: "),
        ({"ioctl_ns": -1}, "ioctl_ns is -1: "),
        ({"ioctl_ns": [[[1, 2, 3]]]}, "it must be a number, low, mid and high, or a list of such triples"),
        ({"link": "0G"}, "gbit_per_s is 0.0: it must be a number above 0"),
        ({"link": []}, "link is empty"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": "5"}, "limit is '5'"),
        ({"limit": 1 << 17}, "1..65536; KVM runs up to 512"),
        ({"registers": []}, "registers is empty"),
        ({"registers": 0}, "n_reg is 0"),
        ({"registers": "6.99"}, "6.99"),
        ({"vmm": "firecracker"}, "vmm is 'firecracker': it must be one of qemu"),
    ],
)
def test_impossible_questions_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        largest_shape(**({"registers": 182, "link": "10G"} | given))
