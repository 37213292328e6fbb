"""Registers that the lines of a VMM's log name, and what its other lines say."""

from __future__ import annotations

from collections.abc import Callable

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_LINE, MAX_REGISTERS
from fastsmc.migrate.read.lines import each_line
from fastsmc.migrate.read.naming import NamedRegister, NamedRegisters
from fastsmc.migrate.read.result import Format

_MAX_TOLD = 40


def named(
    text: str,
    format: Format,
    what: str,
    *,
    register_of: Callable[[str, int], NamedRegister | None],
    sentence_of: Callable[[str], str],
    without: str,
) -> NamedRegisters:
    """Every register that the text names, in the order of its lines, the path still "".

    Args:
        what: the text in words. without: what is to be said where no register is named.
        register_of: the register of a line and its number; None for a line that names none.
        sentence_of: what another line says, in a sentence; "" if that is passed over.

    Raises:
        RegisterFileError: more registers than a vCPU has.
    """
    found: list[NamedRegister] = []
    told: dict[str, None] = {}
    n_skipped = 0
    for number, line in each_line(text):
        register = register_of(line, number) if len(line) <= MAX_LINE else None
        if register is not None:
            if len(found) == MAX_REGISTERS:
                msg = f"line {number}: more than {MAX_REGISTERS} registers are named"
                raise RegisterFileError(msg)
            found.append(register)
        elif len(line) <= MAX_LINE and (sentence := sentence_of(line)):
            if len(told) < MAX_REGISTERS:
                told[sentence] = None
        else:
            n_skipped += bool(line.strip())
    sentences = list(told)[:_MAX_TOLD]
    sentences += [f"and {len(told) - _MAX_TOLD} other sentences"] * (len(told) > _MAX_TOLD)
    if not found:
        sentences.append(without)
    if n_skipped:
        sentences.append(f"{n_skipped} other lines are passed over.")
    return NamedRegisters("", format, what, tuple(found), tuple(sentences))
