"""Which registers are equal on all vCPUs of a file, against which are declared VM-global."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from fastsmc.facts.register_sets import is_vm_global
from fastsmc.facts.registers import reg_size
from fastsmc.migrate.read.result import Bank, RegisterFile


@dataclass(frozen=True, slots=True)
class Scopes:
    """Ids of registers, ascending, by whether vCPUs have equal values and by whether they are declared VM-global.

    Attributes:
        equal_global: equal on all vCPUs and declared VM-global.
        equal_undeclared: equal on all vCPUs but not declared; most registers are, on vCPUs that never ran.
        conflicts: declared VM-global, yet different on some vCPU.
        different: different, and not declared.
        untold: at least one vCPU's value is not known.
        not_everywhere: some vCPU does not have it.
    """

    equal_global: tuple[int, ...]
    equal_undeclared: tuple[int, ...]
    conflicts: tuple[int, ...]
    different: tuple[int, ...]
    untold: tuple[int, ...]
    not_everywhere: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Scopes({', '.join(f'{one.name}: {len(getattr(self, one.name))}' for one in fields(self))})"


def scopes(file: RegisterFile) -> Scopes:
    """Which registers are equal on all vCPUs, against which are declared VM-global (`is_vm_global`).

    One vCPU says nothing about equality: then every register counts as equal.
    """
    everywhere = set.intersection(*(set(bank.registers.ids.tolist()) for bank in file.banks))
    anywhere = set.union(*(set(bank.registers.ids.tolist()) for bank in file.banks))
    found: dict[str, list[int]] = {name: [] for name in ("equal_global", "equal_undeclared", "conflicts", "different")}
    untold = []
    for reg in sorted(everywhere):
        equal = _is_equal(file.banks, reg)
        if equal is None:
            untold.append(reg)
        elif is_vm_global(reg):
            found["equal_global" if equal else "conflicts"].append(reg)
        else:
            found["equal_undeclared" if equal else "different"].append(reg)
    lists = {name: tuple(ids) for name, ids in found.items()}
    return Scopes(**lists, untold=tuple(untold), not_everywhere=tuple(sorted(anywhere - everywhere)))


def _is_equal(banks: tuple[Bank, ...], reg: int) -> bool | None:
    """Whether all vCPUs have one value of a register; None where that is not told."""
    first: bytes | None = None
    is_known = True
    for bank in banks:
        column = int(np.searchsorted(bank.registers.ids, np.uint64(reg)))
        if bank.values is None or (reg_size(reg) > 8 and reg not in bank.wide):
            return None
        rows = bank.wide[reg] if reg in bank.wide else bank.values[:, column : column + 1]
        if bank.known is not None and not bank.known[:, column].all():
            is_known = False
            rows = rows[bank.known[:, column]]
        if not len(rows):
            continue
        first = first if first is not None else rows[0].tobytes()
        if (rows != rows[0]).any() or rows[0].tobytes() != first:
            return False
    return True if is_known else None
