"""A VM group as a fleet, set up through the same ioctls as any, so that KVM's own errnos are what a scenario meets."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from fastsmc.errors import FastsmcError
from fastsmc.facts.registers import FW_BY_NAME
from fastsmc.facts.releases import Host
from fastsmc.fleet.filters import FilterRange
from fastsmc.scenario.model import VmGroup
from fastsmc.scenario.toml_lines import Path
from fastsmc.vm import Fleet

SETUPS = 64
"""Setups of which is remembered what KVM makes of them; a filter of 4,096 ranges takes 0.5 MB."""


class Setup(NamedTuple):
    """All of a VM group that decides what KVM refuses and what becomes of a call, as a key to remember that by."""

    release: str
    features: int
    psci: int
    bitmaps: tuple[tuple[str, int], ...]
    filter: tuple[FilterRange, ...]
    kvm_arm_mode: str = "default"
    is_protected: bool = False

    @classmethod
    def of(cls, group: VmGroup) -> Setup:
        """The setup of a group."""
        policy = (group.release, group.features, group.psci, group.bitmaps, group.filter)
        return cls(*policy, group.kvm_arm_mode, group.is_protected)


def fleet_of(group: VmGroup | Setup, *, n_vcpu: int = 1) -> Fleet:
    """One VM of the group, with its registers and filter, ready to run.

    Args:
        n_vcpu: its vCPUs. Verdicts are the VM's, so one is enough for them.

    Raises:
        FastsmcError: what KVM refuses; a group of a loaded scenario has been checked for it.
    """
    fleet, refusals = configured(group, n_vcpu=n_vcpu)
    if refusals:
        raise refusals[0][1]
    assert fleet is not None
    return fleet


@lru_cache(SETUPS)
def refused_of(setup: Setup) -> tuple[tuple[Path, str], ...]:
    """What KVM refuses of a setup: (key under the group, message). Groups that differ in numbers only share a setup."""
    return tuple((path, str(error)) for path, error in configured(setup)[1])


def configured(group: VmGroup | Setup, *, n_vcpu: int = 1) -> tuple[Fleet | None, list[tuple[Path, FastsmcError]]]:
    """One VM of the group as far as it can be set up, and what was refused: (key under the group, error)."""
    refusals: list[tuple[Path, FastsmcError]] = []
    try:
        host = Host.of(group.release, kvm_arm_mode=group.kvm_arm_mode)
        kind: dict[str, Any] = {"features": group.features, "is_protected": group.is_protected}
        fleet = Fleet.uniform(n_vm=1, n_vcpu=n_vcpu, host=host, **kind)
    except FastsmcError as error:
        return None, [(("features",), error)]
    registers: list[tuple[Path, int, int]] = [
        (("bitmaps", name), FW_BY_NAME[name].reg, word) for name, word in group.bitmaps
    ]
    if group.psci:
        registers.insert(0, (("psci",), FW_BY_NAME["PSCI_VERSION"].reg, group.psci))
    for path, reg, word in registers:
        try:
            fleet.set_one_reg(reg, word)
        except FastsmcError as error:
            refusals.append((path, error))
    try:
        # Together: one by one, each insert makes and interns a filter of its own (measured: 3000 ranges 1 s).
        fleet.install_filter(group.filter)
    except FastsmcError:
        refusals += _refused(fleet, group)
    fleet.run_once()
    return fleet, refusals


def _refused(fleet: Fleet, group: VmGroup | Setup) -> list[tuple[Path, FastsmcError]]:
    """Inserts the ranges one by one, so that each that is refused is named."""
    refusals: list[tuple[Path, FastsmcError]] = []
    for index, one in enumerate(group.filter):
        try:
            fleet.install_filter(one)
        except FastsmcError as error:
            refusals.append((("filter", index), error))
    return refusals
