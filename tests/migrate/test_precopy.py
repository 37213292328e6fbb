"""Precopy in closed form against a loop over its rounds, arithmetic by hand, and migrations that others measured."""

from __future__ import annotations

import csv
import math
import os
import random
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.precopy import Precopy, precopy
from tests.support.places import ROOT

MEASURED = Path(os.environ.get("FASTSMC_MIGRATIONS", ROOT.parent / "shared/data/grid5000-migrations/migrations.csv"))
NAMES = (
    "memory_bytes",
    "bandwidth_bytes_per_s",
    "dirty_bytes_per_s",
    "hot_set_bytes",
    "hot_set_s",
    "downtime_ms",
)
Cell = tuple[float, float, float, float, float, float]


def rounds_of(cell: Cell) -> tuple[bool, int, float, float]:
    """Whether it converges, in how many rounds, the bytes sent and those left at the end: round by round."""
    memory, rate, dirty, hot, hot_s, limit_ms = cell
    sent, now = 0.0, memory
    for n in range(1, 1_000_000):
        sent += now
        seconds = now / rate
        left = min(memory, dirty * seconds + (min(hot, hot * seconds / hot_s) if hot_s else hot))
        if left <= limit_ms / 1e3 * rate:
            return True, n, sent + left, left
        if left >= now * (1 - 1e-15):
            return False, 0, math.inf, left
        now = left
    raise AssertionError(cell)


def drawn(rng: random.Random) -> Cell:
    memory, rate = 10 ** rng.uniform(6, 12), 10 ** rng.uniform(6, 10)
    seconds = memory / rate
    dirty = rng.choice([0.0, rate * rng.uniform(0, 1.1), rate * rng.uniform(0, 0.2)])
    hot = rng.choice([0.0, memory * rng.random(), memory * rng.random() ** 4, memory])
    hot_s = rng.choice([0.0, seconds * rng.random(), seconds * rng.uniform(0, 0.1), 2 * seconds])
    return memory, rate, dirty, hot, hot_s, rng.choice([300.0, 30.0, 10 ** rng.uniform(0, 7)])


def asked(cells: list[Cell]) -> Precopy:
    return precopy(**dict(zip(NAMES, np.array(cells).T, strict=True)))


def test_closed_form_is_what_a_loop_over_rounds_finds() -> None:
    rng = random.Random(1)
    cells = [drawn(rng) for _ in range(3000)]
    found = asked(cells)
    seen = set()
    for i, cell in enumerate(cells):
        converges, n, sent, left = rounds_of(cell)
        assert (bool(found.converges[i]), int(found.rounds[i])) == (converges, n), cell
        assert found.sent_bytes[i] == pytest.approx(sent, rel=1e-9), cell
        assert found.total_s[i] == pytest.approx(sent / cell[1], rel=1e-9), cell
        assert found.downtime_ms[i] == pytest.approx(left / cell[1] * 1e3, rel=1e-6, abs=1e-9), cell
        seen.add((converges, min(n, 3)))
    assert seen == {(False, 0), (True, 1), (True, 2), (True, 3)}


def test_a_guest_that_writes_nothing_takes_memory_over_bandwidth() -> None:
    found = precopy(memory_bytes=[[1e9], [2.0**36]], bandwidth_bytes_per_s=[1e8, 1.25e9])
    assert found.total_s == pytest.approx(np.array([[10, 0.8], [687.19476736, 54.9755813888]]))
    assert (found.rounds == 1).all()
    assert (found.downtime_ms == 0).all()
    assert precopy(memory_bytes=1e9, bandwidth_bytes_per_s=1e8, downtime_ms=0).converges


def test_steady_writing_is_a_geometric_series() -> None:
    found = precopy(memory_bytes=16e9, bandwidth_bytes_per_s=1e9, dirty_bytes_per_s=5e8, downtime_ms=250)
    assert (int(found.rounds), float(found.downtime_ms)) == (6, 250.0)
    assert float(found.total_s) == pytest.approx(31.75)  # 16 + 8 + 4 + … + 0.25


@pytest.mark.parametrize("n", [1, 2, 4, 5, 10, 29, 31, 39])
def test_a_limit_that_is_a_round_to_the_last_bit_is_met_and_one_below_is_not(n: int) -> None:
    limit = 8000 * 0.5**n  # ms; halves are exact
    for downtime_ms, rounds in ((limit, n), (math.nextafter(limit, 0), n + 1), (math.nextafter(limit, 9000), n)):
        found = precopy(memory_bytes=8192, bandwidth_bytes_per_s=1024, dirty_bytes_per_s=512, downtime_ms=downtime_ms)
        assert int(found.rounds) == rounds


@pytest.mark.parametrize(
    ("dirty", "hot", "hot_s", "left_ms"),
    [
        (1e9, 0, 0, 8000),  # as fast as the link
        (2e9, 0, 0, 8000),
        (0, 4e8, 0, 400),  # a hot set that is written anew in every round, and does not fit
        (5e8, 2e8, 0, 400),  # 2e8 / (1 - 0.5) bytes stay
        (0, 4e8, 0.4, 400),  # written as fast as sent
        (0, 8e9, 0, 8000),
    ],
)
def test_what_never_converges_tells_what_stays(dirty: float, hot: float, hot_s: float, left_ms: float) -> None:
    found = precopy(
        memory_bytes=8e9, bandwidth_bytes_per_s=1e9, dirty_bytes_per_s=dirty, hot_set_bytes=hot, hot_set_s=hot_s
    )
    assert not found.converges
    assert (float(found.total_s), float(found.sent_bytes), int(found.rounds)) == (math.inf, math.inf, 0)
    assert float(found.downtime_ms) == pytest.approx(left_ms)


def test_a_hot_set_that_fits_the_limit_is_the_downtime() -> None:
    found = precopy(memory_bytes=8e9, bandwidth_bytes_per_s=1e9, hot_set_bytes=2e8)
    assert (bool(found.converges), int(found.rounds), float(found.downtime_ms)) == (True, 1, 200.0)
    slow = precopy(memory_bytes=8e9, bandwidth_bytes_per_s=1e9, hot_set_bytes=8e8, hot_set_s=1.6)
    assert (int(slow.rounds), float(slow.downtime_ms)) == (3, 200.0)  # 0.8, 0.4, 0.2 s


def test_a_million_rounds_cost_what_two_do() -> None:
    found = precopy(memory_bytes=1e9, bandwidth_bytes_per_s=1e9, dirty_bytes_per_s=1e9 * (1 - 1e-6))
    assert int(found.rounds) == 1_203_973  # ln(0.3) / ln(1 - 1e-6) = 1203972.2
    assert float(found.total_s) == pytest.approx(1e6 * (1 - 0.3) + 0.3, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory_bytes": -1}, "memory_bytes is -1: it must be a number of 0 or more"),
        ({"memory_bytes": [1e9, math.nan]}, "memory_bytes is nan: "),
        ({"bandwidth_bytes_per_s": 0}, "bandwidth_bytes_per_s is 0: it must be a number above 0"),
        ({"bandwidth_bytes_per_s": math.inf}, "bandwidth_bytes_per_s is inf: "),
        ({"dirty_bytes_per_s": "fast"}, "dirty_bytes_per_s is 'fast': it must be a number, or an array of them"),
        ({"hot_set_bytes": [0, 2e9]}, r"hot_set_bytes is 2e\+09: it must be at most memory_bytes, 1e\+09"),
        ({"hot_set_s": [0, 1], "downtime_ms": [1, 2, 3]}, r"do not broadcast: .*hot_set_s \(2,\), downtime_ms \(3,\)"),
    ],
)
def test_impossible_migrations_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        precopy(**({"memory_bytes": 1e9, "bandwidth_bytes_per_s": 1e9} | arguments))  # type: ignore[arg-type]


def test_a_result_is_short_in_print() -> None:
    found = precopy(memory_bytes=[1e9, 1e9], bandwidth_bytes_per_s=1e9, dirty_bytes_per_s=[0, 2e9])
    assert len(repr(found)) <= 200
    assert str(found) == "precopy: 1 of 2 migrations converge (modelled)"


def test_measured_migrations_take_what_the_model_says() -> None:
    """2000 migrations of KVM guests, nothing fitted: a MB is 10**6 bytes, and 30 ms were QEMU's limit at that time."""
    if not MEASURED.is_file():
        pytest.skip("measured migrations are not copied here: FASTSMC_MIGRATIONS names their migrations.csv")
    with MEASURED.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    found = asked(
        [
            (
                row["memory_mb"] * 1e6,
                row["bandwidth_mbit_s"] * 1e6 / 8,
                row["dirty_mb_s"] * 1e6,
                row["hot_set_mb"] * 1e6,
                row["hot_set_s"],
                30.0,
            )
            for row in rows
        ]
    )
    errors = defaultdict(list)
    for row, total_s in zip(rows, found.total_s.tolist(), strict=True):
        took = row["end_s"] - row["start_s"]
        errors[row["memory_mb"], row["bandwidth_mbit_s"]].append(abs(total_s - took) / took)
    assert len(rows) == 2000
    assert len(errors) == 4
    assert {key: statistics.median(some) for key, some in errors.items() if statistics.median(some) > 0.15} == {}
