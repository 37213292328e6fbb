"""`fastsmc report`: the main job and its pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.progress import progress
from fastsmc.errors import UnsavedError
from fastsmc.facts.packaged import GUEST_BOOT_TRACE

if TYPE_CHECKING:
    from fastsmc.scaling.report import Report

EXAMPLES = """
fastsmc report --out scaling
fastsmc report --quiet
"""
_Trace = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        autocompletion=known.samples,
        show_default=False,
        help="A real guest's calls; as `fastsmc trace` reads them. [default: sample:boot.ftrace.txt]",
    ),
]
_Folder = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FOLDER", help="Of the pages, their figures, report.md and the data."),
]
_Data = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw this saved run again instead of measuring.")]


def report(
    trace: _Trace = GUEST_BOOT_TRACE,
    out: _Folder = Path("build/report"),
    data: _Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict and its numbers as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the report as Markdown, for a mail.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> None:
    """Run the main job, print its verdict and write the report.

    The report says what breaks when a VM moves between kernels, what its registers cost in bytes, ioctls and downtime
    for 1 to 1024 registers and vCPUs, what calls wait under load, and what a fleet's upgrade comes to. A real guest's
    trace is replayed on 1024 vCPUs, which times the simulator. Takes about a minute.
    """
    if as_json + markdown + quiet > 1:
        msg = "give one of --json, --markdown and --quiet"
        raise typer.BadParameter(msg)
    from fastsmc.scaling.report import report as reported

    try:
        with progress("main job") as show:
            result = reported(trace, out=out, data=data, progress=show)
    except UnsavedError as error:
        print(error.text, end="")
        raise
    if not quiet:
        print(f"wrote {result.page}; a browser opens it: {_address(result)}", file=sys.stderr)
    if as_json:
        print(json.dumps(result.as_dict(), indent=1, allow_nan=False))
    else:
        print(result.to_markdown().rstrip("\n") if markdown else result)


def _address(result: Report) -> str:
    return result.page.absolute().as_uri()
