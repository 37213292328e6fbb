"""The power instrument: calls made one after another, as a fleet's vCPUs switch each other on and off.

Source: Linux arch/arm64/kvm/psci.c. Agrees with `reference` call by call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.grouped import AnyCalls, each_call
from fastsmc.dispatcher.given import own_vcpus
from fastsmc.dispatcher.kernels import power as kernels_power
from fastsmc.errors import InputError
from fastsmc.facts.services import MPIDR_AFFINITY
from fastsmc.facts.smccc import PSCI_0_1
from fastsmc.reference.doubts import Touched
from fastsmc.vm import Fleet


@dataclass(frozen=True, slots=True)
class Switched:
    """What a batch of calls did to power state.

    Attributes:
        ran: bool[n_call]; false: the caller was stopped by then, so the call was never made.
        x0: int64[n_call], what CPU_ON, CPU_OFF, AFFINITY_INFO and system functions leave in x0 (negative codes are
            PSCI's); 0 for every other call.
        doubts: what is not known of the fleet's releases, with the functions that it touches.
    """

    ran: NDArray[np.bool_]
    x0: NDArray[np.int64]
    doubts: tuple[Touched, ...] = ()

    def __repr__(self) -> str:
        note = f", doubts: {len(self.doubts)}" if self.doubts else ""
        return f"Switched({self.ran.size} calls, {int(self.ran.sum())} made{note})"

    def __str__(self) -> str:
        lines = [f"{self.ran.size:,} calls, of which {int(self.ran.sum()):,} were made by vCPUs that ran"]
        return "\n".join([*lines, *(f"not certain: {doubt}" for doubt in self.doubts)])


def switch(fleet: Fleet, calls: AnyCalls, verdict: NDArray[np.uint8]) -> Switched:
    """Makes calls in the order given and changes `fleet.mp_state` as KVM would.

    The first CPU_ON of a stopped vCPU wins and the next gets ALREADY_ON; SYSTEM_OFF, RESET and their second forms stop
    every vCPU of the VM. SYSTEM_SUSPEND and CPU_SUSPEND change nothing. Other threads see the power states before the
    first call or after the last; of two that switch at once, one waits.

    Args:
        verdict: uint8[n_call], what `dispatcher.verdicts` says of these calls.

    Raises:
        InputError: a call by a vCPU the fleet does not have, or verdicts of another shape or dtype.

    Cost: O(n_call); AFFINITY_INFO looks at every vCPU of its VM.
    """
    calls = each_call(calls)
    n_call = len(calls)
    vcpu = own_vcpus(calls, slice(None), fleet.n_vcpu)
    if verdict.dtype != np.uint8 or verdict.shape != (n_call,) or not verdict.flags.c_contiguous:
        msg = f"verdict must be a contiguous uint8[{n_call}], as dispatcher.verdicts gives it"
        raise InputError(msg)
    zero = np.zeros(n_call, np.uint64)
    x1, x2 = (zero if column is None else column for column in (calls.x1, calls.x2))
    masks = np.array([host.release.mpidr_masks_extra_bits for host in fleet.hosts])[fleet.host_of_vm]
    ran, x0 = np.zeros(n_call, np.bool_), np.zeros(n_call, np.int64)
    with fleet.switching() as mp_state:
        kernels_power.switch_power(
            calls.func_id,
            vcpu,
            x1,
            x2,
            verdict,
            fleet.vm_of_vcpu,
            fleet.first_vcpu,
            fleet.effective_psci_version() == PSCI_0_1,
            masks,
            np.uint64(MPIDR_AFFINITY),
            mp_state,
            ran,
            x0,
        )
    return Switched(ran, x0, fleet.doubts)
