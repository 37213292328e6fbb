"""Results about files of registers: what they hold, how two differ, and what they are as bytes."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from fastsmc.schemas.common import Part


class FileRegister(TypedDict):
    """A register of vCPU 0; others have its value unless told."""

    id: str
    name: str | None
    value: str | None
    differs_on: NotRequired[list[int]]


class RegisterGroup(TypedDict):
    """vCPUs that list the same registers."""

    vcpus: list[int]
    registers: int


class Equality(TypedDict):
    """How many registers are equal on all vCPUs, by whether they are declared VM-global."""

    equal_global: int
    equal_undeclared: int
    different: int
    untold: int


class Inspect(TypedDict):
    """A file of registers."""

    file: str
    format: str
    told_by: dict[str, str]
    emulated: str | None
    part_of: str | None
    sha256: str | None
    vcpus: int
    registers_per_vcpu: int
    register_sets: list[RegisterGroup]
    has_values: bool
    parts: list[Part]
    description_bytes: int
    total_bytes: int
    declared_global: int
    equality: Equality | None
    equal_global: NotRequired[list[str]]
    equal_undeclared: NotRequired[list[str]]
    different: NotRequired[list[str]]
    untold: NotRequired[list[str]]
    conflicts: list[Any]
    not_everywhere: list[str]
    registers: list[FileRegister]
    notes: list[str]


class ForcedField(TypedDict):
    """A field that a template sets."""

    field: str
    value: int


class ForcedRegister(TypedDict):
    """Bits of a register that a template sets and clears."""

    id: str
    name: str | None
    bits_set: str
    bits_cleared: str
    fields: list[ForcedField]


class ForcedFeatures(TypedDict):
    """A word of vCPU features that a template changes."""

    index: int
    set: list[str]
    cleared: list[str]


class ForcedCapabilities(TypedDict):
    """KVM capabilities that a template checks too, and that it no longer checks."""

    added: list[int]
    removed: list[int]


class CpuTemplate(TypedDict):
    """A CPU template of Firecracker."""

    file: str
    format: str
    registers: list[ForcedRegister]
    vcpu_features: list[ForcedFeatures]
    kvm_capabilities: ForcedCapabilities
    no_host: str


class CpuModel(TypedDict):
    """QMP's answer about a CPU model."""

    file: str
    format: str
    model: str
    props: dict[str, Any]
    features: list[str]
    sve_lengths: list[int]
    no_host: str


class NamedRegister(TypedDict):
    """A register that a text names."""

    id: str | None
    name: str | None
    spelled: str
    said: str
    line: int | None
    group: str | None
    given: str | None
    own: str | None


class NamedRegisters(TypedDict):
    """A text that names registers and has none of a vCPU."""

    file: str
    format: str
    what: str
    registers: list[NamedRegister]
    told: list[str]
    no_host: str


class DiffSide(TypedDict):
    """A file that is compared."""

    file: str
    format: str
    vcpus: int
    part_of: str | None


class OnlyRegister(TypedDict):
    """A register that one file has."""

    id: str
    name: str | None
    value: str | None


class FieldChange(TypedDict):
    """A field whose value differs."""

    field: str
    a: str
    b: str


class RegisterChange(TypedDict):
    """A register whose values are not known to be equal."""

    id: str
    name: str | None
    a: str | None
    b: str | None
    fields: NotRequired[list[FieldChange]]


class Diff(TypedDict):
    """Two files, register by register."""

    a: DiffSide
    b: DiffSide
    vcpu: int
    likeness: Literal["equal", "different", "unknown"]
    only_a: list[OnlyRegister]
    only_b: list[OnlyRegister]
    differing: list[RegisterChange]
    untold: list[RegisterChange]
    equal: int
    notes: list[str]


class EncodedForm(TypedDict):
    """A form of the registers; bytes are null where it refuses them."""

    form: str
    registers: int
    bytes: int | None
    packed_bytes: int | None
    refused: str | None


class Encode(TypedDict):
    """Registers in every form."""

    subject: str
    answer: str
    vcpus: int
    registers: int
    forms: list[EncodedForm]
    notes: list[str]
