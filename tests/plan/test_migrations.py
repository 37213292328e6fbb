"""The table of migrations: each cell against a loop over precopy's rounds and the waterfall of the registers."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.link import Link
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.plan.migrations import migration_table
from fastsmc.plan.result import Plan

GIB, MIB = 1 << 30, 1 << 20
VM: dict[str, Any] = {"registers": "6.18", "n_vcpu": 64, "memory_gib": 64, "dirty_mib_per_s": 200}


def values(plan: Plan, name: str) -> np.ndarray[Any, Any]:
    assert plan.cube is not None
    return plan.cube.values[name].values


def precopied(vm: dict[str, Any], link: Link, limit_ms: float) -> tuple[float, float] | None:
    """Seconds and the ms for what is left at the end, round by round; None where it never fits."""
    rate, memory = link.gbit_per_s * 1e9 / 8, vm["memory_gib"] * GIB
    hot, hot_s = vm.get("hot_set_mib", 0) * MIB, vm.get("hot_set_s", 0)
    sent, now = 0.0, memory
    for _ in range(100_000):
        sent += now
        seconds = now / rate
        left = min(memory, vm["dirty_mib_per_s"] * MIB * seconds + (min(hot, hot * seconds / hot_s) if hot_s else hot))
        if left / rate * 1e3 <= limit_ms:
            return (sent + left) / rate, left / rate * 1e3
        if left >= now * (1 - 1e-15):
            return None
        now = left
    raise AssertionError(vm)


@pytest.mark.parametrize("seed", range(6))
def test_each_cell_is_precopy_in_what_the_registers_leave(seed: int) -> None:
    rng = random.Random(seed)
    vm: dict[str, Any] = {
        "registers": rng.choice(["6.18", "6.12+pmu", 182]),
        "n_vcpu": rng.choice([1, 16, 64, 200]),
        "memory_gib": 2 ** rng.randint(1, 10),
        "dirty_mib_per_s": rng.choice([0, 50, 400, 2000]),
        "hot_set_mib": rng.choice([0, 20, 1000]),
        "hot_set_s": rng.choice([0, 0.5, 3]),
    }
    links = [Link(1), Link(10, 80), Link(25), Link(100)]
    limits = [3.0, 30.0, 100.0, 300.0, 2000.0]
    plan = migration_table(**vm, link=links, downtime_ms=limits)
    total_s, stopped, room = (values(plan, name) for name in ("total_s", "stopped_ms", "qemu_limit_ms"))
    for i, link in enumerate(links):
        taken = tuple(downtime(vm["registers"], n_vcpu=vm["n_vcpu"], link=link).total_ms)
        for k, limit in enumerate(limits):
            for figure in range(3):
                left, cell = limit - taken[figure], (i, k, figure)
                found = precopied(vm, link, left) if left >= 0 else None
                assert math.isnan(room[cell]) == (left < 0)
                if found is None:
                    assert math.isnan(total_s[cell]), cell
                    continue
                assert total_s[cell] == pytest.approx(found[0] + taken[figure] / 1e3)
                assert stopped[cell] == pytest.approx(found[1] + taken[figure])
                assert stopped[cell] <= limit * (1 + 1e-9)
                assert room[cell] == pytest.approx(left)


def test_the_table_has_a_row_per_link_and_a_column_per_limit() -> None:
    plan = migration_table(**VM, link=["1G", "10G"], downtime_ms=[30, 100, 300])
    assert list(plan.table.rows()) == [
        {"link": "1 Gbit/s", "within_30_ms": "-", "within_100_ms": "-", "within_300_ms": "-"},
        {"link": "10 Gbit/s", "within_30_ms": "-", "within_100_ms": "66.1 s *", "within_300_ms": "66.1 s"},
    ]
    assert plan.table.meaning.endswith("* not with all figures high")
    assert plan.answer.startswith(
        "64 vCPUs (linux-6.18.15-max psci02), 64 GiB, 200 MiB/s written: 2 of 6 cells converge at the middle figures, "
    )
    assert plan.exit_code == 0
    assert plan.cube is not None
    assert list(plan.cube.coords) == ["link", "downtime_ms", "figure"]
    assert plan.as_dict()["cube"]["values"]["total_s"]["values"][0] == [[None] * 3] * 3


def test_a_guest_that_writes_nothing_takes_its_memory_over_the_rate() -> None:
    plan = migration_table(**(VM | {"dirty_mib_per_s": 0}), link="10G", downtime_ms=300, ioctl_ns=500)
    taken = downtime("6.18", n_vcpu=64, link="10G", ioctl_ns=500).total_ms
    assert values(plan, "total_s").ravel() == pytest.approx([64 * GIB * 8 / 1e10 + ms / 1e3 for ms in taken])
    assert values(plan, "n_round").ravel().tolist() == [1, 1, 1]
    assert values(plan, "sent_mib").ravel() == pytest.approx([64 * 1024] * 3)
    assert plan.bottleneck == "the line rate: all memory is sent once and more"
    assert plan.weakest is not None
    assert (plan.weakest.low, plan.weakest.high) == (4, 64)


@pytest.mark.parametrize(
    ("given", "code", "why", "bottleneck"),
    [
        ({"downtime_ms": 5}, 4, "the registers alone take longer than the limit", "registers and their ioctls"),
        ({"link": "1G"}, 4, "the guest writes as fast as the link sends, or faster", "memory"),
        ({"hot_set_mib": 4000}, 4, "what the guest writes during a round never fits what the registers", "memory"),
        ({"downtime_ms": 50, "dirty_mib_per_s": 0}, 5, "", "the line rate"),
        ({"downtime_ms": 40, "dirty_mib_per_s": 0}, 5, "the registers alone take longer", "registers"),
        ({}, 0, "", "the line rate"),
    ],
)
def test_where_it_does_not_converge_it_is_said_why(given: dict[str, Any], code: int, why: str, bottleneck: str) -> None:
    plan = migration_table(**(VM | {"link": "10G", "downtime_ms": 300} | given))
    assert plan.exit_code == code
    assert plan.bottleneck.startswith(bottleneck)
    assert [excuse.why[: len(why)] for excuse in plan.excuses] == ([why] if why else [])


def test_the_weakest_figure_is_the_cost_of_an_ioctl() -> None:
    plan = migration_table(**VM, link=["10G", "25G"], downtime_ms=[40, 80, 300])
    weakest = plan.weakest
    assert weakest is not None
    assert (weakest.low, weakest.high) == (200, 1000)
    for ns, text in ((200, weakest.at_low), (1000, weakest.at_high)):
        total_s = values(migration_table(**VM, link=["10G", "25G"], downtime_ms=[40, 80, 300], ioctl_ns=ns), "total_s")
        assert text.startswith(f"{np.count_nonzero(~np.isnan(total_s[..., 1]))} of 6 cells converge")
    assert weakest.at_low[0] != weakest.at_high[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_vcpu": 0}, "n_vcpu is 0: it must be a whole number in 1..65536; KVM runs up to 512"),
        ({"memory_gib": 0}, "memory_gib is 0: it must be a number above 0"),
        ({"memory_gib": math.nan}, "memory_gib is nan: "),
        ({"dirty_mib_per_s": -1}, "dirty_mib_per_s is -1: it must be a number of 0 or more"),
        ({"hot_set_mib": 65_537}, "hot_set_mib is 65537: it must be at most the memory, 64 GiB"),
        ({"hot_set_s": -1}, "hot_set_s is -1: "),
        ({"memory_gib": 1e12}, "memory_bytes is "),
        ({"link": "0G"}, "gbit_per_s is 0.0: "),
        ({"link": []}, "link is empty"),
        ({"downtime_ms": [300, 0]}, "downtime_ms is 0: it must be a number above 0"),
        ({"ioctl_ns": (3, 2, 1)}, "ascending"),
        ({"registers": "6.99"}, "6.99"),
    ],
)
def test_impossible_migrations_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        migration_table(**(VM | given))
