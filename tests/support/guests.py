"""Fleets of guests of every kind beside reference VMs of the same, and calls from every level."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import Conduit, Level
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet
from tests.support.strategies import Policy, filter_ranges, func_ids, registers, words

N_VCPU = 3
"""vCPUs of each VM."""
_NESTED, _PROTECTED = ("6.16", "6.18", "7.2", "7.3"), ("7.3",)


@dataclass(frozen=True)
class Kind:
    """A VM's host, the features of its vCPUs and its type."""

    host: Host
    policy: Policy
    is_protected: bool = False
    has_gic: bool = True

    @property
    def has_el2(self) -> bool:
        return bool(self.policy.features & 0x80)

    def vm(self) -> Vm:
        """The reference VM, configured."""
        policy = self.policy
        vm = Vm(
            self.host,
            features=policy.features,
            n_vcpu=N_VCPU,
            is_protected=self.is_protected,
            has_gic=self.has_gic,
        )
        for reg, value in policy.sets:
            vm.set_one_reg(0, reg, value)
        for new in policy.ranges:
            vm.insert_filter(new.base, new.nr_functions, int(new.action))
        if policy.wants_suspend:
            vm.enable_system_suspend()
        return vm


def _policies(features: list[int]) -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        st.sampled_from(features),
        st.lists(st.tuples(registers, words), max_size=4).map(tuple),
        st.lists(filter_ranges, max_size=5).map(tuple),
        st.booleans(),
    )


_levels = st.tuples(st.integers(0, 2), st.sampled_from([0, 3]), st.integers(0, 2))
_ordinary = st.builds(
    lambda name, levels, policy: Kind(Host(release(name), levels), policy),
    st.sampled_from(["5.15", "6.1", "6.12", "7.3"]),
    _levels,
    _policies([0x4, 0x0, 0x6]),
)
_with_el2 = st.builds(
    lambda name, levels, policy, gic: Kind(Host(release(name), levels, kvm_arm_mode="nested"), policy, has_gic=gic),
    st.sampled_from(_NESTED),
    _levels,
    _policies([0x84, 0x80, 0x184, 0x104, 0x4]),
    st.booleans(),
)
_protected = st.builds(
    lambda name, policy, is_protected: Kind(Host(release(name), kvm_arm_mode="protected"), policy, is_protected),
    st.sampled_from(_PROTECTED),
    _policies([0x4, 0x0]),
    st.booleans(),
)
kinds = st.lists(_ordinary | _with_el2 | _with_el2 | _protected, min_size=1, max_size=4)
"""VMs of a fleet."""

_ids = func_ids | st.sampled_from(
    [0x8000_8000, 0x8000_7FFF, 0x8000_3FFF, 0x8600_0000, 0xC600_0002, 0xC600_0003, 0xC600_0004]
)
_words = st.integers(0, 3) | st.sampled_from([0x1000, 0x1001, 0x8000_0000, 1 << 32, 0x1000 << 32]) | words
Row = tuple[int, int, Conduit, Level, int, int, int]


@st.composite
def batches(draw: st.DrawFn, vms: list[Kind], *, max_size: int = 40) -> list[Row]:
    """Calls that VMs of these kinds can make: vCPU, id, conduit, level, x1, x2, x3."""
    rows = []
    for _ in range(draw(st.integers(1, max_size))):
        vcpu = draw(st.integers(0, N_VCPU * len(vms) - 1))
        level = draw(st.sampled_from(list(Level))) if vms[vcpu // N_VCPU].has_el2 else Level.EL1
        arguments = (draw(_words), draw(_words), draw(_words))
        rows.append((vcpu, draw(_ids), draw(st.sampled_from(list(Conduit))), level, *arguments))
    return rows


def fleet_of(vms: list[Kind]) -> Fleet:
    """The VMs as a fleet, configured."""
    fleet = Fleet(
        [N_VCPU] * len(vms),
        hosts=[kind.host for kind in vms],
        host_of_vm=range(len(vms)),
        features=[kind.policy.features for kind in vms],
        is_protected=[kind.is_protected for kind in vms],
        has_gic=[kind.has_gic for kind in vms],
    )
    for m, kind in enumerate(vms):
        for reg, value in kind.policy.sets:
            fleet.try_set_one_reg(reg, value, vms=m)
        fleet.try_install_filter(kind.policy.ranges, vms=m)
        if kind.policy.wants_suspend:
            fleet.enable_system_suspend(vms=m)
    return fleet
