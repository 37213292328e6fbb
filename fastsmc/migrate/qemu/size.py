"""How large a QEMU stream will be, section by section, before there is one (modelled).

For machine virt of QEMU 7.2 and 10.0, stopped before the first instruction. Bytes and description are exact there:
checked against QEMU 7.2.22 and 10.0.2 under TCG for 1 to 512 vCPUs. RAM is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

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
from fastsmc.migrate.qemu.result import DESCRIPTION_HEAD, Described, SectionSize, StreamSize, StreamSizes

FILE_HEADER = 8
"""Bytes before the first section: magic and version."""
END_OF_STREAM = 1

_PER_VCPU = ("cpu_common", "cpu")
_CPREGS = ("cpreg_vmstate_indexes", "cpreg_vmstate_values")
_SEPARATOR = len(", ")


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
    n_vcpu = machine.checked_vcpus(n_vcpu=n_vcpu)
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
