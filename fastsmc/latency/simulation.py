"""A simulation's outcome as its user has it: times by service and of the whole fleet, as text, as JSON, as a file."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastsmc.latency.outcome import GroupOutcome
from fastsmc.latency.saving import run_of, vm_table
from fastsmc.latency.summary import Findings, assumed, summary
from fastsmc.latency.text import text
from fastsmc.latency.times import Times
from fastsmc.results.files import save, to_json
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import duration, number_of
from fastsmc.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        """The answer; tables, which take 80 columns, and sentences, which are wrapped to `width` if one is given."""
        told = [self.answer] if width is None else textwrap.wrap(self.answer, width, break_on_hyphens=False)
        return "\n".join([*told, text(self.as_dict(), width)])

    @property
    def answer(self) -> str:
        """One sentence: how long the fleet's calls took."""
        if not self.n_call:
            return f"{self.scenario.name}: no call was counted"
        times = self.times.response
        told = ", ".join(f"{name} {duration(times.quantile(share))}" for name, share in (("p50", 0.5), ("p99", 0.99)))
        partial = "PARTIAL: " * self.is_partial
        calls = number_of(self.n_call, "call")
        return f"{partial}{self.scenario.name}: response of {calls}: {told}, max {duration(times.max_ns)} (modelled)"

    def table(self) -> Table | None:
        """A row per entry of a group's mix, with the times of its calls; None if no call was counted."""
        return self.run()["calls"] if self.n_call else None

    def numbers(self) -> dict[str, list[float | None]]:
        """Times of all calls of the fleet, for thresholds: `response_p99_ns`, and as `p99_ns` the response too."""
        told = self.as_dict()["fleet"]
        found: dict[str, list[float | None]] = {}
        for time in ("response", "waiting", "service"):
            for name, value in told[f"{time}_ns"].items():
                found[f"{time}_{name}_ns"] = [value]
        found |= {name.removeprefix("response_"): value for name, value in found.items() if "response" in name}
        return found | {"calls": [told["calls"]], "throughput_hz": [told["throughput_hz"]]}

    def as_dict(self) -> dict[str, Any]:
        """Inputs and outcome as plain values, as `fastsmc simulate --json` prints them. Times are in ns."""
        return summary(self.outcome, self.times)

    def figure(self) -> Figure:
        """How long calls take, by group: the share that takes longer than a time, and mean service and waiting.

        Raises:
            InputError: no call was counted.
        """
        from fastsmc.reporting.distributions import Calls, picture

        def calls(name: str, times: Times) -> Calls:
            return Calls(name, times.waiting, times.service, times.response)

        return picture(
            [calls(group.name, group.times) for group in self.groups],
            [calls(name, times) for name, times in self.by_service().items()],
            tag="modelled, assumed" if assumed(self.outcome) else "modelled",
            is_partial=self.is_partial,
        )

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
