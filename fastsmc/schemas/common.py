"""Parts that several kinds of results have."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

VerdictName = Literal["HANDLED", "DENIED", "FORWARDED", "NOT_SUPPORTED", "EXIT", "FAST_PATH", "SMC_REFUSED", "TO_VEL2"]
ColumnKind = Literal["measured", "recorded", "modelled", "assumed", "input", ""]
FigureKind = Literal["measured", "recorded", "read", "derived", "assumed"]


class Spread(TypedDict):
    """A figure that rests on others with bounds: with all of them low, in the middle, and high."""

    low: float | None
    mid: float | None
    high: float | None


class Provenance(TypedDict):
    """Versions and machine; no host name and no path."""

    fastsmc: str
    python: str
    numpy: str
    numba: str
    cpu: str
    n_core: int
    kernel: str
    date_utc: str
    seed: int
    inputs: NotRequired[dict[str, Any]]


class Column(TypedDict):
    """A column of a saved table, and how its values came about; null is a number that is not known."""

    kind: ColumnKind
    meaning: str
    values: list[Any]
    unknown: NotRequired[bool]
    type: NotRequired[Literal["bool", "int64", "float64", "str"]]


class Table(TypedDict):
    """A saved table, and what a row of it is."""

    meaning: str
    columns: dict[str, Column]


class FilterRange(TypedDict):
    """A range of function ids, and what KVM's filter does with it."""

    base: str
    functions: int
    action: Literal["HANDLE", "DENY", "FWD_TO_USER"]


class Policy(TypedDict):
    """What a VMM chooses for a guest; bitmaps are hexadecimal text."""

    bitmaps: dict[str, str]
    psci_version: str | None
    filter: list[FilterRange]
    verdicts_changed: NotRequired[int]
    calls_changed: NotRequired[int | None]


class Part(TypedDict):
    """A piece of a file or stream."""

    name: str
    instance: int | None
    bytes: int
