"""Every register of a file with its name and value: vCPU 0's, and where other vCPUs differ.

What is told of one register is bounded, so that 512 vCPUs of which each has another value stay readable: at most
`MAX_OTHERS` other values, and of each at most `MAX_RANGES` ranges of vCPUs. Of a file whose vCPUs list registers in
more than `MAX_BANKS` ways, which no real one does, the first so many ways are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsmc.checks import I64Array
from fastsmc.facts.register_names import name_of
from fastsmc.facts.registers import ARCH_ARM64, CLASS_SYSREG, SIZE_U64, Encoding, reg_size
from fastsmc.migrate.read.result import Bank, RegisterFile

_SYSREGS = ARCH_ARM64 | SIZE_U64 | CLASS_SYSREG
MAX_OTHERS, MAX_RANGES, MAX_BANKS = 8, 16, 64


@dataclass(frozen=True, slots=True)
class ListedRegister:
    """One register on all vCPUs.

    Attributes:
        reg: its id.
        value: vCPU 0's; None where the file does not tell it, or vCPU 0 does not have the register.
        others: other values with the vCPUs that have them, "1-3,7", in the order of their first vCPU; None for a value
            that is not told.
        n_more: other values beyond those in `others`.
        absent: the vCPUs that do not have the register, "" for none.
    """

    reg: int
    value: int | None
    others: tuple[tuple[str, int | None], ...] = ()
    n_more: int = 0
    absent: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, numbers as hexadecimal text; what is empty is left out."""
        told: dict[str, Any] = {"id": f"{self.reg:#018x}", "name": label(self.reg), "value": shown(self.value)}
        if self.others:
            told["others"] = [{"vcpus": vcpus, "value": shown(value)} for vcpus, value in self.others]
        if self.n_more:
            told["more_values"] = self.n_more
        return told | ({"absent": self.absent} if self.absent else {})

    def __str__(self) -> str:
        parts = [f"{self.reg:#018x} {label(self.reg) or '-':24} {shown(self.value) or 'not told'}"]
        parts += [f"vCPU {vcpus}: {shown(value) or 'not told'}" for vcpus, value in self.others]
        parts += [f"{self.n_more} other values"] * bool(self.n_more)
        parts += [f"not on vCPU {self.absent}"] * bool(self.absent)
        return "; ".join(parts)


def label(reg: int) -> str | None:
    """A register's name; of a system register that has none here, its encoding as the Arm ARM writes it.

    >>> label(0x603000000013C020), label(0x603000000013C01B)
    ('ID_AA64PFR0_EL1', 'S3_0_C0_C3_3')
    """
    if (name := name_of(reg)) or reg & ~0xFFFF != _SYSREGS:
        return name
    op0, op1, crn, crm, op2 = Encoding.of(reg)
    return f"S{op0}_{op1}_C{crn}_C{crm}_{op2}"


def shown(value: int | None) -> str | None:
    """A value as hexadecimal text, None where there is none."""
    return None if value is None else hex(value)


def listing(file: RegisterFile) -> tuple[ListedRegister, ...]:
    """Every register that any vCPU of the file has, ascending; core registers of a QEMU stream are among them."""
    banks = [*file.banks[:MAX_BANKS], *([file.core] if file.core is not None else [])]
    places: dict[int, list[tuple[Bank, int]]] = {}
    for bank in banks:
        for column, reg in enumerate(bank.registers.ids.tolist()):
            places.setdefault(reg, []).append((bank, column))
    n_vcpu = sum(int(bank.vcpus.size) for bank in file.banks[:MAX_BANKS])
    is_all = n_vcpu == file.n_vcpu
    return tuple(_listed(reg, places[reg], n_vcpu if is_all else 0) for reg in sorted(places))


def _listed(reg: int, places: Sequence[tuple[Bank, int]], n_vcpu: int) -> ListedRegister:
    by_value: dict[int | None, list[I64Array]] = {}
    n_more = 0
    for bank, column in places:
        groups, left = _groups(bank, column)
        n_more += left
        for value, members in groups:
            by_value.setdefault(value, []).append(members)
    members_of = ((value, np.sort(np.concatenate(members))) for value, members in by_value.items())
    ordered = sorted(members_of, key=lambda one: int(one[1][0]))
    own = ordered[0][0] if ordered[0][1][0] == 0 else None
    others = ordered[1:] if ordered[0][1][0] == 0 else ordered
    n_more += max(0, len(others) - MAX_OTHERS)
    told = tuple((ranges(members), value) for value, members in others[:MAX_OTHERS])
    return ListedRegister(reg, own, told, n_more, _absent([bank.vcpus for bank, _ in places], n_vcpu))


def _groups(bank: Bank, column: int) -> tuple[list[tuple[int | None, I64Array]], int]:
    """The values of a register in a bank with the vCPUs that have them, and how many values are left out."""
    reg = int(bank.registers.ids[column])
    if bank.vcpus.size == 1:
        return [(bank.value(0, column), bank.vcpus)], 0
    if bank.values is None or (reg_size(reg) > 8 and reg not in bank.wide):
        return [(None, bank.vcpus)], 0
    rows = bank.wide[reg] if reg in bank.wide else bank.values[:, column : column + 1]
    known = np.ones(bank.vcpus.size, np.bool_) if bank.known is None else bank.known[:, column]
    found: list[tuple[int | None, I64Array]] = [] if known.all() else [(None, bank.vcpus[~known])]
    rows, members = rows[known], bank.vcpus[known]
    whole = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel() if reg in bank.wide else rows.ravel()
    _, first, number_of = np.unique(whole, return_index=True, return_inverse=True)
    in_order = np.argsort(first)
    told = in_order[: MAX_OTHERS + 2 - len(found)]
    for number in told.tolist():
        value = int.from_bytes(rows[first[number]].astype(rows.dtype.newbyteorder("<")).tobytes(), "little")
        found.append((value, members[number_of == number]))
    return found, in_order.size - told.size


def _absent(having: Sequence[I64Array], n_vcpu: int) -> str:
    """The vCPUs of 0 to n_vcpu - 1 that are in none of these arrays, as ranges."""
    if sum(vcpus.size for vcpus in having) >= n_vcpu:  # 0: not all vCPUs are looked at
        return ""
    edges = np.concatenate([np.array([-1]), np.sort(np.concatenate(having)), np.array([n_vcpu])])
    gaps = np.flatnonzero(np.diff(edges) > 1)
    return _as_text(edges[gaps] + 1, edges[gaps + 1] - 1)


def ranges(numbers: I64Array) -> str:
    """Ascending numbers as ranges, the first `MAX_RANGES` of them.

    >>> ranges(np.array([0, 1, 2, 5]))
    '0-2,5'
    """
    ends = np.flatnonzero(np.diff(numbers) != 1)
    firsts = numbers[np.concatenate([np.array([0]), ends + 1])]
    return _as_text(firsts, numbers[np.concatenate([ends, np.array([-1])])])


def _as_text(firsts: I64Array, lasts: I64Array) -> str:
    pairs = zip(firsts[:MAX_RANGES].tolist(), lasts[:MAX_RANGES].tolist(), strict=True)
    told = [str(first) if first == last else f"{first}-{last}" for first, last in pairs]
    n_left = int((lasts[MAX_RANGES:] - firsts[MAX_RANGES:] + 1).sum())
    return ",".join(told) + f" and {n_left} more" * bool(n_left)
