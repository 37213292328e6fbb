"""Lines of a text file, with their numbers."""

from __future__ import annotations

from collections.abc import Iterator

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_LINE


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Line number, from 1, and the line without the space around it.

    Raises:
        RegisterFileError: a line is longer than any register takes.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            msg = f"line {number}: {len(line)} characters, and a register takes less than {MAX_LINE}"
            raise RegisterFileError(msg)
        yield number, line.strip()
