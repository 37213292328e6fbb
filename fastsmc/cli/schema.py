"""`fastsmc schema`: what results are as JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Json, Quiet, show

EXAMPLES = """
fastsmc schema --quiet
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
    quiet: Quiet = False,
) -> None:
    """Print the JSON Schema of what a command prints with --json or saves, or list what has one.

    The schemas are closed: an object has the keys that they name and no others, and the tests hold every command to
    them. With a KIND the schema itself is printed; --json without one prints all, by kind.
    """
    from fastsmc.schemas import KINDS
    from fastsmc.schemas import schema as found

    if kind is not None and kind not in KINDS:
        msg = f"{kind!r} is none of {', '.join(KINDS)}"
        raise typer.BadParameter(msg)
    show(found(kind), as_json=as_json, quiet=quiet)
