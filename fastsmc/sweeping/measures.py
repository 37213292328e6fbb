"""What is kept of a cell: numbers by name, each of the whole fleet or of one group, and histograms of times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from fastsmc.checks import F64Array, not_among, shown
from fastsmc.errors import InputError
from fastsmc.latency import GroupOutcome, Simulation, Times
from fastsmc.results.histogram import Histogram

TIMES = ("response", "waiting", "service")
"""Times of which each cell keeps the histogram."""
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
_OF_VMS: dict[str, Callable[[F64Array], float]] = {
    "mean": lambda values: float(values.mean()),
    "least": lambda values: float(values.min()),
    "most": lambda values: float(values.max()),
}
UNITS = {"ns": "ns", "hz": "1/s"}
"""By the end of a measure's name."""
NAMES = (
    "calls",
    "forwarded",
    "throughput_hz",
    *(f"{time}_{word}_ns" for time in TIMES for word in ("mean", *_SHARES, "max")),
    *(f"{name}_{word}" for name in ("utilisation", "queue_length") for word in _OF_VMS),
)
"""Measures of a fleet. Before it a group may be named, as in "web.response_p99_ns"."""
DEFAULT = (
    "calls", "throughput_hz", "response_mean_ns", "response_p50_ns", "response_p99_ns", "response_p99_9_ns",
    "response_max_ns", "waiting_mean_ns", "service_mean_ns", "utilisation_mean", "queue_length_mean",
)  # fmt: skip


def checked(measures: object, groups: Iterable[str]) -> tuple[str, ...]:
    """The measures, each known, none given twice.

    Raises:
        InputError: one is not, or there is none.
    """
    if isinstance(measures, str) or not isinstance(measures, Iterable):
        msg = f"measure is {shown(measures)}: give a list of names such as {list(DEFAULT[:2])}"
        raise InputError(msg)
    found, known = list(measures), list(groups)
    for name in found:
        group, _, own = name.rpartition(".") if isinstance(name, str) else ("", "", name)
        if own not in NAMES:
            raise InputError(not_among("measure", own, list(NAMES)))
        if group and group not in known:
            raise InputError(not_among(f"the group of measure {name!r}", group, known))
    if not found or len(set(found)) < len(found):
        msg = f"measure is {shown(found)}: give at least one name, and none twice"
        raise InputError(msg)
    return tuple(found)


def groups_of(measures: Iterable[str]) -> tuple[str, ...]:
    """The groups that measures name, "" for the fleet first: those of which a cell keeps histograms."""
    return tuple(dict.fromkeys(["", *(name.rpartition(".")[0] for name in measures)]))


def measured(done: Simulation, measures: Sequence[str]) -> tuple[list[float], dict[tuple[str, str], Histogram]]:
    """The numbers of a simulation, and histograms by (group, time).

    Raises:
        InputError: the cell has no group of a name that a measure has.
    """
    by_group: dict[str, tuple[tuple[GroupOutcome, ...], Times]] = {"": (done.groups, done.times)}
    by_group |= {group.name: ((group,), group.times) for group in done.groups}
    groups = groups_of(measures)
    for group in groups:
        if group not in by_group:
            raise InputError(not_among("the group of a measure", group, [name for name in by_group if name]))
    values = [_value(own, *by_group[group]) for group, _, own in (name.rpartition(".") for name in measures)]
    return values, {(group, time): getattr(by_group[group][1], time) for group in groups for time in TIMES}


def _value(name: str, groups: tuple[GroupOutcome, ...], times: Times) -> float:
    if name == "calls":
        return float(times.n_call)
    if name == "forwarded":
        return float(sum(int(group.forwarded.sum()) for group in groups))
    if name == "throughput_hz":
        return sum(float(group.throughput_hz.sum()) for group in groups)
    time, _, word = name.removesuffix("_ns").partition("_")
    if time in TIMES:
        histogram: Histogram = getattr(times, time)
        if word in _SHARES:
            return histogram.quantile(_SHARES[word])
        return histogram.mean_ns if word == "mean" else histogram.max_ns
    column, _, word = name.rpartition("_")
    values = np.concatenate([getattr(group, column) for group in groups])
    return _OF_VMS[word](values) if values.size else 0.0


def attributes(name: str) -> Mapping[str, str]:
    """What a measure's variable says of itself."""
    end = name.rpartition("_")[2]
    return {"kind": "modelled", **({"units": UNITS[end]} if end in UNITS else {})}
