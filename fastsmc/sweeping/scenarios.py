"""Scenarios as what is swept: a cell is one simulation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastsmc.files.limits import TOML, TRACE
from fastsmc.latency import simulate
from fastsmc.scenario import Scenario
from fastsmc.scenario.overrides import put
from fastsmc.sweeping import measures
from fastsmc.sweeping.record import Record
from fastsmc.sweeping.subject import NamedFile, Word


class Scenarios:
    """Scenarios; `Subject` has the attributes.

    Args:
        groups: names of groups that a measure may be of.
    """

    word: Word = "scenario"
    has_seed = has_histograms = True
    fixed: tuple[str, ...] = ()
    most_bytes = TRACE.most_bytes
    default: tuple[str, ...] = measures.DEFAULT

    def __init__(self, groups: Iterable[str]) -> None:
        self._groups = tuple(groups)

    def named_files(self, table: Mapping[str, Any]) -> Iterator[NamedFile]:
        """The profile, and traces of workloads."""
        profile = table.get("profile")
        if isinstance(profile, str) and profile.endswith(".toml"):
            yield NamedFile(("profile",), profile, TOML)
        workloads = table.get("workloads")
        for key, workload in workloads.items() if isinstance(workloads, Mapping) else ():
            arrivals = workload.get("arrivals") if isinstance(workload, Mapping) else None
            if isinstance(workload, Mapping) and isinstance(workload.get("trace"), str):
                yield NamedFile(("workloads", key, "trace"), workload["trace"], TRACE)
            if isinstance(arrivals, Mapping) and isinstance(arrivals.get("file"), str):
                yield NamedFile(("workloads", key, "arrivals", "file"), arrivals["file"], TRACE)

    def measures(self, asked: object) -> tuple[str, ...]:
        """See `Subject`."""
        return measures.checked(asked, self._groups)

    def attributes(self, measure: str) -> Mapping[str, str]:
        """See `Subject`."""
        return measures.attributes(measure)

    def check(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> None:
        """Reads the scenario."""
        self._scenario(table, name, places)

    def computed(self, table: dict[str, Any], name: str, places: Mapping[str, str], kept: tuple[str, ...]) -> Record:
        """The simulation's measures and histograms."""
        return Record(*measures.measured(simulate(self._scenario(table, name, places)), kept))

    def warm_up(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> None:
        """Simulates one call of each vCPU."""
        simulate(replace(self._scenario(table, name, places), calls=1, warmup=0))

    def told(self, table: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Its name."""
        return {"scenario": name}

    def _scenario(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> Scenario:
        for path, file, _ in list(self.named_files(table)) if places else ():
            table = put(table, path, places.get(file, file))
        return Scenario.of(table, name=name, folder=Path(), text="")
