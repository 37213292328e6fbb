"""The steps between stopping a guest and running it elsewhere, each with its time and what that time rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from fastsmc import costs
from fastsmc.planning.link import Link
from fastsmc.planning.span import Span, longest, total

Kind = Literal["measured", "modelled", "assumed"]


class Stage(StrEnum):
    """When a step happens. Save, wire and load may overlap, section after section; the others cannot."""

    BEFORE = "before"
    SAVE = "save"
    WIRE = "wire"
    LOAD = "load"
    AFTER = "after"


_AT_ONCE = (Stage.SAVE, Stage.WIRE, Stage.LOAD)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the downtime.

    Attributes:
        kind: measured by the user's own migration, or modelled, or assumed: modelled from an assumed figure.
        source: what the time rests on.
        is_budgeted: whether QEMU's estimate, which decides when to stop the guest, has it in its sum.
    """

    name: str
    stage: Stage
    ms: Span
    kind: Kind
    source: str
    ioctls: int = 0
    n_byte: int = 0
    is_budgeted: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The downtime of one VM's migration, step by step.

    Attributes:
        n_reg: registers that QEMU carries per vCPU. limit_ms: downtime-limit.
        notes: what the sums rest on, and what measurements said. left_out: what is not in them.
    """

    subject: str
    n_vcpu: int
    n_reg: int
    has_sve: bool
    link: Link
    limit_ms: float
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    @property
    def total_ms(self) -> Span:
        """All steps one after another: an upper side, as QEMU saves, sends and loads at once."""
        return total(step.ms for step in self.steps)

    @property
    def overlapped_ms(self) -> Span:
        """Of saving, wire and loading only the longest, as if they overlapped completely: a lower side."""
        alone = total(step.ms for step in self.steps if step.stage not in _AT_ONCE)
        return alone + longest(self.stage_ms(stage) for stage in _AT_ONCE)

    @property
    def unseen_ms(self) -> Span:
        """What QEMU's estimate has not in its sum, one after another."""
        return total(step.ms for step in self.steps if not step.is_budgeted)

    @property
    def unseen_share(self) -> float:
        """Of the middle sum."""
        whole = self.total_ms.mid
        return self.unseen_ms.mid / whole if whole else 0.0

    @property
    def is_hypothetical(self) -> bool:
        """More vCPUs than KVM allows per VM today."""
        return self.n_vcpu > costs.VGIC_V3_MAX_CPUS.value

    def stage_ms(self, stage: Stage) -> Span:
        """The steps of one stage."""
        return total(step.ms for step in self.steps if step.stage is stage)

    def having(self, *, instead: dict[str, Step | None], first: Iterable[Step] = (), notes: Iterable[str]) -> Waterfall:
        """The same with some steps, by name, replaced (None: dropped), and with steps put behind the first one."""
        kept = [instead.get(step.name, step) for step in self.steps]
        steps = [step for step in kept if step is not None]
        at = next((i for i, step in enumerate(steps) if step.name != "pause"), len(steps))
        steps[at:at] = first
        return replace(self, steps=tuple(steps), notes=(*self.notes, *notes))
