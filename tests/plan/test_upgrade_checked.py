"""Plans of rolling upgrades gone through move by move, and compared with all other plans of small pools."""

from __future__ import annotations

import pytest

from fastsmc.errors import InputError
from fastsmc.plan import upgrade
from tests.support.upgrades import drawn, is_beaten, odd, replayed

KERNELS = ("6.12.107", "6.16.12", "6.18", "5.10.252")
ONE = ("6.12.107",)


def compared(seed: int, kernels: tuple[str, ...], vms_per_host: float = 1.5) -> bool | None:
    """Checks the plan of a pool at random; whether any plan is better."""
    inv, at_once = drawn(seed, kernels=kernels, vms_per_host=vms_per_host), seed % 3 + 1
    plan = upgrade(inv, to="6.18", hosts_at_once=at_once)
    cost = replayed(inv, plan, "6.18", at_once=at_once)
    return is_beaten(inv, "6.18", at_once=at_once, cost=cost, most=20_000)


@pytest.mark.parametrize("seed", range(24))
def test_no_plan_of_a_small_pool_is_better(seed: int) -> None:
    assert not compared(seed, ONE if seed % 2 else KERNELS)


@pytest.mark.soak("200 pools of up to 7 hosts; make test searches 24")
def test_no_plan_of_many_small_pools_is_better() -> None:
    told = [compared(seed, ONE if seed % 2 else KERNELS, 1 + seed % 4 / 2) for seed in range(100, 300)]
    assert not any(told)
    assert told.count(False) > 160


def held(seed: int) -> tuple[int, int, int]:
    """Goes through the plan of an odd fleet; (VMs that move, stop, are unknown)."""
    inv, at_once, per_tenant = odd(seed), seed % 4 + 1, (None, 1, 2)[seed % 3]
    if set(inv.hosts["state"]) == {"down"}:
        with pytest.raises(InputError):
            upgrade(inv, to="6.18")
        return 0, 0, 0
    plan = upgrade(inv, to="6.18", hosts_at_once=at_once, per_tenant_at_once=per_tenant)
    replayed(inv, plan, "6.18", at_once=at_once, per_tenant=per_tenant)
    what = plan.tables["vms"]["what"].tolist()
    assert plan.is_met is (False if "stops" in what else None if what else True)
    assert sum(plan.table["stopped"]) + sum(plan.table["unknown"]) == len(what)
    return sum(plan.table["moved"]), what.count("stops"), what.count("unknown")


def test_plans_of_odd_fleets_hold_move_by_move() -> None:
    told = [held(seed) for seed in range(40)]
    assert all(sum(column) for column in zip(*told, strict=True))


@pytest.mark.soak("300 odd fleets; make test goes through 40")
def test_plans_of_many_odd_fleets_hold_move_by_move() -> None:
    assert sum(sum(held(seed)) for seed in range(1000, 1300))
