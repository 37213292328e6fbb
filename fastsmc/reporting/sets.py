"""What today's real register sets cost against vCPUs: two figures, in bytes and in ioctls."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.reporting import style
from fastsmc.reporting.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Picture,
    limit,
    new_figure,
    short,
    styled,
)
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import count, microseconds, milliseconds, percent, size

QEMU, QEMU_ONCE = "id+value", "id+value, VM-global once"
CODECS = {
    QEMU: (BLUE, "-", "o"),
    "values": (GREEN, "-", "s"),
    QEMU_ONCE: (BLUE, "--", "^"),
    "values, VM-global once": (GREEN, "--", "D"),
}
"""How bytes are counted, and how their lines are drawn."""
BYTES_TAG = "modelled from recorded counts"
IOCTLS_TAG = "counts modelled, times assumed"


def reference(run: Run) -> str:
    """The set that stands for today: the newest recorded kernel's, for a vCPU without extras."""
    plain = run["sets"].where(features="psci02")
    return str(plain["register_set"][-1])


def at_limit(run: Run, codec: str, name: str = "") -> dict[str, Any]:
    """Costs of a set (default: the reference) at the most vCPUs that are not hypothetical."""
    rows = run["set_cost"].where(register_set=name or reference(run), codec=codec, is_hypothetical=False)
    return list(rows.rows())[-1]


def bytes_picture(run: Run) -> Picture:
    """Bytes per vCPU by set, and bytes against vCPUs by format."""
    row = at_limit(run, QEMU)
    first = run["sets"].where(register_set=reference(run))
    title = (
        f"{reference(run)}: {size(first['payload_bytes'][0])} of registers per vCPU, {size(row['payload_bytes'])} at "
        f"{row['n_vcpu']} vCPUs"
    )
    with styled():
        figure, (left, right) = new_figure(title, BYTES_TAG, height_in=4.6, n_panel=2)
        _per_vcpu(left, run["sets"])
        for codec, look in CODECS.items():
            _band(right, run, codec, "payload_bytes", look, codec)
        _vcpu_panel(right, run)
        right.set_yscale("log")
        right.set_title("all vCPUs of a VM")
        right.set_ylabel("register payload (bytes)")
        right.yaxis.set_major_formatter(lambda value, _: size(value))
        _legend(figure, right)
    return Picture(
        "bytes", "Today's registers in bytes", title, BYTES_TAG, _bytes_caption(run), figure, *_bytes_table(run)
    )


def ioctls_picture(run: Run) -> Picture:
    """Ioctls per save against vCPUs, and the time they take at an assumed cost."""
    row, budget = at_limit(run, QEMU), limit(run, "QEMU default downtime")
    title = (
        f"{count(row['save_ioctls'])} ioctls to save {row['n_vcpu']} vCPUs: {milliseconds(row['save_low_ms'])} to "
        f"{milliseconds(row['save_high_ms'])} of {budget:g} ms, if one takes {_ioctl_span(run)}"
    )
    with styled():
        figure, (left, right) = new_figure(title, IOCTLS_TAG, height_in=4.8, n_panel=2)
        for codec, look, text in (
            (QEMU, (RED, "-", "o"), "as QEMU saves today"),
            (QEMU_ONCE, (PURPLE, "--", "^"), "VM-global registers read once"),
        ):
            _band(left, run, codec, "save_ioctls", look, text)
        left.set_yscale("log")
        left.yaxis.set_major_formatter(lambda value, _: count(value))
        left.set_title("ioctls (modelled)")
        left.set_ylabel("ioctls per save (count)")
        _times(right, run, budget)
        for ax in (left, right):
            _vcpu_panel(ax, run)
        _legend(figure, left, right)
    return Picture(
        "ioctls", "Today's registers in ioctls", title, IOCTLS_TAG, _ioctls_caption(run), figure, *_ioctls_table(run)
    )


def _ioctl_span(run: Run) -> str:
    low, high = (limit(run, f"one register ioctl, {end}") for end in ("low", "high"))
    return f"{low / 1000:g} to {microseconds(high)}"


def _per_vcpu(ax: Axes, sets: Table) -> None:
    """Horizontal bars: bytes per vCPU, the part that is VM-global set off."""
    y = np.arange(sets.n_row)[::-1]
    shared = sets["payload_bytes"] * sets["n_global"] / sets["n_cpreg"]
    ax.barh(y, shared, color=SKY, height=0.66, label="VM-global")
    ax.barh(y, sets["payload_bytes"] - shared, left=shared, color=BLUE, height=0.66, label="per vCPU")
    for place, n_byte, n_reg in zip(y, sets["payload_bytes"], sets["n_cpreg"], strict=True):
        ax.text(n_byte * 0.985, place, f"{n_reg} registers", ha="right", va="center", color="white", fontsize=7.5)
    ax.set_yticks(y, [short(name.replace("Linux ", "")) for name in sets["register_set"]])
    ax.set_title("one vCPU, by Linux release and features")
    ax.set_xlabel("id+value of QEMU's register array (bytes)")
    ax.xaxis.set_major_formatter(lambda value, _: size(value))
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, handlelength=1.2)


def _spread(run: Run, codec: str, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """vCPUs, and the column of every set: float64[n_set, n_vcpu]."""
    rows = run["set_cost"].where(codec=codec)
    vcpus = np.unique(rows["n_vcpu"])
    return vcpus, rows[column].reshape(-1, vcpus.size).astype(np.float64)


def _band(ax: Axes, run: Run, codec: str, column: str, look: tuple[str, str, str], text: str) -> None:
    """The reference set as a line, all sets as a band."""
    colour, dash, marker = look
    vcpus, every = _spread(run, codec, column)
    line = run["set_cost"].where(codec=codec, register_set=reference(run))[column]
    if dash == "-":
        ax.fill_between(vcpus, every.min(axis=0), every.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    ax.plot(vcpus, line, color=colour, linestyle=dash, label=text, marker=marker, markersize=4)


def _times(ax: Axes, run: Run, budget: float) -> None:
    rows = run["set_cost"].where(codec=QEMU, register_set=reference(run))
    low, mid, high = (rows[f"save_{end}_ms"] for end in ("low", "mid", "high"))
    middle = microseconds(limit(run, "one register ioctl, mid"))
    ax.fill_between(rows["n_vcpu"], low, high, color=ORANGE, alpha=0.35, linewidth=0, label=f"{_ioctl_span(run)} each")
    ax.plot(rows["n_vcpu"], mid, color=ORANGE, label=f"{middle} each (all assumed)", marker="o", markersize=3)
    ax.axhline(budget, color=INK, linewidth=1.2)
    ax.text(float(rows["n_vcpu"][0]), budget * 1.12, f"QEMU's default downtime: {budget:g} ms", fontsize=8, va="bottom")
    ax.set_yscale("log")
    ax.set_ylim(top=max(budget, float(high.max())) * 2.2)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_title(f"their time (assumed), {reference(run)}")
    ax.set_ylabel("time of the ioctls of one save (ms)")


def _vcpu_panel(ax: Axes, run: Run) -> None:
    vcpus = np.unique(run["set_cost"]["n_vcpu"]).tolist()
    style.vcpu_axis(ax, vcpus, "vCPUs of the VM (count)", every=2)
    ax.set_xlim(vcpus[0] * 0.93, vcpus[-1] * 1.07)
    style.shade_hypothetical(ax, limit(run, "KVM vCPUs per VM"), vcpus[-1] * 1.07)


def _legend(figure: Figure, *axes: Axes) -> None:
    """Puts the legend below the panels that it speaks of, outside the data."""
    for ax in axes:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=1 if len(axes) > 1 else 2, handlelength=2.2)


def _bytes_caption(run: Run) -> str:
    sets = run["sets"]
    first = sets.where(register_set=reference(run))
    share = percent(float(first["n_global"][0] / first["n_cpreg"][0]))
    return (
        "What real kernels have instead of 1024 registers. First panel: one vCPU, id and value of each register that "
        "QEMU carries in its array (core and SVE registers travel elsewhere in its stream and are not counted). The "
        "lists are recorded, one per Linux release and vCPU features. The light part is registers that have one value "
        f"per VM by our classification: {first['n_global'][0]} of {first['n_cpreg'][0]} for {reference(run)}, {share}. "
        f"Second panel: the same for all vCPUs of a VM. Lines are {reference(run)}, the bands behind the solid lines "
        f"span all {sets.n_row} sets; dashed is what is left if VM-global registers were sent once, which no VMM does. "
        "A register takes 16 bytes with its id and 8 without."
    )


def _bytes_table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "register set",
        "registers, KVM's list (recorded)",
        "in QEMU's array (recorded)",
        "firmware (recorded)",
        "VM-global (modelled)",
        "per vCPU (modelled)",
        f"at {at_limit(run, QEMU)['n_vcpu']} vCPUs (modelled)",
        "VM-global once (modelled)",
    )
    rows: list[tuple[str, ...]] = [
        (
            row["register_set"],
            *(count(row[column]) for column in ("n_reg", "n_cpreg", "n_firmware", "n_global")),
            size(row["payload_bytes"]),
            *(size(at_limit(run, codec, row["register_set"])["payload_bytes"]) for codec in (QEMU, QEMU_ONCE)),
        )
        for row in run["sets"].rows()
    ]
    return header, rows


def _ioctls_caption(run: Run) -> str:
    row, once = at_limit(run, QEMU), at_limit(run, QEMU_ONCE)
    saved = percent(1 - once["save_ioctls"] / row["save_ioctls"])
    return (
        "arm64 KVM has no call that reads many registers at once: each is an ioctl of its own, and QEMU reads every "
        "register of its array twice per save, while the VM stands still. First panel: how many ioctls that is, core "
        f"state included; the line is {reference(run)}, the band spans all recorded sets. Reading VM-global registers "
        f"once, dashed, would save {saved} of them at {row['n_vcpu']} vCPUs. Second panel: the time they take, one "
        "after another. What one costs nobody has published for arm64, so the band is an assumption, "
        f"{_ioctl_span(run)}, and not a result; the downtime QEMU allows by default is drawn for comparison. The "
        f"destination is believed to write as many again ({count(row['load_ioctls'])}), part of which is assumed too."
    )


def _ioctls_table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = ("vCPUs", "ioctls per save (modelled)", "VM-global once (modelled)")
    ends = ("low", "mid", "high")
    header += tuple(f"at {microseconds(limit(run, f'one register ioctl, {end}'))} each (assumed)" for end in ends)
    once = run["set_cost"].where(codec=QEMU_ONCE, register_set=reference(run))["save_ioctls"].tolist()
    rows: list[tuple[str, ...]] = [
        (
            f"{row['n_vcpu']}" + (" (hypothetical)" if row["is_hypothetical"] else ""),
            count(row["save_ioctls"]),
            count(less),
            *(milliseconds(row[f"save_{end}_ms"]) for end in ends),
        )
        for row, less in zip(run["set_cost"].where(codec=QEMU, register_set=reference(run)).rows(), once, strict=True)
    ]
    return header, rows
