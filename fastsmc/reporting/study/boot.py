"""The study's last figure: bring-up and reseeding with calls forwarded, as a recorded guest makes them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from fastsmc.reporting.forms import columns
from fastsmc.reporting.study.common import PALETTE, TAG, most_real, one, time_axis, vcpu_panel
from fastsmc.reporting.style import Picture, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.units import count, duration, percent

CASES = {
    ("boot-storm", "PSCI_CPU_ON64"): "bring-up, CPU_ON forwarded",
    ("boot-storm", "TRNG_RND64"): "bring-up, TRNG forwarded",
    ("trng-reseed", "TRNG_RND64"): "every vCPU reseeds at once, TRNG forwarded",
}
BOOT, BOOT_TRNG, RESEED = CASES


def picture(run: Run) -> Picture:
    """What forwarding adds to bring-up, and the longest response time."""
    table = run["study_boot"]
    real = most_real(table)
    boot, reseed = (_row(run, case, real) for case in (BOOT, RESEED))
    title = (
        f"Forwarding CPU_ON adds {duration(boot['added_ns'])} to the bring-up of {real} vCPUs; if all reseed at once, "
        f"the last waits {duration(reseed['most_waiting_ns'])}"
    )
    with styled():
        figure, (left, right) = new_figure(title, TAG, height_in=5.2, n_panel=2)
        for case, colour in zip(CASES, PALETTE, strict=False):
            if case != RESEED:
                _line(left, run, case, "added_ns", colour, "-")
            _line(right, run, case, "most_response_ns", colour, "--" if case == BOOT_TRNG else "-")
        left.set_title("added to the time of bring-up")
        right.set_title("longest response time")
        time_axis(left, "added by forwarding")
        time_axis(right, "longest response time of a call")
        for ax, y in ((left, 0.015), (right, 0.385)):
            vcpu_panel(ax, run, np.unique(table["n_vcpu"]).tolist(), y=y)
        figure.legend(
            *right.get_legend_handles_labels(), loc="outside lower center", ncols=columns(2, small=1), handlelength=2.4
        )
    return Picture("load-boot", "Boot storm", title, TAG, _caption(run), figure, *_table(run), takeaway=_takeaway(run))


def _row(run: Run, case: tuple[str, str], n_vcpu: int) -> dict[str, float]:
    return one(run["study_boot"], shape=case[0], forwarded=case[1], n_vcpu=n_vcpu)


def _line(ax: Axes, run: Run, case: tuple[str, str], column: str, colour: str, dash: str) -> None:
    rows = run["study_boot"].where(shape=case[0], forwarded=case[1])
    ax.plot(rows["n_vcpu"], rows[column], color=colour, marker="o", markersize=3.5, label=CASES[case], linestyle=dash)


def _caption(run: Run) -> str:
    return (
        "Calls and their times are those of the recorded guest of two vCPUs, which ran under emulation and so slowly; "
        "that further vCPUs come up as the second did, one after the other, is assumed. First panel: how much later "
        "the last call is over than without a filter. Second panel: the longest response time of a call. One lock per "
        "VM. In the third case every vCPU reseeds at the same moments, which no recording shows. "
        "The hatched part cannot run on arm64 KVM today."
    )


def _takeaway(run: Run) -> str:
    real = most_real(run["study_boot"])
    boot, trng, reseed = (_row(run, case, real) for case in CASES)
    plain = one(run["study_boot"], shape=RESEED[0], forwarded="nothing", n_vcpu=real)
    queue = (
        "no call waited for the lock"
        if boot["most_waiting_ns"] == 0
        else f"the longest wait for the lock was {duration(boot['most_waiting_ns'])}"
    )
    return (
        f"A boot is not a storm, as Linux starts its vCPUs one by one: {count(boot['n_forwarded'])} forwarded CPU_ON "
        f"of {real} vCPUs add {duration(boot['added_ns'])}, "
        f"{duration(boot['added_ns'] / max(boot['n_forwarded'], 1))} each, "
        f"{percent(boot['added_ns'] / boot['whole_ns'])} of the recorded guest's slow bring-up, and {queue}. The "
        f"{count(trng['n_forwarded'])} reads of TRNG during it, all vCPU 0's, add {duration(trng['added_ns'])}. So "
        f"CPU_ON can be forwarded if you need to see it. A storm takes calls that coincide: if all {real} vCPUs read "
        f"TRNG at the same moment, the last waits {duration(reseed['most_waiting_ns'])} under one lock, while in the "
        f"kernel the longest call takes {duration(plain['most_response_ns'])}. The calls are recorded."
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "case, vCPUs", "calls (modelled)", "forwarded (modelled)", "added (assumed)", "longest response (assumed)",
        "longest waiting (assumed)",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            f"{CASES.get((row['shape'], row['forwarded']), row['shape'] + ', no filter')}, {row['n_vcpu']}"
            + (" (hypothetical)" if row["is_hypothetical"] else ""),
            count(row["n_call"]),
            count(row["n_forwarded"]),
            duration(row["added_ns"]) if row["added_ns"] else "0",
            duration(row["most_response_ns"]),
            duration(row["most_waiting_ns"]) if row["most_waiting_ns"] else "0",
        )
        for row in run["study_boot"].rows()
    ]
    return header, rows
