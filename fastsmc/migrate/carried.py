"""The registers that QEMU carries per vCPU: of a register set, of a release by name, or a bare number of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastsmc.checks import BoolArray, I64Array, shown, whole, whole_array
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.register_sets import register_set as recorded_set
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


def register_set(release: str, *, cpu: str = "max", features: str = "psci02") -> RegisterSet:
    """The set of registers that a release's vCPU lists: recorded, or inferred where that kernel was not asked.

    Args:
        release: "6.12", "6.12.107", what `uname -r` printed, or with features, "6.12+pmu"; a series stands for its one
            recorded update.
        cpu: "max" or "n1"; a list is inferred for "max" only.
        features: joined by "+", in any order: "psci02+pmu". "none" for no feature.

    Raises:
        InputError: no such release, or features that it does not have or KVM refuses.

    >>> print(register_set("6.12"))
    linux-6.12.107-max psci02: 259 registers, 2264 B per vCPU, 69 VM-global
    >>> print(register_set("6.17", features="pmu+sve"))
    Linux 6.17 psci02+pmu+sve, list inferred: 350 registers, 11136 B per vCPU, 70 VM-global
    """
    try:
        return recorded_set(release, cpu=cpu, features=features)
    except InputError:
        if cpu != "max" or {type(release), type(features)} != {str}:
            raise
    from fastsmc.migrate.compat.named import listed  # it reads recordings, which a recorded list has no need of

    is_default = features == "psci02"
    return listed(release, None if is_default else features)


def register_set_of(registers: RegisterSet | str) -> RegisterSet:
    """The set itself, or the one that a release's vCPU lists: recorded, or inferred.

    Raises:
        InputError: a release fastsmc does not know, or features it does not have.
    """
    if isinstance(registers, RegisterSet):
        return registers
    from fastsmc.migrate.compat.named import listed

    return listed(registers)


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


def carried_arrays(
    registers: Registers | Iterable[Registers], *, has_sve: bool | BoolArray = False
) -> tuple[I64Array, BoolArray]:
    """What QEMU carries per vCPU of many VMs: int64 registers, bool SVE; a set or release is looked at once.

    Raises:
        InputError: as `carried`; none at all; or SVE asked for beside a list that tells it itself.
    """
    if isinstance(registers, RegisterSet | str) or not isinstance(registers, Iterable):
        if np.ndim(has_sve) == 0:
            found = carried(registers, has_sve=bool(has_sve))
            return np.asarray(found.n_reg), np.asarray(found.has_sve)
        registers = [registers]
    some = registers if isinstance(registers, np.ndarray) else list(registers)
    sve = np.asarray(has_sve)
    if sve.dtype != np.bool_:
        msg = f"has_sve is {shown(has_sve)}: it must be True or False, or an array of them"
        raise InputError(msg)
    if not len(some):
        msg = "registers is empty: give at least one list, release or number"
        raise InputError(msg)
    if not any(isinstance(one, RegisterSet | str) for one in np.asarray(some, object).flat):
        return whole_array("n_reg", some, first=1, last=MAX_COUNT).astype(np.int64), sve
    if sve.any():
        msg = "has_sve: lists by name tell it themselves; name those that have it, such as 6.18+sve"
        raise InputError(msg)
    known: dict[Registers, Carried] = {}
    for one in some:
        if one not in known:
            known[one] = carried(one)
    found_ = [known[one] for one in some]
    return np.array([one.n_reg for one in found_]), np.array([one.has_sve for one in found_])
