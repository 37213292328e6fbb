"""Standard output and error as a terminal may have them: what a file or an argument brought is shown, never obeyed."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Iterator
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


def columns() -> int:
    """Columns that a table may take: the terminal's; where the output is none, COLUMNS says how many, or it is 100."""
    return max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST)


def width() -> int | None:
    """Columns of the terminal; None where the output is none, and lines stay whole for the next program."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size().columns, NARROWEST)
