"""Payload formats: bytes against struct.pack, json and our own readers; sizes in closed form; back bit for bit."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import bitmap_ids
from fastsmc.facts.registers import reg_size
from fastsmc.migrate.formats import FORMATS, Expected, RegisterState, decode_state, encode_state, encoded_bytes
from fastsmc.migrate.formats.firecracker import checksum
from fastsmc.migrate.payload import Codec, encode, payload_bytes
from fastsmc.migrate.read.detect import inspect
from tests.support.format_states import SLOT_FORMATS, VLS, plain, recorded, recorded_cpregs


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("n_vcpu", "n_reg"), [(1, 1), (1, 9), (2, 8), (3, 64), (5, 65), (17, 257)])
def test_size_is_the_closed_form_and_everything_comes_back(name: str, n_vcpu: int, n_reg: int) -> None:
    state = plain(n_vcpu, n_reg)
    buffer = encode_state(state, name)
    assert buffer.size == encoded_bytes(state, name)
    assert decode_state(buffer, name, state.expected).equals(state)
    odd = memoryview(b"x" + buffer.tobytes())[1:]  # at no multiple of 8 bytes
    assert decode_state(odd, name, state.expected).equals(state)


@pytest.mark.parametrize("name", FORMATS)
def test_a_recorded_set_of_system_registers_crosses_in_every_format(name: str) -> None:
    state = recorded_cpregs()
    assert decode_state(encode_state(state, name), name, state.expected).equals(state)


@pytest.mark.parametrize("name", SLOT_FORMATS)
@given(data=st.data())
def test_any_values_come_back(name: str, data: st.DataObject) -> None:
    n_vcpu, n_reg = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 70))
    word = st.sampled_from([0, 1, 9, 10, 99, (1 << 64) - 1, 1 << 63, 10**19]) | st.integers(0, (1 << 64) - 1)
    rows = data.draw(st.lists(st.lists(word, min_size=n_reg, max_size=n_reg), min_size=n_vcpu, max_size=n_vcpu))
    is_global = np.array(data.draw(st.lists(st.booleans(), min_size=n_reg, max_size=n_reg)))
    values = np.array(rows, np.uint64)
    values[:, is_global] = values[0, is_global]
    state = RegisterState.of(bitmap_ids(n_reg), values, is_global=is_global)
    buffer = encode_state(state, name)
    assert buffer.size == encoded_bytes(state, name)
    assert decode_state(buffer, name, state.expected).equals(state)


@pytest.mark.parametrize("codec", Codec)
def test_array_formats_are_the_codecs(codec: Codec) -> None:
    state = plain()
    known = encode(state.ids, state.values, codec, is_global=state.is_global)
    assert encode_state(state, codec.value).tobytes() == known.tobytes()


@pytest.mark.parametrize(("n_reg", "n_vcpu", "name", "size"), [
    (1024, 1024, "values", 8_388_608),
    (1024, 1024, "id+value", 16_777_216),
    (10, 100, "values", 8_000),
])  # fmt: skip
def test_the_points_of_the_origin_from_real_buffers(n_reg: int, n_vcpu: int, name: str, size: int) -> None:
    rng = np.random.default_rng(3)
    state = RegisterState.of(bitmap_ids(n_reg), rng.integers(0, 1 << 64, (n_vcpu, n_reg), np.uint64))
    buffer = encode_state(state, name)
    assert len(buffer.tobytes()) == size == payload_bytes(name, n_reg=n_reg, n_vcpu=n_vcpu)
    assert decode_state(buffer, name, state.expected).equals(state)


def test_ids_once_word_by_word() -> None:
    state = plain(2, 3)
    words = [3, 2, *state.ids.tolist(), *state.values.reshape(-1).tolist()]
    assert encode_state(state, "ids once").tobytes() == struct.pack(f">{len(words)}Q", *words)


def test_delta_word_by_word() -> None:
    ids, base = bitmap_ids(66), np.arange(66, dtype=np.uint64)
    values = np.stack((base, base, base))
    values[1, 65], values[2, 0], values[2, 3] = 7, 5, 6
    words = [*range(66), 0, 1 << 1, 7, 1 | 1 << 3, 0, 5, 6]
    state = RegisterState.of(ids, values)
    assert encode_state(state, "delta against vCPU 0").tobytes() == struct.pack(f">{len(words)}Q", *words)
    assert encoded_bytes(state, "delta against vCPU 0") == 8 * (66 + 2 * 2 + 3)


def test_firecracker_like_word_by_word_with_every_width() -> None:
    state = recorded()
    assert {reg_size(reg) for reg in state.ids.tolist()} == {4, 8, 32, 64, 256}
    body = struct.pack("<5Q", 0x0710_1984_AAAA_0000, 11, 0, 0, state.n_vcpu)
    for vcpu in range(state.n_vcpu):
        data = b""
        for column, reg in enumerate(state.ids.tolist()):
            value = int(state.values[vcpu, column]).to_bytes(8, "little")
            data += state.wide[reg][vcpu].tobytes() if reg in state.wide else value[: reg_size(reg)]
        body += struct.pack(f"<{state.ids.size + 1}Q", state.ids.size, *state.ids.tolist())
        body += struct.pack("<Q", len(data)) + data
    buffer = encode_state(state, "firecracker-like")
    assert buffer[:-8].tobytes() == body
    assert decode_state(buffer, "firecracker-like", state.expected).equals(state)


@given(st.binary(max_size=100))
def test_checksum_against_one_bit_at_a_time(data: bytes) -> None:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95AC_9329_AC4B_C9B5 if crc & 1 else 0)
    assert checksum(np.frombuffer(data, np.uint8)) == crc


def test_cloud_hypervisor_like_is_json_in_json_and_our_reader_reads_it() -> None:
    state = recorded_cpregs(3)
    text = encode_state(state, "cloud-hypervisor-like").tobytes()
    outer = json.loads(text)
    vcpus = outer["snapshots"]["cpu-manager"]["snapshots"]
    for vcpu in range(3):
        inner = json.loads(vcpus[str(vcpu)]["snapshot_data"]["state"])
        expected = [{"id": i, "addr": v} for i, v in zip(state.ids.tolist(), state.values[vcpu].tolist(), strict=True)]
        assert inner == {"Kvm": {"sys_regs": expected}}
    assert json.dumps(outer, separators=(",", ":")).encode() == text
    found = inspect(io.BytesIO(text))
    assert RegisterState.of_bank(*found.banks).equals(state)


def _closed_forms(state: RegisterState) -> dict[str, int]:
    """The table of docs/payload-formats.md, for registers of 64 bits."""
    n_vcpu, n_reg = state.values.shape
    assert state.is_global is not None
    n_global = int(state.is_global.sum())
    once = n_global + (n_reg - n_global) * n_vcpu
    n_different = sum(v != w for row in state.values[1:].tolist() for v, w in zip(row, state.values[0], strict=True))
    digits = sum(len(str(v)) for v in [*state.values.reshape(-1).tolist(), *range(n_vcpu)])
    return {
        "values": 8 * n_reg * n_vcpu,
        "id+value": 16 * n_reg * n_vcpu,
        "values, VM-global once": 8 * once,
        "id+value, VM-global once": 16 * once,
        "ids once": 16 + 8 * n_reg + 8 * n_reg * n_vcpu,
        "delta against vCPU 0": 8 * n_reg + 8 * (n_vcpu - 1) * ((n_reg + 63) // 64) + 8 * n_different,
        "qemu cpu section": (1276 + 16 * n_reg) * n_vcpu,
        "firecracker-like": 48 + (16 + 16 * n_reg) * n_vcpu,
        "cloud-hypervisor-like": 83 + 75 * n_vcpu + 39 * n_reg * n_vcpu + digits,
    }


@pytest.mark.parametrize(("n_vcpu", "n_reg"), [(1, 1), (2, 64), (12, 65)])
def test_lengths_are_those_of_the_table(n_vcpu: int, n_reg: int) -> None:
    ids = bitmap_ids(n_reg)
    given = plain(n_vcpu, n_reg)
    state = RegisterState.of(ids, given.values, is_global=given.is_global)
    forms = _closed_forms(state)
    assert list(forms) == list(FORMATS)
    assert forms == {name: encode_state(state, name).size for name in FORMATS}


def test_an_entry_of_cloud_hypervisor_has_40_to_59_bytes() -> None:
    ids = bitmap_ids(2)
    for value, entry in ((0, 40), ((1 << 64) - 1, 59)):
        both, one = (RegisterState.of(ids[:n], np.full((1, n), value, np.uint64)) for n in (2, 1))
        name = "cloud-hypervisor-like"
        assert encoded_bytes(both, name) - encoded_bytes(one, name) == entry


@pytest.mark.parametrize("name", [*SLOT_FORMATS])
def test_wide_registers_are_refused_where_a_format_has_no_room(name: str) -> None:
    state = recorded()
    state = RegisterState(state.ids, state.values, state.wide, np.zeros(state.ids.size, np.bool_))
    with pytest.raises(InputError, match=r"only 4 and 8 fit a slot"):
        encode_state(state, name)
    with pytest.raises(InputError, match=r"only 4 and 8 fit a slot"):
        decode_state(bytes(8), name, state.expected)


def test_registers_that_a_format_does_not_carry_are_named() -> None:
    with pytest.raises(InputError, match=f"{VLS:#x} has no place in a cpu section"):
        encode_state(recorded(), "qemu cpu section")
    future = RegisterState.of([0x6040000000140004], [[0]], wide={0x6040000000140004: np.ones((1, 16), np.uint8)})
    with pytest.raises(InputError, match="0x6040000000140004 has 128 bits: QEMU carries 32 and 64"):
        encode_state(future, "qemu cpu section")
    assert decode_state(encode_state(future, "firecracker-like"), "firecracker-like", future.expected).equals(future)
    core = RegisterState.of([0x6030000000100000], [[0]])
    with pytest.raises(InputError, match="0x6030000000100000 is of the core"):
        encode_state(core, "cloud-hypervisor-like")


@pytest.mark.parametrize("name", FORMATS)
def test_zstd_is_measured_and_comes_back(name: str) -> None:
    pytest.importorskip("zstandard", reason="zstandard is not installed")
    state = plain(20, 100)
    packed = encode_state(state, name, zstd_level=1)
    assert packed.size < encoded_bytes(state, name)
    assert decode_state(packed, name, state.expected, is_zstd=True).equals(state)


def test_into_a_callers_buffer() -> None:
    state = plain()
    for name in FORMATS:
        out = np.zeros(encoded_bytes(state, name), np.uint8)
        assert encode_state(state, name, out=out) is out
        assert out.tobytes() == encode_state(state, name).tobytes()
        with pytest.raises(InputError, match="out: a writable"):
            encode_state(state, name, out=np.zeros(out.size + 8, np.uint8))


def test_bad_states_are_refused() -> None:
    wide = 0x6040000000100054
    for ids, values, given_wide, message in (
        ([wide], [[0]], {}, "`wide` has to hold"),
        ([0x6030000000160000], [[0]], {wide: np.zeros((1, 16), np.uint8)}, "`wide` has to hold"),
        ([wide], [[0]], {wide: np.zeros((2, 16), np.uint8)}, r"uint8\[1, 16\]"),
        ([2, 1], [[0, 0]], {}, "must ascend"),
        ([0x60F0000000000000], [[0]], {}, "2048 is the most"),
        ([0x6020000000110000], [[1 << 32]], {}, "does not fit its 32 bits"),
        ([0x6030000000160000], [[0, 1]], {}, "2 columns for 1 ids"),
    ):
        with pytest.raises(InputError, match=message):
            RegisterState.of(ids, values, wide=given_wide)
    with pytest.raises(InputError, match=r"format is 'tar': it must be one of values, id\+value, "):
        encode_state(plain(), "tar")
    with pytest.raises(InputError, match="bool"):
        decode_state(b"", Codec.VALUES_GLOBAL_ONCE.value, Expected.of([0x6030000000160000], n_vcpu=1))
