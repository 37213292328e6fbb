"""Rolling upgrades by CP-SAT: a second opinion on the search of small pools, and on the orders of larger ones."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.plan import Inventory, upgrade
from fastsmc.plan.rolling import optimal, search
from tests.support.upgrades import drawn, replayed

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


@pytest.mark.soak("a pool of 50 hosts, a minute of the solver")
@pytest.mark.parametrize("seed", [1])
def test_fifty_hosts_take_a_wave_or_a_tenth_more_than_the_solver_at_most(seed: int) -> None:
    """Filled to the brim, so that no order reaches the bounds. A tenth is the aim; of 8 waves one is more."""
    inv = next(
        inv for inv in (drawn(1000 * seed + k, most_hosts=50, vms_per_host=6) for k in range(500)) if inv.n_host == 50
    )
    stops, waves = cost(inv, 10)
    best = cost(inv, 10, method="optimal")
    assert stops <= 1.1 * best[0]
    assert stops > best[0] or waves <= max(best[1] + 1, 1.1 * best[1])


def test_without_the_solver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(InputError, match=r"pip install 'fastsmc\[optimal\]'"):
        upgrade(drawn(1), to=TO, method="optimal")


def test_a_pool_that_is_proven_or_too_large_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal, "MOST_HOSTS", 1)
    monkeypatch.setattr(search, "SMALL", 0)
    inv = drawn(2003)
    assert cost(inv, 1, method="optimal") == cost(inv, 1)
