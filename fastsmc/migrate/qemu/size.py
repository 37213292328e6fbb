"""How large a QEMU stream will be, section by section, before there is one (modelled).

For machine virt of QEMU 7.2 and 10.0, stopped before the first instruction. Bytes and description are exact there:
checked against QEMU 7.2.22 and 10.0.2 under TCG for 1 to 512 vCPUs. RAM is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import overload

from fastsmc.errors import InputError
from fastsmc.migrate.carried import Carried, Registers, carried
from fastsmc.migrate.qemu.devices import SEPARATOR, Device, devices, frame_bytes, other_bytes
from fastsmc.migrate.qemu.layout import digits_up_to
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.qemu.result import Described, SectionSize, StreamSize, StreamSizes


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
    sections = devices(machine, has_sve=sent.has_sve)
    return StreamSize(
        machine,
        n_vcpu,
        sent.n_reg,
        sent.has_sve,
        str(sent),
        suppress_vmdesc,
        tuple(_parts(sections, sent.n_reg, n_vcpu)),
        tuple(_description(machine, sections, sent.n_reg, n_vcpu)),
        other_bytes(machine.version, suppress_vmdesc=suppress_vmdesc),
    )


def _parts(sections: tuple[Device, ...], n_reg: int, n_vcpu: int) -> Iterator[SectionSize]:
    """The sections in the order of the stream: those of one vCPU follow each other, vCPU after vCPU."""
    for is_per_vcpu, some in groupby(sections, key=lambda one: one.is_per_vcpu):
        sizes = [(one, int(one.section_bytes(n_reg, n_vcpu))) for one in some]
        if is_per_vcpu:
            yield from (SectionSize(one.name, i, size) for i in range(n_vcpu) for one, size in sizes)
        else:
            yield from (SectionSize(one.name, one.instance, size) for one, size in sizes)


def _description(machine: QemuMachine, sections: tuple[Device, ...], n_reg: int, n_vcpu: int) -> Iterator[Described]:
    """Characters per device name, then the frame around them with the commas between."""
    texts: dict[str, list[int]] = {}
    more_digits = int(digits_up_to(n_vcpu)) - n_vcpu
    for one in sections:
        row = texts.setdefault(one.name, [0, 0])
        row[0] += n_vcpu if one.is_per_vcpu else 1
        row[1] += int(one.described_bytes(n_reg, n_vcpu, more_digits))
    for name, (instances, size) in texts.items():
        yield Described(name, instances, size)
    n_section = sum(instances for instances, _ in texts.values())
    yield Described("frame", 1, frame_bytes(machine.version) + (n_section - 1) * SEPARATOR)
