"""`fastsmc releases`: what is known by name: releases, vendors' kernels, VMMs, vCPU features."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc releases --features
fastsmc releases --vmms --csv
"""


def releases(
    vendors: Annotated[bool, typer.Option("--vendors", help="Show whose kernels are recognised instead.")] = False,
    vmms: Annotated[bool, typer.Option("--vmms", help="Show VMMs and what their versions brought instead.")] = False,
    features: Annotated[bool, typer.Option("--features", help="Show the features of a vCPU instead.")] = False,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """List the releases that fastsmc knows, with their rules in short and where each one's register list is from.

    Any stable update of these releases and many vendors' kernels can be named too: `uname -r` as it is. --json has all
    tables.
    """
    from fastsmc.explanation import releases as known

    asked = [name for name, is_asked in (("vendors", vendors), ("vmms", vmms), ("features", features)) if is_asked]
    if len(asked) > 1:
        msg = "give one of --vendors, --vmms and --features; --json has all tables"
        raise typer.BadParameter(msg)
    result = known(what=asked[0] if asked else "releases")
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
