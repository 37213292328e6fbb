"""The column of levels: kept by whatever is made of calls, and refused where a number is no level."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Level


def test_levels_go_with_the_calls() -> None:
    level = np.array([0, 1, 2, 5, 6, 0], np.uint8)
    calls = Calls.of([3, 3, 0, 0, 0, 3], [1, 2, 3, 4, 5, 6], level=level)
    assert calls.level is level
    grouped = GroupedCalls.from_calls(calls)
    of = GroupedCalls.of([3, 0, 3], [1, 2, 3, 4, 5, 6], n_call=[2, 3, 1], level=level.tolist())
    for kept in (
        calls,
        calls.frozen(),
        grouped,
        grouped.each(),
        of,
        *map(pickle.loads, map(pickle.dumps, (calls, of))),
    ):
        assert kept.level is not None
        assert kept.level.tolist() == level.tolist()
        part = kept.part(slice(1, 4)).level
        assert part is not None
        assert part.tolist() == [1, 2, 5]
    one = Calls.one_each(7, n_vcpu=3, level=Level.VEL1_TSC)
    assert one.level is not None
    assert one.level.tolist() == [5, 5, 5]
    assert Calls.one_each(7, n_vcpu=3).level is None
    assert (calls.is_plain, Calls.of([0], [1]).is_plain, Calls.of([0], [1], x3=[0]).is_plain) == (False, True, False)


@pytest.mark.parametrize("wrong", [3, 4, 7, 8, 255])
def test_a_number_that_is_no_level_is_refused(wrong: int) -> None:
    levels = np.array([0, 1, wrong, 3], np.uint8)
    for make in (
        lambda: Calls(np.zeros(4, np.uint32), np.zeros(4, np.uint32), level=levels),
        lambda: GroupedCalls(np.zeros(1, np.uint32), np.array([0, 4]), np.zeros(4, np.uint32), level=levels),
    ):
        with pytest.raises(InputError, match=rf"^level\[2\] is {wrong}: it must be one of 0 \(EL1\), 1 \(VEL1\), 2 "):
            make()
    for make in (
        lambda: Calls.of([0] * 4, [0] * 4, level=levels.tolist()),
        lambda: GroupedCalls.of([0], [0] * 4, n_call=[4], level=levels.tolist()),
        lambda: Calls.one_each(1, n_vcpu=1, level=wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match="level"):
            make()
    with pytest.raises(InputError, match=r"level must be a contiguous uint8\[4\]"):
        Calls(np.zeros(4, np.uint32), np.zeros(4, np.uint32), level=np.zeros(3, np.uint8))
