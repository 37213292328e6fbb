"""QEMU's `cpu` sections, from type byte to footer: 1276 + 16R bytes a vCPU, 5417 + 16R with SVE.

R system registers go in arrays of ids and values, whatever KVM lists; core, vector and SVE registers have places of
their own. The layout is QEMU's description of its own streams (fastsmc/data). The fields beside registers hold what a
vCPU that takes no exception has; vfp.xregs, which KVM does not fill, is 0.

QEMU carries 32 and 64 bits in its arrays and refuses others. FPSR and FPCR share a field of 32 bits; xregs[31] is the
stack pointer in use. Source: QEMU target/arm/machine.c, kvm.c, cpu.h (FPSR_MASK, FPCR_MASK), helper of pstate's SP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fastsmc.checks import BoolArray, U8Array, U64Array
from fastsmc.errors import InputError
from fastsmc.facts.registers import (
    ARCH_ARM64,
    CLASS_CORE,
    CLASS_MASK,
    CLASS_SVE,
    SIZE_SHIFT,
    SIZE_U32,
    core_register,
    reg_size,
)
from fastsmc.migrate.formats.base import check_length, damage
from fastsmc.migrate.formats.records import Field, Record, WideField
from fastsmc.migrate.formats.state import Expected, RegisterState, check_widths
from fastsmc.migrate.qemu.layout import Layout, cut, recorded, with_elements

_FULL, _FOOTER, _SUBSECTION = 0x04, 0x7E, 0x05
_ID_AT, _INSTANCE_AT, _FOOT_BYTES = 1, 9, 4
_MINUS_ONE = ("env.exclusive_addr", "gt_timer[0]", "gt_timer[1]")
"""Fields that are all ones in every stream seen: no exclusive access, no timer armed."""

_SP, _PC, _PSTATE, _SP_EL1, _ELR_EL1 = (core_register(at) for at in (248, 256, 264, 272, 280))
_FPSR, _FPCR = (core_register(at, SIZE_U32) for at in (848, 852))
_FPSR_MASK, _FPCR_MASK = np.uint64(0xF800_009F), np.uint64(0x07FF_9F00)
_VREG = core_register(336, 4 << SIZE_SHIFT)
_ZREG = ARCH_ARM64 | 8 << SIZE_SHIFT | CLASS_SVE
_PREG = ARCH_ARM64 | 5 << SIZE_SHIFT | CLASS_SVE | 0x400
_Z_BYTES = 128
"""Bytes of a Z register's 256 that QEMU's layout has room for: vectors of 1024 bits. Source: QEMU's description."""


@dataclass(frozen=True, slots=True)
class QemuSection:
    """Registers as QEMU's `cpu` sections have them.

    Attributes:
        first_id, id_step: section ids; each vCPU's `cpu_common` comes before its `cpu`, as on machine virt.
    """

    name: str = "qemu cpu section"
    first_id: int = 7
    id_step: int = 2

    def n_bytes(self, state: RegisterState) -> int:
        """V * (1276 + 16R), with SVE V * (5417 + 16R)."""
        section = _section(state.ids.tobytes())
        return state.n_vcpu * ((5417 if section.has_sve else 1276) + 16 * section.cpreg_ids.size)

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """All vCPUs' sections one after another, without the `cpu_common` between them."""
        section = _section(state.ids.tobytes())
        section.check_values(state)
        rows = out.reshape(state.n_vcpu, -1)
        section.record.write(state.values, dict(state.wide), rows)
        vcpus = np.arange(state.n_vcpu)
        ids = _be32(self.first_id + self.id_step * vcpus)
        rows[:, _ID_AT : _ID_AT + 4] = ids
        rows[:, -_FOOT_BYTES:] = ids
        rows[:, _INSTANCE_AT : _INSTANCE_AT + 4] = _be32(vcpus)
        section.write_special(state, rows)

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """Frames, lengths and ids have to be there; fields that hold no register of `expected` are passed over."""
        section = _section(expected.ids.tobytes())
        n_vcpu, size = expected.n_vcpu, section.record.template.size
        check_length(data, n_vcpu * size, f"{section.cpreg_ids.size} cpregs x {n_vcpu} vCPUs as {self.name!r}")
        rows = data.reshape(n_vcpu, size)
        section.record.check(rows, 0, "cpu section")
        for at, words, right in (
            (_INSTANCE_AT, "instance", _be32(np.arange(n_vcpu))),
            (size - _FOOT_BYTES, "footer", rows[:, _ID_AT : _ID_AT + 4]),
        ):
            wrong = (rows[:, at : at + 4] != right).any(axis=1)
            if wrong.any():
                v = int(np.argmax(wrong))
                found = rows[v, at : at + 4].tobytes().hex()
                raise damage(v * size + at, f"cpu section {v}: {words} {found}, {right[v].tobytes().hex()} expected")
        values = np.zeros((n_vcpu, expected.ids.size), np.uint64)
        wide = {reg: np.zeros((n_vcpu, reg_size(reg)), np.uint8) for reg in expected.ids.tolist() if reg_size(reg) > 8}
        section.record.read(rows, values, wide)
        section.read_special(rows, values)
        for column, reg in enumerate(expected.ids.tolist()):
            if reg in wide:
                values[:, column] = np.ascontiguousarray(wide[reg][:, :8]).view("<u8")[:, 0]
        check_widths(expected.ids, values)
        return RegisterState(expected.ids, values, wide, expected.is_global)


def _be32(numbers: np.ndarray) -> U8Array:
    return numbers.astype(">u4").view(np.uint8).reshape(-1, 4)


@lru_cache(maxsize=4)
def _section(ids: bytes) -> _Section:
    """The record of uint64 ids, kept for the next VM that has the same: making it takes longer than reading by it."""
    return _Section(np.frombuffer(ids, np.uint64))


class _Section:
    """The record for one set of ids, and the two fields that are no plain copy."""

    def __init__(self, ids: U64Array) -> None:
        self.columns = {reg: column for column, reg in enumerate(ids.tolist())}
        self.has_sve = any(reg & CLASS_MASK == CLASS_SVE for reg in self.columns)
        arrays = [reg for reg in self.columns if reg & CLASS_MASK not in (CLASS_CORE, CLASS_SVE)]
        misfits = [reg for reg in arrays if reg_size(reg) not in (4, 8)]
        if misfits:
            bits = 8 * reg_size(misfits[0])
            msg = f"register {misfits[0]:#x} has {bits} bits: QEMU carries 32 and 64 and does not start with others"
            raise InputError(msg)
        if not arrays:
            msg = "a cpu section needs at least one register besides core and SVE: QEMU never writes an empty array"
            raise InputError(msg)
        self.cpreg_ids = np.array(arrays, np.uint64)
        layout = next(one for one in recorded()["sections"] if one["name"] == "cpu")
        layout = cut(layout, frozenset({"sve"} if self.has_sve else ()))
        n_cpreg = len(arrays)
        layout = with_elements(layout, {"cpreg_vmstate_indexes": n_cpreg, "cpreg_vmstate_values": n_cpreg})
        self.places: dict[str, int] = {}
        pieces = list(_pieces(layout))
        template = b"".join(data for _, data, _ in pieces)
        is_fixed = np.concatenate([np.full(len(data), fixed) for _, data, fixed in pieces])
        at = 0
        for name, data, _ in pieces:
            self.places[name] = at
            at += len(data)
        self.record = self._record(np.frombuffer(template, np.uint8).copy(), is_fixed)

    def _record(self, template: U8Array, is_fixed: BoolArray) -> Record:
        places, n = self.places, self.cpreg_ids.size
        indexes, count, head = places["cpreg_vmstate_indexes"], places["cpreg_vmstate_array_len"], places["head"]
        for at, data in ((indexes, self.cpreg_ids.astype(">u8")), (count, np.array([n], ">u4"))):
            template[at : at + data.nbytes] = data.view(np.uint8)
            is_fixed[at : at + data.nbytes] = True
        for at in (head + _ID_AT, head + _INSTANCE_AT, template.size - _FOOT_BYTES):
            is_fixed[at : at + 4] = False  # compared apart
        fields, wide = [], []
        for i, reg in enumerate(self.cpreg_ids.tolist()):
            fields.append(Field(self.columns[reg], places["cpreg_vmstate_values"] + 8 * i, 8))
        narrow, broad = self._core(), self._vectors()
        for reg in self.columns:
            if reg & CLASS_MASK not in (CLASS_CORE, CLASS_SVE) or reg in (_FPSR, _FPCR):
                continue
            if reg in narrow:
                fields.append(Field(self.columns[reg], *narrow[reg]))
            elif reg in broad:
                wide += [WideField(reg, *piece) for piece in broad[reg]]
            else:
                what = "QEMU does not send it (vector lengths are an option of the CPU)"
                msg = f"register {reg:#x} has no place in a cpu section: {what}"
                raise InputError(msg)
        return Record(template, is_fixed, tuple(fields), tuple(wide), is_big=True)

    def _core(self) -> dict[int, tuple[int, int]]:
        """(offset, bytes) of general registers. Source: struct kvm_regs; QEMU target/arm/kvm64.c."""
        at = self.places
        found = {core_register(8 * n): (at["env.xregs"] + 8 * n, 8) for n in range(31)}
        found |= {core_register(288 + 8 * n): (at["env.banked_spsr"] + 8 * (n + 1), 8) for n in range(5)}
        found |= {_SP: (at["env.sp_el"], 8), _SP_EL1: (at["env.sp_el"] + 8, 8)}
        return found | {_PC: (at["env.pc"], 8), _PSTATE: (at["cpsr"], 4), _ELR_EL1: (at["env.elr_el"] + 8, 8)}

    def _vectors(self) -> dict[int, list[tuple[int, int, int]]]:
        """(first byte of the value, offset, bytes) of each piece of V, Z and P registers and FFR."""
        found: dict[int, list[tuple[int, int, int]]] = {}
        for n in range(32):
            low = (0, self.places[f"cpu/vfp:env.vfp.zregs[{n}].d"], 16)
            found[_VREG + 4 * n] = [low]
            if self.has_sve:
                high = self.places["cpu/sve:env.vfp.zregs"] + n * (_Z_BYTES - 16)
                found[_ZREG | n << 5] = [low, (16, high, _Z_BYTES - 16)]
        for n in range(17 if self.has_sve else 0):  # the last is FFR
            found[_PREG | n << 5] = [(0, self.places["cpu/sve:env.vfp.pregs"] + 32 * n, 32)]
        return found

    def check_values(self, state: RegisterState) -> None:
        """Raises InputError for values QEMU's fields would cut."""
        for reg, mask in ((_FPSR, _FPSR_MASK), (_FPCR, _FPCR_MASK), (_PSTATE, np.uint64(0xFFFF_FFFF))):
            if reg in self.columns and (state.values[:, self.columns[reg]] & ~mask).any():
                msg = f"register {reg:#x} has bits outside {int(mask):#x}, which QEMU's field does not carry"
                raise InputError(msg)
        for reg, rows in state.wide.items():
            if reg & CLASS_MASK == CLASS_SVE and reg_size(reg) > _Z_BYTES and rows[:, _Z_BYTES:].any():
                msg = f"register {reg:#x} has bits beyond 1024, for which QEMU's section has no room"
                raise InputError(msg)

    def write_special(self, state: RegisterState, rows: U8Array) -> None:
        """FPSCR, and the stack pointer in use."""
        zero = np.zeros(state.n_vcpu, np.uint64)

        def column(reg: int) -> U64Array:
            return state.values[:, self.columns[reg]] if reg in self.columns else zero

        at = self.places["cpu/vfp:fpscr"]
        rows[:, at : at + 4] = _be32(column(_FPSR) | column(_FPCR))
        at = self.places["env.xregs"] + 8 * 31
        uses_own = (column(_PSTATE) & np.uint64(1) != 0) & (column(_PSTATE) >> np.uint64(2) & np.uint64(3) != 0)
        stack = np.where(uses_own, column(_SP_EL1), column(_SP))
        rows[:, at : at + 8] = stack.astype(">u8").view(np.uint8).reshape(-1, 8)

    def read_special(self, rows: U8Array, values: U64Array) -> None:
        """FPSR and FPCR out of FPSCR."""
        at = self.places["cpu/vfp:fpscr"]
        fpscr = np.ascontiguousarray(rows[:, at : at + 4]).view(">u4")[:, 0].astype(np.uint64)
        for reg, mask in ((_FPSR, _FPSR_MASK), (_FPCR, _FPCR_MASK)):
            if reg in self.columns:
                values[:, self.columns[reg]] = fpscr & mask


def _pieces(layout: Layout) -> Iterator[tuple[str, bytes, bool]]:
    """(name, bytes as a vCPU at rest has them, whether they have to be there) of the whole section."""
    name = layout["name"].encode()
    version = layout["version"].to_bytes(4, "big")
    yield "head", bytes([_FULL]) + bytes(4) + bytes([len(name)]) + name + bytes(4) + version, True
    yield from _body(layout, "")
    yield "foot", bytes([_FOOTER]) + bytes(4), True


def _body(layout: Layout, prefix: str) -> Iterator[tuple[str, bytes, bool]]:
    for field in layout["fields"]:
        size = field.get("array_len", 1) * field["size"]
        at_rest = b"\xff" if field["name"] in _MINUS_ONE else b"\0"
        yield prefix + field["name"], at_rest * size, False
    for sub in layout.get("subsections", ()):
        name = sub["vmsd_name"].encode()
        head = bytes([_SUBSECTION, len(name)]) + name + sub["version"].to_bytes(4, "big")
        yield sub["vmsd_name"], head, True
        yield from _body(sub, sub["vmsd_name"] + ":")
