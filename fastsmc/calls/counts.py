"""How often a guest called each function, where a tracer counted and kept nothing else: no times, vCPUs or order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls import vel2
from fastsmc.calls.missing import lost, lost_as_dict, of_what, skipped
from fastsmc.checks import shown
from fastsmc.facts.other_calls import service_and_name
from fastsmc.results.layout import drawn, number, words
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.results.units import number_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Counts:
    """How often each function was called: what a bpftrace map or a histogram of the kernel holds.

    Attributes:
        name: file name without its directory.
        kind: which of the two it is, and which map.
        func_id: uint32[n_function], low half of the key; each once, most frequent first.
        n_call: int64[n_function], calls of each.
        n_lost: calls that the tracer says are missing, as far as it gives their number.
        is_lost_least: it says that more are missing, and not how many: n_lost is the least.
        n_skipped, first_skipped_line: lines not understood (lenient reading only), and the first one's number or 0.
        n_skipped_call: calls that those lines count.
        is_skipped_least: the count of one of them cannot be read either: n_skipped_call is the least.
        left_out: maps that count something else, by name.
        has_el2: the guest has EL2 and what was counted are its HVCs, on the reader's word; false: it was not said.
    """

    name: str
    kind: str
    func_id: NDArray[np.uint32]
    n_call: NDArray[np.int64]
    n_lost: int = 0
    is_lost_least: bool = False
    n_skipped: int = 0
    first_skipped_line: int = 0
    n_skipped_call: int = 0
    is_skipped_least: bool = False
    left_out: tuple[str, ...] = ()
    has_el2: bool = False

    @property
    def n_to_vel2(self) -> int | None:
        """How many calls KVM passed on to the guest's own EL2; None unless it was said that the guest has EL2."""
        return int(self.n_call[vel2.is_to_vel2(self.func_id)].sum()) if self.has_el2 else None

    @property
    def total(self) -> int:
        """Number of calls."""
        return sum(self.n_call.tolist())

    def by_service(self) -> dict[tuple[str, str], int]:
        """Calls per (service name, function name), most frequent first; ids without a name are hex under UNKNOWN."""
        pairs = zip(self.func_id.tolist(), self.n_call.tolist(), strict=True)
        return {service_and_name(func_id): n for func_id, n in pairs}

    @property
    def answer(self) -> str:
        """One sentence: how many calls were counted, and what is missing."""
        return self._notes()[0]

    def table(self) -> Table:
        """A row per function, most calls first."""
        columns = ("service", "function", "func_id", "calls", "percent")
        told = self.as_dict()["rows"]
        rows = [{name: row[name] for name in columns} for row in told]
        table = table_of_rows("A row per function that the guest called.", rows, "recorded", columns=columns)
        return vel2.beside(table, [row["to_vel2"] for row in told]) if self.has_el2 else table

    def figure(self) -> Figure:
        """How often each function was called.

        Raises:
            InputError: no call.
        """
        from fastsmc.reporting.called import picture

        pairs = zip(self.func_id.tolist(), self.n_call.tolist(), strict=True)
        return picture([(*service_and_name(func_id), n) for func_id, n in pairs], missing=self._missing())

    def as_dict(self) -> dict[str, Any]:
        """For JSON: how often each function was called, most frequent first, and what the counts lack."""
        total = self.total  # a sum over all functions, so not once for each of them
        forwarded = vel2.is_to_vel2(self.func_id).tolist()
        rows = [
            {
                "service": service_and_name(func_id)[0],
                "function": service_and_name(func_id)[1],
                "func_id": f"0x{func_id:08x}",
                "calls": n,
                "percent": 100 * n / total,
                "to_vel2": n * is_forwarded if self.has_el2 else None,
            }
            for func_id, n, is_forwarded in zip(self.func_id.tolist(), self.n_call.tolist(), forwarded, strict=True)
        ]
        return {
            "kind": self.kind,
            "calls": total,
            **lost_as_dict(self.n_lost, is_least=self.is_lost_least),
            "skipped": self.n_skipped,
            "skipped_calls": None if self.is_skipped_least else self.n_skipped_call,
            "left_out": list(self.left_out),
            "el2": self.has_el2,
            "to_vel2": self.n_to_vel2,
            "rows": rows,
        }

    def __str__(self) -> str:
        heads = [words("service"), words("function"), number("calls"), number("calls%")]
        total = self.total
        rows = [(service, name, n, f"{n / total:.2%}") for (service, name), n in self.by_service().items()]
        answer, *notes = self._notes()
        return "\n".join([answer, *drawn(heads, rows), *notes])

    def _notes(self) -> list[str]:
        """How many calls there are and what is missing; then what there was besides."""
        told = number_of(self.total, "call")
        n_to_vel2 = self.n_to_vel2
        who = "" if n_to_vel2 is None else vel2.told(self.total, n_to_vel2)
        notes = [f"{told} (recorded, {self.kind}: counts without times and vCPUs){self._missing()}{who}"]
        if self.left_out:
            notes.append(f"left out, for it does not count by function id: {', '.join(self.left_out)}")
        return [*notes, vel2.NOT_HERE] if self.has_el2 else notes

    def _missing(self) -> str:
        missing = lost(self.n_lost, is_least=self.is_lost_least) + skipped(self.n_skipped, self.first_skipped_line)
        calls = of_what(self.n_skipped_call, "call", is_least=self.is_skipped_least)
        return missing + (f" (they count {calls})" if calls else "")

    def __repr__(self) -> str:
        functions = number_of(len(self.func_id), "function")
        return f"Counts({shown(self.name)}, {self.kind}, {number_of(self.total, 'call')}, {functions})"
