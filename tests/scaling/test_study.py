"""The study of calls under load: its tables against queueing theory computed here, and against plain arithmetic."""

from __future__ import annotations

import json
from math import ceil

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.results.tables import Table
from fastsmc.scaling.study import StudySizes, study
from fastsmc.scaling.study.points import Point, row_of
from fastsmc.scenario import Scenario

# Profile neoverse-n1, in ns: trap, a level of the filter, round trip to the VMM, the VMM's work.
TRAP, LEVEL, ROUND_TRIP, SERVICE = 292.0, 10.0, 1609.0, 5000.0
THINK = 100_000.0
SIZES = StudySizes(
    n_vm=4,
    n_forwarded=1 << 13,
    most_call=1 << 15,
    vcpus=(1, 16, 64, 1024),
    shares=(0.0, 0.1, 0.5, 1.0),
    share_vcpus=(1, 64, 513),
    lock_workers=(1, 2, 16),
    lock_vcpus=(64,),
    ranges=(0, 1, 6, 3000),
    range_vcpus=(16,),
    boot_vcpus=(1, 2, 16, 600),
)


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return study(sizes=SIZES, seed=3)


def round_ns(share: float, levels: int = 1) -> float:
    """Thinking and a call that waits for nobody."""
    walk = levels * LEVEL
    return THINK + share * (ROUND_TRIP + SERVICE + walk) + (1 - share) * (TRAP + walk)


def mean_value_analysis(n_vcpu: int, share: float) -> tuple[float, float]:
    """Waiting per forwarded call (ns) and calls per ns of one exponential server, by the recursion over vCPUs."""
    delay = round_ns(share) - share * SERVICE
    queue = response = throughput = 0.0
    for n in range(1, n_vcpu + 1):
        response = SERVICE * (1 + queue)
        throughput = n / (delay + share * response)
        queue = throughput * share * response
    return response - SERVICE, throughput


def birth_death(n_vcpu: int, share: float, n_thread: int) -> tuple[float, float]:
    """The same of several exponential servers, from the probabilities of how many calls are in the VMM."""
    delay = (round_ns(share) - share * SERVICE) / share
    log_p = np.zeros(n_vcpu + 1)
    for n in range(n_vcpu):
        log_p[n + 1] = log_p[n] + np.log((n_vcpu - n) / delay) - np.log(min(n + 1, n_thread) / SERVICE)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    inside = np.arange(n_vcpu + 1)
    forwarded = (p * np.minimum(inside, n_thread)).sum() / SERVICE
    return (p * inside).sum() / forwarded - SERVICE, forwarded / share


EXPONENTIAL = StudySizes(n_vm=32, n_forwarded=1 << 16, most_call=1 << 18, warmup=30, service_law="exponential")


@pytest.mark.parametrize("n_vcpu", [1, 2, 16, 40, 64, 256])
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_one_lock_is_the_machine_repairman(n_vcpu: int, share: float) -> None:
    row = row_of(Point(n_vcpu, share=share), EXPONENTIAL, seed=11)
    waiting, throughput = mean_value_analysis(n_vcpu, share)
    assert birth_death(n_vcpu, share, 1) == pytest.approx((waiting, throughput), abs=1e-6)  # theory agrees with itself
    assert row["waiting_ns"] == pytest.approx(waiting, abs=max(4 * row["waiting_error_ns"], 0.01 * waiting))
    assert row["throughput_hz"] == pytest.approx(throughput * 1e9, rel=0.01)
    assert row["utilisation"] == pytest.approx(throughput * share * SERVICE, rel=0.02)


@pytest.mark.parametrize(("n_vcpu", "n_thread"), [(40, 2), (64, 4), (256, 4), (256, 16)])
def test_several_threads_are_several_servers(n_vcpu: int, n_thread: int) -> None:
    row = row_of(Point(n_vcpu, "workers", n_thread, share=0.5), EXPONENTIAL, seed=12)
    waiting, throughput = birth_death(n_vcpu, 0.5, n_thread)
    assert row["waiting_ns"] == pytest.approx(waiting, abs=max(4 * row["waiting_error_ns"], 0.01 * waiting))
    assert row["throughput_hz"] == pytest.approx(throughput * 1e9, rel=0.01)
    assert row["utilisation"] == pytest.approx(throughput * 0.5 * SERVICE / n_thread, rel=0.02)


POINTS = ["study_vcpus", "study_share", "study_lock", "study_filter"]


@pytest.mark.parametrize("name", POINTS)
def test_throughput_is_between_its_bounds(tables: dict[str, Table], name: str) -> None:
    for row in tables[name].rows():
        n, share, k = row["n_vcpu"], row["share"], row["n_thread"]
        light = n / round_ns(share, row["filter_levels"])
        bound = min(light, k / (share * SERVICE)) if share else light
        assert row["bound_hz"] == pytest.approx(bound * 1e9, rel=1e-9)
        assert row["throughput_hz"] <= row["bound_hz"] * 1.03  # of a sample
        # No call waits for more than all other vCPUs' calls.
        least = n / (round_ns(share, row["filter_levels"]) + share * (n - 1) * SERVICE)
        assert row["throughput_hz"] >= least * 1e9 * 0.97


@pytest.mark.parametrize("name", POINTS)
def test_the_laws_of_little_and_of_utilisation_hold(tables: dict[str, Table], name: str) -> None:
    for row in tables[name].rows():
        share = row["share"]
        a_round = THINK + share * row["mean_ns"] + (1 - share) * row["in_kernel_ns"]
        assert row["throughput_hz"] * a_round == pytest.approx(row["n_vcpu"] * 1e9, rel=0.05)
        assert row["utilisation"] * row["n_thread"] == pytest.approx(row["forwarded_hz"] * SERVICE * 1e-9, rel=1e-6)
        assert row["mean_ns"] == pytest.approx(row["waiting_ns"] + row["alone_ns"], rel=1e-9)
        assert 0 <= row["utilisation"] <= 1.03


def test_quantiles_are_in_order_and_calls_enough(tables: dict[str, Table]) -> None:
    for name in ("study_vcpus", "study_lock"):
        table = tables[name]
        assert (np.diff([table[q] for q in ("p50_ns", "p99_ns", "p99_9_ns")], axis=0) >= 0).all()
        assert (table["n_forwarded"] >= 0.9 * SIZES.n_forwarded).all()
    assert "p99_9_ns" not in tables["study_share"].columns


def test_without_a_lock_nobody_waits(tables: dict[str, Table]) -> None:
    free = tables["study_vcpus"].where(lock="none")
    assert set(free["waiting_ns"].tolist()) == {0.0}
    assert free["p99_9_ns"] == pytest.approx(ROUND_TRIP + SERVICE + LEVEL, rel=0.008)


def test_one_worker_is_one_lock(tables: dict[str, Table]) -> None:
    one = next(tables["study_lock"].where(lock="workers", n_thread=1).rows())
    lock = next(tables["study_vcpus"].where(lock="vm", n_vcpu=64).rows())
    for column in ("throughput_hz", "waiting_ns", "p99_ns"):
        assert one[column] == pytest.approx(lock[column], rel=1e-9), column


def test_knees_are_where_the_asymptotes_cross(tables: dict[str, Table]) -> None:
    knees = tables["study_knees"]
    assert knees["share"].tolist() == [0.1, 0.5, 1.0]
    for row in knees.rows():
        knee = round_ns(row["share"]) / (row["share"] * SERVICE)
        assert row["knee_vcpus"] == pytest.approx(knee)
        assert row["simulated_vcpus"] == pytest.approx(knee, rel=0.03)
        assert row["vcpu_forwarded_hz"] * row["knee_vcpus"] == pytest.approx(1e9 / SERVICE)
    few = study(sizes=StudySizes(**{**_plain(SIZES), "share_vcpus": (1, 64)}), seed=3)["study_knees"]
    assert [n > 0 for n in few["simulated_vcpus"].tolist()] == [False, False, True]  # 202, 41 and 21 vCPUs


def _plain(sizes: StudySizes) -> dict[str, object]:
    return {name: getattr(sizes, name) for name in sizes.__slots__}


def test_the_share_that_fills_a_lock(tables: dict[str, Table]) -> None:
    for n_vcpu in (64, 513):
        share = float(tables["study_share"].where(n_vcpu=n_vcpu)["knee_share"][-1])
        assert n_vcpu / round_ns(share) * share == pytest.approx(1 / SERVICE)
    one = tables["study_share"].where(n_vcpu=1)
    assert set(one["knee_share"].tolist()) == {0.0}
    assert set(one["most_forwarded_hz"].tolist()) == {200_000.0}


def test_a_filter_costs_its_levels_and_decides_what_is_forwarded(tables: dict[str, Table]) -> None:
    table = tables["study_filter"]
    assert table["filter_levels"].tolist() == [0, 1, 2, 4]  # 2 slots a range and 5 more, by 16
    assert table["in_kernel_ns"].tolist() == [TRAP + LEVEL * levels for levels in (0, 1, 2, 4)]
    assert table["alone_ns"].tolist()[1:] == [ROUND_TRIP + SERVICE + LEVEL * levels for levels in (1, 2, 4)]
    assert table["share"].tolist() == [0, 0.5, 0.5, 0.5]  # without a filter the dispatch path forwards nothing
    assert table["n_forwarded"][0] == table["alone_ns"][0] == table["waiting_ns"][0] == 0


def test_a_boot_is_served_one_call_at_a_time(tables: dict[str, Table]) -> None:
    boot = tables["study_boot"].where(shape="boot-storm")
    more = ROUND_TRIP + SERVICE - TRAP
    for row in boot.where(forwarded="PSCI_CPU_ON64").rows():
        assert row["n_forwarded"] == row["n_vcpu"] - 1
        forwarding = row["n_forwarded"] * more
        assert forwarding <= row["added_ns"] <= forwarding + row["n_call"] * LEVEL + 1
    for row in boot.where(forwarded="nothing").rows():
        assert row["n_forwarded"] == row["added_ns"] == 0
        assert row["most_response_ns"] == TRAP
    assert set(boot["most_waiting_ns"].tolist()) == {0.0}


def test_reseeding_at_once_queues_every_vcpu(tables: dict[str, Table]) -> None:
    for row in tables["study_boot"].where(shape="trng-reseed", forwarded="TRNG_RND64").rows():
        assert row["n_forwarded"] == row["n_call"] == 15 * row["n_vcpu"]
        assert row["most_waiting_ns"] == pytest.approx((row["n_vcpu"] - 1) * SERVICE, abs=1e-3)
        assert row["is_hypothetical"] == (row["n_vcpu"] > 512)


def test_inputs_are_listed_with_one_that_is_weakest(tables: dict[str, Table]) -> None:
    figures = {row["figure"]: row for row in tables["study"].rows()}
    given = {"trap_ns": TRAP, "filter_ns": LEVEL, "round_trip_ns": ROUND_TRIP, "vmm_service_ns": SERVICE}
    for name, value in (given | {"think_ns": THINK, "share": 0.5}).items():
        assert figures[name]["value"] == value
    assert [name for name, row in figures.items() if row["is_weakest"]] == ["vmm_service_ns"]
    assert figures["vmm_service_ns"]["obtained"] == "assumed"
    assert all(row["source"] and row["obtained"] for row in figures.values())


def test_what_rests_on_assumed_figures_is_assumed(tables: dict[str, Table]) -> None:
    for name, table in tables.items():
        for column, kind in table.kinds.items():
            if column.endswith(("_ns", "_hz", "utilisation")) or "knee" in column:
                assert kind == "assumed", (name, column)


def test_the_seed_is_all_there_is(tables: dict[str, Table]) -> None:
    again, other = (row_of(Point(64), SIZES, seed=seed) for seed in (3, 4))
    row = next(tables["study_vcpus"].where(lock="vm", n_vcpu=64).rows())
    assert {key: again[key] for key in row} == row
    assert other["waiting_ns"] != again["waiting_ns"]


def test_the_reports_sizes_give_stable_tails_and_small_tables(tables: dict[str, Table]) -> None:
    full = StudySizes()
    assert full.n_forwarded >= 100_000
    assert ceil(full.n_forwarded / full.share) <= full.most_call
    assert max(full.vcpus) == max(full.share_vcpus) == max(full.lock_vcpus) == 1024
    assert full.shares[0] == 0
    assert full.shares[-1] == 1
    values = [column.values.tolist() for table in tables.values() for column in table.columns.values()]
    assert len(json.dumps(values)) < 60_000


def test_every_range_that_is_refused_is_named() -> None:
    good = [{"base": 0x8300_0000 + k, "count": 1, "action": "DENY"} for k in range(3)]
    bad = [{"base": "SMCCC_VERSION", "count": 1, "action": "DENY"}, {"base": 0x8300_0001, "count": 2, "action": "DENY"}]
    given = {
        "vms": [{"vcpus": 1, "workload": "w", "filter": [good[0], bad[0], good[1], bad[1], good[2]]}],
        "workloads": {"w": {"kind": "closed", "think": {"law": "exponential", "mean_us": 1}, "mix": {"PTP": 1}}},
    }
    with pytest.raises(InputError) as caught:
        Scenario.of(given)
    assert "filter[1]" in str(caught.value)
    assert "filter[3]" in str(caught.value)
    assert str(caught.value).count("filter[") == 2
