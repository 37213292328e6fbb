"""What Apple's M1 cannot go below, from published measurements: LLVM gives it the scheduling model of Cyclone, of 2013.

That model has three vector units where the M1's large core (Firestorm) has four, and takes a look-up in any table for
one operation. Source of the figures: Dougall Johnson, Apple Microarchitecture Research,
https://dougallj.github.io/applecpu (firestorm.html and the pages of TBL and TBX under measurements/).
"""

from __future__ import annotations

import re

from tools.modelled_asm import Turn

N_VECTOR_UNIT = 4
WIDTH = 8
"""Operations that Firestorm renames a cycle."""
TBL, TBX = (1, 1, 2, 3), (1, 2, 3, 4)
"""Operations of a look-up in a table of 1 to 4 registers. Of TBL with 3 and 4 registers the small core's, Icestorm's:
the other pages agree between the two."""
_TABLE = re.compile(r"^(?P<name>tb[lx]) \S+ \{(?P<registers>[^}]*)\}")
_VECTOR = re.compile(r"\b[vq]\d+\b|\b[dsb]\d+\b")
_MEMORY = re.compile(r"^(?:ld|st|prfm)")


def least_cycles(turn: Turn) -> float:
    """Cycles that a turn takes at least: its vector operations over the units there are, or all over the width.

    >>> least_cycles(Turn(("tbl v0.16b, { v4.16b, v5.16b, v6.16b, v7.16b }, v1.16b", "eor v0.16b, v0.16b, v2.16b"), 0))
    1.0
    """
    each = [vector_operations(line) for line in turn.lines]
    return max(sum(each) / N_VECTOR_UNIT, sum(max(1, n) for n in each) / WIDTH)


def vector_operations(line: str) -> int:
    """How many operations of the vector units an instruction is; none if it loads or stores."""
    if table := _TABLE.match(line):
        return (TBL if table["name"] == "tbl" else TBX)[table["registers"].count(",")]
    return 0 if _MEMORY.match(line) else int(bool(_VECTOR.search(line)))
