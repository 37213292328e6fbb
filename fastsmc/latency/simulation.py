"""A simulation's outcome as its user has it: times by service and of the whole fleet, as text, as JSON, as a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastsmc.latency.outcome import GroupOutcome
from fastsmc.latency.saving import run_of, vm_table
from fastsmc.latency.summary import Findings, summary
from fastsmc.latency.text import text
from fastsmc.latency.times import Times
from fastsmc.results.files import save, to_json
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.scenario import Scenario


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """A scenario's outcome. Everything in it is modelled.

    Attributes:
        is_partial: it was stopped; what was counted until then is here.
        n_thread: how many threads it ran on, which changes nothing else.
        runnable_per_core: vCPUs that run or want to, on average, where there are more vCPUs than cores; else None.
    """

    scenario: Scenario
    groups: tuple[GroupOutcome, ...]
    is_partial: bool
    n_thread: int
    runnable_per_core: float | None = None

    @cached_property
    def times(self) -> Times:
        """The times of all calls of the fleet."""
        return Times.merged(group.times for group in self.groups)

    @property
    def n_call(self) -> int:
        """Counted calls of the fleet."""
        return self.times.n_call

    def by_service(self) -> dict[str, Times]:
        """Times by service, over all groups."""
        names = dict.fromkeys(name for group in self.groups for name in group.by_service())
        tables = [group.by_service() for group in self.groups]
        return {name: Times.merged(table[name] for table in tables if name in table) for name in names}

    def __getitem__(self, name: str) -> GroupOutcome:
        """A group by its name; KeyError."""
        return {group.name: group for group in self.groups}[name]

    @property
    def outcome(self) -> Findings:
        """The parts that summaries and tables are made from."""
        return Findings(self.scenario, self.groups, self.is_partial, self.runnable_per_core)

    def __repr__(self) -> str:
        partial = ", partial" * self.is_partial
        return f"<Simulation of {self.scenario.name[:80]}: {self.n_call} calls (modelled{partial})>"

    def __str__(self) -> str:
        """What `fastsmc simulate` prints."""
        return self.text()

    def text(self, width: int | None = None) -> str:
        """Tables, which take 80 columns, and sentences, which are wrapped to `width` if one is given."""
        return text(self.as_dict(), width)

    def as_dict(self) -> dict[str, Any]:
        """Inputs and outcome as plain values, as `fastsmc simulate --json` prints them. Times are in ns."""
        return summary(self.outcome, self.times)

    def vm_table(self) -> Table | None:
        """A row per VM that made counted calls; None if there is none."""
        return vm_table(self.outcome)

    def run(self) -> Run:
        """A run to save, histograms included; `saved_times` reads them back."""
        return run_of(self.outcome, self.as_dict())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `run()` as JSON.

        Raises:
            ResultFileError: the file cannot be written.
        """
        save(self.run(), path)

    def file_text(self) -> str:
        """The text that `save` writes."""
        return to_json(self.run())
