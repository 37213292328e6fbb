"""What the JSON description at the end of a QEMU stream tells: each device's fields and their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastsmc.checks import LAST_U32, cut
from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_DEVICES
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.members import member, whole

_MAX_DEPTH = 64
_MOST = 1 << 32
"""A field has at most so many bytes, and an array so many elements."""
_COUNT, _IDS = "cpreg_vmstate_array_len", "cpreg_vmstate_indexes"


@dataclass(frozen=True, slots=True)
class Device:
    """A device as described.

    Attributes:
        n_bytes: of its fields, subsections included.
        count_at, n_reg: where its count of system registers stands and what it is; None for all but vCPUs.
    """

    n_bytes: int
    count_at: int | None
    n_reg: int | None


def devices(description: object) -> dict[tuple[str, int], Device]:
    """Every device by name and instance.

    Raises:
        RegisterFileError: not a description, or a device is there twice.
    """
    found: dict[tuple[str, int], Device] = {}
    for number, device in enumerate(member(description, "devices", list, "the description")):
        what = f"the description, device {number}"
        if number == MAX_DEVICES:
            msg = f"{what}: at most {MAX_DEVICES} are read"
            raise RegisterFileError(msg)
        name = member(device, "name", str, what)
        instance = whole(f"{what}, instance_id", member(device, "instance_id", int, what), last=LAST_U32)
        if (name, instance) in found:
            msg = f"{what}: {printable(cut(name))} {instance} is described twice"
            raise RegisterFileError(msg)
        size = fields_size(device, what)
        found[name, instance] = Device(size, *(_registers(device, what) if name == "cpu" else (None, None)))
    return found


def _registers(device: dict[str, Any], what: str) -> tuple[int | None, int | None]:
    """Offset of the count of system registers, and how many ids follow it."""
    at, count_at = 0, None
    for field in device["fields"]:
        name = field.get("name")
        if name == _COUNT:
            count_at = at
        elif name == _IDS:
            return count_at, whole(f"{what}, array_len", field.get("array_len", 1), last=_MOST)
        at += field_size(field, what)
    return count_at, None


def fields_size(table: dict[str, Any], what: str, depth: int = 0) -> int:
    """Bytes of a device's or subsection's fields and of its subsections with their heads."""
    if depth > _MAX_DEPTH:
        msg = f"{what}: nested too deeply"
        raise RegisterFileError(msg)
    total = sum(field_size(field, what) for field in member(table, "fields", list, what))
    for inner in table.get("subsections", ()) if isinstance(table.get("subsections", ()), list) else ():
        name = member(inner, "vmsd_name", str, what)
        total += 1 + 1 + len(name) + 4 + fields_size(inner, what, depth + 1)
    return total


def field_size(field: dict[str, Any], what: str) -> int:
    """Bytes of one field, all elements if it is an array; a struct's size includes what is in it."""
    size = whole(f"{what}, size", member(field, "size", int, what), last=_MOST)
    return size * whole(f"{what}, array_len", field.get("array_len", 1), last=_MOST)
