"""Hypothesis strategies shared by tests: policies, filters and ids, near what KVM knows and far from it."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from fastsmc.facts.registers import FW_REGISTERS
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.vm import Vm

RELEASES = ("5.10", "5.12", "5.15", "5.18", "5.19", "6.1", "6.4", "6.12", "6.13", "6.15", "6.17", "7.1", "7.2", "7.3")

_KNOWN = st.sampled_from([f.func_id for f in FUNCTIONS])
_EDGES = st.sampled_from(
    [0, 1, 0xFFFF_FFFF, 0x8000_FFFF, 0x8001_0000, 0xC000_0000, 0xBFFF_FFFF, 0x8400_001F, 0x8400_0020]
)

func_ids = (
    _KNOWN
    | _EDGES
    | st.integers(0, 0xFFFF_FFFF)
    | st.builds(lambda known, bit: known ^ (1 << bit), _KNOWN, st.integers(0, 31))
    | st.builds(lambda known, step: (known + step) & 0xFFFF_FFFF, _KNOWN, st.integers(-2, 2))
)

sizes = st.integers(0, 4) | st.integers(0, 0x1_0000) | st.integers(0, 0xFFFF_FFFF)
filter_ranges = st.builds(FilterRange, func_ids, sizes, st.integers(0, 3))

hosts = st.builds(
    lambda name, levels: Host(release(name), workaround=levels),
    st.sampled_from(RELEASES),
    st.tuples(st.integers(0, 2), st.sampled_from([0, 3]), st.integers(0, 2)),
)

registers = st.sampled_from([row.reg for row in FW_REGISTERS]) | st.sampled_from(
    [0x6030_0000_0014_0004, 0x6020_0000_0016_0000, 0x6030_0000_0017_0000, 0x6030_0000_0016_FFFF]
)
words = (
    st.integers(0, 4)
    | st.sampled_from([0x10, 0x12, 0x13, 0x10000, 0x10001, 0x10002, 0x10003, 0x10004])
    | st.integers(0, 2**64 - 1)
    | st.integers(0, 63).map(lambda bit: 1 << bit)
)


@dataclass(frozen=True)
class Policy:
    """What a test asks of one VM before it runs."""

    features: int
    sets: tuple[tuple[int, int], ...]
    ranges: tuple[FilterRange, ...]
    wants_suspend: bool

    def vm(self, host: Host, n_vcpu: int = 1) -> Vm:
        """The reference VM with this policy."""
        vm = Vm(host, features=self.features, n_vcpu=n_vcpu)
        for reg, value in self.sets:
            vm.set_one_reg(0, reg, value)
        for new in self.ranges:
            vm.insert_filter(new.base, new.nr_functions, int(new.action))
        if self.wants_suspend:
            vm.enable_system_suspend()
        return vm


policies = st.builds(
    Policy,
    st.sampled_from([0x4, 0x0, 0x6, 0x2]),
    st.lists(st.tuples(registers, words), max_size=6).map(tuple),
    st.lists(filter_ranges, max_size=8).map(tuple),
    st.booleans(),
)
