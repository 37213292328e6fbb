"""What becomes of each kind of call a VM group makes: verdicts from the real dispatch path."""

from __future__ import annotations

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.smccc import Verdict
from fastsmc.scenario import VmGroup, fleet_of


def verdicts_of(group: VmGroup) -> tuple[Verdict, ...]:
    """The verdict of every entry of the group's mix, in its order; those of a script are its distinct calls.

    Raises:
        FastsmcError: KVM would refuse to set the group's VMs up so; that of a loaded scenario never is.

    Cost: one small fleet and one dispatch, whatever the number of VMs.
    """
    mix = group.workload.mix
    calls = Calls.of(
        np.zeros(len(mix), np.uint32),
        np.array([entry.func_id for entry in mix], np.uint32),
        conduit=np.array([entry.conduit for entry in mix], np.uint8),
        x1=np.array([entry.x1 for entry in mix], np.uint64),
        x2=np.array([entry.x2 for entry in mix], np.uint64),
        x3=np.array([entry.x3 for entry in mix], np.uint64),
    )
    return tuple(Verdict(verdict) for verdict in verdicts(fleet_of(group), calls).tolist())
