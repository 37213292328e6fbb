"""One VM twice, the reference and a one-VM fleet, asked the same and compared at every step."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EINTR
from typing import NamedTuple, TypeVar

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.errors import RegisterError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Conduit, Level, Verdict
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.state import MASK32, OK, FourWords, Outcome
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet

Result = TypeVar("Result", int, tuple[int, int])


class DisagreementError(Exception):
    """Reference and fleet gave different results for one ioctl."""


class Made(NamedTuple):
    """One call of vCPU 0, as its guest makes it."""

    x: FourWords
    conduit: Conduit
    level: Level = Level.EL1


class Pair:
    """One VM twice: the reference and the vectorized path."""

    def __init__(
        self,
        host: Host,
        *,
        features: int = FEATURE_PSCI_0_2,
        n_vcpu: int = 2,
        is_protected: bool = False,
        has_gic: bool = True,
    ) -> None:
        self.vm = Vm(host, features=features, n_vcpu=n_vcpu, is_protected=is_protected, has_gic=has_gic)
        self.fleet = Fleet([n_vcpu], hosts=host, features=features, is_protected=is_protected, has_gic=has_gic)

    def get(self, reg: int, vcpu: int = 0) -> tuple[int, int]:
        """KVM_GET_ONE_REG on both: (errno, value)."""
        mine = self.vm.get_one_reg(vcpu, reg)
        try:
            fleet = (OK, int(self.fleet.get_one_reg(reg, vcpu=vcpu)[0]))
        except RegisterError as error:
            fleet = (error.errno, 0)
        return self._agreed(f"GET {reg:#x}", mine, fleet)

    def set(self, reg: int, value: int, vcpu: int = 0) -> int:
        """KVM_SET_ONE_REG on both: an errno."""
        fleet = int(self.fleet.try_set_one_reg(reg, value, vcpu=vcpu)[0])
        return self._agreed(f"SET {reg:#x} = {value:#x}", self.vm.set_one_reg(vcpu, reg, value), fleet)

    def insert(self, base: int, nr_functions: int, action: int, *, pad: bool = False) -> int:
        """Inserts a filter range: an errno. A fleet has no pad bytes, so with `pad` only the reference is asked."""
        mine = self.vm.insert_filter(base, nr_functions, action, pad=pad)
        if pad:
            return mine
        fleet = int(self.fleet.try_install_filter(FilterRange(base, nr_functions, action))[0, 0])
        return self._agreed(f"filter 0x{base:08x}+{nr_functions} action {action}", mine, fleet)

    def run(self, vcpu: int = 0, *, immediate_exit: bool = False) -> int:
        """KVM_RUN on both: an errno; the VM is frozen afterwards."""
        errno = self.vm.run(vcpu, immediate_exit=immediate_exit)
        fleet = int(self.fleet.try_run_once(vcpu=vcpu)[0])
        self._agreed(f"KVM_RUN of vCPU {vcpu}", OK if errno == EINTR else errno, fleet)
        return errno

    def init(self, vcpu: int, *, power_off: bool = False) -> int:
        """KVM_ARM_VCPU_INIT on both: an errno."""
        self.fleet.vcpu_init(vcpu, power_off=power_off)
        return self.vm.vcpu_init(vcpu, power_off=power_off)

    def calls(self, made: Sequence[Made]) -> list[tuple[Outcome, str]]:
        """Calls on both, one after another: outcomes of the reference, and how the fleet differs, "" where it does not.

        Verdicts and registers are compared. A fleet answers each call as if none before it had stopped or started a
        vCPU, so a list that has such a call holds no other.

        Raises:
            DisagreementError: other vCPUs are on afterwards.
        """
        x = np.array([one.x for one in made], np.uint64).reshape(-1, 4)
        level = np.array([one.level for one in made], np.uint8)
        calls = Calls.of(
            np.zeros(len(made), np.uint32),
            (x[:, 0] & np.uint64(MASK32)).astype(np.uint32),
            conduit=np.array([one.conduit for one in made], np.uint8),
            x1=x[:, 1].copy(),
            x2=x[:, 2].copy(),
            x3=x[:, 3].copy(),
            level=level if level.any() else None,
        )
        told = answers(self.fleet, calls)
        verdict = verdicts(self.fleet, calls)
        switch(self.fleet, calls, verdict)
        outcomes = [self.vm.call(0, *one.x, conduit=one.conduit, level=one.level) for one in made]
        mine, fleet = self.vm.mp_state, self.fleet.mp_state.tolist()
        if mine != fleet:
            msg = f"mp_state: reference {mine}, vectorized {fleet}"
            raise DisagreementError(msg)
        rows = zip(outcomes, verdict.tolist(), told.tolist(), strict=True)
        return [(outcome, _told_apart(outcome, what, registers)) for outcome, what, registers in rows]

    def uninit(self, vcpu: int) -> None:
        """Takes a vCPU back to before its KVM_ARM_VCPU_INIT, as if it was created late."""
        self.vm.is_initialised[vcpu] = self.fleet.is_initialised[vcpu] = False

    @staticmethod
    def _agreed(what: str, mine: Result, fleet: Result) -> Result:
        if mine != fleet:
            msg = f"{what}: reference {mine}, fleet {fleet}"
            raise DisagreementError(msg)
        return mine


def _told_apart(outcome: Outcome, verdict: int, x: list[int]) -> str:
    """How the fleet's verdict and registers differ from the reference's outcome; a fleet knows x0's low half only."""
    if verdict != outcome.verdict:
        return f"reference {outcome.verdict.name}, vectorized {Verdict(verdict).name}"
    is_kept = outcome.verdict in (Verdict.FORWARDED, Verdict.TO_VEL2)
    expected = [outcome.x[0] & MASK32 if is_kept else outcome.x[0], *outcome.x[1:]]
    return "" if x == expected else f"x: reference {expected}, vectorized {x}"
