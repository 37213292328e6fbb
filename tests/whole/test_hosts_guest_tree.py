"""What a traced guest is started with: its device tree, its kernel's header, and where things lie in its memory."""

from __future__ import annotations

import ctypes
import ctypes.util
import random
import struct
from itertools import combinations

import pytest

from fastsmc.errors import InputError
from tools.hosts_guest_tree import MAP, MIB, Image, Node, flatten, image_of, tree_of

Read = dict[str, dict[str, bytes]]


def any_node(chance: random.Random, name: str, depth: int) -> Node:
    """A node with a few properties of any length, and children down to a depth."""
    words = ["#cells", "compatible", "reg", "a,b-c", "x" * 31, "interrupt-controller"]
    properties = {word: chance.randbytes(chance.randrange(9)) for word in chance.sample(words, chance.randrange(4))}
    children = [any_node(chance, f"n{at}@{at:x}", depth - 1) for at in range(chance.randrange(4) if depth else 0)]
    return Node(name, properties, children)


def read_fdt(data: bytes) -> Read:
    """Properties by path, read as chapter 5 of the Devicetree Specification 0.4 describes the format."""
    magic, total, at, at_strings, at_reserved, version, last, _, n_strings, n_structure = struct.unpack_from(
        ">10I", data
    )
    assert (magic, total, version, last) == (0xD00DFEED, len(data), 17, 16)
    assert at_reserved % 8 == 0
    assert data[at_reserved : at_reserved + 16] == bytes(16)
    assert at % 4 == 0
    assert at_strings + n_strings <= total
    names = data[at_strings : at_strings + n_strings].split(b"\0")
    assert len(names) == len(set(names)), "each name is there once"
    end, found, path = at + n_structure, {}, []
    while True:
        (token,) = struct.unpack_from(">I", data, at)
        at += 4
        if token == 1:
            name = data[at : data.index(b"\0", at)].decode()
            at = (at + len(name) + 1 + 3) // 4 * 4
            path.append(name)
            found["/".join(path) or "/"] = {}
        elif token == 2:
            path.pop()
        elif token == 3:
            size, at_name = struct.unpack_from(">II", data, at)
            start = at_strings + at_name
            name = data[start : data.index(b"\0", start)].decode()
            assert name not in found["/".join(path) or "/"]
            found["/".join(path) or "/"][name] = data[at + 8 : at + 8 + size]
            at = (at + 8 + size + 3) // 4 * 4
        else:
            assert token == 9
            assert (at, path) == (end, [])
            return found


def cells(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 4}I", data))


def wide(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 8}Q", data))


@pytest.mark.parametrize("n_cpu", [1, 2, 8])
def test_the_tree_has_what_a_guest_needs(n_cpu: int) -> None:
    tree = read_fdt(tree_of(n_initrd=12345, arguments="console=ttyAMA0 quiet", n_cpu=n_cpu))
    assert cells(tree["/"]["#address-cells"] + tree["/"]["#size-cells"]) == [2, 2]
    assert tree["/psci"] == {"compatible": b"arm,psci-1.0\0arm,psci-0.2\0", "method": b"hvc\0"}
    assert tree["/chosen"]["bootargs"] == b"console=ttyAMA0 quiet\0"
    assert wide(tree["/chosen"]["linux,initrd-start"] + tree["/chosen"]["linux,initrd-end"]) == [
        MAP.initrd,
        MAP.initrd + 12345,
    ]
    assert wide(tree["/memory@40000000"]["reg"]) == [MAP.memory, MAP.memory_bytes]
    cpus = [path for path in tree if path.startswith("/cpus/")]
    assert [cells(tree[path]["reg"]) for path in cpus] == [[number] for number in range(n_cpu)]
    assert all(tree[path]["enable-method"] == b"psci\0" for path in cpus)
    gic = tree["/intc@8000000"]
    assert gic["phandle"] == tree["/"]["interrupt-parent"]
    assert wide(gic["reg"]) == [MAP.distributor, 0x10000, MAP.redistributors, 0x20000 * n_cpu]
    assert len(cells(tree["/timer"]["interrupts"])) == 4 * cells(gic["#interrupt-cells"])[0]
    serial = tree["/pl011@9000000"]
    assert tree["/chosen"]["stdout-path"] == b"/pl011@9000000\0"
    assert wide(serial["reg"]) == [MAP.serial, 0x1000]
    assert cells(serial["clocks"]) == cells(tree["/apb-pclk"]["phandle"]) * 2


@pytest.mark.parametrize("seed", range(50))
def test_any_tree_is_read_back(seed: int) -> None:
    root = any_node(random.Random(seed), "", 3)
    expected: Read = {}

    def add(node: Node, path: str) -> None:
        expected[path or "/"] = dict(node.properties)
        for child in node.children:
            add(child, f"{path}/{child.name}")

    add(root, "")
    assert read_fdt(flatten(root)) == expected


def test_libfdt_reads_the_same() -> None:
    """The library that dtc and QEMU have, where this machine has it."""
    name = ctypes.util.find_library("fdt")
    if name is None:
        pytest.skip("this machine has no libfdt")
    library = ctypes.CDLL(name)
    library.fdt_getprop.restype = ctypes.c_void_p
    data = tree_of(n_initrd=1, arguments="quiet")
    assert library.fdt_check_full(data, len(data)) == 0
    tree = read_fdt(data)
    size = ctypes.c_int(-1)
    for path, properties in tree.items():
        at = library.fdt_path_offset(data, path.encode())
        assert at >= 0, path
        for one, value in properties.items():
            found = library.fdt_getprop(data, at, one.encode(), ctypes.byref(size))
            assert ctypes.string_at(found, size.value) == value


def test_nothing_in_the_memory_map_overlaps() -> None:
    end = MAP.memory + MAP.memory_bytes
    ram = [(MAP.kernel, MAP.initrd), (MAP.initrd, MAP.tree), (MAP.tree, end)]
    devices = [(MAP.distributor, MAP.distributor + 0x10000), (MAP.redistributors, MAP.redistributors + 0x40000)]
    devices += [(MAP.serial, MAP.serial + 0x1000), (MAP.stolen, MAP.stolen + 0x1000)]
    for (start, stop), (other, other_stop) in combinations([*ram, *devices], 2):
        assert stop <= other or other_stop <= start
    assert all(start < stop for start, stop in ram)
    assert MAP.kernel % (2 * MIB) == 0
    assert MAP.tree % 8 == 0


def header(*, offset: int = 0, size: int = 4096, flags: int = 0xA, magic: bytes = b"ARM\x64") -> bytes:
    """A kernel image of which only the header is right, as Documentation/arch/arm64/booting.rst lays it out."""
    return b"MZ\x40\xfa" + bytes(4) + struct.pack("<QQQ", offset, size, flags) + bytes(24) + magic + bytes(68)


def test_a_plain_image_is_taken() -> None:
    assert image_of(header(offset=0x80000, size=27 * MIB), "vmlinuz") == Image(0x80000, 27 * MIB)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x1f\x8b\x08" + bytes(100), "compressed by gzip"),
        (b"MZ\0\0zimg" + bytes(100), "wrapped for EFI"),
        (header(magic=b"RISC"), "not an arm64 kernel Image"),
        (header()[:60], "not an arm64 kernel Image"),
        (b"", "not an arm64 kernel Image"),
        (header(flags=0xB), "big-endian"),
        (header(size=64), "not a whole Image"),
        (header(size=129 * MIB), "it takes 129 MiB .* and 128 MiB are kept"),
    ],
)
def test_other_kernels_are_refused_by_name(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=rf"^vmlinuz: .*{why}") as told:
        image_of(data, "vmlinuz")
    assert "\n" not in str(told.value)
