"""QEMU's cpu sections: rebuilt from the registers a real stream holds, and compared with the stream's own bytes."""

from __future__ import annotations

import lzma

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.formats import RegisterState, decode_state, encode_state, encoded_bytes
from fastsmc.migrate.qemu.size import size
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.qemu.cpu import CpuFields, core_bank, cpreg_banks
from tests.support.format_states import VLS, plain, recorded
from tests.support.read_samples import STREAMS

NAME = "qemu cpu section"
CORE = 0x6030000000100000
HEAD, FOOT = 17, 5


def with_sve(state: RegisterState) -> RegisterState:
    """The same with SVE registers, all zero."""
    z = {0x6080000000150000 | n << 5: 256 for n in range(32)}
    wide = z | {0x6050000000150400 | n << 5: 32 for n in range(17)}
    ids = np.concatenate((state.ids, np.array(sorted(wide), np.uint64)))
    order = np.argsort(ids)
    values = np.zeros((state.n_vcpu, ids.size), np.uint64)
    values[:, : state.ids.size] = state.values
    rows = {reg: np.zeros((state.n_vcpu, size), np.uint8) for reg, size in wide.items()}
    return RegisterState.of(ids[order], values[:, order], wide=rows)


@pytest.mark.parametrize(
    ("stream", "has_sve"),
    [
        ("cortex-a57-2", False),
        ("cortex-a57-2-live", False),
        ("cortex-a57-64", False),
        ("cortex-a57-4-gicv2-nodesc", False),
        ("neoverse-n1-2-nodesc", False),
        ("max-4", True),
    ],
)
def test_sections_of_a_real_stream_are_rebuilt_byte_for_byte(stream: str, has_sve: bool) -> None:
    """All but what no register tells: whether a vCPU is on, and AArch32's FPU id registers, which KVM leaves 0."""
    path = STREAMS / f"{stream}.bin.xz"
    found = inspect(path)
    assert found.core is not None
    state = RegisterState.of_bank(*found.banks, found.core)
    if has_sve:
        state = with_sve(state)
    rows = encode_state(state, NAME).reshape(state.n_vcpu, -1)
    sizes = [part.n_bytes for part in found.parts if part.name == "cpu"]
    assert sizes == [rows.shape[1]] * state.n_vcpu
    untold = _places_untold(found.banks[0].registers.n_reg)
    real, at = lzma.decompress(path.read_bytes()), 0
    for row in rows:
        at = real.find(row[:HEAD].tobytes(), at)
        assert at > 0, "the section's head"
        differs = np.flatnonzero(np.frombuffer(real, np.uint8, row.size, at) != row)
        assert set(differs.tolist()) <= untold
        at += row.size
    assert decode_state(rows.reshape(-1), NAME, state.expected).equals(state)


def _places_untold(n_cpreg: int) -> set[int]:
    """power_state; vfp.xregs, 4 + 56 bytes. By hand from the description: fields after the arrays, then cpu/vfp."""
    power = HEAD + 572 + 16 * n_cpreg + 64
    vfp = power + 1 + 2 + len("cpu/vfp") + 4 + 32 * 16
    return {power, *range(vfp, vfp + 60)}


def test_our_reader_reads_what_we_write() -> None:
    state = recorded(without=[VLS])
    core = [reg for reg in state.ids.tolist() if reg >> 16 & 0xFFF == 0x10 and reg >> 52 & 15 <= 3]
    rows = encode_state(state, NAME).reshape(state.n_vcpu, -1)
    cpus = [CpuFields(v, memoryview(row[HEAD:-FOOT].tobytes()), 0) for v, row in enumerate(rows)]
    (bank,) = cpreg_banks(cpus, "ours")
    columns = np.searchsorted(state.ids, bank.registers.ids)
    assert bank.values is not None
    np.testing.assert_array_equal(bank.values, state.values[:, columns])
    assert set(bank.registers.ids.tolist()) == {r for r in state.ids.tolist() if r >> 16 & 0xFFF not in (0x10, 0x15)}
    read = core_bank(cpus, "ours")
    assert read.values is not None
    shown = dict(zip(read.registers.ids.tolist(), read.values.T.tolist(), strict=True))
    for reg in set(core) & shown.keys():
        assert shown[reg] == state.values[:, np.searchsorted(state.ids, np.uint64(reg))].tolist(), hex(reg)
    assert len(set(core) & shown.keys()) == 41


@pytest.mark.parametrize("features", ["psci02", "psci02+sve"])
def test_all_registers_of_a_recorded_vcpu_come_back(features: str) -> None:
    state = recorded(features, without=[VLS])
    buffer = encode_state(state, NAME)
    assert buffer.size == encoded_bytes(state, NAME)
    assert decode_state(buffer, NAME, state.expected).equals(state)
    has_sve = "sve" in features
    n_cpreg = sum(reg >> 16 & 0xFFF not in (0x10, 0x15) for reg in state.ids.tolist())
    assert buffer.size == 3 * ((5417 if has_sve else 1276) + 16 * n_cpreg)
    parts = size(n_cpreg, n_vcpu=3, has_sve=has_sve).parts
    assert {part.bytes for part in parts if part.name == "cpu"} == {buffer.size // 3}


def test_the_stack_pointer_in_use_stands_in_xregs_31() -> None:
    """pstate 0x3c5 is EL1 with its own stack pointer, 0x3c4 EL1 with EL0's, 0x3c0 EL0."""
    ids = [CORE | 62, CORE | 66, CORE | 68, 0x6030000000160000]
    values = [[0x11, pstate, 0x22, 0] for pstate in (0x3C5, 0x3C4, 0x3C0)]
    rows = encode_state(RegisterState.of(ids, values), NAME).reshape(3, -1)
    at = HEAD + 64 + 8 * 31
    assert rows[:, at + 7].tolist() == [0x22, 0x11, 0x11]


@pytest.mark.parametrize(
    ("reg", "value", "message"),
    [
        (0x60200000001000D4, 1 << 8, "0x60200000001000d4 has bits outside 0xf800009f"),
        (0x60200000001000D5, 1, "0x60200000001000d5 has bits outside 0x7ff9f00"),
        (CORE | 66, 1 << 32, "bits outside 0xffffffff"),
    ],
)
def test_values_that_qemus_fields_would_cut_are_refused(reg: int, value: int, message: str) -> None:
    state = RegisterState.of([reg, 0x6030000000160000], [[value, 0]])
    with pytest.raises(InputError, match=message):
        encode_state(state, NAME)


def test_a_vector_register_beyond_1024_bits_is_refused() -> None:
    state = with_sve(plain(1, 2))
    state.wide[0x6080000000150000][0, 128] = 1
    with pytest.raises(InputError, match="bits beyond 1024"):
        encode_state(state, NAME)


def test_every_byte_of_a_vector_register_has_its_place() -> None:
    """d[0] and d[1] in cpu/vfp, d[2] to d[15] in cpu/sve, P registers and FFR behind them; words of 8, big-endian."""
    state = with_sve(plain(1, 2))
    z, ffr = 0x6080000000150000 | 31 << 5, 0x6050000000150600
    state.wide[z][0, :128] = np.arange(1, 129)
    state.wide[ffr][0] = np.arange(200, 232)
    values = state.values.copy()
    for reg in (z, ffr):
        values[0, np.searchsorted(state.ids, np.uint64(reg))] = state.wide[reg][0, :8].view("<u8")[0]
    state = RegisterState.of(state.ids, values, wide=dict(state.wide))
    buffer = encode_state(state, NAME)
    vfp = HEAD + 572 + 16 * 2 + 64 + 1 + 13
    sve = vfp + 512 + 60 + 4 + 13
    words = state.wide[z][0, :128].reshape(16, 8)[:, ::-1]
    assert buffer[vfp + 31 * 16 :][:16].tobytes() == words[:2].tobytes()
    assert buffer[sve + 31 * 112 :][:112].tobytes() == words[2:].tobytes()
    assert buffer[sve + 32 * 112 + 16 * 32 :][:32].tobytes() == state.wide[ffr][0].reshape(4, 8)[:, ::-1].tobytes()
    assert decode_state(buffer, NAME, state.expected).equals(state)
