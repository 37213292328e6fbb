"""The study of calls under load: figures, and what a VMM developer should take from each; drawn from its tables."""

from __future__ import annotations

from fastsmc.reporting.study import boot, filters, knee, lock, share, vcpus
from fastsmc.reporting.study.common import basis, figure_of, weakest
from fastsmc.reporting.style import Note, Picture
from fastsmc.results.runs import Run
from fastsmc.results.units import duration, percent

__all__ = ["basis", "details", "figure_of", "intro", "notes", "pictures", "weakest"]


def pictures(run: Run) -> list[Picture]:
    """The figures that answer the question: response time against vCPUs and against the share of forwarded calls."""
    return [vcpus.picture(run), share.picture(run)]


def details(run: Run) -> list[Picture]:
    """The other figures: designs of the lock, and calls that real guests make."""
    return [lock.picture(run), boot.picture(run)]


def notes(run: Run) -> list[Note]:
    """What is told without a figure: where one lock collapses, and what the size of a filter costs."""
    return [knee.note(run), filters.note(run)]


def intro(run: Run) -> list[str]:
    """What the study is, in paragraphs."""
    row = weakest(run)
    think, asked = figure_of(run, "think_ns"), percent(figure_of(run, "share"))
    trap, round_trip = (duration(figure_of(run, name)) for name in ("trap_ns", "round_trip_ns"))
    mix = run["study"].where(figure="share")["source"][0]
    return [
        "What does a guest wait for a hypercall that its VMM answers? A queueing model says: each vCPU runs for "
        f"{duration(think)} on average (exponential), makes a call and waits for the answer. {asked} of the calls are "
        f"forwarded where it is not the axis ({mix}). The verdicts come from the dispatch path. A call that stays in "
        "the kernel waits for nobody. In the VMM calls are taken first come, first served: under one lock per VM, as "
        "QEMU's big lock, by a number of threads, or each vCPU by a thread of its own.",
        f"Nothing here was measured on a host. The costs are those of profile {row['profile']} ({row['title']}): a "
        f"trap takes {trap}, the round trip of a forwarded call {round_trip} without the VMM's own work. The weakest "
        f"figure is {row['figure']}, {duration(row['value'])}, {row['obtained']}: {row['source']}. The VMM's work is "
        f"all done under its lock, and every vCPU has a core of its own. Times are modelled, and assumed as far as "
        f"they rest on that figure, which is nearly all of them; quantiles are within "
        f"{percent(figure_of(run, 'quantile_error'))}.",
    ]
