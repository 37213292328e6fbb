"""The kinds of results that have a schema, and `schema`, which gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastsmc.checks import word_of
from fastsmc.plan.inventory.schema import schema as inventory_schema
from fastsmc.results.layout import drawn, words
from fastsmc.results.tables import Column, Table
from fastsmc.schemas import calls, hosts, moving, plans, registers, timed
from fastsmc.schemas.convert import json_schema


class Kind(NamedTuple):
    """A kind of result.

    Attributes:
        definition: its type; None for what has a schema of its own.
        told_by: what prints it as JSON, or writes it.
    """

    definition: Any
    told_by: str


KINDS: Mapping[str, Kind] = {
    "trace": Kind(calls.Trace, "fastsmc trace --json"),
    "counts": Kind(calls.Counts, "fastsmc trace --json, of counts"),
    "services": Kind(calls.Services, "fastsmc services --json"),
    "dispatch": Kind(calls.Dispatch, "fastsmc dispatch --json"),
    "explain": Kind(list[calls.Explanation], "fastsmc explain --json"),
    "releases": Kind(calls.Releases, "fastsmc releases --json"),
    "verify": Kind(calls.Verify, "fastsmc verify --json"),
    "inspect": Kind(
        registers.Inspect | registers.CpuTemplate | registers.CpuModel | registers.NamedRegisters,
        "fastsmc migrate inspect --json",
    ),
    "diff": Kind(registers.Diff, "fastsmc migrate diff --json"),
    "encode": Kind(registers.Encode, "fastsmc migrate encode --json"),
    "check": Kind(moving.Check, "fastsmc migrate check --json"),
    "matrix": Kind(moving.Matrix, "fastsmc migrate check --matrix --json"),
    "size": Kind(moving.Size | list[moving.Size], "fastsmc migrate size --json"),
    "downtime": Kind(moving.Downtime, "fastsmc migrate downtime --json"),
    "add-registers": Kind(moving.AddRegisters, "fastsmc migrate add-registers --json"),
    "scope": Kind(moving.Scope, "fastsmc scope --json"),
    "simulate": Kind(timed.Simulate, "fastsmc simulate --json"),
    "run": Kind(timed.Run, "fastsmc simulate --out FILE.json"),
    "sweep": Kind(timed.Sweep | timed.SweptQuestion, "fastsmc sweep --json"),
    "plan": Kind(plans.Plan, "fastsmc plan … --json"),
    "saved-plan": Kind(plans.SavedPlan, "fastsmc plan … --out FILE.json"),
    "problems": Kind(plans.Problems, "fastsmc plan problems --json"),
    "compare": Kind(timed.Compare, "fastsmc compare --json"),
    "bench": Kind(timed.Bench, "fastsmc bench --json, and --out FILE.json"),
    "probe": Kind(hosts.HostProfile, "fastsmc probe --json, and fastsmc_probe.py -o FILE"),
    "new": Kind(timed.New, "fastsmc new --json"),
    "samples": Kind(timed.Samples, "fastsmc samples --json"),
    "schema": Kind(dict[str, Any], "fastsmc schema --json: schemas by kind"),
    "inventory": Kind(None, "hosts and VMs, as fastsmc plan takes them"),
}
"""By name; docs/schemas/ has each as a file."""


@dataclass(frozen=True, slots=True, repr=False)
class Schemas:
    """JSON Schemas, draft 2020-12.

    Attributes:
        of: by kind; one if one was asked for.
        is_one: whether one was asked for.
    """

    of: Mapping[str, dict[str, Any]]
    is_one: bool

    def as_dict(self) -> dict[str, Any]:
        """The schema that was asked for, or all of them by kind."""
        return next(iter(self.of.values())) if self.is_one else dict(self.of)

    @property
    def answer(self) -> str:
        """How many kinds there are, or which one it is, in one sentence."""
        if self.is_one:
            return f"{next(iter(self.of))}: JSON Schema, draft 2020-12"
        return f"{len(self.of)} kinds of results have a JSON Schema, draft 2020-12"

    def table(self) -> Table:
        """A row per kind: kind, told_by."""
        columns = {"kind": Column.of(list(self.of)), "told_by": Column.of([KINDS[kind].told_by for kind in self.of])}
        return Table("A row per kind of result, and what prints or writes it.", columns)

    def numbers(self) -> dict[str, list[float | None]]:
        """What --fail-if compares: kinds; what the schemas themselves hold is no number of the result."""
        return {"kinds": [len(self.of)]}

    def __str__(self) -> str:
        if self.is_one:
            return json.dumps(self.as_dict(), indent=1)
        rows = [(kind, KINDS[kind].told_by) for kind in self.of]
        return "\n".join([self.answer, "", *drawn(_HEADS, rows)])

    def __repr__(self) -> str:
        return f"<Schemas of {', '.join(self.of)[:150]}>"


_HEADS = [words("kind", names_row=True), words("printed or written by")]


def schema(kind: str | None = None) -> Schemas:
    """The JSON Schema of a kind of result, or of all kinds.

    Args:
        kind: one of KINDS.

    Raises:
        InputError: no such kind; or the inventory's, which needs pydantic, and that is not installed.

    >>> schema("dispatch").as_dict()["$ref"]
    '#/$defs/Dispatch'
    """
    if kind is not None:
        word_of("kind", kind, KINDS)
    return Schemas({name: _schema(name) for name in KINDS if kind in (None, name)}, kind is not None)


def _schema(name: str) -> dict[str, Any]:
    of = KINDS[name]
    if of.definition is None:
        return inventory_schema()
    return json_schema(
        of.definition, title=f"fastsmc {name}", description=f"What is printed or written by {of.told_by}."
    )
