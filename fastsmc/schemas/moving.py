"""Results about register state on the move: whether it restores, bytes, ioctls and milliseconds."""

from __future__ import annotations

from typing import Literal, TypedDict

from fastsmc.schemas.common import FigureKind, Part, Spread


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
