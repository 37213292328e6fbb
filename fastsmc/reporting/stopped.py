"""Where the downtime of the largest VM goes: the page's waterfall."""

from __future__ import annotations

from fastsmc.reporting import waterfall
from fastsmc.reporting.style import Picture, limit
from fastsmc.results.runs import Run
from fastsmc.results.units import count, milliseconds, percent, size

TAG = "modelled; times of ioctls assumed"


def sums(run: Run) -> tuple[float, float, float]:
    """Low, middle and high of all steps one after another, in ms."""
    low, mid, high = (float(run["downtime"][f"{end}_ms"].sum()) for end in ("low", "mid", "high"))
    return low, mid, high


def picture(run: Run) -> Picture:
    """Steps one after another, against QEMU's downtime limit."""
    steps = run["downtime"]
    low, mid, high = sums(run)
    budget = limit(run, "QEMU default downtime")
    n_vcpu = int(steps["n_vcpu"][0])
    title = (
        f"{count(n_vcpu)} vCPUs stand still for {milliseconds(low)} to {milliseconds(high)}, at the middle "
        f"costs {milliseconds(mid)}, with a limit of {budget:g} ms"
    )
    bars = [
        (row["step"], (row["low_ms"], row["mid_ms"], row["high_ms"]), row["obtained"], row["is_budgeted"])
        for row in steps.rows()
    ]
    figure = waterfall.picture(bars, title=title, limit_ms=budget)
    return Picture("downtime", "Where the downtime goes", title, TAG, _caption(run), figure, *_table(run))


def _caption(run: Run) -> str:
    steps = run["downtime"]
    _, mid, _ = sums(run)
    ioctl_ms = float(steps["mid_ms"][steps["ioctls"] > 0].sum())
    wire_ms = float(steps["mid_ms"][steps["bytes"] > 0].sum())
    unseen = float(steps["mid_ms"][~steps["is_budgeted"]].sum())
    return (
        "Bars are the middle times, lines go from low to high. One move of a VM with "
        f"{count(steps['n_reg'][0])} registers per vCPU that QEMU carries, from the moment it is stopped until it runs "
        f"elsewhere, without guest memory. At the middle costs ioctls are {percent(ioctl_ms / mid)} of the "
        f"{milliseconds(mid)}, and the wire at {steps['line_rate'][0]} is {percent(wire_ms / mid)}. QEMU stops the "
        f"guest when it expects the rest of memory to fit its limit; {percent(unseen / mid)} of these steps are not in "
        "that estimate, so they come on top. One after another is an upper side, as saving, sending and loading may "
        "overlap. Encoding and decoding rest on figures measured with QEMU under TCG on another machine."
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header = ("step", "stage", "ioctls (modelled)", "bytes (modelled)", "low", "middle", "high", "times are")
    rows = [
        (
            row["step"],
            row["stage"],
            count(row["ioctls"]),
            size(row["bytes"]),
            *(milliseconds(row[f"{end}_ms"]) for end in ("low", "mid", "high")),
            row["obtained"],
        )
        for row in run["downtime"].rows()
    ]
    low, mid, high = sums(run)
    total = ("all, one after another", "", count(run["downtime"]["ioctls"].sum()), size(run["downtime"]["bytes"].sum()))
    return header, [*rows, (*total, milliseconds(low), milliseconds(mid), milliseconds(high), "")]
