"""Random numbers for simulations: one stream per vCPU, the same numbers on every CPU.

A stream is a 64-bit word that grows by a constant at each draw; the draw is that word, mixed (splitmix64. Source:
Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA 2014). Streams start at mixed words of (seed,
index of the vCPU), so a vCPU draws the same numbers whatever other vCPUs there are, in whatever order they run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_lane_kernel, lane_kernel
from fastsmc.jit.simd import bits_of, float_of, fma
from fastsmc.results.log_linear import BUCKET_OFFSET, BUCKET_SHIFT, N_BUCKET

U64Array = NDArray[np.uint64]
u64 = np.uint64

STEP = u64(0x9E37_79B9_7F4A_7C15)
_MIX_1, _MIX_2 = u64(0xBF58_476D_1CE4_E5B9), u64(0x94D0_49BB_1331_11EB)

_TO_UNIT = 2.0**-53
_FRACTION = u64((1 << 52) - 1)
_BITS_OF_1 = u64(0x3FF0_0000_0000_0000)
_BITS_OF_2_52, _2_52_AND_BIAS = u64(0x4330_0000_0000_0000), 2.0**52 + 1023.0
"""A whole number below 2**52 becomes a float by an `or` and a subtraction; AVX2 and NEON have no such conversion."""
_TO_ROOT = u64(0x0009_5F62_0000_0000)
"""Added to the bits of a number, moves it to the next exponent if it is above the square root of two."""
_BACK = u64(0x3FF0_0000_0000_0000 - 0x0009_5F62_0000_0000)
"""Added to the fraction of a number that was moved, gives it back with the exponent of 1."""
_LOG_2 = 0.6931471805599453
_SHIFT, _OFFSET, _LAST = u64(BUCKET_SHIFT), np.uint32(BUCKET_OFFSET), np.uint32(N_BUCKET - 1)


LOG1P_OVER_R = (
    *(0.999999942542672, -0.5000036309273006, 0.3333511414034597, -0.2497007168504276),
    *(0.1989856504826214, -0.17247013304060416, 0.1623418979900749, -0.10134056750121803),
)
"""Coefficients of log(1 + r) / r for r from sqrt(1/2) - 1 to sqrt(2) - 1, near the best of degree 7.

Off by 1.8e-7 of the variate at most, which no sample below 10**13 calls shows; degree 9 is off by 4e-9, and makes an
open queue 1.05x slower. They are written out because a fit at each start differed in the last digits from one BLAS
to the next, and with it every simulation. tests/latency/test_variates.py fits them again.
"""
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7 = LOG1P_OVER_R


@inner_lane_kernel
def mixed(word: np.uint64) -> np.uint64:
    """64 random bits from a stream's word."""
    word = (word ^ (word >> u64(30))) * _MIX_1
    word = (word ^ (word >> u64(27))) * _MIX_2
    return word ^ (word >> u64(31))


@inner_lane_kernel
def unit(word: np.uint64) -> float:
    """A number from 0 up to 1, without 1, from a stream's word."""
    return np.float64(mixed(word) >> u64(11)) * _TO_UNIT


@inner_lane_kernel
def exponential(bits: np.uint64) -> float:
    """An exponential variate of mean 1 from 64 random bits: -log(u), u = k / 2**52, k from 1 to 2**52.

    The logarithm is a polynomial, which vectorizes (measured: 1.6x a division form, 5x the C library's), in fused
    steps, which come out the same on every CPU. The largest variate is 36.
    """
    u = 2.0 - float_of((bits >> u64(12)) | _BITS_OF_1)
    moved = bits_of(u) + _TO_ROOT
    power = float_of((moved >> u64(52)) | _BITS_OF_2_52) - _2_52_AND_BIAS
    r = float_of((moved & _FRACTION) + _BACK) - 1.0
    r2 = r * r
    low = fma(r2, fma(_C3, r, _C2), fma(_C1, r, _C0))
    high = fma(r2, fma(_C7, r, _C6), fma(_C5, r, _C4))
    series = fma(r2 * r2, high, low)
    return -fma(power, _LOG_2, r * series)


@inner_lane_kernel
def bucket(time_ns: float) -> np.uint32:
    """The bucket of `fastsmc.results.histogram` that a time falls into.

    In 32 bits, because AVX2 and NEON have no minimum of 64-bit numbers.
    """
    k = max(np.uint32(bits_of(time_ns) >> _SHIFT), _OFFSET)
    return min(np.uint32(k - _OFFSET), _LAST)


@lane_kernel
def start_streams(seed: np.uint64, first: np.uint64, out: U64Array) -> None:
    """The words at which the streams of vCPUs first, first + 1, ... start. -> uint64[n_vcpu]."""
    base = mixed(seed + STEP)
    for i in range(out.size):
        out[i] = mixed(base + (first + np.uint64(i) + np.uint64(1)) * STEP)
