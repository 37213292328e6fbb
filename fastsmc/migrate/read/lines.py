"""Lines of a text file, with their numbers, one at a time: a list of all of them takes several times the text."""

from __future__ import annotations

from collections.abc import Iterator

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_LINE


def each_line(text: str) -> Iterator[tuple[int, str]]:
    r"""Line number, from 1, and the line as it is.

    >>> list(each_line("a\n\nb"))
    [(1, 'a'), (2, ''), (3, 'b')]
    """
    number, start = 1, 0
    while (end := text.find("\n", start)) >= 0:
        yield number, text[start:end]
        number, start = number + 1, end + 1
    yield number, text[start:]


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Line number, from 1, and the line without the space around it.

    Raises:
        RegisterFileError: a line is longer than any register takes.
    """
    for number, line in each_line(text):
        if len(line) > MAX_LINE:
            msg = f"line {number}: {len(line)} characters, and a register takes less than {MAX_LINE}"
            raise RegisterFileError(msg)
        yield number, line.strip()


def printable(text: str) -> str:
    r"""Text out of a file as a terminal may show it: what is not printable becomes a question mark.

    >>> printable("fw\x1b[31m reg 3")
    'fw?[31m reg 3'
    """
    return "".join(char if char.isprintable() else "?" for char in text)
