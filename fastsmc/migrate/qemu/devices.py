"""What each device adds to a QEMU stream, in bytes and in characters of the description: of numbers or of arrays.

Sizes grow with the registers and vCPUs in straight lines, but for the digits of numbers that are written out. So one
layout per device, looked at once, tells the size of every stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fastsmc.checks import I64Array
from fastsmc.migrate._checks import MAX_COUNT
from fastsmc.migrate.qemu.layout import (
    SUBSECTION_HEAD,
    Count,
    Layout,
    cut,
    digits_up_to,
    is_sent,
    n_digit,
    recorded,
    section_bytes,
    text_bytes,
    with_elements,
)
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.qemu.result import DESCRIPTION_HEAD

FILE_HEADER = 8
"""Bytes before the first section: magic and version."""
END_OF_STREAM = 1
SEPARATOR = len(", ")

_PER_VCPU = ("cpu_common", "cpu")
_CPREGS = ("cpreg_vmstate_indexes", "cpreg_vmstate_values")
_GIC = "arm_gicv3"


@dataclass(frozen=True, slots=True)
class Device:
    """One device's section, or as many as there are vCPUs.

    Attributes:
        instance: of the only section.
        fixed_bytes: of a section with one vCPU's part and no register.
        per_reg_bytes, per_vcpu_bytes: of each register, and of each further vCPU that has a part in the section.
        texts: characters of the description of one section; of "cpu" by the digits of the number of registers, where
            the first stands for a single register.
        numbered: characters of further vCPUs' parts in the description: of the whole section once there are some, of
            each part, and of the last one's index where it is left out; none of a section that has no such parts.
    """

    name: str
    instance: int
    is_per_vcpu: bool
    fixed_bytes: int
    per_reg_bytes: int
    per_vcpu_bytes: int
    texts: I64Array
    numbered: tuple[int, int, int] | None

    def n_section(self, n_vcpu: Count) -> Count:
        """How many sections there are."""
        return n_vcpu if self.is_per_vcpu else 1

    def section_bytes(self, n_reg: Count, n_vcpu: Count) -> I64Array:
        """Bytes of one section, from its type byte to the end of its footer."""
        return np.asarray(self.fixed_bytes + n_reg * self.per_reg_bytes + (n_vcpu - 1) * self.per_vcpu_bytes)

    def described_bytes(self, n_reg: Count, n_vcpu: Count, more_digits: Count) -> I64Array:
        """Characters of the description, all sections together; without what separates them.

        Args:
            more_digits: of the numbers of all vCPUs, beyond one each.
        """
        if self.is_per_vcpu:
            kind = np.where(np.asarray(n_reg) > 1, n_digit(n_reg), 0) if self.texts.size > 1 else 0
            return np.asarray(n_vcpu * self.texts[kind] + more_digits)
        alone = self.texts[0]
        if self.numbered is None:
            return np.asarray(alone)
        whole, part, unnumbered = self.numbered
        more = n_vcpu - 1
        some = whole + more * (part + SEPARATOR) + more_digits
        if unnumbered:
            some = some - (unnumbered + n_digit(more))
        return np.asarray(np.where(np.asarray(more) > 0, some, alone))


@cache
def devices(machine: QemuMachine, *, has_sve: bool) -> tuple[Device, ...]:
    """The devices of a machine, in the order of their sections in the stream."""
    has, data = machine.has(sve=has_sve), recorded(machine.version)
    kept = [cut(layout, has) for layout in data["sections"] if is_sent(layout, has)]
    return tuple(_device(layout, last_has_index=data["last_has_index"]) for layout in kept)


def _device(layout: Layout, *, last_has_index: bool) -> Device:
    name = layout["name"]
    common = (name, layout["instance_id"], name in _PER_VCPU)
    if name == "cpu":
        one, two = (with_elements(layout, dict.fromkeys(_CPREGS, n)) for n in (1, 2))
        per_reg = section_bytes(two) - section_bytes(one)
        counts = [1, *(10**n if n else 2 for n in range(len(str(MAX_COUNT))))]
        texts = [text_bytes(with_elements(layout, dict.fromkeys(_CPREGS, n))) for n in counts]
        return Device(*common, section_bytes(one) - per_reg, per_reg, 0, np.array(texts), None)
    size, text = section_bytes(layout), np.array([text_bytes(layout)])
    if name != _GIC:
        return Device(*common, size, 0, 0, text, None)
    # The GICv3 has one structure per vCPU, described in full. With several, each but perhaps the last has its index.
    *fields, part = layout["fields"]
    rest = {key: value for key, value in part.items() if key != "name"}
    part = {"name": part["name"], "index": 0} | rest
    numbered = (text_bytes(layout | {"fields": [*fields, part]}), text_bytes(part))
    unnumbered = 0 if last_has_index else len('"index": , ')
    return Device(*common, size, 0, part["size"], text, (*numbered, unnumbered))


def other_bytes(version: str, *, suppress_vmdesc: bool = False) -> tuple[tuple[str, int], ...]:
    """What belongs to no device, in the order of the stream."""
    data = recorded(version)
    command = (("command", int(data["command_bytes"])),) if data["command_bytes"] else ()
    head = () if suppress_vmdesc else (("description header", DESCRIPTION_HEAD),)
    # The section that names the machine: type, length, name; a subsection with the bits of a page.
    page_bits = SUBSECTION_HEAD + len("configuration/target-page-bits") + 4
    configuration = 1 + 4 + len(data["machine"]) + page_bits
    return (
        ("file header", FILE_HEADER),
        ("configuration", configuration),
        *command,
        ("end of stream", END_OF_STREAM),
        *head,
    )


@cache
def frame_bytes(version: str) -> int:
    """Characters around the devices of a description: page size, brackets; from 10.0 on the configuration too."""
    data = recorded(version)
    return text_bytes({key: data[key] for key in ("configuration", "page_size") if key in data} | {"devices": []})


def stream_bytes(
    machine: QemuMachine, *, n_reg: I64Array, n_vcpu: I64Array, has_sve: bool
) -> tuple[I64Array, I64Array]:
    """Bytes of state and of its description: int64, of counts that broadcast and are checked. RAM is not counted.

    Exactly those of `size`: all but the description, and the description as sent.

    >>> stream_bytes(QemuMachine(), n_reg=np.int64(258), n_vcpu=np.array([1, 512]), has_sve=False)[1].tolist()
    [13014, 3182946]
    """
    fixed, others = _fixed(machine, has_sve=has_sve)
    state, text, n_section = (np.asarray(one, np.int64) for one in fixed)
    more_digits = digits_up_to(n_vcpu) - n_vcpu
    for device in others:
        count = device.n_section(n_vcpu)
        state = state + device.section_bytes(n_reg, n_vcpu) * count
        text = text + device.described_bytes(n_reg, n_vcpu, more_digits)
        n_section = n_section + count
    return state, text + (n_section - 1) * SEPARATOR


@cache
def _fixed(machine: QemuMachine, *, has_sve: bool) -> tuple[tuple[int, int, int], tuple[Device, ...]]:
    """Bytes, characters and number of the sections that no count changes, frames among them; the other devices."""
    state = sum(count for _, count in other_bytes(machine.version))
    text, n_section, others = frame_bytes(machine.version), 0, []
    for device in devices(machine, has_sve=has_sve):
        if device.is_per_vcpu or device.numbered:
            others.append(device)
        else:
            state += device.fixed_bytes
            text += int(device.texts[0])
            n_section += 1
    return (state, text, n_section), tuple(others)
