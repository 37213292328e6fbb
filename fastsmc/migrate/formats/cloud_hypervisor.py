"""Like Cloud Hypervisor's state.json: each vCPU's registers as JSON, inside a JSON string with its quotes escaped.

An entry is {"id":..,"addr":..} in decimal, 36 to 55 bytes with the comma, 40 to 59 with its quotes escaped. Real files
hold more: core registers as the bytes of a struct, SVE as lists of bytes, and every other device. Only registers of 32
and 64 bits outside the core are written here. Source: Cloud Hypervisor hypervisor/src/kvm/aarch64/mod.rs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import I64Array, U8Array, U64Array
from fastsmc.errors import InputError
from fastsmc.facts.registers import CLASS_CORE, CLASS_MASK
from fastsmc.migrate._checks import checked_ids
from fastsmc.migrate.formats.base import damage
from fastsmc.migrate.formats.state import Expected, RegisterState, check_widths

_HEAD = b'{"snapshots":{"cpu-manager":{"snapshots":{'
_TAIL = b'},"snapshot_data":{}}},"snapshot_data":{}}'
_OPEN = b'{"snapshots":{},"snapshot_data":{"state":"{\\"Kvm\\":{\\"sys_regs\\":['
_CLOSE = b']}}"}}'


@dataclass(frozen=True, slots=True)
class CloudHypervisorLike:
    """Registers as Cloud Hypervisor's JSON has them; 32- and 64-bit registers outside the core only."""

    name: str = "cloud-hypervisor-like"

    def n_bytes(self, state: RegisterState) -> int:
        """Frame, and per value 19 + digits of the id + digits of the value, a brace and a comma."""
        from fastsmc.migrate.kernels.records import count_digits

        text, _ = _pieces(state.ids)
        n_vcpu = state.n_vcpu
        frame = len(_HEAD) + len(_TAIL) + sum(len(_opening(v)) for v in range(n_vcpu)) + n_vcpu * len(_CLOSE)
        entries = n_vcpu * (text.size + 2 * state.ids.size - 1)
        return frame + n_vcpu - 1 + entries + int(count_digits(state.values.reshape(-1)))

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """The whole file, without spaces."""
        from fastsmc.migrate.kernels.records import write_json

        text, start = _pieces(state.ids)
        at = _put(out, 0, _HEAD)
        for vcpu in range(state.n_vcpu):
            at = _put(out, at, (b"," if vcpu else b"") + _opening(vcpu))
            at += write_json(state.values[vcpu], text, start, out[at:])
            at = _put(out, at, _CLOSE)
        _put(out, at, _TAIL)

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """Exactly what `encode` writes; `inspect` reads JSON that is laid out otherwise."""
        from fastsmc.migrate.kernels.records import read_json

        text, start = _pieces(expected.ids)
        values = np.empty((expected.n_vcpu, expected.ids.size), np.uint64)
        at = _take(data, 0, _HEAD)
        for vcpu in range(expected.n_vcpu):
            at = _take(data, at, (b"," if vcpu else b"") + _opening(vcpu))
            used = int(read_json(data[at:], text, start, values[vcpu]))
            if used < 0:
                raise damage(at - 1 - used, f"vCPU {vcpu}: no register as expected, or no number of 64 bits")
            at = _take(data, at + used, _CLOSE)
        at = _take(data, at, _TAIL)
        if at != data.size:
            raise damage(at, f"{data.size - at} bytes follow the end")
        check_widths(expected.ids, values)
        return RegisterState(expected.ids, values, {}, expected.is_global)


def _opening(vcpu: int) -> bytes:
    return b'"%d":' % vcpu + _OPEN


def _pieces(ids: U64Array) -> tuple[U8Array, I64Array]:
    """What stands before each value: uint8[n_byte], and where each begins, int64[n_reg + 1].

    Raises:
        InputError: a register of the core, or one that is wider than 64 bits.
    """
    names = checked_ids(ids).tolist()
    core = [reg for reg in names if reg & CLASS_MASK == CLASS_CORE]
    if core:
        msg = f"register {core[0]:#x} is of the core: Cloud Hypervisor keeps those in a struct that is not written here"
        raise InputError(msg)
    texts = [b'{\\"id\\":%d,\\"addr\\":' % reg for reg in names]
    start = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), start


def _put(out: U8Array, at: int, text: bytes) -> int:
    out[at : at + len(text)] = np.frombuffer(text, np.uint8)
    return at + len(text)


def _take(data: U8Array, at: int, text: bytes) -> int:
    found = data[at : at + len(text)].tobytes()
    if found != text:
        same = next((i for i, (a, b) in enumerate(zip(found, text, strict=False)) if a != b), len(found))
        raise damage(at + same, f"{found[same : same + 12]!r}, {text[same : same + 12]!r} expected")
    return at + len(text)
