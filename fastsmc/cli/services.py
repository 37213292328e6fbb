"""`fastsmc services`: what a guest used, the least that answers it, and what a policy would take away."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.cli.trace import Lenient, TraceFile
from fastsmc.cli.values import bitmap_word

EXAMPLES = """
fastsmc services sample:boot.ftrace.txt
fastsmc services sample:boot.ftrace.txt --release 6.12 --bitmap STD_BMAP=0 --deny PTP
"""


_Release = Annotated[
    str,
    typer.Option(metavar="RELEASE", help="The release whose rules hold: 5.10 to 7.3.", autocompletion=known.releases),
]
_Bitmap = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=WORD",
        help="A firmware bitmap of the policy asked about, such as STD_BMAP=0. May be repeated.",
        autocompletion=known.one_of("STD_BMAP=", "STD_HYP_BMAP=", "VENDOR_HYP_BMAP=", "VENDOR_HYP_BMAP_2="),
    ),
]
_PsciVersion = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION",
        help="PSCI version of the policy asked about: 0.2, 1.0 to 1.3.",
        autocompletion=known.one_of("0.2", "1.0", "1.1", "1.2", "1.3"),
    ),
]
_Deny = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RANGE",
        help="A range of the policy's filter: an id, a name, FIRST-LAST or BASE+N. May be repeated.",
        autocompletion=known.ids,
    ),
]
_Forward = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RANGE", help="The same, for calls that go to the VMM. May be repeated.", autocompletion=known.ids
    ),
]


def services(
    file: TraceFile,
    release: _Release = "7.3",
    bitmap: _Bitmap = None,
    psci_version: _PsciVersion = None,
    deny: _Deny = None,
    forward: _Forward = None,
    lenient: Lenient = False,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell which services, bits and functions a guest used, and the least policy that answers all of it.

    The calls are recorded, the verdicts modelled. Under the least bitmaps and filter every call was dispatched again,
    and not one verdict changes. With a policy: which calls it changes, and what a Linux guest would lack.
    """
    from fastsmc.usage import services as asked

    result = asked(
        file,
        release=release,
        bitmaps=dict(map(bitmap_word, bitmap or [])),
        psci_version=psci_version,
        deny=deny or [],
        forward=forward or [],
        lenient=lenient,
    )
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
