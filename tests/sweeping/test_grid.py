"""Cells, their numbers, labels and seeds, against itertools."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.sweeping.design import design_of
from fastsmc.sweeping.grid import MOST_CELLS
from tests.support.sweeps import OVER, TABLE


def test_cells_are_numbered_as_a_product_is() -> None:
    grid = design_of(TABLE, OVER, repeats=2).grid
    product = itertools.product(*OVER.values(), range(2))
    expected = [dict(zip((*OVER, "repeat"), values, strict=True)) for values in product]
    assert [grid.coordinates(cell) for cell in grid.cells.tolist()] == expected
    assert grid.cells.tolist() == list(range(12))


def test_a_cell_keeps_its_number_whichever_points_are_kept() -> None:
    all_cells = design_of(TABLE, OVER, repeats=2).grid
    some = design_of(TABLE, OVER, repeats=2, where="vms[0].vcpus != 2 and vms[0].vmm.lock == 'vm'").grid
    assert some.cells.tolist() == [0, 1, 8, 9]
    assert all(some.coordinates(cell) == all_cells.coordinates(cell) for cell in some.cells.tolist())
    called = design_of(
        TABLE, OVER, repeats=2, where=lambda at: at["vms[0].vcpus"] != 2 and at["vms[0].vmm.lock"] == "vm"
    )
    assert called.grid.cells.tolist() == some.cells.tolist()


def test_seeds_are_of_repeats_and_of_nothing_else() -> None:
    design = design_of(TABLE, OVER, repeats=50)
    seeds = [design.grid.seed_of(repeat) for repeat in range(50)]
    assert seeds[0] == TABLE["seed"]
    assert len(set(seeds)) == 50
    for cell in design.grid.cells.tolist():
        assert design.cell_table(cell)["seed"] == seeds[cell % 50]
    others = design_of(TABLE, {"calls": [1]}, repeats=3, seed=3).grid
    assert [others.seed_of(repeat) for repeat in range(3)] == seeds[:3]
    assert design_of(TABLE, {}, repeats=2, seed=4).grid.seed_of(1) != seeds[1]


def test_no_axis_is_one_cell_per_repeat() -> None:
    design = design_of(TABLE, {}, repeats=3)
    assert design.grid.cells.tolist() == [0, 1, 2]
    assert design.cell_table(0) == TABLE


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1, 2.5], (1, 2.5)),
        (np.array([1, 2]), (1, 2)),
        (range(1, 3), (1, 2)),
        (["a", "b"], ("a", "b")),
        ([True, False], (True, False)),
        ([1, True], ("1", "true")),
        ([1, "a"], ("1", "a")),
        ([["psci02"], ["psci02", "pmu"]], ('["psci02"]', '["psci02", "pmu"]')),
    ],
)
def test_labels_are_of_one_kind(values: Any, labels: tuple[Any, ...]) -> None:
    from fastsmc.sweeping.grid import axes_of

    (axis,) = axes_of({"calls": values}, TABLE)
    assert axis.labels == labels


@pytest.mark.parametrize(
    ("over", "told"),
    [
        (["calls"], "give values by override path"),
        ({"calls": 5}, "give a list of 1 to 65536 values"),
        ({"calls": "12"}, "give a list of"),
        ({"calls": []}, "give a list of"),
        ({"calls": [1, 1]}, "1 is there twice"),
        ({"calls": [float("nan")]}, "that no scenario can hold"),
        ({"calls": [{1}]}, "that no scenario can hold"),
        ({"seed": [1]}, "give seed and repeats instead"),
        ({"repeat": [1]}, "give seed and repeats instead"),
        ({"vms[0]": [{}], "vms[0].vcpus": [1]}, "one is a part of the other"),
        ({f"workloads.w.a{i}": [1] for i in range(17)}, "at most 16 are varied"),
    ],
)
def test_what_is_no_grid_is_refused(over: Any, told: str) -> None:
    with pytest.raises(InputError) as refused:
        design_of(TABLE, over)
    assert told in str(refused.value)


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True, MOST_CELLS])
def test_repeats_are_a_number_and_cells_not_too_many(repeats: Any) -> None:
    with pytest.raises(InputError, match=r"repeats"):
        design_of(TABLE, OVER, repeats=repeats)


def test_where_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="keeps none of the 6 points"):
        design_of(TABLE, OVER, where="vms[0].vcpus > 3")
    with pytest.raises(InputError, match="give a condition as text, or a function"):
        design_of(TABLE, OVER, where=3)  # type: ignore[arg-type]
