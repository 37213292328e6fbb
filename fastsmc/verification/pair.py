"""One VM twice, the reference and a one-VM fleet, asked the same and compared at every step."""

from __future__ import annotations

from errno import EINTR
from typing import TypeVar

from fastsmc.errors import RegisterError
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.state import OK
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet

Result = TypeVar("Result", int, tuple[int, int])


class DisagreementError(Exception):
    """Reference and fleet gave different results for one ioctl."""


class Pair:
    """One VM twice: the reference and the vectorized path."""

    def __init__(self, host: Host, *, features: int = FEATURE_PSCI_0_2, n_vcpu: int = 2) -> None:
        self.vm = Vm(host, features=features, n_vcpu=n_vcpu)
        self.fleet = Fleet([n_vcpu], hosts=host, features=features)

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

    def init(self, vcpu: int) -> int:
        """KVM_ARM_VCPU_INIT on both: an errno."""
        self.fleet.vcpu_init(vcpu)
        return self.vm.vcpu_init(vcpu)

    def uninit(self, vcpu: int) -> None:
        """Takes a vCPU back to before its KVM_ARM_VCPU_INIT, as if it was created late."""
        self.vm.is_initialised[vcpu] = self.fleet.is_initialised[vcpu] = False

    @staticmethod
    def _agreed(what: str, mine: Result, fleet: Result) -> Result:
        if mine != fleet:
            msg = f"{what}: reference {mine}, fleet {fleet}"
            raise DisagreementError(msg)
        return mine
