"""From the values of each vCPU to banks: the checks that every reader shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fastsmc.checks import U64Array, cut
from fastsmc.errors import RegisterFileError
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.registers import MAX_VALUE_BYTES, reg_size
from fastsmc.migrate.read.limits import MAX_REGISTERS, MAX_VALUES, MAX_VCPUS
from fastsmc.migrate.read.result import Bank

Values = dict[int, int | None]
"""One vCPU's registers by id; None where the value is not told."""


class Registers:
    """Collects one vCPU's registers, checking each."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.values: Values = {}

    def add(self, reg: int, value: int | None, where: str) -> None:
        """One register.

        Raises:
            RegisterFileError: the id does not fit 64 bits, is there twice, names a size no register has, or is too
                small for the value.
        """
        if not 0 <= reg < 1 << 64:
            msg = f"{where}: register id {reg:#x} does not fit 64 bits"
            raise RegisterFileError(msg)
        n_bytes = reg_size(reg)
        if n_bytes > MAX_VALUE_BYTES:
            msg = f"{where}: register {reg:#x} would have {8 * n_bytes} bits; 2048 is the most there is"
            raise RegisterFileError(msg)
        if reg in self.values:
            msg = f"{where}: register {reg:#x} is there twice in {self.what}"
            raise RegisterFileError(msg)
        if value is not None and not 0 <= value < 1 << 8 * n_bytes:
            msg = f"{where}: register {reg:#x} has {8 * n_bytes} bits, and {cut(hex(value))} does not fit"
            raise RegisterFileError(msg)
        if len(self.values) == MAX_REGISTERS:
            msg = f"{where}: more than {MAX_REGISTERS} registers in {self.what}"
            raise RegisterFileError(msg)
        self.values[reg] = value


def banks(vcpus: Sequence[Values], name: str) -> tuple[Bank, ...]:
    """The banks of these vCPUs, numbered from 0.

    Raises:
        RegisterFileError: no vCPU, one without registers, or too many.
    """
    check_counts(len(vcpus), sum(map(len, vcpus)))
    for vcpu, values in enumerate(vcpus):
        if not values:
            msg = f"vCPU {vcpu} has no registers"
            raise RegisterFileError(msg)
    groups: dict[tuple[int, ...], list[int]] = {}
    for vcpu, values in enumerate(vcpus):
        groups.setdefault(tuple(sorted(values)), []).append(vcpu)
    return tuple(_bank(ids, [vcpus[v] for v in members], members, name) for ids, members in groups.items())


def check_counts(n_vcpu: int, n_value: int) -> None:
    """Raises RegisterFileError for no vCPU, and for more than a file may tell about."""
    if not n_vcpu:
        msg = "it tells about no vCPU"
        raise RegisterFileError(msg)
    if n_vcpu > MAX_VCPUS or n_value > MAX_VALUES:
        msg = f"{n_vcpu} vCPUs with {n_value} registers together: at most {MAX_VCPUS} and {MAX_VALUES} are read"
        raise RegisterFileError(msg)


def named_set(ids: U64Array, name: str) -> RegisterSet:
    """The set of these ids, which become read-only."""
    ids.flags.writeable = False
    return RegisterSet(name, "", "", (), ids)


def _bank(ids: Sequence[int], rows: Sequence[Values], members: Iterable[int], name: str) -> Bank:
    registers = named_set(np.array(ids, np.uint64), name)
    vcpus = np.array(list(members), np.int64)
    known = np.array([[values[reg] is not None for reg in ids] for values in rows], np.bool_)
    if not known.any():
        return Bank(registers, vcpus, None)
    low = [[(values[reg] or 0) & 0xFFFF_FFFF_FFFF_FFFF for reg in ids] for values in rows]
    wide = {
        reg: np.frombuffer(b"".join((values[reg] or 0).to_bytes(reg_size(reg), "little") for values in rows), np.uint8)
        .reshape(len(rows), reg_size(reg))
        for reg in ids
        if reg_size(reg) > 8
    }  # fmt: skip
    return Bank(registers, vcpus, np.array(low, np.uint64), None if known.all() else known, wide)
