"""What lane loops ask of LLVM: the larger and the smaller of two numbers, and registers as wide as there are."""

from __future__ import annotations

import re

import numpy as np

from fastsmc.jit.compiled import kernel
from fastsmc.jit.lane_ops import larger, prefer_wide, smaller


@kernel
def both(a: np.ndarray, b: np.ndarray, most: np.ndarray, least: np.ndarray) -> None:
    prefer_wide()
    for i in range(a.size):
        most[i] = larger(most[i], larger(a[i], b[i]))
        least[i] = smaller(least[i], smaller(a[i], b[i]))


def test_larger_and_smaller_are_those_of_numpy() -> None:
    draw = np.random.default_rng(1)
    a, b = draw.normal(size=(2, 1003))
    a[:4], b[:4] = (0.0, np.inf, 1.0, -np.inf), (0.0, 1.0, np.inf, 5.0)
    most, least = np.zeros(a.size), np.zeros(a.size)
    both(a, b, most, least)
    assert most.tolist() == np.maximum(np.maximum(a, b), 0.0).tolist()
    assert least.tolist() == np.minimum(np.minimum(a, b), 0.0).tolist()


def test_the_bodies_without_numba_agree() -> None:
    assert (larger(1.0, 2.0), smaller(1.0, 2.0), prefer_wide()) == (2.0, 1.0, None)


def test_the_callers_own_function_is_the_one_to_be_wide() -> None:
    """The attribute has to be on the function with the loop: on a helper that is inlined later it does nothing."""
    both(*np.zeros((4, 8)))
    (code,) = both.inspect_llvm().values()  # type: ignore[attr-defined]
    (group,) = set(re.findall(r"^define .*4both.*?#(\d+)", code, re.MULTILINE)[:1])
    (attributes,) = re.findall(rf"^attributes #{group} = (.*)$", code, re.MULTILINE)
    assert '"prefer-vector-width"="512"' in attributes
