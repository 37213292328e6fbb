"""Power state of a fleet, call by call against the reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import Switched, switch
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS, Conduit, Service, Verdict
from fastsmc.facts.vcpu import RUNNABLE, STOPPED
from fastsmc.reference.psci import mpidr_affinity
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet
from tests.support.examples import examples

CPU_ON, AFFINITY_INFO = 0xC400_0003, 0xC400_0004
VCPUS = (1, 3, 20)
SETS_X0 = (2, 3, 4, 8, 9, 0x12, 0x15, 0x5F, 0x60)
"""Low bytes of CPU_OFF, CPU_ON, AFFINITY_INFO, SYSTEM_OFF, RESET, RESET2, OFF2 and PSCI 0.1's CPU_OFF and CPU_ON."""
POWER = [f.func_id for f in FUNCTIONS if f.service is Service.PSCI] + [0x8600_0000]
targets = st.one_of(
    st.integers(0, 20).map(mpidr_affinity),
    st.integers(0, 0x200),
    st.sampled_from([1 << 24, 1 << 31, 1 << 32, 1 << 39, 1 << 63, 0xFF_00FF_FFFF, 0x8000_0001]),
)
calls = st.tuples(
    st.integers(0, sum(VCPUS) - 1), st.sampled_from([CPU_ON, AFFINITY_INFO, *POWER]), targets, st.integers(0, 5)
)


def switched(fleet: Fleet, batch: list[tuple[int, int, int, int]]) -> Switched:
    vcpu, func_id, x1, x2 = (list(column) for column in zip(*batch, strict=True))
    made = Calls.of(vcpu, func_id, x1=np.array(x1, np.uint64), x2=np.array(x2, np.uint64))
    return switch(fleet, made, verdicts(fleet, made))


@examples(300)
@given(st.sampled_from(["5.10", "6.1", "7.3"]), st.sampled_from([0, 4]), st.lists(calls, min_size=1, max_size=80))
def test_any_order_of_calls_leaves_the_states_and_x0_of_the_reference(
    name: str, features: int, batch: list[tuple[int, int, int, int]]
) -> None:
    host = Host(release(name))
    fleet = Fleet(VCPUS, hosts=host, features=features)
    fleet.enable_system_suspend()
    vms = [Vm(host, features=features, n_vcpu=n) for n in VCPUS]
    for vm, first in zip(vms, fleet.first_vcpu, strict=False):
        vm.enable_system_suspend()
        for number in range(1, len(vm.mp_state)):
            vm.vcpu_init(number, power_off=True)
            fleet.vcpu_init(int(first) + number, power_off=True)
    done = switched(fleet, batch)
    for c, (vcpu, func_id, x1, x2) in enumerate(batch):
        m = int(fleet.vm_of_vcpu[vcpu])
        number = vcpu - int(fleet.first_vcpu[m])
        assert done.ran[c] == (vms[m].mp_state[number] != STOPPED)
        if not done.ran[c]:
            continue
        outcome = vms[m].call(number, func_id, x1, x2, 0, Conduit.HVC)
        if outcome.verdict in (Verdict.HANDLED, Verdict.EXIT) and func_id & 0xFF in SETS_X0:
            assert int(done.x0[c]) % 2**64 == outcome.x[0]
    assert fleet.mp_state.tolist() == [state for vm in vms for state in vm.mp_state]


def test_1024_vcpus_switched_on_the_first_wins_and_the_second_is_already_on() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=512)
    secondaries = np.setdiff1d(np.arange(1024), [0, 512])
    fleet.vcpu_init(secondaries, power_off=True)
    batch = [(512 * m, CPU_ON, mpidr_affinity(n), 0) for _ in range(2) for n in range(1, 512) for m in (0, 1)]
    done = switched(fleet, batch)
    assert done.ran.all()
    assert done.x0.tolist() == [0] * 1022 + [-4] * 1022
    assert (fleet.mp_state == RUNNABLE).all()


def test_a_stopped_vcpu_makes_no_call() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=2)
    done = switched(fleet, [(0, 0x8400_0002, 0, 0), (0, CPU_ON, 1, 0), (1, CPU_ON, 0, 0), (0, AFFINITY_INFO, 1, 0)])
    assert done.ran.tolist() == [True, False, True, True]
    assert done.x0.tolist() == [0, 0, 0, 0]
