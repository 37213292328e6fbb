"""Rows as CSV: numbers in full precision, and no cell that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_COMPUTED = re.compile(r"\s*[=+\-@].", re.DOTALL)
"""Texts of which a spreadsheet makes a formula; a sign alone is none. Source: OWASP, CSV injection."""


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV. A text that a spreadsheet would compute, as it begins with = + - or @, gets an apostrophe before it.

    A value that is None is empty; booleans are true and false.

    >>> csv_text(["name", "n"], [["=1+2", -3]])
    "name,n\\n'=1+2,-3\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow(map(_cell, row))
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if _COMPUTED.match(value) else value
    return str(value).lower() if isinstance(value, bool) else value
