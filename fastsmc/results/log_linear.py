"""Where the buckets of histograms lie: 64 of equal width in each power of two of nanoseconds.

The bucket of a time is found by one shift of the bits of its float64: exponent and the first bits of the fraction.
"""

from __future__ import annotations

SUB_BITS = 6
"""Each octave has 2**6 buckets."""
FIRST_OCTAVE, N_OCTAVE = -10, 54
"""Octaves from 2**-10 ns, below which times count as 0, to 2**44 ns (4.9 hours); longer times fill the last bucket."""
N_BUCKET = N_OCTAVE << SUB_BITS

_FRACTION_BITS, _EXPONENT_BIAS = 52, 1023
BUCKET_SHIFT = _FRACTION_BITS - SUB_BITS
BUCKET_OFFSET = (_EXPONENT_BIAS + FIRST_OCTAVE) << SUB_BITS
