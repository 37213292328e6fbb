"""A cell as bytes and back, and bytes that are none."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import ResultFileError
from fastsmc.results.histogram import Histogram
from fastsmc.sweeping.record import Record, packed, unpacked

times = st.lists(st.floats(0, 1e12), max_size=20)
GOOD = packed(Record([1.5], {("", "response"): Histogram.of([1.0, 2.0, 2.0])}))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4), times, times)
def test_a_record_comes_back_as_it_was(values: list[float], one: list[float], other: list[float]) -> None:
    histograms = {("", "response"): Histogram.of(one), ("web", "waiting"): Histogram.of(other)}
    record = unpacked(packed(Record(values, histograms)), len(values))
    assert record.values == values
    assert list(record.histograms) == list(histograms)
    for key, histogram in histograms.items():
        found = record.histograms[key]
        assert np.array_equal(found.counts, histogram.counts)
        assert (found.total_ns, found.max_ns) == (histogram.total_ns, histogram.max_ns)


def test_the_arrays_are_what_the_docstring_says() -> None:
    head, _, rest = GOOD.partition(b"\n")
    assert json.loads(head) == {"values": [1.5], "histograms": [["", "response", 2, 5.0, 2.0]]}
    assert struct.unpack("<2H2q", rest) == (640, 704, 1, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"[]\n",
        GOOD[:-1],
        GOOD + b"x",
        GOOD.replace(b"1.5", b"NaN"),
        GOOD.replace(b"1.5", b"1.5, 2"),
        GOOD.replace(b', 2, 5.0', b', -1, 5.0'),
        GOOD.replace(b', 2, 5.0', b', 9999999, 5.0'),
        GOOD.replace(struct.pack("<H", 704), struct.pack("<H", 65535)),
        GOOD.replace(struct.pack("<q", 2), struct.pack("<q", -2)),
        b"[" * 100_000,
        b"\x80\x04cos\nsystem\n",
    ],
)  # fmt: skip
def test_bytes_that_are_no_record_are_refused(content: bytes) -> None:
    with pytest.raises(ResultFileError, match="the record of a cell is none"):
        unpacked(content, 1)
