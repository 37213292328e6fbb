"""Results about time: simulations, sweeps of them, saved runs, measurements, comparisons."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from fastsmc.schemas.common import ColumnKind, FigureKind, Provenance, Table, VerdictName


class ProfileFigure(TypedDict):
    """A figure of a cost profile, with its source."""

    name: str
    value: float
    unit: str
    kind: FigureKind
    source: str


class UsedProfile(TypedDict):
    """The cost profile, its weakest figure, and those that the run made use of."""

    name: str
    title: str
    weakest: ProfileFigure
    figures: list[ProfileFigure]


class HostCores(TypedDict):
    """A host with fewer cores than vCPUs."""

    cores: int
    vcpus_per_core: float
    overcommitted: bool
    runnable_per_core: float | None
    slice_ns: float
    slice_kind: FigureKind
    slice_source: str


class OverVms(TypedDict):
    """A value over the VMs of a group."""

    mean: float
    least: float
    most: float


class Quantiles(TypedDict):
    """Times in ns, of merged histograms; mean and max are exact, quantiles within the relative error."""

    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float
    p99_99: float
    max: float


class ServiceTimes(TypedDict):
    """The calls of one service and verdict."""

    service: str
    verdict: VerdictName
    functions: list[str]
    rests_on_assumed: list[str]
    calls: int
    service_ns: Quantiles
    waiting_ns: Quantiles
    response_ns: Quantiles


class SimulatedGroup(TypedDict):
    """A group of VMs that are alike."""

    group: str
    vms: int
    vms_counted: int
    vcpus_per_vm: int
    hypothetical: bool
    release: str
    workload: str
    workload_kind: Literal["closed", "open", "script"]
    lock: Literal["vm", "workers", "none"]
    workers: int
    forwarded: int
    throughput_hz: float
    utilisation: OverVms
    queue_length: OverVms
    services: list[ServiceTimes]
    calls: int
    service_ns: Quantiles
    waiting_ns: Quantiles
    response_ns: Quantiles
    notes: list[str]


class SimulatedFleet(TypedDict):
    """All groups together."""

    vms: int
    vms_counted: int
    calls_planned: int
    vcpus: int
    throughput_hz: float
    calls: int
    service_ns: Quantiles
    waiting_ns: Quantiles
    response_ns: Quantiles


class Simulate(TypedDict):
    """A scenario's waiting times (modelled), in ns."""

    scenario: str
    kind: Literal["modelled"]
    partial: bool
    seed: int
    seed_is_default: bool
    calls_per_vcpu: int
    warmup_per_vcpu: int
    profile: UsedProfile
    host: HostCores | None
    hypothetical: bool
    assumed: list[str]
    relative_error: float
    groups: list[SimulatedGroup]
    fleet: SimulatedFleet


class Run(TypedDict):
    """A saved run: its tables by name, a line per column, and what it can be repeated from."""

    schema: Literal[1]
    provenance: Provenance
    tables: dict[str, Table]


class FailedCell(TypedDict):
    """A cell of a sweep that failed, and why."""

    at: dict[str, Any]
    seed: NotRequired[int]
    error: str


class Sweep(TypedDict):
    """A scenario at every point of a grid; each result has `at` and a number for each measure."""

    scenario: str
    answer: str
    kind: Literal["modelled"]
    seed: int
    seeds: list[int]
    over: dict[str, list[Any]]
    where: str
    repeats: int
    measures: list[str]
    kinds: dict[str, ColumnKind]
    relative_error: float
    cells: int
    done: int
    left: int
    failed: list[FailedCell]
    results: list[dict[str, Any]]


class SweptQuestion(TypedDict):
    """A planner's question at every point of a grid; each result has `at`, its answer, and a number for each measure.

    Seeds are told of a question that draws random numbers.
    """

    question: str
    name: str
    ask: dict[str, Any]
    answer: str
    kind: Literal["modelled", "assumed"]
    seed: NotRequired[int]
    seeds: NotRequired[list[int]]
    over: dict[str, list[Any]]
    where: str
    repeats: int
    measures: list[str]
    kinds: dict[str, ColumnKind]
    cells: int
    done: int
    left: int
    failed: list[FailedCell]
    results: list[dict[str, Any]]


class Environment(TypedDict):
    """The machine and versions of a measurement; no host name and no path."""

    cpu: str
    n_core: int
    os: str
    python: str
    numpy: str
    numba: str
    fastsmc: str
    date_utc: str
    load_before: list[float]


class BenchCase(TypedDict):
    """The times of a case: ns per call, CPU time of one core."""

    ns_per_call: float
    spread: float
    n_call: int
    n_round: int
    pattern: str
    clock: Literal["cpu", "wall"]
    rounds_ns: list[float]


class Bench(TypedDict):
    """How fast fastsmc is on a machine (measured)."""

    schema: Literal[1]
    answer: str
    environment: Environment
    first_s: float
    cases: dict[str, BenchCase]


class ComparedRow(TypedDict):
    """A figure of the base and of another file; the interval is null where no spread is saved."""

    of: str
    metric: str
    file: str
    base: float | str | None
    value: float | str | None
    ratio: float | None
    interval: list[float | None] | None
    interval_by: str | None
    verdict: Literal["higher", "lower", "same", "unknown", "gone", "new", "other"]


class Compare(TypedDict):
    """Saved results side by side; the first file is the base of all ratios."""

    kind: Literal["simulation", "benchmark", "registers", "plan"]
    files: list[str]
    answer: str
    same: bool
    level: float
    counts: dict[str, int]
    rows: list[ComparedRow]
    differs: list[str]
    notes: list[str]


class Sample(TypedDict):
    """A sample: what it is, and a command that reads it."""

    name: str
    what: str
    command: str


class Samples(TypedDict):
    """Samples that were written into a folder."""

    folder: str
    samples: list[Sample]


class New(TypedDict):
    """Files that were written to begin with."""

    kind: Literal["scenario", "inventory", "profile", "question", "probe"]
    files: list[str]
    what: str
    next: str
