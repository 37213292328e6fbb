"""The report as Markdown, for a mail: verdict, findings and tables, without figures."""

from __future__ import annotations

from collections.abc import Sequence

from fastsmc.reporting.sections import ABOUT, HEADING, Section
from fastsmc.reporting.verdict import Sentence
from fastsmc.results.markup import plain
from fastsmc.results.units import NBSP, number_of

MOST_ROWS = 14
"""Rows of a table in a mail; the page has all."""


def markdown(sentences: Sequence[Sentence], sections: Sequence[Section], noise: str) -> str:
    """The report's text as GitHub's Markdown."""
    parts = [f"# {HEADING}", plain(ABOUT)]
    parts += [f"{at}. **{plain(one.claim)}**: {plain(one.text)}" for at, one in enumerate(sentences, 1)]
    for section in sections:
        parts += [f"## {plain(section.topic)}", *(plain(text) for text in section.texts)]
        for picture in section.pictures:
            parts += [f"### {plain(picture.title)}", f"*{plain(picture.tag)}.* {plain(picture.caption)}"]
            parts += [plain(picture.takeaway)] if picture.takeaway else []
            parts += [_table(picture.header, picture.rows)]
        for note in section.notes:
            parts += [f"### {plain(note.title)}", *([plain(note.text)] if note.text else [])]
            parts += [_table(note.header, note.rows)]
    parts += [plain(noise)]
    return "\n\n".join(parts).replace(NBSP, " ") + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in (header, *rows[:MOST_ROWS])]
    lines.insert(1, "|" + "---|" * len(header))
    if left := len(rows) - MOST_ROWS:
        lines += ["", f"and {number_of(left, 'more row')} on the page"] if left > 0 else []
    return "\n".join(lines)
