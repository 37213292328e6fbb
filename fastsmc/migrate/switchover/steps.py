"""The steps between stopping a guest and running it elsewhere, each with its time and what that time rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, get_args

from fastsmc.facts import costs
from fastsmc.migrate.link import Link
from fastsmc.migrate.span import Span, longest, total
from fastsmc.migrate.switchover.names import GIC_GETS, GIC_SETS, LOAD, MEMORY, SAVE, WIRE
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.results.units import milliseconds, significant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

StepKind = Literal["measured", "modelled", "assumed"]


class Stage(StrEnum):
    """When a step happens. Save, wire and load may overlap, section after section; the others cannot."""

    BEFORE = "before"
    SAVE = "save"
    WIRE = "wire"
    LOAD = "load"
    AFTER = "after"


_NOTES = (
    (None, "one after another is an upper side: QEMU saves, sends and loads section by section, so these may overlap"),
    (None, "lows, middles and highs add up: everything low at once, everything high at once"),
    (WIRE, "the wire has no bandwidth limit: QEMU lifts max-bandwidth at switch-over (read)"),
    (SAVE, "encode was measured on another machine, under TCG"),
    (LOAD, "decode was measured on another machine, under TCG"),
)
"""Texts, each with the step that it belongs to."""
_LOCK_NS = 10
_AT_ONCE = (Stage.SAVE, Stage.WIRE, Stage.LOAD)


@dataclass(frozen=True, slots=True)
class DowntimeStep:
    """One step of the downtime.

    Attributes:
        kind: measured by the user's own migration, or modelled, or assumed: modelled from an assumed figure.
        source: what the time rests on.
        is_budgeted: whether QEMU's estimate, which decides when to stop the guest, has it in its sum.
    """

    name: str
    stage: Stage
    ms: Span
    kind: StepKind
    source: str
    ioctls: int = 0
    n_byte: int = 0
    is_budgeted: bool = False

    def __repr__(self) -> str:
        return f"DowntimeStep({self.name!r}, {self.stage}, ms={self.ms.mid:.4g}, {self.kind})"

    def __str__(self) -> str:
        return f"{self.name}: {significant(self.ms.low)} to {significant(self.ms.high)} ms ({self.kind})"

    def as_dict(self) -> dict[str, Any]:
        """The step as plain values."""
        told = asdict(self)
        told["bytes"] = told.pop("n_byte")
        told["in_estimate"] = told.pop("is_budgeted")
        return told


def _row(step: DowntimeStep) -> dict[str, Any]:
    return {
        "step": step.name,
        "stage": step.stage.value,
        "ioctls": step.ioctls,
        "bytes": step.n_byte,
        "low_ms": step.ms.low,
        "mid_ms": step.ms.mid,
        "high_ms": step.ms.high,
        "kind": step.kind,
        "source": step.source,
    }


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The downtime of one VM's migration, step by step.

    Attributes:
        n_reg: registers that QEMU carries per vCPU.
        limit_ms: QEMU's downtime-limit.
        told: what measurements said besides their steps.
    """

    subject: str
    n_vcpu: int
    n_reg: int
    has_sve: bool
    link: Link
    limit_ms: float
    steps: tuple[DowntimeStep, ...]
    told: tuple[str, ...] = ()

    @property
    def total_ms(self) -> Span:
        """All steps one after another: an upper side, as QEMU saves, sends and loads at once."""
        return total(step.ms for step in self.steps)

    @property
    def overlapped_ms(self) -> Span:
        """All steps as if saving, wire and loading overlapped completely, so that the longest counts: a lower side."""
        alone = total(step.ms for step in self.steps if step.stage not in _AT_ONCE)
        return alone + longest(self.stage_ms(stage) for stage in _AT_ONCE)

    @property
    def unseen_ms(self) -> Span:
        """The steps that QEMU's estimate leaves out of its sum, one after another."""
        return total(step.ms for step in self.steps if not step.is_budgeted)

    @property
    def unseen_share(self) -> float:
        """`unseen_ms` as a share of the middle sum."""
        whole = self.total_ms.mid
        return self.unseen_ms.mid / whole if whole else 0.0

    @property
    def is_hypothetical(self) -> bool:
        """More vCPUs than KVM allows per VM today."""
        return self.n_vcpu > costs.VGIC_V3_MAX_CPUS.value

    @property
    def kinds(self) -> tuple[StepKind, ...]:
        """The kinds of its steps: measured, modelled, assumed."""
        return tuple(kind for kind in get_args(StepKind) if any(step.kind == kind for step in self.steps))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the sums rest on, and what measurements said."""
        names = {step.name for step in self.steps}
        return tuple(text for name, text in _NOTES if name is None or name in names) + self.told

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is in none of the steps."""
        names = {step.name for step in self.steps}
        texts = []
        if MEMORY not in names:
            texts.append(
                "guest memory: QEMU stops the guest once it expects the rest to fit the limit, so up to "
                f"{self.limit_ms:g} ms more"
            )
        gic = sum(step.ioctls for step in self.steps if step.name in (GIC_GETS, GIC_SETS))
        if gic:
            locks = gic * self.n_vcpu * int(costs.GIC_IOCTL_LOCKS.value)
            texts.append(
                f"each GIC ioctl takes the mutexes of all vCPUs (read), {locks} of them: at {_LOCK_NS} ns each, which "
                f"nobody has measured, {significant(locks * _LOCK_NS / 1e6)} ms more"
            )
        if names & {SAVE, LOAD}:
            texts.append("network cards' announcements, disks, VFIO and other devices")
        return tuple(texts)

    def stage_ms(self, stage: Stage) -> Span:
        """The steps of one stage."""
        return total(step.ms for step in self.steps if step.stage is stage)

    @property
    def share_of_limit(self) -> Span:
        """`total_ms` as a share of the downtime limit."""
        return self.total_ms.times(1 / self.limit_ms)

    def as_dict(self) -> dict[str, Any]:
        """The downtime as plain values."""
        return {
            "kind": ", ".join(self.kinds),
            "vmm": "qemu",
            "registers": self.subject,
            "vcpus": self.n_vcpu,
            "registers_per_vcpu": self.n_reg,
            "sve": self.has_sve,
            "hypothetical": self.is_hypothetical,
            "line_rate_gbit_per_s": self.link.gbit_per_s,
            "rtt_us": self.link.rtt_us,
            "limit_ms": self.limit_ms,
            "steps": [step.as_dict() for step in self.steps],
            "total_ms": asdict(self.total_ms),
            "overlapped_ms": asdict(self.overlapped_ms),
            "unseen_ms": asdict(self.unseen_ms),
            "unseen_share": self.unseen_share,
            "share_of_limit": asdict(self.share_of_limit),
            "left_out": list(self.left_out),
            "notes": list(self.notes),
        }

    @property
    def answer(self) -> str:
        """One sentence: the downtime, its bounds, and its share of the limit."""
        total, share = self.total_ms, self.share_of_limit
        vcpus = f"{self.n_vcpu} vCPU{'s' * (self.n_vcpu > 1)}{'*' * self.is_hypothetical}"
        bounds = f"{milliseconds(total.low)} to {milliseconds(total.high)}"
        limit = f"{share.mid:.1%} of the {self.limit_ms:g} ms limit"
        return f"{vcpus}: downtime {milliseconds(total.mid)} ({bounds}), {limit} ({', '.join(self.kinds)})"

    def table(self) -> Table:
        """A row per step."""
        return table_of_rows("A step of the downtime.", [_row(step) for step in self.steps], "modelled")

    def numbers(self) -> dict[str, list[float | None]]:
        """The middle downtime, its bounds and its share of the limit, for thresholds."""
        total, overlapped = self.total_ms, self.overlapped_ms
        return {
            "downtime_ms": [total.mid],
            "downtime_low_ms": [total.low],
            "downtime_high_ms": [total.high],
            "overlapped_ms": [overlapped.mid],
            "share_of_limit_percent": [100 * self.share_of_limit.mid],
        }

    def figure(self) -> Figure:
        """The steps one after another, each with its middle time and from low to high, against the limit."""
        from fastsmc.reporting.waterfall import picture

        title = (
            f"{self.n_vcpu} vCPUs with {self.n_reg} registers: {significant(self.total_ms.mid)} ms one after another, "
            f"{self.unseen_share:.0%} of it not in QEMU's estimate"
        )
        bars = [(step.name, tuple(step.ms), step.kind, step.is_budgeted) for step in self.steps]
        return picture(bars, title=title, limit_ms=self.limit_ms)

    def __repr__(self) -> str:
        counts = f"n_vcpu={self.n_vcpu}, n_reg={self.n_reg}, {len(self.steps)} steps"
        return f"Waterfall({counts}, total_ms={self.total_ms.mid:.4g}, kinds={', '.join(self.kinds)})"

    def __str__(self) -> str:
        from fastsmc.migrate.switchover.text import steps

        return steps(self)

    def having(
        self, *, instead: dict[str, DowntimeStep | None], first: Iterable[DowntimeStep] = (), notes: Iterable[str]
    ) -> Waterfall:
        """The waterfall with some steps replaced, by name, or dropped (None), and others put behind the first one."""
        kept = [instead.get(step.name, step) for step in self.steps]
        steps = [step for step in kept if step is not None]
        at = next((i for i, step in enumerate(steps) if step.name != "pause"), len(steps))
        steps[at:at] = first
        return replace(self, steps=tuple(steps), told=(*self.told, *notes))
