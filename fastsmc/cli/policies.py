"""Options that name a release and a VMM's policy: bitmaps, PSCI version, ranges of the filter."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.checks import shown
from fastsmc.cli import known

Release = Annotated[
    str,
    typer.Option(metavar="RELEASE", help="The release whose rules hold: 5.10 to 7.3.", autocompletion=known.releases),
]
Bitmap = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=WORD",
        help="A firmware bitmap of the policy asked about, such as STD_BMAP=0. May be repeated.",
        autocompletion=known.one_of("STD_BMAP=", "STD_HYP_BMAP=", "VENDOR_HYP_BMAP=", "VENDOR_HYP_BMAP_2="),
    ),
]
PsciVersion = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION",
        help="PSCI version of the policy asked about: 0.2, 1.0 to 1.3.",
        autocompletion=known.one_of("0.2", "1.0", "1.1", "1.2", "1.3"),
    ),
]
Deny = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RANGE",
        help="A range of the policy's filter: an id, a name, FIRST-LAST or BASE+N. May be repeated.",
        autocompletion=known.ids,
    ),
]
Forward = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RANGE", help="The same, for calls that go to the VMM. May be repeated.", autocompletion=known.ids
    ),
]


def bitmap_word(text: str) -> tuple[str, int]:
    """A bitmap register and its word, NAME=WORD.

    Raises:
        BadParameter: written otherwise.

    >>> bitmap_word("STD_BMAP=0x1")
    ('STD_BMAP', 1)
    """
    name, _, word = text.partition("=")
    try:
        return name, int(word, 0)
    except ValueError:
        message = f"--bitmap {shown(text)}: give a register and a number, such as STD_BMAP=0x1"
        raise typer.BadParameter(message) from None
