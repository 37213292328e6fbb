"""A kernel that is not there yet: a release and n firmware registers more, "7.3+2fw"."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastsmc.errors import InputError
from fastsmc.facts.registers import CLASS_FW_FEAT_BMAP, FW_BY_ID, reg_class
from fastsmc.migrate.compat.side import Side

MOST = 1024
"""New registers on one side. `add_registers` counts what more of them cost."""
_ADDED = re.compile(r"\+(\d{1,9})fw(?=\+|$)")
_NEXT = max(reg for reg in FW_BY_ID if reg_class(reg) == CLASS_FW_FEAT_BMAP) + 1


def split_added(what: Any) -> tuple[Any, int]:
    """A side's word without its "+2fw", and how many registers that adds. A file's name is left alone.

    Raises:
        InputError: none or too many registers, or said twice.

    >>> split_added("7.3+2fw+pmu"), split_added("7.3+pmu")
    (('7.3+pmu', 2), ('7.3+pmu', 0))
    """
    if not isinstance(what, str) or not (found := _ADDED.findall(what)) or Path(what).exists():
        return what, 0
    if len(found) > 1 or not 1 <= int(found[0]) <= MOST:
        msg = f"{what!r}: say once how many firmware registers are new, from +1fw to +{MOST}fw"
        raise InputError(msg)
    return _ADDED.sub("", what), int(found[0])


def with_added(side: Side, n_new: int) -> Side:
    """The side with n more bitmap registers, which no kernel has today; their values are not told.

    They have the numbers after the last that Linux gives out, and travel where their ids sort.
    """
    if not n_new:
        return side
    new = range(_NEXT, _NEXT + n_new)
    values = dict(side.values) | dict.fromkeys(new)
    if list(side.values) == sorted(side.values):
        values = dict(sorted(values.items()))
    which = f"{new[0]:#x}" if n_new == 1 else f"{new[0]:#x} to {new[-1]:#x}"
    note = f"{n_new} firmware register{'s' * (n_new > 1)} assumed that no kernel has: {which}, bitmaps"
    others = tuple(with_added(each, n_new) for each in side.others)
    return replace(side, name=f"{side.name}+{n_new}fw", values=values, others=others).noted(note)
