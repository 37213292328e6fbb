"""What dispatching costs this simulator, per call and per batch."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter
from numpy.typing import NDArray

from fastsmc.reporting import style
from fastsmc.reporting.forms import columns, is_small
from fastsmc.reporting.style import BLUE, GREEN, ORANGE, PURPLE, RED, Picture, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import NBSP, count, duration, percent, significant

TAG = "measured"
TRACE = "real trace"
LINES = {
    (TRACE, 0): (BLUE, "o"),
    ("random known ids", 0): (GREEN, "s"),
    ("random 32-bit ids", 0): (ORANGE, "^"),
    ("random 32-bit ids", 32): (RED, "v"),
    ("random 32-bit ids", 500): (PURPLE, "D"),
}
STATISTICS = {"median": "batch_p50_ns", "p99": "batch_p99_ns", "p99.9": "batch_p99_9_ns", "max": "batch_max_ns"}


def dispatch_picture(run: Run) -> Picture:
    """Time per call against vCPUs and against VMs."""
    by_vcpu, by_vm = run["dispatch_by_vcpu"], run["dispatch_by_vm"]
    real = by_vcpu.where(pattern=TRACE)
    title = (
        f"A call of the real trace takes {_span(real['dispatch_ns'])}, from {count(real['n_vcpu'][0])} vCPU to "
        f"{count(real['n_vcpu'][-1])}"
    )
    with styled():
        figure, (left, right) = new_figure(title, TAG, height_in=4.7, n_panel=2)
        right.sharey(left)
        _panel(left, by_vcpu, "n_vcpu", "vCPUs of the fleet (count)")
        _panel(right, by_vm, "n_vm", "VMs of the fleet (count)")
        left.set_title("more vCPUs: VMs of 64, all alike")
        right.set_title(f"more VMs, no two alike: {count(by_vm['n_vcpu'][0])} vCPUs in all")
        left.set_ylabel("dispatch time per call (ns)")
        right.tick_params(labelleft=is_small())
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=columns(3))
    return Picture(
        "dispatch", "Dispatch time per call", title, TAG, _dispatch_caption(run), figure, *_dispatch_table(run)
    )


def _span(ns: NDArray[np.float64]) -> str:
    """The least and the most of some times, to two digits."""
    least, most = significant(float(ns.min()), 2), significant(float(ns.max()), 2)
    return f"{least}{NBSP}ns" if least == most else f"{least}{NBSP}to{NBSP}{most}{NBSP}ns"


def _panel(ax: Axes, table: Table, axis: str, label: str) -> None:
    for (pattern, n_range), (colour, marker) in LINES.items():
        rows = table.where(pattern=pattern, n_range=n_range)
        ax.fill_between(
            rows[axis], rows["dispatch_p25_ns"], rows["dispatch_p75_ns"], color=colour, alpha=0.2, linewidth=0
        )
        name = pattern + (f", filter of {n_range} ranges" if n_range else "")
        ax.plot(rows[axis], rows["dispatch_ns"], color=colour, marker=marker, markersize=4.5, label=name)
        guess = rows["is_hypothetical"]
        ax.plot(rows[axis][guess], rows["dispatch_ns"][guess], marker, color=colour, markerfacecolor="white", zorder=4)
    values = np.unique(table[axis]).tolist()
    style.vcpu_axis(ax, values, label, every=2)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="y", which="minor", length=0)
    ax.tick_params(axis="x", labelsize=8)
    ax.margins(x=0.04, y=0.1)


def _dispatch_caption(run: Run) -> str:
    by_vcpu, by_vm = run["dispatch_by_vcpu"], run["dispatch_by_vm"]

    def span(*keys: tuple[str, int]) -> str:
        tables = [table.where(pattern=p, n_range=n) for table in (by_vcpu, by_vm) for p, n in keys]
        return _span(np.concatenate([table["dispatch_ns"] for table in tables]))

    *_, longest = LINES
    named = [key for key in LINES if not key[0].startswith("random 32")]
    return (
        "How long this simulator takes to find the verdict of one hypercall, on one core of the machine named below: "
        "what simulating costs. What filtering costs inside KVM was not timed. In the first panel all VMs share one "
        f"policy, in the second every VM has a policy of its own, {count(int(by_vm['n_policy'].max()))} of them at the "
        f"end. A function KVM has a name for takes {span(*named)}, and a filter would add nothing: it is folded into a "
        f"table per policy. An id without a name has to search the filter's ranges: {span(longest)} with {longest[1]} "
        "ranges that deny half of all ids, where no branch can be guessed. Points are medians over repeated batches "
        f"of {count(by_vcpu['n_call'][0])} calls, bands their middle half. A hollow point is a fleet with a VM larger "
        "than KVM allows."
    )


def _dispatch_table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "fleet",
        *(f"{pattern}{f', {n} ranges' if n else ''} (measured)" for pattern, n in LINES),
    )
    rows = []
    for table, axis in ((run["dispatch_by_vcpu"], "n_vcpu"), (run["dispatch_by_vm"], "n_vm")):
        for value in np.unique(table[axis]).tolist():
            here = table.where(**{axis: value})
            n_vm, n_vcpu = count(here["n_vm"][0]), count(here["n_vcpu"][0])
            times = [here.where(pattern=p, n_range=n)["dispatch_ns"][0] for p, n in LINES]
            alike = "alike" if axis == "n_vcpu" else "all different"
            flag = ", hypothetical" if here["is_hypothetical"][0] else ""
            vms = f"{n_vm} VMs, {alike}" if here["n_vm"][0] > 1 else "1 VM"
            rows.append((f"{n_vcpu} vCPUs in {vms}{flag}", *(duration(t) for t in times)))
    return header, rows


def latency_picture(run: Run) -> Picture:
    """Time of one batch in which every vCPU makes one call: median to longest, by shape of the fleet."""
    replay = run["replay"]
    n_vcpu = int(replay["n_vcpu"][0])
    title = (
        f"One call by each of {count(n_vcpu)} vCPUs: half of all batches within "
        f"{duration(float(replay['batch_p50_ns'].max()))}, the longest {duration(float(replay['batch_max_ns'].max()))}"
    )
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=3.6)
        _latency_panel(ax, replay)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns(2))
    return Picture("latency", "Time of one batch", title, TAG, _latency_caption(run), figure, *_latency_table(run))


def _latency_panel(ax: Axes, replay: Table) -> None:
    y = np.arange(len(STATISTICS))[::-1].astype(np.float64)
    offsets = np.linspace(0.17, -0.17, replay.n_row) if replay.n_row > 1 else np.zeros(1)
    for row, offset, colour in zip(replay.rows(), offsets, (BLUE, RED, GREEN, PURPLE), strict=False):
        values = np.array([row[column] for column in STATISTICS.values()]) / 1e3
        face = "white" if row["is_hypothetical"] else colour
        note = " (hypothetical)" if row["is_hypothetical"] else ""
        ax.plot(values, y + offset, "o", color=colour, markerfacecolor=face, markersize=7, label=f"{_shape(row)}{note}")
        for value, place in zip(values, y + offset, strict=True):
            ax.annotate(
                duration(value * 1e3),
                (value, place),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
    for edge in y[:-1] - 0.5:
        ax.axhline(edge, color="#E3E3E3", linewidth=0.8)
    ax.set_xscale("log")
    low, high = (float(f(replay[c])) / 1e3 for f, c in ((np.min, "batch_p50_ns"), (np.max, "batch_max_ns")))
    first, last = low / 1.4, high * 1.3 * (high / low) ** 0.12
    ax.set_xlim(first, last)
    steps = (1, 2, 5) if last / first < 300 else (1,)
    ticks = [step * 10.0**k for k in range(-2, 8) for step in steps if first <= step * 10.0**k <= last]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_yticks(y, list(STATISTICS))
    ax.set_ylim(-0.5, len(y) - 0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("time of one batch (µs)")
    ax.set_ylabel("of all batches")


def _shape(row: dict[str, object]) -> str:
    n_vm = row["n_vm"]
    return f"{n_vm} VM{'' if n_vm == 1 else 's'} x {row['n_vcpu_per_vm']} vCPUs"


def _latency_caption(run: Run) -> str:
    replay = run["replay"]
    apart = float(replay["batch_p50_ns"].max() / replay["batch_p50_ns"].min()) - 1
    return (
        f"A recorded guest's {count(run['trace']['calls'].sum())} calls, replayed on every vCPU of a fleet: in each "
        "batch all vCPUs make the same call of the trace, and the batches go through the trace over and over. "
        f"{count(replay['n_batch'][0])} batches were timed one by one through the public function. Each time is that "
        "of a single batch, nothing is averaged, and the longest are as much the machine's doing as the program's. "
        "One VM of more vCPUs than KVM allows is hypothetical and drawn hollow. Whether the vCPUs belong to one VM or "
        "to many should not matter, as each only looks up the policy of its VM: the medians are "
        f"{percent(apart)} apart."
    )


def _latency_table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = ("fleet", "calls per batch", *(f"{name} (measured)" for name in STATISTICS))
    header += ("per call, whole replay (measured)", "calls per second (measured)")
    rows: list[tuple[str, ...]] = [
        (
            _shape(row) + (", hypothetical" if row["is_hypothetical"] else ""),
            count(row["n_vcpu"]),
            *(duration(row[column]) for column in STATISTICS.values()),
            duration(row["dispatch_ns"]),
            f"{significant(row['calls_per_s'] / 1e6)} million",
        )
        for row in run["replay"].rows()
    ]
    return header, rows
