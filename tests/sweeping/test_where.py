"""Conditions over coordinates: as Python would have them, and nothing beyond."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.sweeping.where import Condition

NAMES = ["calls", "vms[0].vcpus", "vms[0].vmm.lock"]
numbers = st.integers(-20, 20).map(lambda n: f"({n})") | st.sampled_from(["calls", "vms[0].vcpus", "1.5"])
sums = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
        lambda parts: f"({' '.join(parts)})"
    ),
    max_leaves=6,
)
comparisons = st.tuples(sums, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums).map(
    " ".join
) | st.sampled_from(
    ["vms[0].vmm.lock == 'vm'", "vms[0].vmm.lock in ('vm', 'none')", "calls not in [1, 2]", "1 < calls < 9", "True"]
)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})")
        | inner.map(lambda one: f"not ({one})")
    ),
    max_leaves=5,
)


class Vm:
    """What `vms[0].vcpus` is in Python."""

    def __init__(self, vcpus: int, lock: str) -> None:
        self.vcpus = vcpus
        self.vmm = type("Vmm", (), {"lock": lock})


@given(conditions, st.integers(-5, 5), st.integers(-5, 5), st.sampled_from(["vm", "workers"]))
def test_a_condition_is_what_python_makes_of_it(text: str, calls: int, vcpus: int, lock: str) -> None:
    if len(text) > 1000:
        return
    point = {"calls": calls, "vms[0].vcpus": vcpus, "vms[0].vmm.lock": lock}
    try:
        expected: Any = bool(eval(text, {"calls": calls, "vms": [Vm(vcpus, lock)]}))
    except ZeroDivisionError:
        expected = None
    if expected is None:
        with pytest.raises(InputError, match=r"zero|modulo"):
            Condition(text, NAMES)(point)
    else:
        assert Condition(text, NAMES)(point) is expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vms[0].vcpu > 3", "did you mean vms[0].vcpus?"),
        ("vms > 3", "must be one of calls, vms[0].vcpus, vms[0].vmm.lock"),
        ("__import__('os').system('true')", "is no part of a condition"),
        ("calls.__class__ == 1", "must be one of"),
        ("(lambda: 1)() == 1", "is no part of a condition"),
        ("[c for c in 'ab'] == 1", "is no part of a condition"),
        ("calls ** 9 > 1", "is no part of a condition"),
        ("calls is 1", "is no part of a condition"),
        ("f'{calls}' == 'a'", "is no part of a condition"),
        ("calls >", "invalid syntax"),
        ("calls == 1; calls", "invalid syntax"),
        ("calls := 3", "invalid syntax"),
        ("", "invalid syntax"),
        ("-" * 999 + "1", ""),
        ("calls > " + "1" * 1000, "at most 1000 are read"),
    ],
)
def test_what_is_no_condition_is_refused_before_anything_runs(text: str, told: str) -> None:
    with pytest.raises(InputError, match="where") as refused:
        Condition(text, NAMES)({})
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "text", ["vms[0].vmm.lock > 3", "vms[0].vmm.lock * 1000000000 == 'a'", "-vms[0].vmm.lock == 1"]
)
def test_a_condition_without_an_answer_says_where(text: str) -> None:
    with pytest.raises(InputError, match=r"at \{'calls': 1"):
        Condition(text, NAMES)({"calls": 1, "vms[0].vcpus": 2, "vms[0].vmm.lock": "vm"})
