"""Results about calls: traces, what guests used, verdicts, ids explained, releases, recordings replayed."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from fastsmc.schemas.common import Policy, VerdictName


class TracedFunction(TypedDict):
    """A function that a guest called (recorded)."""

    service: str
    function: str
    func_id: str
    immediate: int
    calls: int
    percent: float
    per_second: float | None
    to_vel2: int | None
    vcpus: dict[str, int]


class Trace(TypedDict):
    """The calls of a trace: what there was, and what is missing."""

    calls: int
    seconds: float | None
    lost: int | None
    lost_at_least: int | None
    skipped: int
    skipped_calls: int | None
    other_events: int
    exits: dict[str, int]
    forwarded: dict[str, int]
    files: dict[str, int]
    el2: bool
    to_vel2: int | None
    rows: list[TracedFunction]


class CountedFunction(TypedDict):
    """A function that was counted in the kernel."""

    service: str
    function: str
    func_id: str
    calls: int
    percent: float
    to_vel2: int | None


class Counts(TypedDict):
    """Calls that were counted without times and vCPUs."""

    kind: str
    calls: int
    lost: int | None
    lost_at_least: int | None
    skipped: int
    skipped_calls: int | None
    left_out: list[str]
    el2: bool
    to_vel2: int | None
    rows: list[CountedFunction]


class UsedFunction(TypedDict):
    """A function that a guest called, its verdict, and what lets it through."""

    service: str
    function: str
    func_id: str
    calls: int
    verdict: VerdictName
    gate: str
    under_policy: VerdictName | None
    loss: str


class UsedBits(TypedDict):
    """Bits of a bitmap register: those that were used, and those of a VM that nobody configured."""

    used: str
    default: str


class Services(TypedDict):
    """What a guest used, the least that answers it, and what a policy would take away."""

    trace: str
    release: str
    calls: int
    rows: list[UsedFunction]
    bits: dict[str, UsedBits]
    el2: bool
    least: Policy | None
    policy: Policy | None
    notes: list[str]


class Exit(TypedDict):
    """How a call leaves the guest."""

    reason: Literal["KVM_EXIT_HYPERCALL", "KVM_EXIT_SYSTEM_EVENT"]
    nr: NotRequired[str]
    flags: NotRequired[str]
    type: NotRequired[int]
    data: NotRequired[list[str]]


class DecidedCall(TypedDict):
    """What becomes of a call: ids, arguments and registers are hexadecimal text."""

    service: str
    function: str
    func_id: str
    arguments: list[str]
    percent: float
    verdict: VerdictName
    x: list[str]
    free_bits: list[str]
    exit: Exit | None
    rule: str
    loss: str
    doubts: list[str]


class ByWay(TypedDict):
    """Functions, or percent of calls, by who answers."""

    answered: float
    to_vmm: float
    refused: float
    to_vel2: float


class Dispatch(TypedDict):
    """Verdicts of one's own mix of calls."""

    release: str
    features: str
    conduit: Literal["hvc", "smc"]
    answer: str
    policy: Policy
    functions: ByWay
    percent: ByWay
    rows: list[DecidedCall]


class Near(TypedDict):
    """A known id that may have been meant."""

    id: str
    name: str
    why: str


class OfGuest(TypedDict):
    """What becomes of a call in one kind of guest; x0 is null where it is no fixed value."""

    release: str
    guest: Literal["ordinary", "with EL2", "protected"]
    level: Literal["EL1", "vEL2", "vEL1", "vEL1 with TSC"]
    conduit: Literal["hvc", "smc"]
    verdict: VerdictName
    x0: str | None


class Explanation(TypedDict):
    """Everything known about one id."""

    kind: Literal["function", "register"]
    id: str
    name: str | None
    summary: str
    lines: dict[str, str]
    near: list[Near]
    guests: list[OfGuest]
    sources: list[str]


class KnownRelease(TypedDict):
    """A release, where its register list is from, and what its KVM has."""

    release: str
    updates: str
    registers: str
    bitmaps: int
    psci: str
    trng: bool
    ptp: bool
    filter: bool
    smc: bool
    not_certain: str


class KnownVendor(TypedDict):
    """A vendor whose kernels are recognised."""

    vendor: str
    bases: str
    carries_back: str
    notes: str
    source: str


class KnownVmm(TypedDict):
    """A VMM's versions, or what one of them brought."""

    vmm: str
    from_version: str
    to_version: str
    what: str
    source: str


class KnownFeature(TypedDict):
    """A vCPU feature."""

    feature: str
    bits: str
    capabilities: str
    given_by: str
    limits: str


class Releases(TypedDict):
    """What is known by name."""

    what: Literal["releases", "vendors", "vmms", "features"]
    answer: str
    releases: list[KnownRelease]
    vendors: list[KnownVendor]
    vmms: list[KnownVmm]
    features: list[KnownFeature]


class VerifiedKind(TypedDict):
    """The records of one kind of one host; reasons are counted."""

    host: str
    kind: str
    records: int
    match: int
    not_judged: dict[str, int]
    inferred: dict[str, int]
    differences: list[Any]


class Verify(TypedDict):
    """Recordings replayed."""

    records: int
    match: int
    ok: bool
    kinds: list[VerifiedKind]
    not_looked_at: dict[str, int]
    not_known_whole: list[str]
