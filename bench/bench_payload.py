"""Register payloads: our loops against NumPy's byte swap and a copy of as many bytes.

Inputs rotate over eight buffers, which at 1024 vCPUs no cache holds: one buffer used again and again would be read
from there. A copy is the floor for anything that reads and writes every byte once; encoding ids and values reads
half of what it writes and may be below it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsmc.facts.register_sets import bitmap_ids, register_set, vm_global_mask
from fastsmc.migrate.arrays import Arrays
from fastsmc.migrate.kernels.arrays import column_differences
from fastsmc.migrate.payload import Codec, decode, encode, payload_bytes

N_BUFFER = 8
SHAPES = [(16, 182), (512, 182), (1024, 1024)]
U64Array = NDArray[np.uint64]


class Case:
    """Ids, eight matrices of values, and eight outputs of either width, touched beforehand."""

    def __init__(self, n_vcpu: int, n_reg: int) -> None:
        rng = np.random.default_rng([7, n_vcpu, n_reg])
        self.shape = n_vcpu, n_reg
        self.ids = register_set("7.3").cpreg_ids if n_reg == 182 else bitmap_ids(n_reg)
        self.ids_be = self.ids.byteswap()
        self.is_global = vm_global_mask(self.ids) if n_reg == 182 else np.arange(n_reg) < n_reg // 3
        self.values = rng.integers(0, 1 << 32, (N_BUFFER, n_vcpu, n_reg), np.uint64)  # 32-bit registers hold these too
        self.values[:, :, self.is_global] = self.values[:, :1, self.is_global]
        self.narrow = np.ones((N_BUFFER, n_vcpu, n_reg), np.uint64)
        self.wide = np.ones((N_BUFFER, n_vcpu, 2 * n_reg), np.uint64)
        self.bare = Arrays(self.ids, has_ids=False, once=None)
        self.named = Arrays(self.ids, has_ids=True, once=None)


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*request.param)


def rotated(benchmark: Any, case: Case, size: int, function: Callable[[int], object]) -> None:
    """Time the function on one buffer after the other, each touched once before, and all of them once at the end."""
    for i in range(N_BUFFER):
        function(i)
    turn = cycle(range(N_BUFFER))
    benchmark.extra_info.update(n_vcpu=case.shape[0], n_reg=case.shape[1], payload_bytes=size)
    benchmark(lambda: function(next(turn)))
    for i in range(N_BUFFER):
        function(i)


def copy_of(benchmark: Any, case: Case, source: U64Array) -> None:
    target = np.ones_like(source)
    rotated(benchmark, case, source[0].nbytes, lambda i: np.copyto(target[i], source[i]))
    assert np.array_equal(target, source)


@pytest.mark.benchmark(group="kernel")
@pytest.mark.parametrize("width", ["values", "id+value"])
def bench_copy(benchmark: Any, case: Case, width: str) -> None:
    copy_of(benchmark, case, case.values if width == "values" else case.wide)


@pytest.mark.benchmark(group="kernel")
@pytest.mark.parametrize("library", ["fastsmc", "numpy"])
def bench_encode_values(benchmark: Any, case: Case, library: str) -> None:
    def ours(i: int) -> None:
        case.bare.write(case.values[i], case.narrow[i].reshape(-1))

    def numpy(i: int) -> None:
        np.copyto(case.narrow[i].view(">u8"), case.values[i])

    rotated(benchmark, case, case.narrow[0].nbytes, ours if library == "fastsmc" else numpy)
    assert np.array_equal(case.narrow, case.values.byteswap())


@pytest.mark.benchmark(group="kernel")
@pytest.mark.parametrize("library", ["fastsmc", "numpy"])
def bench_encode_ids_and_values(benchmark: Any, case: Case, library: str) -> None:
    n_reg = case.shape[1]

    def ours(i: int) -> None:
        case.named.write(case.values[i], case.wide[i].reshape(-1))

    def numpy(i: int) -> None:
        case.wide[i, :, :n_reg] = case.ids_be
        np.copyto(case.wide[i, :, n_reg:].view(">u8"), case.values[i])

    rotated(benchmark, case, case.wide[0].nbytes, ours if library == "fastsmc" else numpy)
    assert (case.wide[:, :, :n_reg] == case.ids_be).all()
    assert np.array_equal(case.wide[:, :, n_reg:], case.values.byteswap())


@pytest.mark.benchmark(group="kernel")
@pytest.mark.parametrize("library", ["fastsmc", "numpy"])
def bench_decode_ids_and_values(benchmark: Any, case: Case, library: str) -> None:
    n_reg = case.shape[1]
    case.wide[:, :, :n_reg] = case.ids_be
    case.wide[:, :, n_reg:] = case.values.byteswap()
    differs = np.zeros(case.shape[0], np.bool_)

    def ours(i: int) -> None:
        case.named.read(case.wide[i].reshape(-1), case.narrow[i])

    def numpy(i: int) -> None:
        differs[:] = (case.wide[i, :, :n_reg] != case.ids_be).any(axis=1)
        np.copyto(case.narrow[i], case.wide[i, :, n_reg:].view(">u8"))

    rotated(benchmark, case, case.wide[0].nbytes, ours if library == "fastsmc" else numpy)
    assert np.array_equal(case.narrow, case.values)
    assert not differs.any()


@pytest.mark.benchmark(group="kernel")
@pytest.mark.parametrize("library", ["fastsmc", "numpy"])
def bench_equal_columns(benchmark: Any, case: Case, library: str) -> None:
    equal = np.zeros((N_BUFFER, case.shape[1]), np.bool_)
    bits = np.empty(case.shape[1], np.uint64)

    def ours(i: int) -> None:
        column_differences(case.values[i], bits)
        np.equal(bits, 0, out=equal[i])

    def numpy(i: int) -> None:
        np.all(case.values[i] == case.values[i, 0], axis=0, out=equal[i])

    rotated(benchmark, case, case.values[0].nbytes, ours if library == "fastsmc" else numpy)
    assert (equal == case.is_global).all()


@pytest.mark.benchmark(group="operation")
@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("way", ["encode", "decode"])
def bench_payload(benchmark: Any, case: Case, codec: Codec, way: str) -> None:
    """The public functions, with their checks and a new buffer each time."""
    n_vcpu, n_reg = case.shape
    streams = [encode(case.ids, values, codec, is_global=case.is_global) for values in case.values]
    result: list[NDArray[Any]] = [np.empty(0)] * N_BUFFER

    def run(i: int) -> None:
        if way == "encode":
            result[i] = encode(case.ids, case.values[i], codec, is_global=case.is_global)
        else:
            result[i] = decode(streams[i], case.ids, codec, n_vcpu=n_vcpu, is_global=case.is_global)

    size = int(payload_bytes(codec, n_reg=n_reg, n_vcpu=n_vcpu, n_global=case.is_global.sum()))
    rotated(benchmark, case, size, run)
    expected = streams if way == "encode" else list(case.values)
    assert all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))
    assert streams[0].size == size
