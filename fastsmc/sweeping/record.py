"""What came of a cell, as bytes: numbers in JSON, histograms as arrays. None of it is code, and nothing is unpickled.

{"values": [1.5, ...], "histograms": [[GROUP, TIME, BUCKETS IN USE, TOTAL NS, LARGEST NS], ...]}\\n
where a question's cell has "answer", a sentence, too, and null among values for a number that it does not have,
and of each histogram the buckets in use as little-endian uint16, then what they count as little-endian int64
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastsmc.errors import InputError, ResultFileError
from fastsmc.results.histogram import Histogram
from fastsmc.results.log_linear import N_BUCKET

_BUCKET, _COUNT = np.dtype("<u2"), np.dtype("<i8")


class Outcome(NamedTuple):
    """What came of one cell.

    Attributes:
        content: of a cell that is done, what `packed` gives; of one that failed, the message as UTF-8.
    """

    cell: int
    is_done: bool
    content: bytes


class Record(NamedTuple):
    """A cell that is done.

    Attributes:
        values: its measures; NaN of a number that an answer does not have.
        histograms: by (group, time); none of a question's.
        answer: a question's, one sentence.
    """

    values: list[float]
    histograms: Mapping[tuple[str, str], Histogram] = {}
    answer: str = ""


def packed(record: Record) -> bytes:
    """A record as bytes, the same for the same record."""
    rows, parts = [], []
    for (group, time), histogram in record.histograms.items():
        used = np.flatnonzero(histogram.counts)
        rows.append([group, time, int(used.size), histogram.total_ns, histogram.max_ns])
        parts += [used.astype(_BUCKET).tobytes(), histogram.counts[used].astype(_COUNT).tobytes()]
    told: dict[str, Any] = {"values": record.values, "histograms": rows}
    if record.answer:
        told["values"] = [None if math.isnan(value) else value for value in record.values]
        told["answer"] = record.answer
    return b"".join([json.dumps(told, allow_nan=False).encode(), b"\n", *parts])


def unpacked(content: bytes, n_value: int) -> Record:
    """Undoes `packed`.

    Raises:
        ResultFileError: not what it gives.
    """
    try:
        return _unpacked(content, n_value)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, InputError) as error:
        msg = f"damaged: the record of a cell is none ({error}): remove the journal and sweep again"
        raise ResultFileError(msg) from error


def _unpacked(content: bytes, n_value: int) -> Record:
    head, _, rest = content.partition(b"\n")
    told = json.loads(head)
    rows = told["values"]
    answer = str(told.get("answer", ""))
    known = [float(value) for value in rows if value is not None or not answer]
    if len(rows) != n_value or not all(map(math.isfinite, known)):
        msg = f"{len(rows)} numbers where {n_value} finite ones belong"
        raise ValueError(msg)
    values = [math.nan if value is None else float(value) for value in rows]
    histograms, at = {}, 0
    for group, time, n_used, total_ns, max_ns in told["histograms"]:
        if not 0 <= n_used <= N_BUCKET:
            msg = f"a histogram of {n_used} buckets"
            raise ValueError(msg)
        used = np.frombuffer(rest, _BUCKET, n_used, at)
        counts = np.zeros(N_BUCKET, np.int64)
        counts[used] = np.frombuffer(rest, _COUNT, n_used, at + used.nbytes)
        at += n_used * (_BUCKET.itemsize + _COUNT.itemsize)
        histograms[str(group), str(time)] = Histogram(counts, float(total_ns), float(max_ns))
    if at != len(rest):
        msg = f"{len(rest) - at} bytes too many"
        raise ValueError(msg)
    return Record(values, histograms, answer)
