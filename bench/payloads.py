"""Cases of register payloads: 1024 registers x 1024 vCPUs into bytes and back, against a copy of as many bytes.

The ids are 1024 of the firmware bitmap class. VM-global are those in the places where a real list of 182 registers has
them, over and over: 381 of 1024, in runs. Everybody writes into the same warm buffers, so no page faults are measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.baseline import aligned
from bench.cases import Setup, agree
from bench.timing import Contestant, Times, ratio
from fastsmc.facts.register_sets import bitmap_ids, register_set, vm_global_mask
from fastsmc.migrate.payload import Codec, PayloadLayout, equal_columns

N_REG = N_VCPU = 1024
_PATTERN = "1024 registers x 1024 vCPUs"


class _Vm:
    """Values, scopes, and the buffers that all contestants use."""

    def __init__(self) -> None:
        rng = np.random.default_rng(6)
        self.ids = bitmap_ids(N_REG)
        self.is_global = np.resize(vm_global_mask(register_set("7.3").cpreg_ids), N_REG)
        self.values = aligned(N_REG * N_VCPU, np.uint64, fill=False).reshape(N_VCPU, N_REG)
        self.values[:] = rng.integers(0, 1 << 64, (N_VCPU, N_REG), np.uint64)
        self.values[:, self.is_global] = self.values[0, self.is_global]

    def layout(self, codec: Codec) -> PayloadLayout:
        return PayloadLayout(self.ids, codec, is_global=self.is_global)


def _setup(
    what: str, ours: Callable[[], object], numpy: Callable[[], object], copy: tuple[NDArray[Any], NDArray[Any]]
) -> Setup:
    """`stream` is np.copyto of `copy`: (target, source)."""
    size = N_REG * N_VCPU
    contestants = {
        "ours": Contestant(ours, size),
        "stream": Contestant(lambda: np.copyto(*copy), size),
        "numpy": Contestant(numpy, size),
    }
    more: dict[str, Callable[[Times], float]] = {"times_copy": lambda t: 1 / ratio(t, "stream")}
    return Setup(f"{what}, {_PATTERN}", f"copy of {copy[1].nbytes >> 20} MiB", contestants, more)


def values() -> Setup:
    """Values only: 8 MiB against a copy of 8 MiB."""
    vm, out = _Vm(), aligned(8 * N_REG * N_VCPU, np.uint8)
    layout = vm.layout(Codec.VALUES)
    expected = vm.values.byteswap().reshape(-1).view(np.uint8)
    matrix = out.view(">u8").reshape(vm.values.shape)
    setup = _encoding("values into 8 MiB", vm, layout, lambda: np.copyto(matrix, vm.values), out, expected)
    same = out.view(np.uint64).reshape(vm.values.shape)
    setup.contestants["stream"] = Contestant(lambda: np.copyto(same, vm.values), N_REG * N_VCPU)
    return setup


def ids_and_values() -> Setup:
    """QEMU's arrays: 16 MiB against a copy of 16 MiB."""
    vm, out = _Vm(), aligned(16 * N_REG * N_VCPU, np.uint8)
    rows = out.view(">u8").reshape(N_VCPU, 2, N_REG)

    def numpy() -> None:
        rows[:, 0] = vm.ids
        rows[:, 1] = vm.values

    numpy()
    return _encoding("id + value into 16 MiB", vm, vm.layout(Codec.QEMU), numpy, out, out.copy())


def _encoding(
    what: str, vm: _Vm, layout: PayloadLayout, numpy: Callable[[], object], out: NDArray[Any], expected: NDArray[Any]
) -> Setup:
    def ours() -> None:
        layout.encode(vm.values, out=out)

    for name, function in (("ours", ours), ("numpy", numpy)):
        out[:] = 0
        function()
        agree(name, out, expected)
    return _setup(what, ours, numpy, (out, expected))


def global_columns() -> Setup:
    """Which registers are equal on all vCPUs: reads 8 MiB, against a copy of them."""
    vm, out = _Vm(), aligned(N_REG * N_VCPU, np.uint64).reshape(N_VCPU, N_REG)
    agree("ours", equal_columns(vm.values), vm.is_global)

    def numpy() -> NDArray[np.bool_]:
        equal: NDArray[np.bool_] = (vm.values == vm.values[0]).all(axis=0)
        return equal

    agree("numpy", numpy(), vm.is_global)
    return _setup("equal columns found", lambda: equal_columns(vm.values), numpy, (out, vm.values))


def restore() -> Setup:
    """A stream with VM-global registers sent once back into 8 MiB, against a copy of 8 MiB: what is written counts."""
    vm, out = _Vm(), aligned(N_REG * N_VCPU, np.uint64).reshape(N_VCPU, N_REG)
    layout, shared = vm.layout(Codec.VALUES_GLOBAL_ONCE), np.flatnonzero(vm.is_global)
    stream, own = layout.encode(vm.values), np.flatnonzero(~vm.is_global)
    first = stream[: 8 * N_REG].view(">u8")
    later = stream[8 * N_REG :].view(">u8").reshape(N_VCPU - 1, own.size)

    def ours() -> None:
        layout.decode(stream, n_vcpu=N_VCPU, out=out)

    def numpy() -> None:
        out[0] = first
        out[1:, own] = later
        out[1:, shared] = out[0, shared]

    for name, function in (("ours", ours), ("numpy", numpy)):
        out[:] = 0
        function()
        agree(name, out, vm.values)
    return _setup("VM-global once, read back", ours, numpy, (out, vm.values))


PAYLOADS: dict[str, Callable[[], Setup]] = {
    "migration-values": values,
    "migration-id-value": ids_and_values,
    "migration-global-columns": global_columns,
    "migration-restore": restore,
}
"""The cases by name, of one size each."""
