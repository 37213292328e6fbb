"""`fastsmc schema`: what results are as JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.checks import not_among
from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc schema --csv
fastsmc schema dispatch
"""


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="A kind of result; without one the kinds are listed.", autocompletion=known.kinds
        ),
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Print the JSON Schema of what a command prints with --json or saves, or list what has one.

    The schemas are closed: an object has the keys that they name and no others, and the tests hold every command to
    them. With a KIND the schema itself is printed; --json without one prints all, by kind. The table is
    of kinds and what prints them.
    """
    from fastsmc.schemas import KINDS
    from fastsmc.schemas import schema as found

    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(not_among("KIND", kind, list(KINDS)))
    result = found(kind)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
