"""Lines of a text file, with their numbers, one at a time: a list of all of them takes several times the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_LINE, MAX_LINES


def each_line(text: str) -> Iterator[tuple[int, str]]:
    r"""Line number, from 1, and the line as it is.

    Raises:
        RegisterFileError: more lines than any real file has.

    >>> list(each_line("a\n\nb"))
    [(1, 'a'), (2, ''), (3, 'b')]
    """
    number, start = 1, 0
    while (end := text.find("\n", start)) >= 0:
        if number == MAX_LINES:
            msg = f"line {number}: more than {MAX_LINES} lines, and 512 vCPUs take less than a quarter of that"
            raise RegisterFileError(msg)
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


_HEADING = re.compile(
    r"(?:\[?[\w@:~/. -]{0,80}\]?[#$] ?|> )\S.*"  # a prompt and a command
    r"|==> \S.* <==|(?:/|\./)\S+:?",  # the path of a file, as head and tail print it or as it was pasted
    re.ASCII,
)


def is_heading(line: str) -> bool:
    """Whether a line is a shell's prompt with a command, or the path of a file: what stands above pasted text.

    >>> [is_heading(line) for line in ("# ./get-reg-list --list", "root@vm:~# cat idregs", "/sys/kernel/idregs")]
    [True, True, True]
    >>> is_heading("ID_PFR0_EL1: 0000000010010131")
    False
    """
    return _HEADING.fullmatch(line) is not None


def printable(text: str) -> str:
    r"""Text out of a file as a terminal may show it: what is not printable becomes a question mark.

    >>> printable("fw\x1b[31m reg 3")
    'fw?[31m reg 3'
    """
    if text.isprintable():
        return text
    return text.translate({ord(char): "?" for char in set(text) if not char.isprintable()})


def uncommented(line: str) -> str:
    """A line without comments of C. One that does not end in the line stays.

    >>> uncommented("a /* b */ c /* d")
    'a  c /* d'
    """
    kept, at = [], 0
    while (begin := line.find("/*", at)) >= 0 and (end := line.find("*/", begin + 2)) >= 0:
        kept.append(line[at:begin])
        at = end + 2
    return "".join((*kept, line[at:]))
