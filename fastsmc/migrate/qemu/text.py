"""Predicted sizes of QEMU streams as text: the sections of one stream, or a line for each of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastsmc.migrate.qemu.result import LEFT_OUT, StreamSize, StreamSizes
from fastsmc.results.layout import drawn, number, starred, words

_GIC = ("arm_gic", "arm_gicv3", "arm_gicv3_its")


def sections(size: StreamSize) -> str:
    """One line per device, in the order of the stream; instances of a name together."""
    rows: dict[str, list[int]] = {}
    for part in size.parts:
        row = rows.setdefault(part.name, [0, 0])
        row[0] += 1
        row[1] += part.bytes
    described = {} if size.suppress_vmdesc else {row.name: row.bytes for row in size.description}
    lines = [size.answer, _head(size), f"command line: {size.command_line}"]
    cells: list[tuple[object, ...]] = [
        (name, count, total // count, total, described.get(name, 0)) for name, (count, total) in rows.items()
    ]
    other = sum(count for _, count in size.other)
    cells += [
        ("other", None, None, other, described.get("frame", 0)),
        ("sum", None, None, size.device_bytes + other, size.description_bytes),
    ]
    lines += drawn([words("section"), *map(number, ("count", "each", "bytes", "description"))], cells)
    lines += [f"total {size.total_bytes} B{'*' * size.is_hypothetical}; {_saved(size)}"]
    return "\n".join([*lines, *_foot([size])])


def table(sizes: Sequence[StreamSize]) -> str:
    """One line per number of vCPUs."""
    first = sizes[0]
    titles = ("cpu", "GIC", "other dev.", "description", "other", "total")
    lines = [
        StreamSizes(tuple(sizes)).answer,
        _head(first),
        f"command line: {first.machine.command_line(n_vcpu='<vCPUs>', sve=first.has_sve)}",
    ]
    cells = []
    vcpus = starred([size.n_vcpu for size in sizes], [size.is_hypothetical for size in sizes])
    for n_vcpu, size in zip(vcpus, sizes, strict=True):
        cpu = sum(part.bytes for part in size.parts if part.name == "cpu")
        gic = sum(part.bytes for part in size.parts if part.name in _GIC)
        other = sum(count for _, count in size.other)
        counts = (cpu, gic, size.device_bytes - cpu - gic, size.description_bytes, other, size.total_bytes)
        cells.append((n_vcpu, *counts, _saved(size).removeprefix("suppress-vmdesc ")))
    lines += drawn([number("vCPUs"), *map(number, titles), words("suppress-vmdesc")], cells)
    return "\n".join([*lines, *_foot(sizes)])


def _head(size: StreamSize) -> str:
    return f"QEMU {size.machine.version}, {size.subject} ({size.kind})"


def _foot(sizes: Iterable[StreamSize]) -> list[str]:
    hypothetical = ["* hypothetical: QEMU's virt and arm64 KVM stop at 512 vCPUs per VM"]
    return [*(hypothetical if any(size.is_hypothetical for size in sizes) else []), f"left out: {LEFT_OUT}"]


def _saved(size: StreamSize) -> str:
    saved = size.suppress_vmdesc_saves
    before = size.total_bytes + (saved if size.suppress_vmdesc else 0)
    verb = "has saved" if size.suppress_vmdesc else "would save"
    return f"suppress-vmdesc {verb} {saved} B, {saved / before:.1%}"
