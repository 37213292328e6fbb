"""Streams in blocks: the same bytes as in one piece, in bounded memory, damage found where it is reached."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.migrate import chunks as module
from fastsmc.migrate.chunks import decode_chunks, encode_chunks
from fastsmc.migrate.payload import Codec, encode
from tests.support.format_states import plain
from tests.support.places import ROOT

STATE = plain(50, 33)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("blocks", [[50], [1, 49], [7] * 7 + [1], [1] * 50])
@pytest.mark.parametrize("piece", [1, 13, 4096, 1 << 20])
def test_blocks_give_the_same_stream_and_come_back(
    codec: Codec, blocks: list[int], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 33 * 6)
    edges = np.cumsum([0, *blocks])
    parts = [STATE.values[a:b] for a, b in itertools.pairwise(edges)]
    stream = b"".join(part.tobytes() for part in encode_chunks(STATE.ids, parts, codec, is_global=STATE.is_global))
    assert stream == encode(STATE.ids, STATE.values, codec, is_global=STATE.is_global).tobytes()
    given = (stream[at : at + piece] for at in range(0, len(stream), piece))
    read = list(decode_chunks(given, STATE.ids, codec, n_vcpu=50, is_global=STATE.is_global))
    assert len(read) == 9
    np.testing.assert_array_equal(np.concatenate(read), STATE.values)


def test_a_global_register_that_differs_in_a_later_block_is_refused() -> None:
    later = STATE.values[25:].copy()
    later[:, 3] ^= np.uint64(1)
    with pytest.raises(InputError, match=r"vCPUs from 25 on: register 0x6030000000160002 is declared VM-global"):
        list(encode_chunks(STATE.ids, [STATE.values[:25], later], Codec.VALUES_GLOBAL_ONCE, is_global=STATE.is_global))


def test_damage_is_named_with_its_byte_in_the_whole_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 33 * 6)
    stream = bytearray(encode(STATE.ids, STATE.values, Codec.QEMU))
    at = 16 * 33 * 40 + 8 * 5
    stream[at + 7] ^= 0x80
    with pytest.raises(InputError, match=f"byte {at}: vCPU 40, register 5 of 33: id"):
        list(decode_chunks([stream], STATE.ids, Codec.QEMU, n_vcpu=50))
    whole = encode(STATE.ids, STATE.values, Codec.VALUES).tobytes()
    for damaged, message in ((whole[:-1], f"byte {len(whole) - 1}: the stream ends"), (whole + b"x", "goes on beyond")):
        with pytest.raises(InputError, match=message):
            list(decode_chunks([damaged], STATE.ids, Codec.VALUES, n_vcpu=50))


PROGRAM = """
import numpy as np
from tests.support.memory import forget_peak, peak_mib
from fastsmc.migrate.chunks import encode_chunks, decode_chunks
from fastsmc.migrate.payload import encode
from fastsmc.facts.register_sets import bitmap_ids
N, R, B = {n_vcpu}, 1024, 1000
ids, is_global = bitmap_ids(R), np.arange(R) % 3 == 0
block = np.random.default_rng(1).integers(0, 1 << 64, (B, R), np.uint64)
block[:, is_global] = block[0, is_global]
def blocks():
    for first in range(0, N, B):
        block[:, 1] = np.arange(first, first + B)
        yield block
for codec in ("id+value", "values, VM-global once"):
    n = done = 0
    list(decode_chunks([encode(ids, block[:2], codec, is_global=is_global)], ids, codec, n_vcpu=2, is_global=is_global))
    before = forget_peak()
    def counted():
        global n
        for chunk in encode_chunks(ids, blocks(), codec, is_global=is_global):
            n += chunk.nbytes
            yield chunk
    for values in decode_chunks(counted(), ids, codec, n_vcpu=N, is_global=is_global):
        assert (values[:, 1] == np.arange(done, done + len(values))).all()
        assert (values[-1, 2:] == block[(done + len(values) - 1) % B, 2:]).all()
        done += len(values)
    assert done == N
    n_global = int(is_global.sum())
    print(n == (16 * R * N if codec == "id+value" else 8 * (n_global + (R - n_global) * N)),
          peak_mib() - before)
"""


@pytest.mark.parametrize(
    ("n_vcpu", "most_mib"),
    [
        (10_000, 128),
        pytest.param(100_000, 256, marks=pytest.mark.soak("100,000 vCPUs, 1.6 GB; make test streams 10,000")),
    ],
)
def test_vcpus_of_1024_registers_stream_in_bounded_memory(n_vcpu: int, most_mib: int) -> None:
    """100,000 vCPUs are 800 MB of values, 1.6 GB of stream, 10,000 a tenth; what is held is 95 MB for either."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM.format(n_vcpu=n_vcpu)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["True", "True"]
    assert all(float(line.split()[1]) < most_mib for line in lines), lines
