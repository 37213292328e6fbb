"""How large a QEMU stream will be, section by section, before there is one (modelled).

For machine virt of QEMU 7.2 and 10.0, stopped before the first instruction. Bytes and description are exact there:
checked against QEMU 7.2.22 and 10.0.2 under TCG for 1 to 512 vCPUs. RAM is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastsmc.errors import InputError
from fastsmc.migrate._checks import MAX_COUNT, checked_whole
from fastsmc.migrate.qemu.layout import (
    SUBSECTION_HEAD,
    Layout,
    cut,
    digits_up_to,
    is_sent,
    recorded,
    section_bytes,
    text_bytes,
    with_elements,
)
from fastsmc.migrate.qemu.machine import QemuMachine

FILE_HEADER = 8
"""Magic and version."""
END_OF_STREAM = 1
DESCRIPTION_HEAD = 1 + 4
"""Type byte and length, before the JSON."""

_PER_VCPU = ("cpu_common", "cpu")
_CPREGS = ("cpreg_vmstate_indexes", "cpreg_vmstate_values")
_SEPARATOR = len(", ")


@dataclass(frozen=True, slots=True)
class Part:
    """A whole section, from its type byte to the end of its footer."""

    name: str
    instance: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Described:
    """Characters of the description that one device takes, all its instances together."""

    name: str
    instances: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StreamSize:
    """The predicted sizes of one stream (modelled).

    Attributes:
        parts: the device sections, in the order of the stream.
        description: what each device adds to the description; the last row is the frame around them.
        other: bytes that belong to no device: file header, configuration section, end, head of the description, and in
            10.0 the command before the last of memory.
    """

    machine: QemuMachine
    n_vcpu: int
    n_reg: int
    has_sve: bool
    suppress_vmdesc: bool
    parts: tuple[Part, ...]
    description: tuple[Described, ...]
    other: tuple[tuple[str, int], ...]

    @property
    def device_bytes(self) -> int:
        """All device sections."""
        return sum(part.bytes for part in self.parts)

    @property
    def described_bytes(self) -> int:
        """The JSON, sent or not: suppress-vmdesc hides it, but QEMU builds it all the same."""
        return sum(row.bytes for row in self.description)

    @property
    def description_bytes(self) -> int:
        """The JSON as sent: 0 with suppress-vmdesc."""
        return 0 if self.suppress_vmdesc else self.described_bytes

    @property
    def suppress_vmdesc_saves(self) -> int:
        """Bytes that suppress-vmdesc=on takes from the stream."""
        return DESCRIPTION_HEAD + self.described_bytes

    @property
    def total_bytes(self) -> int:
        """Parts, description and other: the whole stream but for RAM."""
        return self.device_bytes + self.description_bytes + sum(size for _, size in self.other)

    @property
    def is_hypothetical(self) -> bool:
        """Whether QEMU refuses so many vCPUs."""
        return self.machine.is_hypothetical(self.n_vcpu)


def qemu_stream_size(
    n_vcpu: int,
    n_reg: int,
    *,
    has_sve: bool = False,
    machine: QemuMachine | None = None,
    suppress_vmdesc: bool = False,
) -> StreamSize:
    """Sizes of a stream of QEMU, in bytes, by section (modelled; exact for TCG). RAM is not counted.

    Args:
        n_vcpu: up to 512 are real; more are answered as if QEMU took them.
        n_reg: registers in QEMU's cpreg array (`RegisterSet.qemu_cpregs`).
        machine: `QemuMachine()` if not given: QEMU 7.2, GICv3, -nodefaults, TCG.

    Raises:
        InputError: counts out of range, or more vCPUs than the interrupt controller serves.

    >>> size = qemu_stream_size(512, 258)
    >>> [part.bytes for part in size.parts if (part.name, part.instance) in {("arm_gicv3", 0), ("cpu", 511)}]
    [167600, 5404]
    >>> size.description_bytes
    3182946
    """
    machine = machine or QemuMachine()
    n_vcpu = machine.checked_vcpus(n_vcpu)
    n_reg = checked_whole(n_reg, "n_reg", MAX_COUNT, "of recorded kernels QEMU carries 167 to 269")
    if machine.za and not has_sve:
        msg = "za: QEMU's CPU with SME has SVE too; give has_sve as well"
        raise InputError(msg)
    has = machine.has(sve=has_sve)
    data = recorded(machine.version)
    layouts = [cut(layout, has) for layout in data["sections"] if is_sent(layout, has)]
    layouts = [_sized(layout, n_vcpu, n_reg) for layout in layouts]
    return StreamSize(
        machine,
        n_vcpu,
        n_reg,
        has_sve,
        suppress_vmdesc,
        tuple(_parts(layouts, n_vcpu)),
        tuple(_description(data, layouts, n_vcpu)),
        tuple(_other(data, suppress_vmdesc=suppress_vmdesc)),
    )


def _sized(layout: Layout, n_vcpu: int, n_reg: int) -> Layout:
    """The section with its arrays as long as they will be; the GICv3 has one structure per vCPU, described in full."""
    if layout["name"] == "cpu":
        return with_elements(layout, dict.fromkeys(_CPREGS, n_reg))
    if layout["name"] != "arm_gicv3" or n_vcpu == 1:
        return layout
    *fields, element = layout["fields"]
    # One stands for all while sizes are taken: its "index" is 0 here, and _description adds the others.
    rest = {key: value for key, value in element.items() if key != "name"}
    return layout | {"fields": [*fields, {"name": element["name"], "index": 0} | rest]}


def _parts(layouts: list[Layout], n_vcpu: int) -> Iterator[Part]:
    sizes = {name: section_bytes(layout) for layout in layouts if (name := layout["name"]) in _PER_VCPU}
    for layout in layouts:
        name, size = layout["name"], section_bytes(layout)
        if name == "arm_gicv3":
            yield Part(name, 0, size + (n_vcpu - 1) * layout["fields"][-1]["size"])
        elif name not in _PER_VCPU:
            yield Part(name, layout["instance_id"], size)
        elif name == _PER_VCPU[0]:  # the sections of one vCPU follow each other, vCPU after vCPU
            yield from (Part(one, i, sizes[one]) for i in range(n_vcpu) for one in _PER_VCPU)


def _description(data: Layout, layouts: list[Layout], n_vcpu: int) -> Iterator[Described]:
    """Characters per device name, then the frame: page size, brackets, commas; from 10.0 on the configuration too."""
    texts: dict[str, list[int]] = {}
    more_digits = digits_up_to(n_vcpu) - n_vcpu  # beyond the one digit of 0, over all numbers of a vCPU
    for layout in layouts:
        size, instances = text_bytes(layout), 1
        if layout["name"] in _PER_VCPU:
            size, instances = n_vcpu * size + more_digits, n_vcpu
        elif layout["name"] == "arm_gicv3":
            element = text_bytes(layout["fields"][-1])
            size += (n_vcpu - 1) * (element + _SEPARATOR) + more_digits
            if n_vcpu > 1 and not data["last_has_index"]:
                size -= len(f'"index": {n_vcpu - 1}, ')
        row = texts.setdefault(layout["name"], [0, 0])
        row[0] += instances
        row[1] += size
    for name, (instances, size) in texts.items():
        yield Described(name, instances, size)
    n_section = sum(instances for instances, _ in texts.values())
    frame = text_bytes({key: data[key] for key in ("configuration", "page_size") if key in data} | {"devices": []})
    yield Described("frame", 1, frame + (n_section - 1) * _SEPARATOR)


def _other(data: Layout, *, suppress_vmdesc: bool) -> Iterator[tuple[str, int]]:
    """What belongs to no device, in the order of the stream."""
    yield "file header", FILE_HEADER
    yield "configuration", _configuration(data)
    if data["command_bytes"]:
        yield "command", data["command_bytes"]
    yield "end of stream", END_OF_STREAM
    if not suppress_vmdesc:
        yield "description header", DESCRIPTION_HEAD


def _configuration(data: Layout) -> int:
    """The section that names the machine: type, length, name; a subsection with the bits of a page."""
    page_bits = SUBSECTION_HEAD + len("configuration/target-page-bits") + 4
    return 1 + 4 + len(data["machine"]) + page_bits
