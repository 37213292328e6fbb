"""A simulation as plain values, for JSON and for text: what was asked, what was found, and what that rests on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastsmc.facts.costs import Figure
from fastsmc.facts.releases import release
from fastsmc.latency.outcome import CallKind, GroupOutcome
from fastsmc.latency.times import QUANTILES, Times
from fastsmc.reference.doubts import touched
from fastsmc.results.histogram import RELATIVE_ERROR, Histogram
from fastsmc.results.units import significant
from fastsmc.scenario import Scenario, VmGroup
from fastsmc.scenario.profiles import FIGURES, figures_of

LABELS = tuple(f"p{100 * share:.6g}" for share in QUANTILES)
"""p50, p90, p99, p99.9, p99.99: of text; in JSON a _ stands for the dot."""


class Findings(NamedTuple):
    """What there is to tell of a simulation: what was asked, and what was found.

    Attributes:
        is_partial: it was stopped; what was counted until then is here.
        runnable_per_core: vCPUs that run or want to, on average, where there are more vCPUs than cores; else None.
    """

    scenario: Scenario
    groups: tuple[GroupOutcome, ...]
    is_partial: bool
    runnable_per_core: float | None


def summary(simulation: Findings, times: Times) -> dict[str, Any]:
    """Everything `fastsmc simulate --json` prints. Times are in ns; `times` are those of all calls."""
    scenario, profile = simulation.scenario, simulation.scenario.profile
    used = _used_by_run(simulation)
    weakest = profile.weakest_of(used or FIGURES)
    figures = [{"name": name} | asdict(getattr(profile, name)) for name in FIGURES if name in used]
    return {
        "scenario": scenario.name,
        "kind": "modelled",
        "partial": simulation.is_partial,
        "seed": scenario.seed,
        "seed_is_default": scenario.seed_is_default,
        "calls_per_vcpu": scenario.calls,
        "warmup_per_vcpu": scenario.warmup,
        "profile": {
            "name": profile.name,
            "title": profile.title,
            "weakest": {"name": weakest[0]} | asdict(weakest[1]),
            "figures": figures,
        },
        "host": _host(simulation),
        "hypothetical": scenario.is_hypothetical,
        "assumed": assumed(simulation),
        "relative_error": RELATIVE_ERROR,
        "groups": [_group(group, ["slice_ns"] * _rests_on_slice(simulation)) for group in simulation.groups],
        "fleet": {
            "vms": sum(group.count for group in scenario.groups),
            "vms_counted": sum(group.n_vm for group in simulation.groups),
            "calls_planned": sum(_planned(scenario, group) for group in scenario.groups),
            "vcpus": scenario.n_vcpu,
            "throughput_hz": sum(float(group.throughput_hz.sum()) for group in simulation.groups),
            **_times(times),
        },
    }


def _planned(scenario: Scenario, group: VmGroup) -> int:
    script = group.workload.script
    return group.count * (group.vcpus * scenario.calls if script is None else len(script))


def figures_used(group: GroupOutcome, kind: CallKind) -> tuple[str, ...]:
    """The profile's figures that the times of a kind of call rest on."""
    given = group.group.given
    names = figures_of(kind.verdict, n_range=len(given.filter))
    own = next(e.service for e, k in zip(given.workload.mix, group.kinds, strict=True) if k is kind)
    if "round_trip_ns" in names and own is None and given.service_is_from_profile:
        return (*names, "vmm_service_ns")
    return names


def _used_by_run(simulation: Findings) -> set[str]:
    """Figures that any counted call made use of."""
    return {
        name
        for group in simulation.groups
        for kind in group.kinds
        if kind.times.n_call
        for name in figures_used(group, kind)
    }


def assumed(simulation: Findings) -> list[str]:
    """What the outcome takes for granted, a sentence each."""
    scenario, used = simulation.scenario, _used_by_run(simulation)
    figures: list[tuple[str, Figure]] = [(name, getattr(scenario.profile, name)) for name in FIGURES if name in used]
    said = [
        f"{name} is {figure.value:g} {figure.unit}: {figure.source}" for name, figure in figures if _is_guess(figure)
    ]
    if scenario.host is not None and _rests_on_slice(simulation):
        slice_ns = scenario.host.slice_ns
        said.append(f"a vCPU runs {slice_ns.value / 1e6:g} ms while others wait: {slice_ns.source}")
    for group in scenario.groups:
        if group.workload.script is not None:
            said += [f"{group.workload.name}: {text}" for text in group.workload.script.assumed]
    return list(dict.fromkeys(said))


def _is_guess(figure: Figure) -> bool:
    return figure.kind == "assumed"


def _rests_on_slice(simulation: Findings) -> bool:
    """Whether vCPUs wait for cores, by a time slice that is assumed."""
    host = simulation.scenario.host
    return host is not None and simulation.scenario.n_vcpu > host.cores and _is_guess(host.slice_ns)


def _host(simulation: Findings) -> dict[str, Any] | None:
    host, n_vcpu = simulation.scenario.host, simulation.scenario.n_vcpu
    if host is None:
        return None
    return {
        "cores": host.cores,
        "vcpus_per_core": n_vcpu / host.cores,
        "overcommitted": n_vcpu > host.cores,
        "runnable_per_core": simulation.runnable_per_core,
        "slice_ns": host.slice_ns.value,
        "slice_kind": host.slice_ns.kind,
        "slice_source": host.slice_ns.source,
    }


def _group(group: GroupOutcome, slices: list[str]) -> dict[str, Any]:
    given = group.group.given
    kinds: dict[tuple[str, str], list[CallKind]] = {}
    for kind in group.kinds:
        kinds.setdefault((kind.service, kind.verdict.name), []).append(kind)
    return {
        "group": given.name,
        "vms": given.count,
        "vms_counted": group.n_vm,
        "vcpus_per_vm": given.vcpus,
        "hypothetical": given.is_hypothetical,
        "release": given.release,
        "workload": given.workload.name,
        "workload_kind": given.workload.kind,
        "lock": given.lock,
        "workers": given.workers,
        "forwarded": int(group.forwarded.sum()),
        "throughput_hz": float(group.throughput_hz.sum()),
        "utilisation": _spread(group.utilisation),
        "queue_length": _spread(group.queue_length),
        "services": [
            {
                "service": service,
                "verdict": verdict,
                "functions": [kind.name for kind in some],
                "rests_on_assumed": _guesses(group, some) + slices,
                **_times(Times.merged(kind.times for kind in some)),
            }
            for (service, verdict), some in kinds.items()
        ],
        **_times(group.times),
        "notes": _notes(group),
    }


def _notes(group: GroupOutcome) -> list[str]:
    """What a reader of this group's numbers might not expect."""
    given, notes = group.group.given, []
    rate = given.workload.rate_hz
    served_ns = group.times.service.mean_ns
    if rate is not None and rate * served_ns * 1e-9 >= 1:
        notes.append(
            f"the calls of one vCPU take {significant(rate * served_ns * 1e-9)} times the time there is,"
            f" and a real vCPU makes one at a time: below {1e9 / served_ns:.4g} calls/s per vCPU it could"
        )
    if not group.group.forwarded_share and not given.service_is_from_profile:
        notes.append("service is given, but no call goes to the VMM: no filter forwards one of the mix")
    rules = release(given.release)
    return [*notes, *rules.notes, *(f"not certain: {doubt}" for doubt in touched(rules, given.features))]


def _guesses(group: GroupOutcome, kinds: list[CallKind]) -> list[str]:
    profile = group.group.profile
    used = {name for kind in kinds for name in figures_used(group, kind)}
    return [name for name in FIGURES if name in used and _is_guess(getattr(profile, name))]


def _spread(values: NDArray[Any]) -> dict[str, float]:
    """Mean, least and most of a value over the VMs of a group."""
    if not values.size:
        return {"mean": 0.0, "least": 0.0, "most": 0.0}
    return {"mean": float(values.mean()), "least": float(values.min()), "most": float(values.max())}


def _times(times: Times) -> dict[str, Any]:
    names = ("service", "waiting", "response")
    return {"calls": times.n_call, **{f"{name}_ns": quantiles(getattr(times, name)) for name in names}}


def quantiles(histogram: Histogram) -> dict[str, float]:
    """Mean, quantiles and maximum, in ns."""
    of = {label.replace(".", "_"): histogram.quantile(share) for label, share in zip(LABELS, QUANTILES, strict=True)}
    return {"mean": histogram.mean_ns, **of, "max": histogram.max_ns}
