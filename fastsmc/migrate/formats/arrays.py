"""The bare arrays of `fastsmc.migrate.encode` as formats: values, id + value, and both with VM-global once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import U8Array, U64Array
from fastsmc.migrate.formats.base import check_length
from fastsmc.migrate.formats.state import Expected, RegisterState
from fastsmc.migrate.payload import Codec, PayloadLayout, layout_of


@dataclass(frozen=True, slots=True)
class ArrayFormat:
    """A `Codec`; 32- and 64-bit registers in slots of 8 bytes, big-endian."""

    codec: Codec

    @property
    def name(self) -> str:
        """The name of the format, which is the codec's value."""
        return self.codec.value

    def _layout(self, of: RegisterState | Expected) -> PayloadLayout:
        return layout_of(of.ids, self.codec, is_global=of.is_global)

    def n_bytes(self, state: RegisterState) -> int:
        """8 or 16 bytes per register sent."""
        return self._layout(state).n_bytes(state.n_vcpu)

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """As `fastsmc.migrate.encode`."""
        self._layout(state).encode(state.values, out=out)

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """As `fastsmc.migrate.decode`."""
        layout = self._layout(expected)
        what = f"{expected.ids.size} registers x {expected.n_vcpu} vCPUs as {self.name!r}"
        check_length(data, layout.n_bytes(expected.n_vcpu), what)
        values = layout.decode(data, n_vcpu=expected.n_vcpu)
        return RegisterState(expected.ids, values, {}, expected.is_global)


@dataclass(frozen=True, slots=True)
class IdsOnce:
    """Counts and ids in front, once; then values, vCPU after vCPU. 16 + 8R + 8RV bytes, big-endian."""

    name: str = "ids once"

    def n_bytes(self, state: RegisterState) -> int:
        """16 + 8R + 8RV."""
        layout = layout_of(state.ids, Codec.VALUES)
        return 8 * (2 + state.ids.size) + layout.n_bytes(state.n_vcpu)

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """Number of registers, of vCPUs, ids, values."""
        head = _head(state.expected)
        out[: head.nbytes] = head.view(np.uint8)
        layout_of(state.ids, Codec.VALUES).encode(state.values, out=out[head.nbytes :])

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """Compares counts and ids before anything else."""
        layout, head = layout_of(expected.ids, Codec.VALUES), _head(expected)
        found = data[: head.nbytes]
        words = found[: found.size // 8 * 8].view(np.uint64)
        wrong = np.flatnonzero(words != head[: words.size])
        if wrong.size:
            i = int(wrong[0])
            what = ("registers", "vCPUs")[i] if i < 2 else f"as id of register {i - 2}"
            raise _other(i, what, int(words[i].byteswap()), int(head[i].byteswap()))
        size = head.nbytes + layout.n_bytes(expected.n_vcpu)
        check_length(data, size, f"{expected.ids.size} registers x {expected.n_vcpu} vCPUs as {self.name!r}")
        values = np.empty((expected.n_vcpu, expected.ids.size), np.uint64)
        layout.arrays.read(data[head.nbytes :].view(np.uint64), values, offset=head.nbytes)
        return RegisterState(expected.ids, values, {}, expected.is_global)


def _head(of: Expected) -> U64Array:
    return np.concatenate((np.array([of.ids.size, of.n_vcpu], np.uint64), of.ids)).byteswap()


def _other(word: int, what: str, found: int, right: int) -> Exception:
    from fastsmc.migrate.formats.base import damage

    return damage(8 * word, f"{found:#x} {what} in the data, {right:#x} expected")
