"""The hypercalls that a tracer saw, as arrays: what readers of traces make and what workloads replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.facts.other_calls import service_and_name


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trace:
    """The hypercalls of one trace file, in file order, as arrays.

    Attributes:
        name: file name without its directory.
        time_ns: int64[n_call], the tracer's clock. Ascending within one CPU as a rule; never sorted here.
        cpu: int32[n_call], host CPU.
        pid: int32[n_call], host thread that ran the vCPU (perf prints -1 for one it does not know).
        pc: uint64[n_call], guest address after the HVC.
        r0: uint64[n_call], all 64 bits of x0.
        imm: uint32[n_call], immediate of the HVC.
        line: int64[n_call], line of the file, from 1.
        comm: names each pid had, in order of appearance; spaces at either end are lost in the text.
        n_other_event: lines of other events.
        n_lost: events of any kind the tracer says are missing, a loss without a number counted as one.
        n_skipped, first_skipped_line: lines not understood (lenient reading only), and the first one's number or 0.
    """

    name: str
    time_ns: NDArray[np.int64]
    cpu: NDArray[np.int32]
    pid: NDArray[np.int32]
    pc: NDArray[np.uint64]
    r0: NDArray[np.uint64]
    imm: NDArray[np.uint32]
    line: NDArray[np.int64]
    comm: dict[int, tuple[str, ...]] = field(default_factory=dict)
    n_other_event: int = 0
    n_lost: int = 0
    n_skipped: int = 0
    first_skipped_line: int = 0

    @property
    def func_id(self) -> NDArray[np.uint32]:
        """uint32[n_call], the low half of r0: what KVM takes as the function id."""
        return self.r0.astype(np.uint32)  # keeps the low 32 bits

    def __len__(self) -> int:
        """Number of hypercalls."""
        return len(self.r0)

    def by_service(self) -> dict[tuple[str, str], int]:
        """Calls per (service name, function name), most frequent first.

        A function that KVM does not know has its family for the service, as FF-A; ids without a name are hex, under
        the family whose range they are in or under UNKNOWN.
        """
        ids, counts = np.unique(self.func_id, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {service_and_name(int(ids[i])): int(counts[i]) for i in order}

    def as_dict(self) -> dict[str, Any]:
        """For JSON: how often each function was called, most frequent first, and what the trace lacks."""
        rows = [{"service": service, "function": name, "calls": n} for (service, name), n in self.by_service().items()]
        return {"calls": len(self), "lost": self.n_lost, "skipped": self.n_skipped, "rows": rows}

    def __str__(self) -> str:
        rows = [f"{service:12} {name:32} {n:8d}" for (service, name), n in self.by_service().items()]
        lost = f", {self.n_lost} lost by the tracer" if self.n_lost else ""
        skipped = f", {self.n_skipped} lines skipped, the first at {self.first_skipped_line}" if self.n_skipped else ""
        head = f"{'service':12} {'function':32} {'calls':>8}"
        return "\n".join([head, *rows, f"{len(self)} calls (recorded){lost}{skipped}"])

    def __repr__(self) -> str:
        return f"Trace({shown(self.name)}, {len(self)} calls, {self.n_lost} lost, {self.n_skipped} lines skipped)"
