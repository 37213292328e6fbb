"""Encoded bytes against struct.pack, lengths against the closed form, and everything decoded back bit for bit."""

from __future__ import annotations

import struct
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import bitmap_ids, register_set, vm_global_mask
from fastsmc.migrate.counts import ioctls, payload_cost
from fastsmc.migrate.payload import Codec, decode, encode, equal_columns, payload_bytes

EDGES = [0, 1, 0xFF, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1, 0x0123_4567_89AB_CDEF]


def packed(ids: list[int], values: list[list[int]], codec: Codec, is_global: list[bool]) -> bytes:
    """The stream, word by word."""
    stream = b""
    for vcpu, row in enumerate(values):
        sent = [i for i in range(len(ids)) if not (vcpu and codec.is_global_once and is_global[i])]
        words = [ids[i] for i in sent] if codec.has_ids else []
        for word in words + [row[i] for i in sent]:
            stream += struct.pack(">Q", word)
    return stream


def matrix(n_vcpu: int, n_reg: int, is_global: NDArray[np.bool_], seed: int = 1) -> NDArray[np.uint64]:
    values = np.random.default_rng(seed).integers(0, 1 << 64, (n_vcpu, n_reg), np.uint64)
    values[:, is_global] = values[0, is_global]
    return values


@st.composite
def states(draw: st.DrawFn) -> tuple[list[int], list[list[int]], list[bool]]:
    """ids of 4- and 8-byte registers, values that fit them, scopes that hold."""
    numbers = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 0xFFFF)), min_size=1, max_size=12, unique=True))
    ids = sorted((0x6030 if is_wide else 0x6020) << 48 | 0x130000 | number for is_wide, number in numbers)
    scope = [draw(st.booleans()) for _ in ids]
    rows: list[list[int]] = []
    for vcpu in range(draw(st.integers(1, 6))):
        row = [draw(st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)) for _ in ids]
        row = [value if reg >> 52 & 1 else value & 0xFFFF_FFFF for reg, value in zip(ids, row, strict=True)]
        rows.append([rows[0][i] if vcpu and scope[i] else value for i, value in enumerate(row)])
    return ids, rows, scope


@pytest.mark.parametrize("codec", Codec)
@given(state=states())
def test_stream_is_what_struct_packs_and_reads_back_bit_for_bit(
    codec: Codec, state: tuple[list[int], list[list[int]], list[bool]]
) -> None:
    ids, rows, scope = state
    values = np.array(rows, np.uint64)
    buffer = encode(np.array(ids, np.uint64), values, codec, is_global=scope)
    assert buffer.tobytes() == packed(ids, rows, codec, scope)
    assert buffer.size == payload_bytes(codec, n_reg=len(ids), n_vcpu=len(rows), n_global=sum(scope))
    read = decode(buffer, np.array(ids, np.uint64), codec, n_vcpu=len(rows), is_global=scope)
    np.testing.assert_array_equal(read, values, strict=True)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("n_reg", [1, 2, 7, 64, 257])
@pytest.mark.parametrize("n_vcpu", [1, 2, 33])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_length_is_the_closed_form_and_decoding_restores(codec: Codec, n_reg: int, n_vcpu: int, share: float) -> None:
    is_global = np.random.default_rng(2).random(n_reg) < share
    ids, values = bitmap_ids(n_reg), matrix(n_vcpu, n_reg, is_global)
    buffer = encode(ids, values, codec, is_global=is_global)
    assert buffer.size == payload_bytes(codec, n_reg=n_reg, n_vcpu=n_vcpu, n_global=is_global.sum())
    np.testing.assert_array_equal(decode(buffer, ids, codec, n_vcpu=n_vcpu, is_global=is_global), values)


@pytest.mark.parametrize(
    ("n_reg", "n_vcpu", "codec", "size"),
    [
        (1024, 1024, Codec.VALUES, 8 << 20),
        (1024, 1024, Codec.QEMU, 16 << 20),
        (10, 100, Codec.VALUES, 8000),
        (1024, 1024, Codec.VALUES_GLOBAL_ONCE, 8 << 10),
        (1024, 1024, Codec.QEMU_GLOBAL_ONCE, 16 << 10),
    ],
)
def test_the_points_of_the_origin_encoded_for_real(n_reg: int, n_vcpu: int, codec: Codec, size: int) -> None:
    is_global = np.full(n_reg, codec.is_global_once)
    ids, values = bitmap_ids(n_reg), matrix(n_vcpu, n_reg, is_global)
    buffer = encode(ids, values, codec, is_global=is_global)
    assert buffer.size == size == payload_bytes(codec, n_reg=n_reg, n_vcpu=n_vcpu, n_global=is_global.sum())
    np.testing.assert_array_equal(decode(buffer, ids, codec, n_vcpu=n_vcpu, is_global=is_global), values)


def test_payload_bytes_broadcasts_over_the_whole_grid() -> None:
    n_reg, n_vcpu = np.arange(1, 1025)[:, None], np.arange(1, 1025)
    size = payload_bytes(Codec.QEMU, n_reg=n_reg, n_vcpu=n_vcpu)
    assert size.shape == (1024, 1024)
    assert size.dtype == np.int64
    assert size[-1, -1] == 16 << 20
    assert payload_bytes(Codec.QEMU, n_reg=1 << 20, n_vcpu=1 << 20) == 1 << 44


@pytest.mark.parametrize("codec", Codec)
def test_recorded_registers_cross_unharmed(codec: Codec) -> None:
    ids = register_set("6.12").cpreg_ids
    is_global = vm_global_mask(ids)
    narrow = (ids >> np.uint64(52)) & np.uint64(0xF) == 2
    values = matrix(8, ids.size, is_global)
    values[:, narrow] &= np.uint64(0xFFFF_FFFF)
    buffer = encode(ids, values, codec, is_global=is_global)
    assert buffer.tobytes() == packed(ids.tolist(), values.tolist(), codec, is_global.tolist())
    np.testing.assert_array_equal(decode(buffer, ids, codec, n_vcpu=8, is_global=is_global), values)


def test_any_contiguous_buffer_is_read_aligned_or_not() -> None:
    ids, values = bitmap_ids(3), matrix(2, 3, np.zeros(3, np.bool_))
    buffer = encode(ids, values, Codec.QEMU)
    odd = memoryview(b"x" + buffer.tobytes())[1:]
    for given_as in (buffer, buffer.tobytes(), bytearray(buffer), odd):
        np.testing.assert_array_equal(decode(given_as, ids, Codec.QEMU, n_vcpu=2), values)
    np.testing.assert_array_equal(
        decode(encode(ids, values[:, ::-1], "values"), ids, "values", n_vcpu=2), values[:, ::-1]
    )


@pytest.mark.parametrize("n_vcpu", [1, 7, 200])
@pytest.mark.parametrize("n_reg", [1, 8, 1009])
def test_a_buffer_of_the_callers_gets_the_same_bytes(n_vcpu: int, n_reg: int) -> None:
    """Whatever the matrix looks like; of ordinary ones the bytes are written by a path of their own."""
    ids, values = bitmap_ids(n_reg), matrix(n_vcpu, n_reg, np.zeros(n_reg, np.bool_))
    expected = b"".join(int(word).to_bytes(8, "big") for word in values.reshape(-1))
    frozen = values.copy()
    frozen.flags.writeable = False
    wide = np.zeros((n_vcpu, n_reg + 1), np.uint64)
    wide[:, :-1] = values
    for given_as in (values, frozen, np.asfortranarray(values), wide[:, :-1], values.astype(">u8")):
        room = np.full(8 * values.size + 16, 0xEE, np.uint8)
        out = room[8:-8]
        assert encode(ids, given_as, Codec.VALUES, out=out) is out
        assert out.tobytes() == expected
        assert (np.concatenate((room[:8], room[-8:])) == 0xEE).all()


def test_a_buffer_that_will_not_do_is_refused_and_left_as_it_was() -> None:
    ids, values = bitmap_ids(4), np.ones((3, 4), np.uint64)
    room = np.zeros(200, np.uint8)
    frozen = np.zeros(96, np.uint8)
    frozen.flags.writeable = False
    buffers = (
        room[:95],
        room[:104],
        room[1:97],
        room[:192:2],
        frozen,
        room[:96].view(np.int8),
        room[:96].reshape(3, 32),
    )
    for out in buffers:
        with pytest.raises(InputError, match=r"out: a writable, contiguous uint8\[96\] at a multiple of 8 bytes"):
            encode(ids, values, Codec.VALUES, out=out)
    assert not room.any()
    block = np.ones(30, np.uint64)
    for first in (0, 5, 12):  # words 0 to 11 are the values
        with pytest.raises(InputError, match="shares memory") if first < 12 else nullcontext():
            encode(ids, block[:12].reshape(3, 4), Codec.VALUES, out=block.view(np.uint8)[8 * first : 8 * first + 96])
    assert (block[:12] == 1).all()
    with pytest.raises(InputError, match="2 columns for 4 ids"):
        encode(ids, values.reshape(6, 2), Codec.VALUES, out=room[:96])
    with pytest.raises(InputError, match="non-empty 2-D"):
        encode(ids, values[:0], Codec.VALUES, out=room[:0])
    narrow = np.array([0x6020_0000_0011_0000], np.uint64)
    with pytest.raises(InputError, match="32-bit register"):
        encode(narrow, np.array([[1 << 32]], np.uint64), Codec.VALUES, out=room[:8])


def test_equal_columns_sees_one_bit_on_the_last_vcpu() -> None:
    values = np.full((5, 4), 7, np.uint64)
    values[4, 2] ^= np.uint64(1 << 63)
    assert equal_columns(values).tolist() == [True, True, False, True]
    assert equal_columns(values[:1]).all()


def test_a_global_register_that_differs_is_named_with_its_first_vcpu() -> None:
    ids, values = bitmap_ids(3), np.ones((5, 3), np.uint64)
    values[3:, 1] = 0x55
    scope = [False, True, True]
    with pytest.raises(InputError, match=r"register 0x6030000000160001 .* is 0x55 on vCPU 3 and 0x1 on vCPU 0"):
        encode(ids, values, Codec.QEMU_GLOBAL_ONCE, is_global=scope)
    assert encode(ids, values, Codec.QEMU, is_global=scope).size == 16 * 15


@pytest.mark.parametrize("codec", [Codec.QEMU, Codec.QEMU_GLOBAL_ONCE])
@pytest.mark.parametrize("vcpu", [0, 2])
def test_an_unexpected_id_of_any_vcpu_is_refused_by_name(codec: Codec, vcpu: int) -> None:
    ids, values = bitmap_ids(3), np.ones((4, 3), np.uint64)
    buffer = encode(ids, values, codec, is_global=[False, False, True])
    row_bytes = [0, 48, 80, 112] if codec.is_global_once else [0, 48, 96, 144]
    buffer[row_bytes[vcpu] + 8 + 7] ^= 0x80  # the lowest byte of the second id
    with pytest.raises(
        InputError, match=f"vCPU {vcpu}, register 1 .*0x6030000000160081 .*, 0x6030000000160001 expected"
    ):
        decode(buffer, ids, codec, n_vcpu=4, is_global=[False, False, True])


@pytest.mark.parametrize("cut", [-8, -1, 1, 8])
def test_a_wrong_length_is_refused_with_the_right_one(cut: int) -> None:
    stream = bytes(8000 + cut)
    with pytest.raises(InputError, match=f"{8000 + cut} bytes; 10 registers x 100 vCPUs as 'values' take 8000"):
        decode(stream, bitmap_ids(10), Codec.VALUES, n_vcpu=100)


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        ([], [[]], "non-empty 1-D"),
        ([0x6030000000140000], [1], "non-empty 2-D"),
        ([0x6030000000140000], [[-1]], "int64.1, 1. given"),
        ([0x6030000000140000], [[1.0]], "float64"),
        ([0x6030000000140000], [[1, 2]], "2 columns for 1 ids"),
        ([0x6030000000140001, 0x6030000000140000], [[1, 2]], "ids must ascend"),
        ([0x6030000000140000] * 2, [[1, 2]], "ids must ascend"),
        ([0x6040000000100054], [[1]], "has 16 bytes"),
        ([0x6020000000110000], [[1 << 32]], "32-bit register"),
    ],
)
def test_what_cannot_be_sent_is_refused(ids: list[int], values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode(ids, values, Codec.VALUES)


@pytest.mark.parametrize("scope", [None, [True], [1, 0], [[True, False]]])
def test_sending_once_needs_one_scope_per_register(scope: Any) -> None:
    with pytest.raises(InputError, match=r"bool\[2\]"):
        encode(bitmap_ids(2), [[1, 2]], Codec.VALUES_GLOBAL_ONCE, is_global=scope)


@pytest.mark.parametrize(
    ("n_reg", "n_vcpu", "n_global", "message"),
    [
        (0, 1, 0, "n_reg is 0: "),
        (1, 0, 0, "n_vcpu is 0: "),
        (1, -1, 0, "n_vcpu is -1: "),
        (1.5, 1, 0, "n_reg is 1.5: "),
        (True, 1, 0, "n_reg is True: "),
        ((1 << 20) + 1, 1, 0, "1048576"),
        (3, 1, 4, "n_global is 4: it must be at most n_reg, 3"),
        ([1, 2], [1, 2, 3], 0, "do not broadcast"),
    ],
)
def test_impossible_counts_are_refused(n_reg: Any, n_vcpu: Any, n_global: Any, message: str) -> None:
    for function in (payload_cost, payload_bytes):
        with pytest.raises(InputError, match=message):
            function(Codec.QEMU, n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global)


def test_unknown_codec_and_vmm_are_refused_naming_the_known() -> None:
    with pytest.raises(InputError, match=r"codec is 'zip': it must be one of values, id\+value, "):
        payload_bytes("zip", n_reg=1, n_vcpu=1)
    with pytest.raises(InputError, match="vmm is 'xen': it must be one of qemu, minimal"):
        ioctls(n_reg=1, n_vcpu=1, vmm="xen")
    with pytest.raises(InputError, match="contiguous"):
        decode(np.zeros((4, 8), np.uint8)[:, ::2], bitmap_ids(2), Codec.VALUES, n_vcpu=1)


def test_qemu_ioctls_at_the_published_points() -> None:
    n_vcpu = np.array([64, 192, 512])
    assert ioctls(n_reg=182, n_vcpu=n_vcpu).save_ioctls.tolist() == [28_224, 84_672, 225_792]
    assert ioctls(n_reg=266, n_vcpu=512).save_ioctls == 311_808
    assert ioctls(n_reg=1206, n_vcpu=1024).save_ioctls == 2_548_736
    assert ioctls(n_reg=182, n_vcpu=1, has_sve=True).save_ioctls == 92 + 2 + 2 * 182


def test_global_registers_are_touched_on_the_first_vcpu_only() -> None:
    every, once = ioctls(n_reg=10, n_vcpu=100, vmm="minimal"), ioctls(n_reg=10, n_vcpu=100, n_global=8, vmm="minimal")
    assert every.save_ioctls == every.load_ioctls == 1000
    assert once.save_ioctls == once.load_ioctls == 8 + 2 * 100
    saved = ioctls(n_reg=10, n_vcpu=100).save_ioctls - ioctls(n_reg=10, n_vcpu=100, n_global=8).save_ioctls
    assert saved == 2 * 8 * 99


def test_a_cost_counts_globals_only_where_they_are_sent_once() -> None:
    plain = payload_cost(Codec.QEMU, n_reg=10, n_vcpu=100, n_global=8)
    once = payload_cost(Codec.QEMU_GLOBAL_ONCE, n_reg=10, n_vcpu=100, n_global=8)
    assert plain.payload_bytes == 16_000
    assert plain.save_ioctls == ioctls(n_reg=10, n_vcpu=100).save_ioctls
    assert once.payload_bytes == 16 * 208
    assert once.save_ioctls == ioctls(n_reg=10, n_vcpu=100, n_global=8).save_ioctls
