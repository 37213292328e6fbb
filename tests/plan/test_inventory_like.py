"""Fleets drawn like known ones: shares within what chance allows, placement as a loop would do it, the rest assumed."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.inventory.like import FLEETS, _first_fit, _spread

SHARES = {(1, 1.75): 0.477, (2, 3.5): 0.249, (4, 7.0): 0.109, (8, 14.0): 0.106, (8, 56.0): 0.038, (1, 0.75): 0.021}
"""Azure's first-party VMs of 2017, as counted."""


def test_shapes_have_their_shares() -> None:
    fleet = Inventory.like("azure-2017", n_host=3000, seed=1)
    n = fleet.n_vm
    assert n > 50_000
    counts = Counter(zip(fleet.vms["vcpus"].tolist(), fleet.vms["memory_gib"].tolist(), strict=True))
    assert set(counts) == set(SHARES)
    for shape, share in SHARES.items():
        assert abs(counts[shape] - n * share) < 5 * math.sqrt(n * share * (1 - share)), shape
    assert 0.79 < fleet.vms["vcpus"].sum() / (3000 * 64) <= 0.8


@pytest.mark.parametrize("placement", ["first-fit", "spread"])
def test_no_host_holds_more_than_it_has(placement: str) -> None:
    fleet = Inventory.like("azure-2017", n_host=40, seed=3, n_vm=700, memory_gib=192, placement=placement)  # type: ignore[arg-type]
    assert fleet.n_vm == 700
    on = fleet.host_of_vm
    assert (np.bincount(on, fleet.vms["vcpus"], 40) <= 64).all()
    assert (np.bincount(on, fleet.vms["memory_gib"], 40) <= 192).all()
    assert not len(fleet.problems())
    assert "vms.dirty_mib_per_s" in fleet.assumed
    assert "assumed vms.features: psci02+pmu on each VM" in str(fleet)
    assert "Cortez et al." in str(fleet)
    loads = np.bincount(on, fleet.vms["vcpus"], 40)
    assert (np.ptp(loads) <= 8) == (placement == "spread")


@given(
    st.lists(st.integers(0, 2), max_size=40),
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0.5, 1, 3.5])), min_size=3, max_size=3),
    st.integers(1, 5),
    st.integers(1, 8),
    st.sampled_from([1, 4, 7.5]),
)
@settings(deadline=None, max_examples=300)
def test_placement_is_that_of_a_loop(
    drawn: list[int], sizes: list[tuple[int, float]], n_host: int, cores: int, memory: float
) -> None:
    shapes = tuple((vcpus, need, 1.0) for vcpus, need in sizes)
    for place, key in (
        (_first_fit, lambda free, host: host),
        (_spread, lambda free, host: (-free[host], host)),
    ):
        free, room, expected = [cores] * n_host, [memory] * n_host, []
        for shape in drawn:
            vcpus, need, _ = shapes[shape]
            fits = [host for host in range(n_host) if free[host] >= vcpus and room[host] >= need]
            if not fits:
                break
            host = min(fits, key=lambda host: key(free, host))
            free[host] -= vcpus
            room[host] -= need
            expected.append(host)
        assert place(drawn, shapes, n_host, cores, memory) == expected


def test_a_seed_draws_the_same_fleet_and_another_seed_another() -> None:
    one, same, other = (Inventory.like("azure-2017", n_host=20, seed=seed) for seed in (1, 1, 2))
    assert all(
        np.array_equal(one.vms[name], same.vms[name], equal_nan=one.vms[name].dtype.kind == "f") for name in one.vms
    )
    assert not np.array_equal(one.vms["vcpus"][:100], other.vms["vcpus"][:100])


def test_kernels_have_their_shares() -> None:
    fleet = Inventory.like("azure-2017", n_host=100, seed=5, kernels={"6.1.112": 1, "6.12.48": 3})
    assert Counter(fleet.hosts["kernel"].tolist()) == {"6.1.112": 25, "6.12.48": 75}
    assert fleet.assumed["hosts.kernel"].startswith("6.1.112 on 25.0%, 6.12.48 on 75.0% of the hosts")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "azure"}, "the fleet is 'azure': it must be one of azure-2017; did you mean azure-2017"),
        ({"n_host": 0}, "n_host is 0"),
        ({"n_vm": 10_000}, "10,000 VMs do not fit 2 hosts of 64 cores and 256 GiB: "),
        ({"n_vm": -1}, "n_vm is -1"),
        ({"fill": 1.5}, "fill is 1.5: it must be a number above 0 and up to 1"),
        ({"memory_gib": float("nan")}, "memory_gib is nan"),
        ({"kernels": {}}, "kernels is {}: give a kernel, or shares"),
        ({"kernels": {"6.12": -1}}, "kernels is"),
        ({"placement": "best"}, "placement is 'best'"),
        ({"n_host": 1_000_000, "cores": 1000}, "hold over 2,000,000 VMs"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_is_no_fleet_is_refused(more: dict[str, object], words: str) -> None:
    given_arguments: dict[str, object] = {"name": "azure-2017", "n_host": 2, "seed": 1, **more}
    with pytest.raises(InputError, match=words):
        Inventory.like(given_arguments.pop("name"), **given_arguments)  # type: ignore[arg-type]


def test_shares_are_those_that_were_counted() -> None:
    assert {(vcpus, memory): share / 100 for vcpus, memory, share in FLEETS["azure-2017"].shapes} == pytest.approx(
        SHARES
    )
