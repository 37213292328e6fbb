"""Damaged payloads: an InputError that names the byte, never a traceback, never a wrong number where it can be told."""

from __future__ import annotations

import re
import struct
import time

import numpy as np
import pytest

from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.register_sets import bitmap_ids
from fastsmc.migrate.formats import FORMATS, Expected, RegisterState, decode_state, encode_state
from tests.support.format_states import plain

OFFSET = re.compile(r"byte \d+|^vCPU \d+, register 0x")
VALUES_ONLY = ("values", "values, VM-global once")
"""Formats in which any bytes are some values: only their length tells."""
N_SLOW, N_QUICK = 100_000, 1500


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cut", [-1, -8, -9, -100, 1, 8, 4096])
def test_cut_off_and_extended(name: str, cut: int) -> None:
    state = plain()
    data = encode_state(state, name).tobytes()
    damaged = data[:cut] if cut < 0 else data + b"\0" * cut
    with pytest.raises(InputError, match=r"byte \d+"):
        decode_state(damaged, name, state.expected)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 64, b"{" * 5000])
def test_nothing_and_noise(name: str, data: bytes) -> None:
    with pytest.raises(InputError):
        decode_state(data, name, plain().expected)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in (*VALUES_ONLY, "delta against vCPU 0")])
def test_other_ids_of_the_same_sizes(name: str) -> None:
    state = plain()
    data = encode_state(state, name)
    other = state.ids.copy()
    other[-1] += np.uint64(1)
    with pytest.raises(InputError, match=r"byte \d+"):
        decode_state(data, name, Expected.of(other, n_vcpu=state.n_vcpu, is_global=state.is_global))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("n_reg", "n_vcpu"), [(70, 2), (70, 4), (69, 3)])
def test_other_counts(name: str, n_reg: int, n_vcpu: int) -> None:
    state = plain()
    expected = plain(n_vcpu, n_reg).expected
    with pytest.raises(InputError, match=OFFSET):
        decode_state(encode_state(state, name), name, expected)


@pytest.mark.parametrize(
    ("word", "value", "at"),
    [
        (3, 1 << 3, 8 * 3),  # a bit of no register
        (4, 12, 8 * 4),  # a value that is vCPU 0's after all
    ],
)
def test_a_delta_that_no_encoder_writes(word: int, value: int, at: int) -> None:
    ids, name = bitmap_ids(3), "delta against vCPU 0"
    words = [11, 12, 13, 1 << 1, 22]
    words[word] = value
    with pytest.raises(InputError, match=f"byte {at}: no row of 3 registers"):
        decode_state(struct.pack(">5Q", *words), name, Expected.of(ids, n_vcpu=2))


@pytest.mark.parametrize(
    "number", [b"18446744073709551616", b"18446744073709551619", b"1" * 21, b"00", b"", b"-1", b"1."]
)
def test_a_number_in_json_fits_64_bits_and_has_no_leading_zero(number: bytes) -> None:
    name, state = "cloud-hypervisor-like", RegisterState.of(bitmap_ids(1), [[12345]])
    text = encode_state(state, name).tobytes()
    largest = text.replace(b"12345", b"18446744073709551615")
    assert decode_state(largest, name, state.expected).values[0, 0] == (1 << 64) - 1
    with pytest.raises(InputError, match=r"byte 1[4-7]\d: vCPU 0: no register as expected, or no number of 64 bits"):
        decode_state(text.replace(b"12345", number), name, state.expected)


@pytest.mark.parametrize("is_zstd", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_mutants_in_bounded_time(name: str, is_zstd: bool) -> None:
    mutate(name, N_QUICK, is_zstd)


@pytest.mark.soak(f"{N_SLOW:,} damaged payloads per format; make test tries {N_QUICK:,}")
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutants(name: str) -> None:
    mutate(name, N_SLOW, is_zstd=False)


def mutate(name: str, n: int, is_zstd: bool) -> None:
    """A mutant is refused, or is exactly what the values read from it encode to (where every byte tells something)."""
    if is_zstd:
        pytest.importorskip("zstandard", reason="zstandard is not installed")
    state, rng = plain(3, 9), np.random.default_rng(5)
    data = encode_state(state, name, zstd_level=1 if is_zstd else None).tobytes()
    longest = n_read = 0.0
    for _ in range(n):
        mutant = damaged(data, rng)
        start = time.process_time()
        try:
            read = decode_state(mutant, name, state.expected, is_zstd=is_zstd)
        except FastsmcError:
            pass
        else:
            n_read += 1
            if not is_zstd and name != "qemu cpu section" and not name.endswith("once"):
                assert encode_state(read, name).tobytes() == mutant
        longest = max(longest, time.process_time() - start)
    assert longest < 2
    if name == "firecracker-like" and not is_zstd:
        assert n_read <= 1e-3 * n  # the CRC: only mutants that happen to change nothing


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three of: a bit turned, a byte set, a piece cut out, doubled, or filled."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, n = int(rng.integers(max(1, len(out)))), int(rng.integers(1, 40))
        kind = int(rng.integers(6))
        if not out:
            break
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at] = int(rng.integers(256))
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = out[at : at + n]
        elif kind == 4:
            out[at : at + n] = b"\xff" * len(out[at : at + n])
        else:
            del out[at:]
    return bytes(out)
