"""What `size` returns: the predicted sizes of one stream, or of several that differ in their number of vCPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table

DESCRIPTION_HEAD = 1 + 4
"""Bytes before the JSON: a type byte and the length."""
KIND = {
    "tcg": "modelled; checked against QEMU {}: every section and the description to the byte",
    "kvm": "modelled; derived from what QEMU {} sends under TCG, not compared with a stream of a KVM host",
}
"""What a size of either accelerator rests on, given the version it was checked with."""
CHECKED = {"7.2": "7.2.22", "10.0": "10.0.2"}
LEFT_OUT = "RAM: a page of zeros takes 9 bytes, any other 4104"


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
        return self.machine.is_hypothetical(n_vcpu=self.n_vcpu)

    @property
    def kind(self) -> str:
        """What the prediction rests on, in words."""
        return KIND[self.machine.accel].format(CHECKED[self.machine.version])

    @property
    def command_line(self) -> str:
        """Options of qemu-system-aarch64 that give such a guest."""
        return self.machine.command_line(n_vcpu=self.n_vcpu, sve=self.has_sve)

    @property
    def answer(self) -> str:
        """One sentence: the bytes of the stream."""
        star = "*" * self.is_hypothetical
        return (
            f"{self.n_vcpu} vCPU{'s' * (self.n_vcpu > 1)}{star}: a stream of {self.total_bytes:,} bytes without RAM, "
            f"{self.description_bytes:,} of them the description (modelled)"
        )

    def table(self) -> Table:
        """A row per device section, in the order of the stream."""
        rows = [{"section": part.name, "instance": part.instance, "bytes": part.bytes} for part in self.parts]
        return table_of_rows("A section of the stream.", rows, "modelled", inputs={"instance"})

    def numbers(self) -> dict[str, list[float | None]]:
        """Sizes of the stream, for thresholds."""
        return {"total_bytes": [self.total_bytes], "description_bytes": [self.description_bytes]}

    def as_dict(self) -> dict[str, Any]:
        """The stream's sizes as plain values."""
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

    @property
    def answer(self) -> str:
        """One sentence: the bytes of the stream, or of the least and the most vCPUs."""
        if len(self) == 1:
            return self.sizes[0].answer
        least, most = (find(self.sizes, key=lambda one: one.n_vcpu) for find in (min, max))
        return (
            f"{least.n_vcpu} to {most.n_vcpu} vCPUs: streams of {least.total_bytes:,} to {most.total_bytes:,} bytes "
            "without RAM (modelled)"
        )

    def table(self) -> Table:
        """A row per section of the only stream, or a row per stream."""
        if len(self) == 1:
            return self.sizes[0].table()
        rows = [
            {
                "n_vcpu": one.n_vcpu,
                "device_bytes": one.device_bytes,
                "description_bytes": one.description_bytes,
                "total_bytes": one.total_bytes,
                "suppress_vmdesc_saves_bytes": one.suppress_vmdesc_saves,
                "is_hypothetical": one.is_hypothetical,
            }
            for one in self.sizes
        ]
        return table_of_rows("A row per number of vCPUs.", rows, "modelled", inputs={"n_vcpu"})

    def numbers(self) -> dict[str, list[float | None]]:
        """Sizes of the streams, for thresholds."""
        each = [one.numbers() for one in self.sizes]
        return {name: [one[name][0] for one in each] for name in each[0]}

    def as_dict(self) -> dict[str, Any] | list[dict[str, Any]]:
        """The only stream as plain values, or a list with each of them."""
        told = [size.as_dict() for size in self.sizes]
        return told[0] if len(told) == 1 else told

    def __repr__(self) -> str:
        return f"StreamSizes({len(self)} streams)"

    def __str__(self) -> str:
        from fastsmc.migrate.qemu.text import sections, table

        return sections(self.sizes[0]) if len(self) == 1 else table(self.sizes)
