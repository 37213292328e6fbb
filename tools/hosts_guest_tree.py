"""What a small arm64 guest is started with: where things lie in its memory, its kernel's header and its device tree.

A device tree is a tree of named nodes with properties, flattened into bytes; its format and the order of its parts are
those of the Devicetree Specification 0.4, chapter 5. The nodes are what a Linux guest needs to find its CPUs, PSCI by
HVC, an interrupt controller GICv3, its timer and one serial port. Nothing here touches KVM.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastsmc.errors import InputError

MIB = 1 << 20


class Map(NamedTuple):
    """Guest-physical addresses; they are ours to choose, and the same words go to the VMM inside the host."""

    memory: int = 0x40000000
    memory_bytes: int = 320 * MIB
    kernel: int = 0x40000000
    """At a multiple of 2 MiB, as the kernel's boot protocol asks for."""
    initrd: int = 0x48000000
    tree: int = 0x53E00000
    """In the last 2 MiB of the memory."""
    distributor: int = 0x08000000
    redistributors: int = 0x080A0000
    serial: int = 0x09000000
    serial_spi: int = 1
    """The serial port's interrupt, counted among shared ones: the interrupt controller calls it 32 + 1."""
    stolen: int = 0x090A0000
    """A page of its own, where KVM tells stolen time (PV_TIME_ST)."""


MAP = Map()
N_CPU = 2
FDT_MAGIC, FDT_VERSION, FDT_COMPATIBLE = 0xD00DFEED, 17, 16
BEGIN_NODE, END_NODE, PROPERTY, END = 1, 2, 3, 9
"""Tokens of the structure block."""
GIC, CLOCK = 1, 2
"""Phandles: numbers by which other nodes name these two."""
SPI, PPI, LEVEL_HIGH = 0, 1, 4
"""Words of an interrupt: its kind, and that its line is high while it is asked for (bindings of arm,gic-v3)."""
TIMERS = (13, 14, 11, 10)
"""PPIs of the architected timer: secure, non-secure, virtual, hypervisor, in the order of its binding."""
IMAGE_MAGIC = b"ARM\x64"
"""At byte 56 of an arm64 Image (Linux Documentation/arch/arm64/booting.rst)."""


class Node(NamedTuple):
    """A node: its name, properties and children."""

    name: str
    properties: Mapping[str, object]
    children: Sequence[Node] = ()


class Image(NamedTuple):
    """What the header of an arm64 kernel says."""

    offset: int
    """Bytes from a multiple of 2 MiB to where the kernel has to lie."""
    size: int
    """Bytes of memory the kernel takes, more than its file."""


def image_of(data: bytes, name: str) -> Image:
    """Reads the header of a kernel image, which has to be plain and for a little-endian CPU.

    Raises:
        InputError: the file is compressed, or no arm64 kernel, or cut, or too large for the guest's memory map.
    """
    if data[:2] == b"\x1f\x8b":
        msg = f"{name}: this kernel is compressed by gzip; unpack it first (gunzip), as a guest starts a plain Image"
        raise InputError(msg)
    if data[:4] == b"MZ\0\0" and data[4:8] == b"zimg":
        msg = f"{name}: this kernel is wrapped for EFI (zboot); a guest without firmware needs the plain arm64 Image"
        raise InputError(msg)
    if len(data) < 64 or data[56:60] != IMAGE_MAGIC:
        msg = f"{name}: not an arm64 kernel Image: 'ARM\\x64' is missing at byte 56; give vmlinuz of an arm64 package"
        raise InputError(msg)
    offset, size, flags = struct.unpack_from("<QQQ", data, 8)
    if flags & 1:
        msg = f"{name}: this kernel is for a big-endian CPU; those of Debian's arm64 packages are not"
        raise InputError(msg)
    if size < len(data):
        msg = f"{name}: its header says {size} bytes of memory, and the file alone has {len(data)}: not a whole Image"
        raise InputError(msg)
    if MAP.kernel + offset + size > MAP.initrd:
        msg = (
            f"{name}: it takes {(offset + size) / MIB:.0f} MiB from the start of the guest's memory, "
            f"and {(MAP.initrd - MAP.kernel) // MIB} MiB are kept for a kernel"
        )
        raise InputError(msg)
    return Image(offset, size)


def tree_of(*, n_initrd: int, arguments: str, n_cpu: int = N_CPU) -> bytes:
    """The device tree of a guest.

    Args:
        n_initrd: bytes of its initramfs, which lies at MAP.initrd.
        arguments: the kernel's command line.
        n_cpu: its CPUs, whose affinities are 0, 1 and so on.
    """
    serial = f"pl011@{MAP.serial:x}"
    cpu = {"device_type": "cpu", "compatible": "arm,armv8", "enable-method": "psci"}
    root = Node(
        "",
        {
            "#address-cells": [2],
            "#size-cells": [2],
            "compatible": "linux,dummy-virt",
            "model": "fastsmc,guest",
            "interrupt-parent": [GIC],
        },
        [
            Node(
                "chosen",
                {
                    "bootargs": arguments,
                    "stdout-path": f"/{serial}",
                    "linux,initrd-start": _cells(MAP.initrd),
                    "linux,initrd-end": _cells(MAP.initrd + n_initrd),
                },
            ),
            Node(
                f"memory@{MAP.memory:x}",
                {"device_type": "memory", "reg": _cells(MAP.memory, MAP.memory_bytes)},
            ),
            Node(
                "cpus",
                {"#address-cells": [1], "#size-cells": [0]},
                [Node(f"cpu@{number}", {**cpu, "reg": [number]}) for number in range(n_cpu)],
            ),
            Node("psci", {"compatible": ["arm,psci-1.0", "arm,psci-0.2"], "method": "hvc"}),
            _interrupt_controller(n_cpu),
            Node(
                "timer",
                {
                    "compatible": "arm,armv8-timer",
                    "always-on": b"",
                    "interrupts": [word for timer in TIMERS for word in (PPI, timer, LEVEL_HIGH)],
                },
            ),
            Node(
                "apb-pclk",
                {"compatible": "fixed-clock", "#clock-cells": [0], "clock-frequency": [24_000_000], "phandle": [CLOCK]},
            ),
            Node(
                serial,
                {
                    "compatible": ["arm,pl011", "arm,primecell"],
                    "reg": _cells(MAP.serial, 0x1000),
                    "interrupts": [SPI, MAP.serial_spi, LEVEL_HIGH],
                    "clocks": [CLOCK, CLOCK],
                    "clock-names": ["uartclk", "apb_pclk"],
                },
            ),
        ],
    )
    return flatten(root)


def flatten(root: Node) -> bytes:
    """A tree as bytes: header, an empty list of reserved memory, structure, names of properties."""
    names: dict[str, int] = {}
    strings, structure = bytearray(), bytearray()

    def add(node: Node) -> None:
        structure.extend(struct.pack(">I", BEGIN_NODE) + _padded(node.name.encode() + b"\0"))
        for name, value in node.properties.items():
            if name not in names:
                names[name] = len(strings)
                strings.extend(name.encode() + b"\0")
            data = _value(value)
            structure.extend(struct.pack(">III", PROPERTY, len(data), names[name]) + _padded(data))
        for child in node.children:
            add(child)
        structure.extend(struct.pack(">I", END_NODE))

    add(root)
    structure.extend(struct.pack(">I", END))
    header, reserved = 40, bytes(16)
    at_structure = header + len(reserved)
    at_strings = at_structure + len(structure)
    words = (FDT_MAGIC, at_strings + len(strings), at_structure, at_strings, header, FDT_VERSION, FDT_COMPATIBLE)
    return struct.pack(">10I", *words, 0, len(strings), len(structure)) + reserved + bytes(structure) + bytes(strings)


def _interrupt_controller(n_cpu: int) -> Node:
    """GICv3: a distributor of 64 KiB, and a redistributor of 128 KiB per CPU."""
    return Node(
        f"intc@{MAP.distributor:x}",
        {
            "compatible": "arm,gic-v3",
            "#interrupt-cells": [3],
            "interrupt-controller": b"",
            "reg": _cells(MAP.distributor, 0x10000, MAP.redistributors, 0x20000 * n_cpu),
            "phandle": [GIC],
        },
    )


def _cells(*numbers: int) -> list[int]:
    """64-bit numbers as two words each."""
    return [word for number in numbers for word in (number >> 32, number & 0xFFFFFFFF)]


def _value(value: object) -> bytes:
    """A property's bytes: words are big-endian, texts end in a zero byte."""
    if isinstance(value, bytes):
        return value
    items = [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
    return b"".join(struct.pack(">I", one) if isinstance(one, int) else one.encode() + b"\0" for one in items)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
