"""How one device's section of a QEMU stream is laid out, and how the stream describes it.

QEMU ends a stream with a description of what it sent: JSON that names every field of every section with its size.
So one layout says both: the bytes of a section and the text that describes it. The layouts are data, written down
from real streams (fastsmc/data/qemu_virt_*.json); nothing is fitted. Each optional piece has a word for what the
guest must have, and a layout is first cut down to what a guest has.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np

from fastsmc.checks import I64Array
from fastsmc.facts.packaged import packaged

Count = int | I64Array
"""One count, or an array of them."""
Layout = dict[str, Any]
"""A described section, subsection, structure or field; keys and their order are QEMU's own."""

SECTION_HEAD = 1 + 4 + 1 + 4 + 4
"""Bytes of a section's head beside its name: type, section id, length of the name, instance, version. Source: QEMU
migration/savevm.c."""
SECTION_FOOT = 1 + 4
"""Bytes of a section's footer: type, and the section id once more."""
_POWERS = tuple(10**n for n in range(1, 7))
SUBSECTION_HEAD = 1 + 1 + 4
"""Bytes of a subsection's head beside its name: type, length of the name, version. Source: QEMU migration/vmstate.c."""


@cache
def recorded(version: str = "7.2") -> Layout:
    """The data file of a version: source, machine, page_size, sections in the order of a stream.

    "command_bytes" are those of commands to the destination. "last_has_index" is False where the last structure of an
    array is described without its index: newer QEMUs number an element only while others follow it.
    """
    text = packaged(f"qemu_virt_{version}.json").read_text(encoding="utf-8")
    data: Layout = json.loads(text)
    return data


def cut(layout: Layout, has: frozenset[str]) -> Layout:
    """What a guest that `has` these sends of a section: optional pieces left out, structures' sizes brought up to date.

    A device without any subsection left has no list of them either.
    """
    kept = {key: value for key, value in layout.items() if key != "needs"}
    if "fields" in kept:
        kept["fields"] = [cut(field, has) for field in kept["fields"]]
    if "subsections" in kept:
        kept["subsections"] = [cut(sub, has) for sub in kept["subsections"] if is_sent(sub, has)]
        if not kept["subsections"]:
            del kept["subsections"]
    if "struct" in kept:
        kept["struct"] = cut(kept["struct"], has)
        kept["size"] = body_bytes(kept["struct"])
    return kept


def is_sent(layout: Layout, has: frozenset[str]) -> bool:
    """Whether a guest that `has` these sends the section or subsection at all."""
    return not layout["needs"] or layout["needs"] in has


def with_elements(layout: Layout, counts: dict[str, int]) -> Layout:
    """The section with that many elements in the arrays of these names.

    QEMU writes "array_len" only for two elements and more. For the register arrays this is taken from other arrays: no
    guest has a single register.
    """
    fields = []
    for field in layout["fields"]:
        n = counts.get(field["name"])
        if n is None:
            fields.append(field)
        else:
            length = {"array_len": n} if n > 1 else {}
            fields.append({"name": field["name"]} | length | {k: v for k, v in field.items() if k in ("type", "size")})
    return layout | {"fields": fields}


def body_bytes(layout: Layout) -> int:
    """Bytes of all fields and subsections, without the frame of a section."""
    fields: int = sum(field.get("array_len", 1) * field["size"] for field in layout["fields"])
    subsections = layout.get("subsections", ())
    return fields + sum(SUBSECTION_HEAD + len(sub["vmsd_name"]) + body_bytes(sub) for sub in subsections)


def section_bytes(layout: Layout) -> int:
    """Bytes of the whole section, from its type byte to the end of its footer."""
    return SECTION_HEAD + len(layout["name"]) + body_bytes(layout) + SECTION_FOOT


def text_bytes(layout: Layout) -> int:
    """Characters of the description, spaced as QEMU does."""
    return len(json.dumps(layout))


def n_digit(n: Count) -> I64Array:
    """Decimal digits of a number below 10**7, or of each in an array: int64.

    >>> [int(n_digit(n)) for n in (0, 9, 10, 65536)]
    [1, 1, 2, 5]
    """
    return np.asarray(1 + sum(np.asarray(n) >= power for power in _POWERS), np.int64)


def digits_up_to(n: Count) -> I64Array:
    """Decimal digits of the numbers 0 to n - 1, all together; n is at most 10**7, or an array of such.

    >>> int(digits_up_to(12))  # 0 to 9, 10, 11
    14
    """
    return np.asarray(n + sum(np.maximum(n - power, 0) for power in _POWERS))
