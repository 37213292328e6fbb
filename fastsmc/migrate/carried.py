"""The registers that QEMU carries per vCPU: of a register set, of a release by name, or a bare number of them."""

from __future__ import annotations

from dataclasses import dataclass

from fastsmc.checks import whole
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.migrate._checks import MAX_COUNT

Registers = RegisterSet | int | str
"""A set; a release and vCPU features such as "6.18" or "6.18+pmu+sve"; or how many registers QEMU carries."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a question about a VM needs to know of its registers.

    Attributes:
        subject: whose registers they are, in words.
        n_reg: registers in QEMU's cpreg array of one vCPU (`RegisterSet.qemu_cpregs`).
        n_global: VM-global among them; 0 of a bare number.
        is_of_kvm: whether they are listed by KVM, not only counted.
    """

    subject: str
    n_reg: int
    has_sve: bool
    n_global: int
    is_of_kvm: bool

    def __str__(self) -> str:
        if self.is_of_kvm:
            return f"{self.subject}: {self.n_reg} registers carried per vCPU"
        return f"{self.n_reg} registers per vCPU{', SVE' * self.has_sve}"


def register_set_of(registers: RegisterSet | str) -> RegisterSet:
    """The set itself, or the one that a release's vCPU lists: recorded, or inferred.

    Raises:
        InputError: a release fastsmc does not know, or features it does not have.
    """
    from fastsmc.migrate.compat.named import listed  # it reads recordings, which a number has no need of

    return listed(registers) if isinstance(registers, str) else registers


def carried(registers: Registers, *, has_sve: bool = False) -> Carried:
    """What QEMU carries per vCPU.

    Args:
        has_sve: of a number: the vCPUs have SVE. A set and a release tell it themselves.

    Raises:
        InputError: a number out of range, a release fastsmc does not know, or features it does not have.
    """
    if isinstance(registers, RegisterSet | str):
        found = register_set_of(registers)
        if has_sve and not found.has_sve:
            msg = f"has_sve: {found.name} is without SVE; name a list that has it, such as 6.18+sve"
            raise InputError(msg)
        return Carried(found.name, found.qemu_cpregs, found.has_sve, found.n_global, True)
    n_reg = whole("n_reg", registers, first=1, last=MAX_COUNT, remark="of recorded kernels QEMU carries 167 to 269")
    return Carried("any host", n_reg, has_sve, 0, False)
