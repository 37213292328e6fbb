"""Standard output and error as a terminal may have them: what a file or an argument brought is shown, never obeyed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import IO, Any

from fastsmc.checks import escaped
from fastsmc.results.layout import NARROWEST, WIDTH


class Shown:
    """A text stream that escapes control characters, bidi overrides and lone surrogates of all that is written.

    Attributes:
        stream: the stream itself, for a progress bar, which moves the cursor.
        encoding: told to Click, which would go round this one where the stream's own is ASCII.
    """

    encoding = "utf-8"

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale that has not all characters

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes a text, escaped."""
        self.stream.write(escaped(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Writes texts, escaped."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Standard output and error with everything escaped; one that is closed stays so."""
    with contextlib.ExitStack() as stack:
        if sys.stdout is not None and not isinstance(sys.stdout, Shown):
            stack.enter_context(contextlib.redirect_stdout(Shown(sys.stdout)))
        if sys.stderr is not None and not isinstance(sys.stderr, Shown):
            stack.enter_context(contextlib.redirect_stderr(Shown(sys.stderr)))
        yield


_called: ContextVar[Mapping[str, str]] = ContextVar("called", default=MappingProxyType({}))


def call(names: Mapping[str, str]) -> None:
    """Files that people read by another name, by their paths: sample:hosts.csv."""
    _called.set(dict(names))


def by_name(text: str) -> str:
    """The text with files as they were called on the command line; cells of tables keep their width.

    >>> call({"/usr/lib/fastsmc/hosts.csv": "sample:hosts.csv"})
    >>> by_name("/usr/lib/fastsmc/hosts.csv:3  no"), by_name("/usr/lib/fastsmc/hosts.csv  3")
    ('sample:hosts.csv:3  no', 'sample:hosts.csv            3')
    >>> call({})
    """
    for path, name in _called.get().items():
        text = text.replace(f"{path}  ", f"{name:{len(path)}}  ").replace(path, name)
    return text


_GOOD, _BAD, _OPEN, _BOLD = "32", "31", "33", "1"
_COLOURS = {
    **dict.fromkeys(("PASS", "RESTORES", "EQUAL"), _GOOD),
    **dict.fromkeys(("FAIL", "FAILS", "FAILED", "CROSSED", "CONFLICT"), _BAD),
    **dict.fromkeys(("UNKNOWN", "PARTIAL", "DIFFERENT"), _OPEN),
}
"""Verdicts and their colours (SGR)."""
_VERDICT = re.compile(rf"\b(?:{'|'.join(_COLOURS)})\b")
_VERBATIM = ("    -", "    |", "      -")
"""What begins a line that is to be copied, so that it stays one."""


def is_coloured() -> bool:
    """Whether output may have colours: at a terminal, unless NO_COLOR is set; elsewhere only if FORCE_COLOR is."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") != "0":
        return True
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", None)


def coloured(text: str, *, n_answer: int) -> str:
    """An escaped text with its first lines bold and its verdicts in colour.

    >>> coloured(escaped("it restores\\nforward: RESTORES \\x1b"), n_answer=1)
    '\\x1b[1mit restores\\x1b[0m\\nforward: \\x1b[32mRESTORES\\x1b[0m \\\\x1b'
    """
    lines = text.split("\n")
    answer = [f"\x1b[{_BOLD}m{line}\x1b[0m" for line in lines[:n_answer]]
    rest = [_VERDICT.sub(lambda word: f"\x1b[{_COLOURS[word[0]]}m{word[0]}\x1b[0m", line) for line in lines[n_answer:]]
    return "\n".join(answer + rest)


def tell(text: str, answer: str) -> None:
    """Prints a result's text: at a terminal with long lines wrapped, and in colour where that may be.

    What the text holds is escaped before a colour is added, so nothing of it can be a colour.
    """
    limit = width()
    if limit is not None:
        text = "\n".join(part for line in text.split("\n") for part in _wrapped(line, limit))
    if not (is_coloured() and isinstance(sys.stdout, Shown)):
        print(text)
        return
    sys.stdout.stream.write(coloured(escaped(text), n_answer=_lines_of(answer, text)) + "\n")


def _wrapped(line: str, limit: int) -> list[str]:
    if len(line) <= limit or line.startswith(_VERBATIM):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, limit, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _lines_of(answer: str, text: str) -> int:
    """How many of a text's first lines are its answer."""
    wanted, found = "".join(answer.split()), ""
    for n, line in enumerate(text.split("\n")):
        if found == wanted or not wanted.startswith(found):
            return n if wanted.startswith(found) else 0
        found += "".join(line.split())
    return 0


def columns() -> int:
    """Columns that a table may take: the terminal's; where the output is none, COLUMNS says how many, or it is 100."""
    return max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST)


def width() -> int | None:
    """Columns of the terminal; None where the output is none, and lines stay whole for the next program."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size().columns, NARROWEST)
