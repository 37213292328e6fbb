"""Damaged traces of every form: calls that were written, or one sentence; no traceback, nor much memory or time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys
import time
from unittest import mock

import numpy as np
import pytest

from fastsmc.calls.counts import Counts
from fastsmc.errors import TraceError
from fastsmc.traces.text import trace as read_trace
from tests.support.damaged import damaged
from tests.support.memory import forget_peak, peak_mib
from tests.traces.test_counted import HIST, KVM_STAT, MAP
from tests.traces.test_exits import EXITS, event
from tests.traces.test_forms import BETWEEN, FULL, LESS, OTHERS

N_SOAK, N_QUICK, N_BATCH = 100_000, 2_000, 100
"""Files, over all seeds."""
MOST_S, MOST_MIB = 5, 256

WORDS = (
    *(
        b"0x",
        b"-1",
        b"9" * 30,
        b"f" * 40,
        b"[",
        b"]",
        b"{",
        b"}",
        b"@[",
        b"]: ",
        b": ",
        b" ",
        b"(",
        b")",
        b"\n",
        b"\r\n",
    ),
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xe9",
        b"kvm_hvc_arm64",
        b"HVC at 0x",
        b"PERF_RECORD_LOST lost ",
        b" => ",
        b"us",
    ),
    *(b"# ", b"CPU:0 [LOST 9999999999999999999999 EVENTS]\n", b"\xd9\xa1", b"1e999", b"/* ", b"Hits: ", b" " * 300),
)


def seeds() -> list[bytes]:
    """Small files, one of each format, and packed ones."""
    whole = "\n".join(FULL.values())
    texts = [
        *FULL.values(),
        *(line for line, *_ in LESS.values()),
        whole,
        "\n".join([whole, *BETWEEN.values(), *OTHERS.values(), *map(event, EXITS)]),
        *(MAP, HIST, KVM_STAT),
    ]
    data = [f"# tracer: nop\n{text}\n".encode() for text in texts]
    text = f"{whole}\n".encode()
    packed = [pack(text) for pack in (gzip.compress, lzma.compress, bz2.compress)]
    return [*data, *packed, whole.encode("utf-16"), whole.encode("utf-8-sig")]


def check(data: bytes, *, lenient: bool) -> bool:
    """Whether it was read from a pipe; if so, its columns belong together and hold what they may."""
    try:
        with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(data))):
            read = read_trace("-", lenient=lenient)
    except TraceError as error:
        told = str(error)
        assert 10 < len(told) < 1000, told
        assert "\n" not in told
        return False
    assert str(read)
    assert len(repr(read)) <= 200
    if isinstance(read, Counts):
        assert (read.n_call > 0).all()
        assert len(set(read.func_id.tolist())) == len(read.func_id)
        return True
    columns = (read.time_ns, read.cpu, read.pid, read.pc, read.r0, read.imm, read.line)
    assert {len(column) for column in columns} == {len(read)}
    assert (read.cpu >= -1).all()
    assert (read.imm <= 0xFFFF).all()
    assert (np.diff(read.line) > 0).all()
    assert read.n_skipped_call <= read.n_skipped
    assert read.n_skipped == 0 or lenient
    assert sum(row["calls"] for row in read.rows()) == len(read)
    return True


def run(n: int, seed: int) -> int:
    """Checks n damaged files; how many were read all the same. No batch of them may take as long as one may."""
    originals = seeds()
    draw = random.Random(seed)
    n_read, begin = 0, forget_peak()
    for _ in range(n // N_BATCH):
        start = time.process_time()
        for _ in range(N_BATCH):
            n_read += check(damaged(draw.choice(originals), draw, WORDS), lenient=draw.random() < 0.5)
        assert time.process_time() - start < MOST_S
    assert peak_mib() - begin < MOST_MIB
    return n_read


def test_the_files_are_fine_before_they_are_damaged() -> None:
    fine = [check(data, lenient=False) for data in seeds()]
    assert fine.count(False) == 1  # perf kvm stat, which has no function ids


def test_some_damaged_files() -> None:
    assert 0 < run(N_QUICK, seed=1) < N_QUICK


@pytest.mark.soak(f"{N_SOAK:,} damaged files over all forms of traces; make test tries {N_QUICK:,}")
@pytest.mark.parametrize("part", range(8))
def test_damaged_files(part: int) -> None:
    n = N_SOAK // 8
    assert 0 < run(n, seed=100 + part) < n


HOSTILE = {
    "spaces": b" " * 3_000_000,
    "spaces and a bracket": b" " * 60_000 + b"[000] 1.000000: kvm_hvc_arm64: HVC at 0x1 (r0: 0x1, imm: 0x0)\n",
    "many long lines of spaces": (b"x" + b" " * 2_000 + b"[\n") * 200,
    "words": b"a-1 " * 500_000,
    "digits": b"1" * 1_000_000,
    "colons": b"a:" * 500_000,
    "brackets": b"[" * 500_000,
    "pipes": (b" 0) " + b"| " * 2_000 + b"\n") * 100,
    "braces": b"[1.000000000] x: " + b"{ a = 1 }, " * 50_000,
    "a map of many keys": b"@[" + b"1," * 100_000 + b"]: 1\n",
    "maps": b"".join(b"@m%d[0x84000000]: 1\n" % k for k in range(20_000)),
    "lines": b"\n" * 200_000,
    "a long number": b"a-1 [000] .... 1.000000: kvm_hvc_arm64: HVC at 0x" + b"f" * 500_000,
    "packed zeros": gzip.compress(bytes(100_000_000), 9),
    "packed line": gzip.compress(b"# " + b"x" * 100_000_000, 9),
}


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_cost_little(data: bytes, lenient: bool) -> None:
    begin, start = forget_peak(), time.process_time()
    check(data, lenient=lenient)
    assert time.process_time() - start < MOST_S
    assert peak_mib() - begin < MOST_MIB
