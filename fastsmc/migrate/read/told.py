"""What a reader of text or JSON found, before it becomes a `RegisterFile`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastsmc.facts.releases import Release
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.result import Format, Part


@dataclass(frozen=True, slots=True)
class Told:
    """What one file tells: registers by vCPU, and what stands around them.

    Attributes:
        parts: pieces of the file the reader can name; what they leave over is named "other".
        part_of: as `RegisterFile.part_of`.
        rules: as `RegisterFile.rules`.
    """

    format: Format
    vcpus: Registers
    told_by: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    part_of: str = ""
    rules: Release | None = None
