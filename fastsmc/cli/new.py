"""`fastsmc new`: a file to begin with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fastsmc.checks import not_among
from fastsmc.cli import known
from fastsmc.cli.output import Json, Quiet, show

EXAMPLES = """
fastsmc new scenario my-scenario.toml
fastsmc new inventory
"""


def new(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="scenario, inventory, profile, question, probe or recorder.",
            autocompletion=known.one_of("scenario", "inventory", "profile", "question", "probe", "recorder"),
        ),
    ],
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where; a folder for an inventory. By default scenario.toml and so on."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Take the place of files that are there.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a commented scenario, inventory, cost profile or question that works as it is, to be made one's own.

    A file that is there is not replaced unless --force is given. An inventory is hosts.csv and vms.csv in a folder. A
    probe is the program that an arm64 host's python3 runs by itself; recorder is what that needs beside it to record
    answers. See `fastsmc probe`.
    """
    from fastsmc.templates import KINDS
    from fastsmc.templates import new as begun

    if kind not in KINDS:
        raise typer.BadParameter(not_among("KIND", kind, list(KINDS)))
    result = begun(kind, path, force=force)
    for name in result.files:
        print(f"wrote {name}", file=sys.stderr)
    show(result, as_json=as_json, quiet=quiet)
