"""What a cost profile says of the ioctls of a downtime: one KVM_GET_ONE_REG, one KVM_SET_ONE_REG."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastsmc.errors import InputError
from fastsmc.facts.costs import Range
from fastsmc.migrate.switchover.names import GETS, GETS_AGAIN, SETS, SETS_AGAIN

if TYPE_CHECKING:
    from fastsmc.scenario.profiles import Profile

_STEPS = {"get_one_reg_ns": (GETS, GETS_AGAIN), "set_one_reg_ns": (SETS, SETS_AGAIN)}


IOCTL_ASSUMED = "the cost of one ioctl: nobody has published it for arm64"
"""What a plan takes for granted where no host was measured."""
_GIC_ASSUMED = "the cost of one ioctl of the interrupt controller: nobody has published it for arm64"


@dataclass(frozen=True, slots=True)
class Profiled:
    """What a profile tells of a downtime.

    Attributes:
        by_step: the cost of one ioctl by the name of a step, for the steps of registers that the profile tells of.
        notes: what it is, whether its figures mean anything, and what it does not tell.
        figures: those of `by_step` in words.
    """

    by_step: Mapping[str, Range] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    def before(self, assumed: tuple[str, ...]) -> tuple[str, ...]:
        """What a plan takes for granted, with what the profile says before it."""
        rest = tuple(_GIC_ASSUMED if self.by_step and text == IOCTL_ASSUMED else text for text in assumed)
        return (*self.notes, *self.figures, *rest)


def profiled(profile: Profile | str | os.PathLike[str] | None, ioctl_ns: object = None) -> Profiled:
    """What a profile tells, by its name, its path or itself; nothing where there is none.

    Raises:
        InputError: a profile that cannot be used, or the cost of an ioctl beside it.
    """
    if profile is None:
        return Profiled()
    if ioctl_ns is not None:
        msg = "profile and ioctl_ns both say what an ioctl costs: give one of them"
        raise InputError(msg)
    from fastsmc.scenario.profiles import Profile, load_profile

    costs = profile if isinstance(profile, Profile) else load_profile(profile)
    by_step: dict[str, Range] = {}
    notes, told = [f"profile {costs.name}: {costs.title}"], []
    for name, steps in _STEPS.items():
        figures: Range | None = getattr(costs, name)
        if figures is None:
            notes.append(f"profile {costs.name} does not tell {name}, which stays assumed")
        else:
            by_step |= dict.fromkeys(steps, figures)
            told.append(f"{name} {figures.mid}, {figures.low.value:g} to {figures.high.value:g}: {figures.mid.source}")
    return Profiled(by_step, tuple(notes), tuple(told))
