"""The hypercalls that a tracer saw, as arrays: what readers of traces make and what workloads replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls import vel2
from fastsmc.calls.missing import how_many, lost, lost_as_dict, skipped
from fastsmc.checks import cut, shown
from fastsmc.facts.other_calls import service_and_name
from fastsmc.results.layout import drawn, number, words
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.results.units import number_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COLUMNS = 8
"""vCPUs that have a column each when a trace is printed; of more, the least and the most are."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trace:
    """The hypercalls of one trace file, in file order, as arrays.

    Attributes:
        name: file name without its directory.
        time_ns: int64[n_call], the tracer's clock. Ascending within one CPU as a rule; never sorted here. All 0 where
            `has_times` is false.
        cpu: int32[n_call], host CPU; -1 where the text does not have it.
        pid: int32[n_call], host thread that ran the vCPU; -1 where the text does not have it, or perf does not know it.
        pc: uint64[n_call], guest address after the HVC.
        r0: uint64[n_call], all 64 bits of x0.
        imm: uint32[n_call], immediate of the HVC.
        line: int64[n_call], line of the file, from 1.
        comm: names each pid had, in order of appearance; spaces at either end are lost in the text.
        n_other_event: lines of other events.
        n_lost: events of any kind the tracer says are missing, as far as it gives their number.
        is_lost_least: it says that more are missing, and not how many: n_lost is the least.
        n_skipped, first_skipped_line: lines not understood (lenient reading only), and the first one's number or 0.
        n_skipped_call: how many of those lines were calls.
        exits: exits of guests that called, by what kvm_exit and kvm_userspace_exit call them: HVC64, SMC64, HVC32,
            SMC32, KVM_EXIT_HYPERCALL, KVM_EXIT_SYSTEM_EVENT. Of an SMC nothing else is recorded. "vEL2 HVC64" and
            "vEL2 SMC64" are those that kvm_inject_nested_exception passed on to a guest's own EL2.
        forwarded: how many of the KVM_EXIT_HYPERCALL followed a call on its vCPU, by the function id of that call.
        files: calls by the file that `grep` or trace-cmd put before their lines.
        has_times: every call has a time, in seconds of the tracer's clock.
        has_el2: the guest has EL2, on the reader's word, so that KVM passed its HVCs on to it; false: it was not said.
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
    is_lost_least: bool = False
    n_skipped: int = 0
    first_skipped_line: int = 0
    n_skipped_call: int = 0
    exits: dict[str, int] = field(default_factory=dict)
    forwarded: dict[int, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    has_times: bool = True
    has_el2: bool = False

    @property
    def n_to_vel2(self) -> int | None:
        """How many calls KVM passed on to the guest's own EL2; None unless it was said that the guest has EL2."""
        return int(vel2.is_to_vel2(self.func_id).sum()) if self.has_el2 else None

    @property
    def func_id(self) -> NDArray[np.uint32]:
        """uint32[n_call], the low half of r0: what KVM takes as the function id."""
        return self.r0.astype(np.uint32)  # keeps the low 32 bits

    @property
    def seconds(self) -> float | None:
        """From the first call to the last, by the tracer's clock; None without times or where no time passed."""
        span = int(self.time_ns.max()) - int(self.time_ns.min()) if self.has_times and len(self) else 0
        return span / 1e9 if span else None

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

    def threads(self) -> dict[int, str]:
        """The threads that called, by pid, in the order of their numbers: as ftrace writes them, "CPU 0/KVM-71"."""
        return {pid: self._thread(pid) for pid in sorted(set(self.pid.tolist()))}

    def _thread(self, pid: int) -> str:
        comm = (self.comm.get(pid) or ("",))[-1]
        return f"{comm}-{pid}" if pid >= 0 else comm or "unknown"

    def rows(self) -> list[dict[str, Any]]:
        """A row per function id and immediate, most calls first: names, calls, percent, rate, calls by thread.

        `to_vel2` is how many of the calls went to the guest's own EL2; None unless it was said that the guest has EL2.
        """
        key = (self.func_id.astype(np.uint64) << np.uint64(16)) | self.imm.astype(np.uint64)
        keys, at, counts = np.unique(key, return_inverse=True, return_counts=True)
        named = self.threads()
        pids = np.array(list(named), np.int64)
        width = max(1, pids.size)
        cell = at.reshape(-1) * width + np.searchsorted(pids, self.pid)
        by_thread = Counter(cell.tolist())
        seconds, labels = self.seconds, list(named.values())
        rows = []
        forwarded = vel2.is_to_vel2((keys >> np.uint64(16)).astype(np.uint32)).tolist()
        for k in np.argsort(-counts, kind="stable").tolist():
            func_id, n = int(keys[k]) >> 16, int(counts[k])
            service, function = service_and_name(func_id)
            rows.append(
                {
                    "service": service,
                    "function": function,
                    "func_id": f"0x{func_id:08x}",
                    "immediate": int(keys[k]) & 0xFFFF,
                    "calls": n,
                    "percent": 100 * n / len(self),
                    "per_second": n / seconds if seconds else None,
                    "to_vel2": n * forwarded[k] if self.has_el2 else None,
                    "vcpus": {label: by_thread[k * width + t] for t, label in enumerate(labels)},
                }
            )
        return rows

    @property
    def answer(self) -> str:
        """One sentence: how many calls there are, in which time, and what is missing."""
        return self._notes()[0]

    def table(self) -> Table:
        """A row per function id and immediate, most calls first; calls by thread are in `rows`."""
        rows = self.rows()
        columns = ("service", "function", "func_id", "immediate", "calls", "percent", "per_second")
        some = [{name: row[name] for name in columns} for row in rows]
        table = table_of_rows("A row per function that the guest called.", some, "recorded", columns=columns)
        return vel2.beside(table, [row["to_vel2"] for row in rows]) if self.has_el2 else table

    def figure(self) -> Figure:
        """How often each function was called, and where calls have times, when.

        Raises:
            InputError: no call.
        """
        from fastsmc.reporting.called import picture

        ids, function, n_call = np.unique(self.func_id, return_inverse=True, return_counts=True)
        return picture(
            [(*service_and_name(one), n) for one, n in zip(ids.tolist(), n_call.tolist(), strict=True)],
            missing=self._missing(),
            seconds=self.time_ns / 1e9 if self.has_times else None,
            function=function.reshape(-1),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: how often each function was called, most frequent first, and what the trace lacks."""
        return {
            "calls": len(self),
            "seconds": self.seconds,
            **lost_as_dict(self.n_lost, is_least=self.is_lost_least),
            "skipped": self.n_skipped,
            "skipped_calls": self.n_skipped_call,
            "other_events": self.n_other_event,
            "exits": self.exits,
            "forwarded": {f"0x{func_id:08x}": n for func_id, n in self.forwarded.items()},
            "files": self.files,
            "el2": self.has_el2,
            "to_vel2": self.n_to_vel2,
            "rows": self.rows(),
        }

    def __str__(self) -> str:
        rows = self.rows()
        labels = list(rows[0]["vcpus"]) if rows else []
        has_columns = len(labels) <= _MOST_COLUMNS
        heads = [words("service"), words("function", names_row=True), *map(number, ("calls", "calls%", "calls/s"))]
        heads += [number("to vEL2")] * self.has_el2
        heads += map(number, labels if has_columns else ("vCPUs", "least", "most"))
        lines = []
        for row in rows:
            name = row["function"] + (f" (hvc #{row['immediate']:#x})" if row["immediate"] else "")
            rate = "-" if row["per_second"] is None else row["per_second"]
            cells = list(row["vcpus"].values())
            if not has_columns:
                called = [n for n in cells if n]
                cells = [len(called), min(called), max(called)]
            cells = [row["to_vel2"], *cells] if self.has_el2 else cells
            lines.append((row["service"], name, row["calls"], f"{row['percent']:.2f}%", rate, *cells))
        answer, *notes = self._notes()
        return "\n".join([answer, *drawn(heads, lines), *notes])

    def _notes(self) -> list[str]:
        """How many calls there are and what is missing; then what there was besides."""
        span = f" in {self.seconds:.6f} s" if self.seconds else ""
        n_to_vel2 = self.n_to_vel2
        who = "" if n_to_vel2 is None else vel2.told(len(self), n_to_vel2)
        notes = [f"{number_of(len(self), 'call')} (recorded){span}{self._missing()}{who}"]
        if not self.has_times:
            notes.append("the calls have no times in seconds, so there is no rate")
        if len(self.files) > 1:
            named = list(self.files.items())[:_MOST_COLUMNS]
            files = ", ".join(f"{number_of(n, 'call')} in {cut(file)}" for file, n in named)
            more = ", ..." if len(self.files) > _MOST_COLUMNS else ""
            notes.append(f"from {len(self.files)} files: {files}{more}")
        if smc := sum(n for name, n in self.exits.items() if name.startswith("SMC")):
            exits = number_of(smc, "SMC exit")
            calls = "a call by SMC, whose function id" if smc == 1 else "calls by SMC, whose function ids"
            notes.append(f"{exits} besides: {calls} this tracepoint does not record")
        if n := self.exits.get("KVM_EXIT_HYPERCALL"):
            calls = "a call" if n == 1 else "calls"
            notes.append(f"{n} KVM_EXIT_HYPERCALL: {calls} by HVC or SMC that a filter forwarded to the VMM")
        if n := self.exits.get("KVM_EXIT_SYSTEM_EVENT"):
            calls = "a PSCI call" if n == 1 else "PSCI calls"
            notes.append(f"{n} KVM_EXIT_SYSTEM_EVENT: {calls} that the VMM carried out")
        if n := vel2.passed_on(self.exits):
            notes.append(vel2.shown_by_exits(n, is_said=self.has_el2))
        return [*notes, vel2.NOT_HERE] if self.has_el2 else notes

    def _missing(self) -> str:
        calls = number_of(self.n_skipped_call, "call") if self.n_skipped_call else ""
        of_lines = skipped(self.n_skipped - self.n_skipped_call, self.first_skipped_line, calls)
        return lost(self.n_lost, is_least=self.is_lost_least) + of_lines

    def __repr__(self) -> str:
        skips = f"{number_of(self.n_skipped, 'line')} skipped ({number_of(self.n_skipped_call, 'call')})"
        losses = how_many(self.n_lost, is_least=self.is_lost_least) or "0"
        return f"Trace({shown(self.name)}, {number_of(len(self), 'call')}, {losses} lost, {skips})"
