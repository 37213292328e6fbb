"""Which services a real guest called, and what becomes of the calls."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from fastsmc.reporting.forms import columns
from fastsmc.reporting.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, Picture, new_figure, short, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import count, percent

TAG = "calls recorded, verdicts modelled"
COLOURS = {
    "VENDOR_HYP": BLUE,
    "PSCI": ORANGE,
    "TRNG": GREEN,
    "ARCH": PURPLE,
    "PV_TIME": SKY,
}
VERDICTS = {
    "HANDLED": "handled",
    "DENIED": "denied",
    "FORWARDED": "forwarded to the VMM",
    "NOT_SUPPORTED": "not supported",
    "EXIT": "exit to the VMM",
    "FAST_PATH": "fast path",
    "SMC_REFUSED": "SMC refused",
}


def picture(run: Run) -> Picture:
    """Calls by function, in groups by service."""
    trace = run["trace"]
    total = int(trace["calls"].sum())
    totals = by_service(trace)
    service, most = next(iter(totals.items()))
    title = (
        f"The guest made {count(total)} hypercalls in {len(totals)} services, {count(most)} of them to {short(service)}"
    )
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=1.9 + 0.235 * trace.n_row)
        _draw(ax, trace, totals)
        handles = [Patch(color=COLOURS.get(name, GREY), label=f"{short(name)}: {n}") for name, n in totals.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=columns(len(handles)), handlelength=1.2)
    return Picture("trace", "A real guest's calls", title, TAG, _caption(run, totals), figure, *_table(run))


def by_service(trace: Table) -> dict[str, int]:
    """Calls per service, most first."""
    names = dict.fromkeys(trace["service"].tolist())
    totals = {name: int(trace["calls"][trace["service"] == name].sum()) for name in names}
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def _draw(ax: Axes, trace: Table, totals: dict[str, int]) -> None:
    order = list(totals)
    rows = sorted(trace.rows(), key=lambda row: (order.index(row["service"]), -row["calls"]))
    y = np.arange(len(rows))[::-1]
    calls = np.array([row["calls"] for row in rows])
    ax.barh(y, calls, color=[COLOURS.get(row["service"], GREY) for row in rows], height=0.7)
    for place, row in zip(y, rows, strict=True):
        text = f"{row['calls']}  {VERDICTS.get(row['verdict'], short(row['verdict']))}"
        weight = "normal" if row["verdict"] == "HANDLED" else "bold"
        ax.text(row["calls"] + calls.max() * 0.008, place, text, va="center", fontsize=8, fontweight=weight)
    ax.set_yticks(y, [short(row["function"]) for row in rows], fontsize=8)
    ax.set_xlim(0, calls.max() * 1.14)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("calls in the trace (count)")
    ax.set_ylabel("function")


def _caption(run: Run, totals: dict[str, int]) -> str:
    trace, inputs = run["trace"], run.provenance.inputs
    shares = ", ".join(f"{name} {percent(n / sum(totals.values()))}" for name, n in totals.items())
    verdicts = {name: int(trace["calls"][trace["verdict"] == name].sum()) for name in VERDICTS}
    fates = ", ".join(f"{count(n)} {VERDICTS[name]}" for name, n in verdicts.items() if n)
    return (
        "Every hypercall that the tracepoint kvm_hvc_arm64 saw of one real guest "
        f"({inputs.get('trace', 'a trace')}), by function, coloured by service: {shares}. VENDOR_HYP, TRNG and PV_TIME "
        "are what the bitmaps of the firmware registers switch on and off; PSCI and ARCH are on the allowed list. The "
        "counts are recorded. What becomes of the calls is the model's answer for "
        f"{inputs.get('host', 'a host')}: {fates}, where handled means answered in the kernel. The tracepoint sees no "
        "SMC and no workaround call."
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = ("fleet", "service", "verdict (modelled)", "calls of the whole replay (modelled)")
    rows: list[tuple[str, ...]] = [
        (
            row["shape"] + (" (hypothetical)" if row["is_hypothetical"] else ""),
            row["service"],
            VERDICTS.get(row["verdict"], row["verdict"]),
            count(row["calls"]),
        )
        for row in run["verdicts"].rows()
    ]
    return header, rows
