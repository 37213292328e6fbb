"""`fastsmc services`: what a guest used, the least that answers it, and what a policy would take away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fastsmc.checks import shown
from fastsmc.errors import InputError

EPILOG = "Example: fastsmc services boot.txt --release 6.12 --bitmap STD_BMAP=0 --deny PTP"


def services(
    file: Annotated[
        Path, typer.Argument(help="A trace or counts, as `fastsmc trace` reads them; - for standard input.")
    ],
    release: Annotated[str, typer.Option(help="The release whose rules the verdicts follow.")] = "7.3",
    bitmap: Annotated[list[str] | None, typer.Option(help="Of the policy asked about: NAME=WORD, STD_BMAP=0.")] = None,
    psci_version: Annotated[str | None, typer.Option(help="Of the policy asked about: 0.2, 1.0 to 1.3.")] = None,
    deny: Annotated[
        list[str] | None, typer.Option(help="A range of its filter: an id, a name, FIRST-LAST or BASE+N.")
    ] = None,
    forward: Annotated[list[str] | None, typer.Option(help="The same, for calls that go to the VMM.")] = None,
    lenient: Annotated[bool, typer.Option(help="Count lines that are not understood instead of stopping.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell which services, bits and functions a guest used, and the least policy that answers all of it.

    The calls are recorded, the verdicts modelled. Under the least bitmaps and filter every call was dispatched again,
    and not one verdict changes. With a policy: which calls it changes, and what a Linux guest would lack.
    """
    from fastsmc.usage import services as asked

    result = asked(
        file,
        release=release,
        bitmaps=dict(map(_word, bitmap or [])),
        psci_version=psci_version,
        deny=deny or [],
        forward=forward or [],
        lenient=lenient,
    )
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)


def _word(text: str) -> tuple[str, int]:
    name, _, word = text.partition("=")
    try:
        return name, int(word, 0)
    except ValueError:
        message = f"--bitmap {shown(text)}: give a register and a number, such as STD_BMAP=0x1"
        raise InputError(message) from None
