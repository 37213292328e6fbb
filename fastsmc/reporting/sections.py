"""What stands on which page: sections of texts, figures and tables, in the order in which they answer."""

from __future__ import annotations

from dataclasses import dataclass

from fastsmc.reporting import breaks, fleet_upgrade, guests, heatmap, noise, sets, stopped, study, timing, trace
from fastsmc.reporting.style import Note, Picture
from fastsmc.results.runs import Run

HEADING = "What do a VM's registers cost when it moves, and what breaks?"
ABOUT = (
    "fastsmc simulates how KVM on arm64 answers its guests' hypercalls, and what the registers that steer those "
    "answers cost when a VM migrates."
)
"""What fastsmc is, in one line."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: its heading, what is said first, then figures, then findings without one."""

    name: str
    topic: str
    texts: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[Note, ...] = ()


def report(run: Run) -> list[Section]:
    """The report: at most eight figures."""
    return [
        Section("breaks", "What breaks", (), (breaks.picture(run),), (breaks.note(run),)),
        Section(
            "costs",
            "What it costs: bytes, ioctls, milliseconds",
            (),
            (sets.bytes_picture(run), sets.ioctls_picture(run), stopped.picture(run)),
        ),
        Section("grid", "Registers against vCPUs", _noise(run), (heatmap.picture(run),)),
        Section(
            "load",
            "What a guest waits for its VMM, up to 1024 vCPUs",
            tuple(study.intro(run)),
            tuple(study.pictures(run)),
        ),
        Section("upgrade", "A fleet's upgrade", (), (fleet_upgrade.picture(run),), (fleet_upgrade.note(run),)),
        *_guests(run),
    ]


def _guests(run: Run) -> list[Section]:
    """The kinds of guest; nothing of a run that an earlier fastsmc saved."""
    if guests.TABLE not in run.tables:
        return []
    return [Section("guests", "Ordinary guests, guests with EL2, protected VMs", notes=(guests.note(run),))]


def _noise(run: Run) -> tuple[str, ...]:
    """What a noisy run has to say before times that were measured; nothing of a quiet one."""
    return (noise.told(run),) if noise.is_noisy(run) else ()


def load(run: Run) -> list[Section]:
    """The rest of the study of calls under load."""
    return [
        Section("load-more", "Locks and boots", (study.basis(run),), tuple(study.details(run)), tuple(study.notes(run)))
    ]


def simulator(run: Run) -> list[Section]:
    """The simulator's own speed, and the calls that it was timed with."""
    speed = (timing.dispatch_picture(run), timing.latency_picture(run))
    return [
        Section("speed", "How fast verdicts are found", (noise.told(run),), speed),
        Section("calls", "The calls that are replayed", (), (trace.picture(run),)),
    ]
