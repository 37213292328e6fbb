"""Planners' answers and their files, and what is wrong with an inventory."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from fastsmc.schemas.common import ColumnKind, Provenance, Table


class CubeValues(TypedDict):
    """Numbers over the dimensions of a plan's cube, nested lists."""

    kind: ColumnKind
    meaning: str
    values: list[Any]


class Cube(TypedDict):
    """Numbers over labelled dimensions."""

    coords: dict[str, list[Any]]
    values: dict[str, CubeValues]


class Weakest(TypedDict):
    """The assumed figure that the answer depends on most, and the answer at its bounds."""

    figure: str
    low: float
    high: float
    at_low: str
    at_high: str


class Excuse(TypedDict):
    """Why rows have no better answer."""

    why: str
    rows: int
    example: dict[str, Any]


class Plan(TypedDict):
    """The answer to a planner's question; columns of rows differ from question to question."""

    question: str
    answer: str
    met: bool | None
    bottleneck: str
    weakest: Weakest | None
    excuses: list[Excuse]
    assumptions: list[str]
    inputs: dict[str, Any]
    kinds: dict[str, ColumnKind]
    rows: list[dict[str, Any]]
    cube: Cube | None
    tables: dict[str, list[dict[str, Any]]]
    provenance: Provenance


class SavedPlan(TypedDict):
    """A plan as a file, which Plan.load reads back."""

    schema: Literal[1]
    plan: str
    provenance: Provenance
    answer: str
    met: bool | None
    bottleneck: str
    weakest: Weakest | None
    excuses: list[Excuse]
    assumptions: list[str]
    cube: Cube | None
    tables: NotRequired[dict[str, Table]]
    table: Table


class Overcommitted(TypedDict):
    """Hosts whose VMs have more vCPUs than they have cores."""

    hosts: int
    vcpus_per_core: float


class Problem(TypedDict):
    """Something that is wrong with an inventory, or unknown."""

    severity: Literal["wrong", "unknown"]
    file: str
    row: int
    line: int
    column: str
    value: str
    what: str
    remedy: str


class Problems(TypedDict):
    """All that is wrong with hosts and VMs, or unknown."""

    hosts: int
    vms: int
    wrong: int
    unknown: int
    untold: dict[str, int]
    overcommitted: Overcommitted | None
    problems: list[Problem]
