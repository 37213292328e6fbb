"""Results about register state on the move: files, whether they restore, bytes and milliseconds."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from fastsmc.schemas.common import FigureKind, Spread


class Part(TypedDict):
    """A piece of a file or stream."""

    name: str
    instance: int | None
    bytes: int


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


class CheckSide(TypedDict):
    """An end of a migration, and what is known of it."""

    name: str
    basis: str
    release: str | None
    features: str
    registers: int
    values: int
    notes: list[str]


class JudgedRegister(TypedDict):
    """A register that fails, or of which it cannot be known; errno as KVM returns it."""

    id: str
    name: str | None
    value: str | None
    errno: int | None
    reason: str
    vcpus: str | list[int] | None


class Lengths(TypedDict):
    """Registers of the incoming list and of the destination's own."""

    incoming: int
    own: int


class Caveat(TypedDict):
    """What restores and is different afterwards."""

    kind: str
    text: str
    names: list[str]


class Remedy(TypedDict):
    """What would let it restore."""

    text: str
    command: str | None
    registers: list[str]


class Direction(TypedDict):
    """A migration one way."""

    ok: bool
    verdict: str
    unknown_accepted: bool
    scope: str
    failing: list[JudgedRegister]
    unjudged: list[JudgedRegister]
    open_question: str | None
    to_know: list[str]
    reason: str | None
    stopped_by: str | None
    error: list[str]
    lengths: Lengths | None
    warnings: list[Caveat]
    remedies: list[Remedy]


class Check(TypedDict):
    """Whether a VM that moves restores."""

    kind: Literal["modelled"]
    vmm: str
    vmm_version: str | None
    vmm_notes: list[str]
    source: CheckSide
    dest: CheckSide
    forward: Direction
    backward: Direction | None


class MatrixDirection(TypedDict):
    """A direction between two kernels; registers are joined by semicolons."""

    source: str
    dest: str
    vmm: str
    features: str
    source_basis: str
    dest_basis: str
    verdict: str
    n_failing: int
    n_unjudged: int
    failing: str
    guest_gains: str
    guest_loses: str


class Matrix(TypedDict):
    """Every known release against every other."""

    kind: Literal["modelled"]
    vmm: str
    vmm_version: str | None
    features: str
    vmm_notes: list[str]
    releases: list[str]
    directions: list[MatrixDirection]


class NamedBytes(TypedDict):
    """Bytes by what they are for."""

    name: str
    bytes: int


class DescribedBytes(TypedDict):
    """Bytes of a stream's description, by section."""

    name: str
    instances: int
    bytes: int


class Size(TypedDict):
    """The size of a migration stream, section by section."""

    format: str
    kind: str
    command_line: str
    hypothetical: bool
    vcpus: int
    registers_per_vcpu: int
    sve: bool
    parts: list[Part]
    description_bytes: int
    description: list[DescribedBytes]
    other: list[NamedBytes]
    total_bytes: int
    suppress_vmdesc_saves: int
    left_out: str


class Step(TypedDict):
    """A step of the downtime."""

    name: str
    stage: str
    ms: Spread
    kind: FigureKind | Literal["modelled"]
    source: str
    ioctls: int
    bytes: int
    in_estimate: bool


class Downtime(TypedDict):
    """Where the downtime of a migration goes."""

    kind: str
    vmm: str
    registers: str
    vcpus: int
    registers_per_vcpu: int
    sve: bool
    hypothetical: bool
    line_rate_gbit_per_s: float
    rtt_us: float
    limit_ms: float
    steps: list[Step]
    total_ms: Spread
    overlapped_ms: Spread
    unseen_ms: Spread
    unseen_share: float
    share_of_limit: Spread
    left_out: list[str]
    notes: list[str]


class Added(TypedDict):
    """What registers add to a VMM's bytes and ioctls."""

    vmm: str
    n_vcpu: int
    max_vcpus: int | None
    n_byte: Spread
    n_byte_after: Spread
    ioctls: int
    ioctls_after: int
    ms: Spread
    ms_after: Spread
    refused: str
    hypothetical: bool


class CarrierLimit(TypedDict):
    """A limit of a VMM, before and after."""

    vmm: str
    what: str
    most: int
    before: int
    after: int
    room: int | None
    crossed: bool


class BothWays(TypedDict):
    """What moves between a kernel with the registers and one without."""

    vmm: str
    new_to_old: str
    old_to_new: str


class MapSaving(TypedDict):
    """What a map of VM-global registers would save."""

    n_global: int
    n_vcpu: int
    vmm: str
    n_byte: int
    ioctls: int
    ms: Spread
    share: Spread
    break_even_percent: float | None
    break_even_registers: Spread


class Claim(TypedDict):
    """What was said of a number of registers, and what it comes to."""

    n_reg: int
    n_vcpu: int
    said: str
    value_bytes: int
    qemu_bytes: int
    ioctls: int
    bytes_ms: float
    ioctl_ms: Spread
    bytes_share: float
    ioctl_share: Spread


class AddRegisters(TypedDict):
    """What more registers cost when a VM moves."""

    kind: str
    registers: str
    added: int
    size_bits: int
    family: str
    ioctl_ns: Spread
    ioctl_ns_kind: FigureKind
    line_rate_gbit_per_s: float
    limit_ms: float
    rows: list[Added]
    limits: list[CarrierLimit]
    directions: list[BothWays]
    map: list[MapSaving]
    claim: list[Claim]
    verdict: str


class ScopeRow(TypedDict):
    """A VM of so many vCPUs, one VMM, one scope of registers."""

    n_vcpu: int
    vmm: str
    scope: str
    marked: str
    n_reg: int
    n_marked: int
    save_ioctls: int
    load_ioctls: int
    payload_bytes: int
    of_today: float
    may_elide: bool
    is_hypothetical: bool


class Scope(TypedDict):
    """What register scopes cost when a VM moves."""

    registers: str
    kind: Literal["modelled"]
    assumes: str
    notes: dict[str, str]
    rows: list[ScopeRow]
