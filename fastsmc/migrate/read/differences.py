"""`diff`: two files register by register: what only one has, what has another value, and in which fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from fastsmc.errors import InputError
from fastsmc.facts.field_names import Field, differing_fields
from fastsmc.facts.registers import BIT_NAMES, COUNTERS, FW_BY_ID, SVE_VLS, FwKind
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.listing import label, shown
from fastsmc.migrate.read.result import Format, RegisterFile
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table


class Likeness(StrEnum):
    """What two files are to each other."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RegisterChange:
    """A register that both files list and whose values are not known to be equal.

    Attributes:
        reg: its id.
        a, b: its value in either file; None where the file does not tell it.
        fields: where they differ, lowest first: fields of an ID register, bits of a bitmap; () for any other register.
    """

    reg: int
    a: int | None
    b: int | None
    fields: tuple[Field, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, numbers as hexadecimal text."""
        told: dict[str, Any] = {"id": f"{self.reg:#018x}", "name": label(self.reg)}
        told |= {"a": shown(self.a), "b": shown(self.b)}
        if self.a is None or self.b is None:
            return told
        fields = [{"field": str(one), "a": hex(one.of(self.a)), "b": hex(one.of(self.b))} for one in self.fields]
        return told | {"fields": fields}

    def __str__(self) -> str:
        head = f"{_named(self.reg)}: {shown(self.a) or 'not told'} -> {shown(self.b) or 'not told'}"
        if self.a is None or self.b is None or not self.fields:
            return head
        return f"{head}; " + ", ".join(f"{one} {one.of(self.a):#x} -> {one.of(self.b):#x}" for one in self.fields)


@dataclass(frozen=True, slots=True, eq=False)
class RegisterDiff:
    """Two files compared register by register, one vCPU of each.

    Attributes:
        a, b: the files.
        vcpu: which vCPU of both.
        only_a, only_b: values by id of registers that the other file lacks; None for a value that is not told.
        differing: registers with two known values that are not the same.
        untold: registers of which a file does not tell the value while the other does, or which are too wide for it.
        equal: ids of registers with one value, or without values where neither file tells any.
        notes: what a reader of it should know, one sentence each.
    """

    a: RegisterFile
    b: RegisterFile
    vcpu: int
    only_a: Mapping[int, int | None]
    only_b: Mapping[int, int | None]
    differing: tuple[RegisterChange, ...]
    untold: tuple[RegisterChange, ...]
    equal: tuple[int, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def likeness(self) -> Likeness:
        """Different if anything differs; unknown if nothing does and some value is not told; else equal."""
        if self.only_a or self.only_b or self.differing:
            return Likeness.DIFFERENT
        return Likeness.UNKNOWN if self.untold else Likeness.EQUAL

    @property
    def summary(self) -> str:
        """How many registers are what, in a sentence."""
        counts = f"{len(self.only_a)} only in A, {len(self.only_b)} only in B, {len(self.differing)} with other values"
        unknown = f", {len(self.untold)} with values that are not told" if self.untold else ""
        return f"{self.likeness}: {counts}{unknown}, {len(self.equal)} equal"

    @property
    def answer(self) -> str:
        """One sentence: the summary."""
        return self.summary

    def table(self) -> Table:
        """A row per register that is not equal: its id and name, what it is, and the values."""
        told = self.as_dict()
        rows = [
            {"id": row["id"], "name": row["name"], "what": what, "a": row["value"] if what == "only in A" else None,
             "b": row["value"] if what == "only in B" else None}
            for what, key in (("only in A", "only_a"), ("only in B", "only_b"))
            for row in told[key]
        ]  # fmt: skip
        for what, changes in (("differs", self.differing), ("not told", self.untold)):
            rows += [
                {"id": f"{one.reg:#018x}", "name": label(one.reg), "what": what, "a": shown(one.a), "b": shown(one.b)}
                for one in changes
            ]
        columns = ("id", "name", "what", "a", "b")
        return table_of_rows("A row per register that is not equal.", rows, "", columns=columns)

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts of registers, for thresholds."""
        counted = {name: getattr(self, name) for name in ("only_a", "only_b", "differing", "untold", "equal")}
        return {name: [len(some)] for name, some in counted.items()}

    def as_dict(self) -> dict[str, Any]:
        """All registers that are not equal, and how many are, as plain values."""
        return {
            "a": _side(self.a),
            "b": _side(self.b),
            "vcpu": self.vcpu,
            "likeness": self.likeness,
            "only_a": _listed(self.only_a),
            "only_b": _listed(self.only_b),
            "differing": [one.as_dict() for one in self.differing],
            "untold": [one.as_dict() for one in self.untold],
            "equal": len(self.equal),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        names = f"{self.a.provenance.path[:50]!r}, {self.b.provenance.path[:50]!r}"
        return f"RegisterDiff({names}, {self.likeness}, {len(self.equal)} equal)"

    def __str__(self) -> str:
        lines = [self.summary]
        for name, file in (("A", self.a), ("B", self.b)):
            lines += [f"{name}: {file.provenance.path}: {file.format}, vCPU {self.vcpu} of {file.n_vcpu}"]
        for name, values in (("only in A", self.only_a), ("only in B", self.only_b)):
            lines += _section(name, (f"{_named(reg)} = {shown(value) or 'not told'}" for reg, value in values.items()))
        lines += _section("A -> B", map(str, self.differing))
        lines += _section("not told", map(str, self.untold))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _named(reg: int) -> str:
    return f"{reg:#018x} {label(reg) or ''}".rstrip()


def _side(file: RegisterFile) -> dict[str, Any]:
    return {"file": file.provenance.path, "format": file.format, "vcpus": file.n_vcpu, "part_of": file.part_of or None}


def _listed(values: Mapping[int, int | None]) -> list[dict[str, str | None]]:
    return [{"id": f"{reg:#018x}", "name": label(reg), "value": shown(value)} for reg, value in values.items()]


def _section(name: str, lines: Iterable[str]) -> list[str]:
    told = [f"  {line}" for line in lines]
    return [f"{name}, {len(told)} register{'s' * (len(told) != 1)}:", *told] if told else []


def diff(
    a: Path | str | BinaryIO | RegisterFile,
    b: Path | str | BinaryIO | RegisterFile,
    *,
    vcpu: int = 0,
    features: str | None = None,
) -> RegisterDiff:
    """Two files register by register: only in one, another value and in which fields, equal, not told.

    Args:
        a, b: files that `inspect` reads, "-" for standard input, or what it returned.
        vcpu: which vCPU of both.
        features: which feature set of a recorded reglist: "psci02+sve".

    Raises:
        RegisterFileError: a file that cannot be read.
        InputError: a file that tells no vCPU's registers, such as a CPU template or a log, or that has no such vCPU.
    """
    if str(a) == "-" and str(b) == "-":
        msg = "standard input can be one of the two files, not both"
        raise InputError(msg)
    one, other = (_file(given, features) for given in (a, b))
    ours, theirs = ({**_core(file, vcpu), **file.values_of(vcpu)} for file in (one, other))
    both = sorted(ours.keys() & theirs.keys())
    is_list = not one.has_values and not other.has_values
    changes = [RegisterChange(reg, ours[reg], theirs[reg]) for reg in both]
    untold = [each for each in changes if (each.a is None or each.b is None) and not is_list]
    known = (each for each in changes if each.a is not None and each.b is not None)
    differing = [_change(each.reg, each.a, each.b) for each in known if each.a != each.b]
    left = {each.reg for each in (*untold, *differing)}
    return RegisterDiff(
        one,
        other,
        vcpu,
        {reg: ours[reg] for reg in sorted(ours.keys() - theirs.keys())},
        {reg: theirs[reg] for reg in sorted(theirs.keys() - ours.keys())},
        tuple(differing),
        tuple(untold),
        tuple(reg for reg in both if reg not in left),
        tuple(_notes((one, other), {each.reg for each in differing}, is_list=is_list)),
    )


def _file(given: Path | str | BinaryIO | RegisterFile, features: str | None) -> RegisterFile:
    found = given if isinstance(given, RegisterFile) else inspect(given, features=features)
    if not isinstance(found, RegisterFile):
        msg = f"{found.path}: {found.no_host.partition(',')[0]}; a diff needs the registers of a vCPU"
        raise InputError(msg)
    return found


def _core(file: RegisterFile, vcpu: int) -> dict[int, int | None]:
    """Core registers of a QEMU stream, which has them in fields of their own."""
    if file.core is None:
        return {}
    row = file.core.vcpus.tolist().index(vcpu) if vcpu in file.core.vcpus else None
    if row is None:
        return {}
    return {reg: file.core.value(row, column) for column, reg in enumerate(file.core.registers.ids.tolist())}


def _change(reg: int, a: int | None, b: int | None) -> RegisterChange:
    assert a is not None
    assert b is not None
    if reg == SVE_VLS:
        lengths = (Field(f"vectors of {128 * (bit + 1)}", bit, bit) for bit in range(16))
        return RegisterChange(reg, a, b, tuple(one for one in lengths if one.of(a) != one.of(b)))
    row = FW_BY_ID.get(reg)
    if row is None:
        return RegisterChange(reg, a, b, differing_fields(reg, a, b))
    if row.kind is FwKind.PSCI_VERSION:
        fields = (Field("minor", 15, 0), Field("major", 31, 16))
        return RegisterChange(reg, a, b, tuple(one for one in fields if one.of(a) != one.of(b)))
    bits = (Field(BIT_NAMES.get((row.name, bit), ""), bit, bit) for bit in range(64))
    return RegisterChange(reg, a, b, tuple(one for one in bits if one.of(a) != one.of(b)))


def _notes(files: tuple[RegisterFile, RegisterFile], differing: set[int], *, is_list: bool) -> Iterable[str]:
    if is_list:
        yield "Neither file tells values: ids are compared."
    if differing & COUNTERS:
        yield "Counters go on counting, so two readings of one vCPU differ there too."
    for name, file in zip("AB", files, strict=True):
        if file.part_of:
            yield f"{name} is {file.part_of}: what it lacks its vCPU may have."
        if file.format in (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION):
            missing = "core" if file.core is None else "V"
            yield f"{name} is of QEMU: its {missing} registers and those of SVE are not read here."
        if file.emulated:
            yield f"{name} is {file.emulated}."
        if file.n_vcpu > 1:
            yield f"{name} has {file.n_vcpu} vCPUs, of which one is compared; migrate inspect tells where they differ."
