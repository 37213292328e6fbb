"""Saved simulations compared: times of each group of VMs from their histograms, and rates.

Calls of one VM wait for the same lock, so they are not independent: for waiting and response the number of calls is
divided by the design effect that the run saved, the variance of its VMs' means against that of its calls. Where a run
has none, because it has few VMs or is older, these times have no interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fastsmc.comparing import making
from fastsmc.comparing.compared import BY_CHANCE, GONE, NEW, Compared, Row
from fastsmc.errors import ResultFileError
from fastsmc.latency.judged import judged
from fastsmc.latency.times import QUANTILES, Times
from fastsmc.results.intervals import Estimate, of_mean, of_quantile
from fastsmc.results.runs import Run

_TIMES = ("response", "waiting", "service")
_RATES = ("throughput_hz", "utilisation_mean", "queue_length_mean")
_ASIDE = ("text", "assumed", "partial", "kind", "relative_error", "scenario", "seed_is_default")
"""Inputs that are told apart, or that are none."""


class Group(NamedTuple):
    """A group of VMs of a run: its times, how many calls count as one, and its rates."""

    times: Times
    effects: dict[str, float | None]
    rates: dict[str, float]


def compare(named: list[tuple[str, Run]]) -> Compared:
    """The first run against each other.

    Raises:
        ResultFileError: a run that contradicts itself.
    """
    (base_name, base), *others = named
    ours = _groups(base_name, base)
    rows: list[Row] = []
    differs: list[str] = []
    for name, run in others:
        theirs = _groups(name, run)
        for group in dict.fromkeys((*ours, *theirs)):
            rows += _rows(group, name, ours.get(group), theirs.get(group))
        differs += _differences(name, base, run)
    runs = [run for _, run in named]
    notes = [f"{name} is partial: the run was stopped" for name, run in named if run.provenance.inputs.get("partial")]
    lacking = [name for name, run in named if "response_design_effect" not in run["groups"]]
    if lacking:
        notes.append(f"{', '.join(lacking)}: saved by an older version, so waiting and response have no interval")
    if any(value is None for run in runs for group in _groups("", run).values() for value in group.effects.values()):
        notes.append("a group of few VMs has no interval for waiting and response, as calls of one VM wait together")
    if len({run.provenance.seed for run in runs}) == 1:
        notes.append("runs of one seed draw alike, so they differ by less than the intervals say")
    notes.append(BY_CHANCE)
    return Compared("simulation", tuple(name for name, _ in named), tuple(rows), tuple(differs), tuple(notes))


def _groups(name: str, run: Run) -> dict[str, Group]:
    try:
        found = judged(run)
    except ResultFileError as error:
        msg = f"{name}: {error}"
        raise ResultFileError(msg) from error
    groups = {}
    for row in run["groups"].rows():
        parts = [times for (group, _), times in found.items() if group == row["group"]]
        times = Times.merged(parts)
        effects: dict[str, float | None] = {"service": 1.0}
        for time in ("waiting", "response"):
            effects[time] = 1.0 if not times.waiting.total_ns else _effect(row.get(f"{time}_design_effect"))
        groups[row["group"]] = Group(times, effects, {rate: row[rate] for rate in _RATES})
    return groups


def _effect(value: object) -> float | None:
    return float(value) if isinstance(value, float) and value >= 1 else None


def _rows(group: str, file: str, ours: Group | None, theirs: Group | None) -> Iterator[Row]:
    if ours is None or theirs is None:
        yield Row(group, "", file, None, None, None, NEW if ours is None else GONE)
        return
    for time in _TIMES:
        for metric, first, second in zip(_METRICS, _estimates(ours, time), _estimates(theirs, time), strict=True):
            if first.value or second.value:
                yield Row.measured(group, f"{time}_{metric}_ns", file, first, second)
    for rate in _RATES:
        if ours.rates[rate] or theirs.rates[rate]:
            yield Row.measured(group, rate, file, Estimate(ours.rates[rate]), Estimate(theirs.rates[rate]))


_METRICS = ("mean", *(f"p{100 * share:.6g}".replace(".", "_") for share in QUANTILES))


def _estimates(group: Group, time: str) -> list[Estimate]:
    histogram, effect = getattr(group.times, time), group.effects[time]
    if effect is None:
        return [Estimate(histogram.mean_ns), *(Estimate(histogram.quantile(share)) for share in QUANTILES)]
    quantiles = (of_quantile(histogram, share, design_effect=effect) for share in QUANTILES)
    return [of_mean(histogram, design_effect=effect), *quantiles]


def _differences(file: str, base: Run, run: Run) -> Iterator[str]:
    a, b = base.provenance, run.provenance
    yield from making.of_runs(file, a, b, is_modelled=True)
    ours, theirs = making.scenario_of(a.inputs.get("text")), making.scenario_of(b.inputs.get("text"))
    if ours is not None and theirs is not None:
        yield from making.of_inputs(file, {**ours, "seed": 0}, {**theirs, "seed": 0})
    rest = [{key: value for key, value in of.inputs.items() if key not in _ASIDE} for of in (a, b)]
    yield from making.of_inputs(file, *rest)
    ours_assumed, theirs_assumed = (list(of.inputs.get("assumed") or []) for of in (a, b))
    yield from (f"{file}: assumed no more: {one}" for one in ours_assumed if one not in theirs_assumed)
    yield from (f"{file}: assumed now: {one}" for one in theirs_assumed if one not in ours_assumed)
