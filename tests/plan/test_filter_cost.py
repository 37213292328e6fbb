"""What a filter costs: KVM's part against the profile's figures added up by hand, the simulator's part kept apart."""

from __future__ import annotations

import re

import pytest

from fastsmc.errors import InputError
from fastsmc.plan import filter_cost
from fastsmc.scenario.profiles import load_profile, profiles

LEVELS = {0: 0, 1: 1, 5: 1, 6: 2, 10: 2, 100: 2, 125: 2, 126: 3, 1000: 3}
"""Slots are two a range, two a range of KVM's two, and one: 15 fill a node of 16 at 5 ranges, 255 two levels at 125."""


def test_levels_are_what_a_tree_of_16_slots_needs() -> None:
    for n, levels in LEVELS.items():
        slots = 2 * (n + 2) + 1
        assert levels == (0 if n == 0 else next(k for k in range(1, 9) if 16**k >= slots))


@pytest.mark.parametrize("name", profiles())
def test_kvms_part_is_the_profiles_figures_added_up(name: str) -> None:
    figures = load_profile(name).figures()
    trap, handled, level = (figures[f"{what}_ns"].value for what in ("trap", "handled", "filter"))
    plan = filter_cost(n_range=list(LEVELS), profile=name, measure=False)
    assert plan.table["n_range"].tolist() == list(LEVELS)
    assert plan.table["kvm_tree_levels"].tolist() == list(LEVELS.values())
    expected = [trap + handled + levels * level for levels in LEVELS.values()]
    assert plan.table["kvm_handled_ns"].tolist() == pytest.approx(expected)
    assert plan.table["kvm_added_ns"].tolist() == pytest.approx([levels * level for levels in LEVELS.values()])
    assert not [column for column in plan.table.columns if column.startswith("simulator")]


def test_the_answer_for_100_ranges_is_312_ns_instead_of_292() -> None:
    plan = filter_cost(measure=False)
    assert plan.answer == (
        "With a filter of 100 ranges KVM handles a call in 312 ns instead of 292 (assumed, by neoverse-n1)."
    )
    assert plan.weakest is not None
    assert (plan.weakest.low, plan.weakest.high) == (5, 20)
    assert (plan.weakest.at_low, plan.weakest.at_high) == (
        "100 ranges: 302 ns a handled call",
        "100 ranges: 332 ns a handled call",
    )
    assert plan.exit_code == 0


def test_what_is_measured_and_what_is_modelled_stand_in_columns_of_their_own() -> None:
    plan = filter_cost(n_range=[0, 3])
    kinds = plan.table.kinds
    assert {kinds[name] for name in kinds if name.startswith("simulator")} == {"measured"}
    assert {kinds[name] for name in kinds if name.startswith("kvm")} <= {"modelled", "assumed"}
    assert (plan.table["simulator_ns"] > 0).all()
    assert (plan.table["simulator_ratio"] > 0).all()
    assert re.search(r"\(assumed, by neoverse-n1\); this simulator, .* \(measured\)\.$", plan.answer)
    assert any("the simulator's time" in text for text in plan.assumptions)
    assert (
        plan.table["kvm_handled_ns"].tolist()
        == filter_cost(n_range=[0, 3], measure=False).table["kvm_handled_ns"].tolist()
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"n_range": []}, "n_range is empty"),
        ({"n_range": [-1]}, r"n_range\[0\] is -1: it must be a whole number in 0..1000"),
        ({"n_range": [1, 1001]}, r"n_range\[1\] is 1001"),
        ({"n_range": [1.5]}, r"n_range\[0\] is 1.5"),
        ({"n_range": "10"}, "n_range"),
        ({"profile": "neoverse-n9"}, "no profile is called 'neoverse-n9'"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        filter_cost(**{"measure": False} | asked)  # type: ignore[arg-type]


def test_one_number_is_one_row() -> None:
    assert filter_cost(n_range=7, measure=False).table["kvm_added_ns"].tolist() == [20.0]
