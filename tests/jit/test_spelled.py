"""Functions that kernels have an instruction for: the same outside of kernels, and converted to within them."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from fastsmc.jit.lane_ops import larger, smaller
from fastsmc.jit.simd import bits_of, float_of, fma


@numba.njit
def of_whole_numbers(a: int, b: int, c: int) -> tuple[float, float, float]:
    return fma(a, b, c), larger(a, b), smaller(a, b)


@numba.njit
def there_and_back(x: float) -> float:
    return float_of(bits_of(x))


@numba.njit
def of_two(a: float, b: float) -> float:
    return fma(a, b)  # type: ignore[call-arg]


def test_whole_numbers_are_converted() -> None:
    assert of_whole_numbers(3, 4, 5) == (17.0, 4.0, 3.0) == of_whole_numbers.py_func(3, 4, 5)


@pytest.mark.parametrize("x", [0.0, -0.0, 1.5, -np.inf, 5e-324])
def test_bits_are_those_that_numpy_sees(x: float) -> None:
    assert np.float64(there_and_back(x)).tobytes() == np.float64(x).tobytes()
    assert int(bits_of(x)) == int(np.array([x]).view(np.uint64)[0])


def test_too_few_arguments_are_refused() -> None:
    with pytest.raises(numba.TypingError, match="fma"):
        of_two(1.0, 2.0)


def test_nothing_is_compiled_for_them() -> None:
    """That is what they are for: an overload compiles a function for each."""
    events = []

    class Seen(numba.core.event.Listener):  # type: ignore[misc]
        def on_start(self, event: numba.core.event.Event) -> None:
            if event.data and "dispatcher" in event.data:
                events.append(event.data["dispatcher"].py_func.__name__)

        def on_end(self, event: numba.core.event.Event) -> None:
            pass

    @numba.njit
    def outer(a: float) -> float:
        return larger(a, fma(a, a, a))

    with numba.core.event.install_listener("numba:compile", Seen()):
        assert outer(2.0) == 6.0
    assert events == ["outer"]
