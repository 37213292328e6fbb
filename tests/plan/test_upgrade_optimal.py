"""Rolling upgrades by CP-SAT: a second opinion on the search of small pools, and on the orders of larger ones."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.plan import Inventory, upgrade
from fastsmc.plan.rolling import optimal, search
from tests.support.upgrades import alike, drawn, full, replayed

pytest.importorskip("ortools")
TO = "6.18"


def cost(inv: Inventory, at_once: int, **asked: Any) -> tuple[int, int]:
    """(VMs stopped, waves) of a plan that was gone through move by move."""
    plan = upgrade(inv, to=TO, hosts_at_once=at_once, **asked)
    return replayed(inv, plan, TO, at_once=at_once)


def only_the_worst_order(pool: search.Pool) -> list[search._Order]:
    """One order, and a bad one: the most loaded host first."""
    usual = ORDERS(pool)[0]
    return [usual._replace(turn=usual.turn[::-1].copy())]


def as_it_was(pool: search.Pool, at_once: int, best: search.Found, seed: int, n_order: int) -> search.Found:
    """No better orders."""
    return best


ORDERS = search._orders


def by_solver_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves nothing but one bad order to begin with."""
    monkeypatch.setattr(search, "SMALL", 0)
    monkeypatch.setattr(search, "_orders", only_the_worst_order)
    monkeypatch.setattr(search, "_searched", as_it_was)


def solved(seeds: range, monkeypatch: pytest.MonkeyPatch) -> int:
    """Compares small pools as they are searched through with what the solver finds; how many one order had worse."""
    n_worse = 0
    for seed in seeds:
        inv, at_once = drawn(seed), seed % 3 + 1
        searched = cost(inv, at_once)
        with monkeypatch.context() as patched:
            by_solver_alone(patched)
            n_worse += cost(inv, at_once) != searched
            assert cost(inv, at_once, method="optimal") == searched, seed
    return n_worse


def test_small_pools_are_upgraded_as_the_solver_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last is one in which more waves stop fewer VMs."""
    assert solved(range(2000, 2010), monkeypatch)
    solved(range(3101, 3102), monkeypatch)


@pytest.mark.soak("60 small pools; make test solves 12")
def test_many_small_pools_are_upgraded_as_the_solver_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert solved(range(3000, 3060), monkeypatch) > 6


def is_within_a_tenth(ours: tuple[int, int], best: tuple[int, int]) -> bool:
    """Of VMs that stop, and where as many stop of waves. Of fewer than 10 waves a tenth is none."""
    return ours[0] <= 1.1 * best[0] and (ours[0] > best[0] or ours[1] <= 1.1 * best[1])


@pytest.mark.soak("a pool of 50 hosts, a minute of the solver")
@pytest.mark.parametrize("seed", [3])
def test_fifty_hosts_are_within_a_tenth_of_the_solver(seed: int) -> None:
    """Filled to the brim, so that no order reaches the bounds.

    The solver is asked for a wave fewer. It does not get through all plans in its minute, so this says that it finds
    none, and not that there is none.
    """
    inv = full(seed)
    assert is_within_a_tenth(cost(inv, 10), cost(inv, 10, method="optimal"))


GONE_NO_FURTHER = {
    1: (11, 7),
    2: (10, 8),
    3: (10, 6),
    4: (12, 9),
    5: (10, 7),
    6: (14, 8),
    7: (10, 8),
    8: (9, 10),  # an earlier search of ours had 10; ours has 11, for which the solver found no better
    9: (10, 8),
    10: (9, 7),
}
"""(VMs that stop, waves) below which OR-Tools 9.15 found no plan when it was asked for a wave fewer, a minute each
on two cores that were shared. It did not rule one out either. The VMs stop for other reasons than room."""


@pytest.mark.soak("ten pools of 50 hosts, against where the solver found no better once; make test has one")
@pytest.mark.parametrize("seed", [seed for seed in GONE_NO_FURTHER if seed != 10])
def test_ten_pools_of_fifty_hosts_are_within_a_tenth_of_where_the_solver_stopped(seed: int) -> None:
    assert is_within_a_tenth(cost(full(seed), 10), GONE_NO_FURTHER[seed])


def test_a_pool_of_fifty_hosts_is_within_a_tenth_of_where_the_solver_stopped() -> None:
    assert is_within_a_tenth(cost(full(10), 10), GONE_NO_FURTHER[10])


def test_the_solver_finds_waves_that_are_full_to_the_last_core() -> None:
    """Of four hosts that use 4 of 8 cores each two fit into the others; the plan that is known takes one at a time."""
    pool = alike(4)
    known = search._rolled(pool, 1, *search._orders(pool)[0])
    found = optimal.optimal(pool, known, 4)
    assert (known.cost[:2], found.cost[:2], found.is_proven) == ((0, 4), (0, 2), True)


def test_the_solver_says_where_there_is_no_plan_with_a_wave_fewer() -> None:
    pool = alike(4)
    known = search._rolled(pool, 4, *search._orders(pool)[0])
    assert known.cost[:2] == (0, 2)
    assert not known.is_proven
    assert optimal.optimal(pool, known, 4).is_proven


def test_without_the_solver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(InputError, match=r"pip install 'fastsmc\[optimal\]'"):
        upgrade(drawn(1), to=TO, method="optimal")


def test_a_pool_that_is_proven_or_too_large_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal, "MOST_HOSTS", 1)
    monkeypatch.setattr(search, "SMALL", 0)
    inv = drawn(2003)
    assert cost(inv, 1, method="optimal") == cost(inv, 1)
