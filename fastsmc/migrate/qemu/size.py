"""How large a QEMU stream will be, section by section, before there is one (modelled).

For machine virt of QEMU 7.2 and 10.0, stopped before the first instruction. Bytes and description are exact there:
checked against QEMU 7.2.22 and 10.0.2 under TCG for 1 to 512 vCPUs. RAM is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from fastsmc.errors import InputError
from fastsmc.migrate.carried import Carried, Registers, carried
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

KIND = {
    "tcg": "modelled; checked against QEMU {}: every section and the description to the byte",
    "kvm": "modelled; derived from what QEMU {} sends under TCG, not compared with a stream of a KVM host",
}
"""What a size of either accelerator rests on, given the version it was checked with."""
CHECKED = {"7.2": "7.2.22", "10.0": "10.0.2"}
LEFT_OUT = "RAM: a page of zeros takes 9 bytes, any other 4104"

_PER_VCPU = ("cpu_common", "cpu")
_CPREGS = ("cpreg_vmstate_indexes", "cpreg_vmstate_values")
_SEPARATOR = len(", ")


@dataclass(frozen=True, slots=True)
class SectionSize:
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
        subject: whose registers it carries.
        parts: the device sections, in the order of the stream.
        description: what each device adds to the description; the last row is the frame around them.
        other: bytes that belong to no device: file header, configuration section, end, head of the description, and in
            10.0 the command before the last of memory.
    """

    machine: QemuMachine
    n_vcpu: int
    n_reg: int
    has_sve: bool
    subject: str
    suppress_vmdesc: bool
    parts: tuple[SectionSize, ...]
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

    @property
    def kind(self) -> str:
        """What the prediction rests on, in words."""
        return KIND[self.machine.accel].format(CHECKED[self.machine.version])

    @property
    def command_line(self) -> str:
        """Options of qemu-system-aarch64 that give such a guest."""
        return self.machine.command_line(n_vcpu=self.n_vcpu, sve=self.has_sve)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "format": "qemu",
            "kind": self.kind,
            "command_line": self.command_line,
            "hypothetical": self.is_hypothetical,
            "vcpus": self.n_vcpu,
            "registers_per_vcpu": self.n_reg,
            "sve": self.has_sve,
            "parts": list(map(asdict, self.parts)),
            "description_bytes": self.description_bytes,
            "description": [] if self.suppress_vmdesc else list(map(asdict, self.description)),
            "other": [{"name": name, "bytes": count} for name, count in self.other],
            "total_bytes": self.total_bytes,
            "suppress_vmdesc_saves": self.suppress_vmdesc_saves,
            "left_out": LEFT_OUT,
        }

    def __repr__(self) -> str:
        counts = f"n_vcpu={self.n_vcpu}, n_reg={self.n_reg}, total_bytes={self.total_bytes}"
        return f"StreamSize(QEMU {self.machine.version}, {self.machine.accel}, {counts})"

    def __str__(self) -> str:
        from fastsmc.migrate.qemu.text import sections

        return sections(self)


@dataclass(frozen=True, slots=True)
class StreamSizes(Sequence[StreamSize]):
    """The predicted sizes of streams that differ in their number of vCPUs only."""

    sizes: tuple[StreamSize, ...]

    @overload
    def __getitem__(self, index: int) -> StreamSize: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[StreamSize, ...]: ...
    def __getitem__(self, index: int | slice) -> StreamSize | tuple[StreamSize, ...]:
        return self.sizes[index]

    def __len__(self) -> int:
        return len(self.sizes)

    def as_dict(self) -> dict[str, Any] | list[dict[str, Any]]:
        """As the only stream, or a list of streams, as plain values."""
        told = [size.as_dict() for size in self.sizes]
        return told[0] if len(told) == 1 else told

    def __repr__(self) -> str:
        return f"StreamSizes({len(self)} streams)"

    def __str__(self) -> str:
        from fastsmc.migrate.qemu.text import sections, table

        return sections(self.sizes[0]) if len(self) == 1 else table(self.sizes)


@overload
def size(
    registers: Registers,
    *,
    n_vcpu: int,
    has_sve: bool = ...,
    machine: QemuMachine | None = ...,
    suppress_vmdesc: bool = ...,
) -> StreamSize: ...
@overload
def size(
    registers: Registers,
    *,
    n_vcpu: Sequence[int],
    has_sve: bool = ...,
    machine: QemuMachine | None = ...,
    suppress_vmdesc: bool = ...,
) -> StreamSizes: ...
def size(
    registers: Registers,
    *,
    n_vcpu: int | Sequence[int],
    has_sve: bool = False,
    machine: QemuMachine | None = None,
    suppress_vmdesc: bool = False,
) -> StreamSize | StreamSizes:
    """The size of a QEMU migration stream, section by section (modelled; exact for TCG). RAM is not counted.

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number.
        n_vcpu: up to 512 are real; more are answered as if QEMU took them. Several numbers give several streams.
        has_sve: of a number of registers: the vCPUs have SVE.
        machine: QEMU 7.2, GICv3 and -nodefaults if not given; under KVM, or under TCG where `registers` is a number.
        suppress_vmdesc: whether the stream is sent without its description.

    Raises:
        InputError: counts out of range, more vCPUs than the interrupt controller serves, or a release or features that
            fastsmc does not know.

    >>> found = size(258, n_vcpu=512)
    >>> [part.bytes for part in found.parts if (part.name, part.instance) in {("arm_gicv3", 0), ("cpu", 511)}]
    [167600, 5404]
    >>> found.description_bytes
    3182946
    """
    sent = carried(registers, has_sve=has_sve)
    machine = machine or QemuMachine(accel="kvm" if sent.is_of_kvm else "tcg")
    if machine.za and not sent.has_sve:
        msg = "za: QEMU's CPU with SME has SVE too; give has_sve as well"
        raise InputError(msg)
    if isinstance(n_vcpu, Sequence):
        if not n_vcpu:
            msg = "n_vcpu is empty: give at least one vCPU count"
            raise InputError(msg)
        return StreamSizes(tuple(_size(sent, count, machine, suppress_vmdesc) for count in n_vcpu))
    return _size(sent, n_vcpu, machine, suppress_vmdesc)


def _size(sent: Carried, n_vcpu: int, machine: QemuMachine, suppress_vmdesc: bool) -> StreamSize:
    n_vcpu = machine.checked_vcpus(n_vcpu)
    has = machine.has(sve=sent.has_sve)
    data = recorded(machine.version)
    layouts = [cut(layout, has) for layout in data["sections"] if is_sent(layout, has)]
    layouts = [_sized(layout, n_vcpu, sent.n_reg) for layout in layouts]
    return StreamSize(
        machine,
        n_vcpu,
        sent.n_reg,
        sent.has_sve,
        str(sent),
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


def _parts(layouts: list[Layout], n_vcpu: int) -> Iterator[SectionSize]:
    sizes = {name: section_bytes(layout) for layout in layouts if (name := layout["name"]) in _PER_VCPU}
    for layout in layouts:
        name, size = layout["name"], section_bytes(layout)
        if name == "arm_gicv3":
            yield SectionSize(name, 0, size + (n_vcpu - 1) * layout["fields"][-1]["size"])
        elif name not in _PER_VCPU:
            yield SectionSize(name, layout["instance_id"], size)
        elif name == _PER_VCPU[0]:  # the sections of one vCPU follow each other, vCPU after vCPU
            yield from (SectionSize(one, i, sizes[one]) for i in range(n_vcpu) for one in _PER_VCPU)


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
