"""What becomes of each kind of call a VM group makes: verdicts from the real dispatch path."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.smccc import Verdict
from fastsmc.scenario import VmGroup, fleet_of
from fastsmc.scenario.fleets import SETUPS, Setup

Call = tuple[int, int, int, int, int, int]
"""func_id, conduit, x1, x2, x3, level."""


def verdicts_of(group: VmGroup) -> tuple[Verdict, ...]:
    """The verdict of every entry of the group's mix, in its order; those of a script are its distinct calls.

    Raises:
        FastsmcError: KVM would refuse to set the group's VMs up so; that of a loaded scenario never is.

    Cost: one small fleet and one dispatch, whatever the number of VMs; nothing for a setup and calls seen before.
    """
    mix = group.workload.mix
    calls = tuple((one.func_id, int(one.conduit), one.x1, one.x2, one.x3, int(one.level)) for one in mix)
    return _decided(Setup.of(group), calls)


@lru_cache(SETUPS)
def _decided(setup: Setup, mix: tuple[Call, ...]) -> tuple[Verdict, ...]:
    func_id, conduit, x1, x2, x3, level = zip(*mix, strict=True) if mix else ((),) * 6
    calls = Calls.of(
        np.zeros(len(mix), np.uint32),
        np.array(func_id, np.uint32),
        conduit=np.array(conduit, np.uint8),
        x1=np.array(x1, np.uint64),
        x2=np.array(x2, np.uint64),
        x3=np.array(x3, np.uint64),
        level=np.array(level, np.uint8),
    )
    return tuple(Verdict(verdict) for verdict in verdicts(fleet_of(setup), calls).tolist())
