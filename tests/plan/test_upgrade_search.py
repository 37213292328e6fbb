"""Better orders of an upgrade's hosts: what a change does, what is given up, a bound on waves, and what is found."""

from __future__ import annotations

import numpy as np
import pytest

from fastsmc.checks import I64Array
from fastsmc.plan import Inventory, upgrade
from fastsmc.plan.kernels.reordering import KINDS, changed, reordered, rolled_within
from fastsmc.plan.kernels.rolling import RANK, STOPS, rolled
from fastsmc.plan.kernels.rolling import Pool as RolledPool
from fastsmc.plan.rolling import question, search
from fastsmc.plan.rolling.search import Found, Pool, fewest_waves, upgraded
from tests.support.upgrades import alike, drawn, full, replayed

FAR = 1 << 40


def within(pool: Pool, turn: I64Array, *asked: int) -> tuple[int, int, int]:
    """What `rolled_within` says of a pool's upgrade in an order."""
    columns = RolledPool(*pool[:4], np.zeros(10, np.int64), np.zeros((0, 4), np.int64))
    told: tuple[int, int, int] = rolled_within(columns, turn, *asked)
    return told


def pool_of(inv: Inventory, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """The pool that `upgrade` makes of an inventory of one."""
    seen: list[Pool] = []

    def watched(pool: Pool, at_once: int, seed: int = 0, *, n_pool: int = 1) -> Found:
        seen.append(pool)
        return search._rolled(pool, at_once, *search._orders(pool)[0]) if len(pool.due) else upgraded(pool, at_once)

    with monkeypatch.context() as patched:
        patched.setattr(question, "upgraded", watched)
        upgrade(inv, to="6.18")
    return seen[0]


@pytest.mark.parametrize("kind", range(KINDS))
def test_a_change_with_its_places_exchanged_is_taken_back(kind: int) -> None:
    dice = np.random.default_rng(kind)
    for _ in range(50):
        turn, vms = dice.permutation(9), np.zeros((9, 10), np.int64)
        vms[:, RANK] = dice.permutation(9)
        kept, ranks = turn.copy(), vms[:, RANK].copy()
        one, other = dice.integers(0, 9, 2)
        other_fit = changed(turn, vms, np.array([kind, one, other]))
        is_other = bool((turn != kept).any() or (vms[:, RANK] != ranks).any() or other_fit)
        assert is_other == (one != other or bool(other_fit))
        assert sorted(turn) == sorted(vms[:, RANK]) == list(range(9))
        assert changed(turn, vms, np.array([kind, other, one])) == other_fit
        assert turn.tolist() == kept.tolist()
        assert vms[:, RANK].tolist() == ranks.tolist()


def test_an_order_is_told_as_it_is_upgraded_and_given_up_only_where_it_is_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_stopped = 0
    for seed in range(40):
        pool, dice, at_once = (
            pool_of(drawn(seed, most_hosts=12), monkeypatch),
            np.random.default_rng(seed),
            seed % 4 + 1,
        )
        turn = dice.permutation(pool.due)
        asked = at_once, len(turn) + 1, seed % 2
        wave, moves = rolled(*pool[:4], turn, *asked)
        sizes = np.bincount(wave[wave >= 0])
        told = int((moves[:, 3] == STOPS).sum()), len(sizes), int((sizes**2).sum())
        assert within(pool, turn, *asked, FAR, FAR) == told
        assert within(pool, turn, *asked, told[0], told[1]) == told
        assert within(pool, turn, *asked, told[0], told[1] - 1) == (told[0] + 1, 0, 0)
        assert within(pool, turn, *asked, told[0] + 1, 0) == told
        if told[0]:
            assert within(pool, turn, *asked, told[0] - 1, FAR) == (told[0], 0, 0)
        n_stopped += told[0] > 0
    assert n_stopped > 5


def test_what_is_searched_from_an_order_is_no_worse_and_no_host_or_rank_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_better = 0
    for seed in range(12):
        pool, dice, at_once = (
            pool_of(drawn(seed, most_hosts=12, vms_per_host=3), monkeypatch),
            np.random.default_rng(seed),
            4,
        )
        turn = dice.permutation(pool.due)
        draws = np.stack([dice.integers(0, KINDS, 200), *dice.integers(0, FAR, (2, 200))], 1)
        tries = len(turn) + 1
        better, rank, fit = reordered(*pool[:4], turn, at_once, tries, 0, draws, 0)
        assert sorted(better) == sorted(turn)
        assert sorted(rank) == sorted(pool.vms[:, RANK])
        vms = pool.vms.copy()
        vms[:, RANK] = rank
        before = within(pool, turn, at_once, tries, 0, FAR, FAR)
        after = within(pool._replace(vms=vms), better, at_once, tries, fit, FAR, FAR)
        assert after[:2] <= before[:2]
        n_better += after[:2] < before[:2]
    assert n_better > 3


@pytest.mark.parametrize(
    ("pool", "waves"),
    [
        (alike(10), 2),  # 10 hosts of 8 cores, of which 40 are free: 5 hosts a wave
        (alike(10, n_closed=5), 3),  # 20 are free, of 5 hosts; these 5 use and have 40, what leaves the others uses 20
        (alike(10, vcpus=1), 2),  # by memory: 240 of 320 GiB are free
        (alike(10, n_closed=10), 1),  # nothing is free: all stop, and none of this is about them
    ],
)
def test_a_bound_on_waves_is_worked_out_by_hand(pool: Pool, waves: int) -> None:
    assert fewest_waves(pool, 10) == waves
    assert fewest_waves(pool, 1) == 10


def test_hosts_with_more_in_use_than_they_have_leave_no_bound_but_their_number() -> None:
    assert fewest_waves(alike(10, vcpus=9), 10) == 1


def test_a_plan_with_as_many_waves_as_the_bound_is_proven() -> None:
    found = upgraded(alike(10), 10)
    assert found.cost[:2] == (0, 2)
    assert found.is_proven


def test_no_plan_has_fewer_waves_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 orders of each pool; some reach it where it says more than the number of hosts does."""
    n_reached = 0
    for seed in range(60):
        pool, at_once = pool_of(drawn(seed, vms_per_host=1 + seed % 3), monkeypatch), 2 + seed % 6
        bound, dice = fewest_waves(pool, at_once), np.random.default_rng(seed)
        for number in range(20):
            turn = dice.permutation(pool.due)
            stops, waves, _ = within(pool, turn, at_once, len(turn) + 1, number % 2, FAR, FAR)
            assert stops or waves >= bound
            n_reached += not stops and waves == bound > -(-len(pool.due) // at_once)
    assert n_reached > 20


def test_a_pool_is_upgraded_alike_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST", 2000)
    pool = pool_of(full(2), monkeypatch)
    one, again = (upgraded(pool, 10) for _ in range(2))
    assert one.wave.tolist() == again.wave.tolist()
    assert one.moves.tolist() == again.moves.tolist()


def costs_of_given_orders(pool: Pool, at_once: int) -> list[tuple[int, int, int]]:
    return [search._rolled(pool, at_once, *order).cost for order in search._orders(pool)]


def test_a_tight_pool_takes_fewer_waves_than_any_given_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST", 4000)
    pool = pool_of(full(9), monkeypatch)
    found = upgraded(pool, 10).cost
    assert all(found[1] + 2 <= each[1] for each in costs_of_given_orders(pool, 10) if not each[0])


def test_a_larger_pool_is_searched_too_and_one_above_the_limit_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST", 1000)
    inv = next(inv for inv in (drawn(k, most_hosts=90, vms_per_host=6) for k in range(99)) if inv.n_host > 75)
    plan = upgrade(inv, to="6.18", hosts_at_once=15)
    with monkeypatch.context() as patched:
        patched.setattr(search, "MODERATE", 20)
        as_before = upgrade(inv, to="6.18", hosts_at_once=15)
    better, usual = (replayed(inv, each, "6.18", at_once=15) for each in (plan, as_before))
    assert better < usual


def test_costs_are_compared_by_vms_that_stop_before_waves() -> None:
    """A plan of many waves in which none stops is better than one of a single wave."""
    stop, none = (np.array([[0, 0, 0, to]], np.int64) for to in (STOPS, 1))
    found = [Found(np.array([0]), stop, False), Found(np.array([8]), none, False)]
    assert search._best(found) is found[1]
