"""Firecracker's custom CPU templates: bits of registers, vCPU features and capability checks that a VM is given.

A bitmap has "x" where a bit is left alone, and so is every bit for which it has no digit; "_" separates. A register is
read, its bits forced and written back: (value & ~filter) | value of the template. Registers have 32, 64 or 128 bits.
Sources: Firecracker's pages cpu-templates.md and schema.json; src/vmm/src/cpu_config/templates.rs and
aarch64/custom_cpu_template.rs, 81b38b9da (2026-08-21).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fastsmc.checks import LAST_U32, cut, shown
from fastsmc.errors import InputError, RegisterFileError
from fastsmc.facts.field_names import Field, named_fields, runs
from fastsmc.facts.register_names import name_of
from fastsmc.facts.registers import core_register, reg_size
from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.migrate.read.limits import MAX_FORCED
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.members import member, whole
from fastsmc.migrate.read.result import Format

_KEYS = ("kvm_capabilities", "vcpu_features", "reg_modifiers")
_X86_KEYS = ("cpuid_modifiers", "msr_modifiers")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{1,16}|0b[01]{1,64}", re.ASCII)
_CAPABILITY = re.compile(r"!?[0-9]{1,10}", re.ASCII)
_FEATURE_NAMES = {1 << 5: "pauth_address", 1 << 6: "pauth_generic"} | {
    bits: name for name, bits in VCPU_FEATURES.items() if bits.bit_count() == 1 and bits != 1 << 5
}
_MAX_DIGITS = 128
_NO_HOST = "it forces bits of registers and is no host; a check applies it with --source-template or --dest-template"
_X0 = core_register(0)


@dataclass(frozen=True, slots=True)
class Forced:
    """Bits of a number that a template forces.

    Attributes:
        filter: which bits.
        value: what they become; no bit outside the filter.
    """

    filter: int
    value: int

    @property
    def cleared(self) -> int:
        """The bits that become 0."""
        return self.filter & ~self.value

    def apply(self, number: int) -> int:
        """A number with these bits forced.

        >>> bin(Forced(0b110, 0b100).apply(0b011))
        '0b101'
        """
        return number & ~self.filter | self.value


@dataclass(frozen=True, slots=True, eq=False)
class CpuTemplate:
    """A CPU template as Firecracker reads it. It tells what becomes of a vCPU and nothing of a host.

    Attributes:
        path: the file, as given.
        registers: what is forced, by register id, in the order of the file.
        features: what is forced of each word of struct kvm_vcpu_init's features, by its number.
        added, removed: KVM capabilities that Firecracker checks too, and those that it no longer checks.
    """

    path: str
    registers: Mapping[int, Forced]
    features: Mapping[int, Forced]
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    @property
    def format(self) -> Format:
        """What wrote the file."""
        return Format.CPU_TEMPLATE

    @property
    def no_host(self) -> str:
        """Why no side of a migration can be made of it."""
        return (
            "is a Firecracker CPU template: it forces bits of registers and is no host, so nothing can be judged by it"
        )

    def apply(self, values: Mapping[int, int | None]) -> dict[int, int | None]:
        """A vCPU's registers as this template leaves them, before KVM has its say.

        Args:
            values: by id, None where a value is not known; it stays so unless every bit of it is forced.

        Raises:
            InputError: the vCPU lacks a register of the template. Firecracker reads each of them and fails.

        >>> template = CpuTemplate("t", {0x603000000013C020: Forced(0xF << 32, 0)}, {})
        >>> [hex(value) for value in template.apply({0x603000000013C020: 0x1_0000_0011}).values()]
        ['0x11']
        """
        found = dict(values)
        for reg, forced in self.registers.items():
            if reg not in found:
                msg = f"{self.path}: forces bits of {_shown(reg)}, which this vCPU does not have: Firecracker fails"
                raise InputError(msg)
            own = found[reg]
            is_whole = forced.filter == (1 << 8 * reg_size(reg)) - 1
            found[reg] = forced.value if is_whole else None if own is None else forced.apply(own)
        return found

    def apply_features(self, features: int) -> int:
        """Word 0 of a vCPU's features, `facts.vcpu.VCPU_FEATURES`, as the template leaves it."""
        return self.features[0].apply(features) if 0 in self.features else features

    def as_dict(self) -> dict[str, Any]:
        """What is forced as plain values, ids and masks as hexadecimal text."""
        return {
            "file": self.path,
            "format": self.format,
            "registers": [
                {
                    "id": f"{reg:#018x}",
                    "name": name_of(reg),
                    "bits_set": hex(forced.value),
                    "bits_cleared": hex(forced.cleared),
                    "fields": [
                        {"field": str(field), "value": field.of(forced.value)} for field in _fields(reg, forced)
                    ],
                }
                for reg, forced in self.registers.items()
            ],
            "vcpu_features": [
                {"index": index, "set": _features(index, forced.value), "cleared": _features(index, forced.cleared)}
                for index, forced in self.features.items()
            ],
            "kvm_capabilities": {"added": list(self.added), "removed": list(self.removed)},
            "no_host": self.no_host,
        }

    def __repr__(self) -> str:
        return f"CpuTemplate({self.path[:80]!r}, {len(self.registers)} registers, {len(self.features)} feature words)"

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.format}: {_NO_HOST}"]
        for reg, forced in self.registers.items():
            told = [f"{field} = {field.of(forced.value):#x}" for field in _fields(reg, forced)]
            lines += [f"{_shown(reg)}: {'; '.join(told) or 'nothing forced'}"]
            lines += [f"  sets {forced.value:#x}, clears {forced.cleared:#x}, leaves the rest"]
        for index, forced in self.features.items():
            sets, clears = _features(index, forced.value), _features(index, forced.cleared)
            lines += [
                f"vCPU features, word {index}: sets {', '.join(sets) or 'none'}; clears {', '.join(clears) or 'none'}"
            ]
        if self.added or self.removed:
            added, removed = (", ".join(map(str, numbers)) or "none" for numbers in (self.added, self.removed))
            lines += [f"KVM capabilities: checks also {added}; no longer checks {removed}"]
        return "\n".join(lines)


def _shown(reg: int) -> str:
    return f"{reg:#018x} {name_of(reg) or ''}".rstrip()


def _fields(reg: int, forced: Forced) -> tuple[Field, ...]:
    """What is forced, as whole fields where the register has such, as runs of bits else."""
    whole_fields = []
    left = forced.filter
    for field in named_fields(reg):
        mask = (1 << field.high + 1) - (1 << field.low)
        if left & mask == mask:
            whole_fields.append(field)
            left &= ~mask
    return tuple(sorted((*whole_fields, *runs(left)), key=lambda field: field.low))


def _features(index: int, bits: int) -> list[str]:
    names = _FEATURE_NAMES if index == 0 else {}
    return [names.get(1 << bit, f"bit {bit}") for bit in range(32) if bits >> bit & 1]


# -- reading -------------------------------------------------------------------------------------------------------


def is_ours(value: object) -> bool:
    """Whether a JSON value has a template's keys, those of x86 included."""
    if not isinstance(value, dict) or "guest_cpu_config" in value or is_dump(value):
        return False
    return any(key in value for key in _KEYS + _X86_KEYS)


def is_dump(value: object) -> bool:
    """Whether it is what `cpu-template-helper template dump` writes: every bit of every register, x0 among them.

    That has a template's form, and is a vCPU's registers.
    """
    entries = value.get("reg_modifiers") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return False
    bitmaps = [entry.get("bitmap") for entry in entries]
    is_told = all(isinstance(bitmap, str) and "x" not in bitmap for bitmap in bitmaps)
    return is_told and any(_address(entry.get("addr")) == _X0 for entry in entries)


def read(value: dict[str, Any]) -> CpuTemplate:
    """The template; its path is "".

    Raises:
        RegisterFileError: an x86 template, an unknown key (as Firecracker refuses it), another shape, a bitmap that is
            too long, or a register or word twice.
    """
    for key in value:
        if key in _X86_KEYS:
            msg = f'a Firecracker CPU template of x86 ("{key}"): arm64 has {", ".join(_KEYS)}'
            raise RegisterFileError(msg)
        if key not in _KEYS:
            close = get_close_matches(key[:80], _KEYS, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            msg = f'a Firecracker CPU template has no key "{printable(cut(key))}", there are {", ".join(_KEYS)}{meant}'
            raise RegisterFileError(msg)
    registers: dict[int, Forced] = {}
    for number, entry in enumerate(_entries(value, "reg_modifiers")):
        where = f"reg_modifiers[{number}]"
        reg = _address(member(entry, "addr", str, where))
        if reg is None:
            msg = f'{where}, addr is {shown(entry["addr"])}: it must be text such as "0x603000000013c020"'
            raise RegisterFileError(msg)
        if not 4 <= reg_size(reg) <= 16:
            msg = f"{where}: register {reg:#x} has {8 * reg_size(reg)} bits; Firecracker takes 32, 64 and 128"
            raise RegisterFileError(msg)
        _once(reg in registers, f"{where}: register {reg:#x}")
        registers[reg] = _forced(member(entry, "bitmap", str, where), 8 * reg_size(reg), f"{where}, register {reg:#x}")
    features: dict[int, Forced] = {}
    for number, entry in enumerate(_entries(value, "vcpu_features")):
        where = f"vcpu_features[{number}]"
        index = whole(f"{where}, index", member(entry, "index", int, where), last=6)
        _once(index in features, f"{where}: word {index}")
        features[index] = _forced(member(entry, "bitmap", str, where), 32, where)
    capabilities = [_capability(entry, number) for number, entry in enumerate(_entries(value, "kvm_capabilities"))]
    added = tuple(number for is_added, number in capabilities if is_added)
    return CpuTemplate(
        "", registers, features, added, tuple(number for is_added, number in capabilities if not is_added)
    )


def _entries(value: dict[str, Any], key: str) -> list[Any]:
    entries: list[Any] = member(value, key, list, "the template") if key in value else []
    if len(entries) > MAX_FORCED:
        msg = f"{key}: {len(entries)} entries; at most {MAX_FORCED} are read"
        raise RegisterFileError(msg)
    return entries


def _once(is_again: bool, what: str) -> None:
    if is_again:
        msg = f"{what} is there twice: Firecracker would take the last alone"
        raise RegisterFileError(msg)


def _address(text: object) -> int | None:
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        return None
    return int(text[2:], 16 if text[1] == "x" else 2)


def _forced(text: str, n_bit: int, where: str) -> Forced:
    digits = text.removeprefix("0b").replace("_", "")
    if set(digits) - set("01x"):
        msg = f'{where}: bitmap {shown(text)} is not "0b" and digits 0, 1 or x'
        raise RegisterFileError(msg)
    if len(digits.lstrip("x")) > n_bit or len(digits) > _MAX_DIGITS:
        msg = f"{where}: a bitmap of {len(digits)} digits for {n_bit} bits"
        raise RegisterFileError(msg)
    told = digits[-n_bit:]
    bits = str.maketrans("01x", "110"), str.maketrans("x", "0")
    known, ones = (int(told.translate(table) or "0", 2) for table in bits)
    return Forced(known, ones)


def _capability(entry: object, number: int) -> tuple[bool, int]:
    """Whether a capability is added to the checks, and its number."""
    if not isinstance(entry, str) or not _CAPABILITY.fullmatch(entry):
        msg = f'kvm_capabilities[{number}] is {shown(str(entry))}: it must be text such as "171", or "!171" to drop it'
        raise RegisterFileError(msg)
    return entry[0] != "!", whole(f"kvm_capabilities[{number}]", int(entry.lstrip("!")), last=LAST_U32)
