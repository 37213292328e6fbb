"""What the commands of `fastsmc plan` share: their options of output, how a plan is printed, and its exit code.

A command takes these five, and ends with `show`:

    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli.migrate.options import check_writable, write_asked
from fastsmc.cli.printing import printed_all_the_same
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.plan.result import Plan

_ENDINGS = (".json", ".csv", ".md")


def _checked(path: Path | None) -> Path | None:
    """Refuses, before any work, a file that could not be written."""
    if path is not None:
        if path.suffix not in _ENDINGS:
            msg = f"--out {path}: give a name that ends in .json (the plan, which Plan.load reads), .csv or .md"
            raise InputError(msg)
        check_writable("--out", path)
    return path


Hosts = Annotated[Path, typer.Option(help="Hosts, a row each: CSV or Parquet.")]
Vms = Annotated[Path, typer.Option(help="VMs, a row each: CSV or Parquet.")]
Json = Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the plan as Markdown.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        callback=_checked,
        help="Save it too: as .json, which is read back, .md, or the table as .csv.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer only, one sentence.")]


def show(
    plan: Plan,
    *,
    as_json: bool = False,
    csv: bool = False,
    markdown: bool = False,
    out: Path | None = None,
    quiet: bool = False,
) -> None:
    """Saves a plan where that was asked for, prints it, and ends with its exit code.

    Raises:
        BadParameter: two forms to print.
        ResultFileError: the file cannot be written; the plan is printed all the same.
    """
    if as_json + csv + markdown + quiet > 1:
        msg = "give one of --json, --csv, --markdown and --quiet; --out FILE saves another form beside it"
        raise typer.BadParameter(msg)
    with printed_all_the_same(lambda: _print(plan, as_json, csv, markdown, quiet)):
        if out is not None:
            if out.suffix == ".json":
                plan.save(out)
            else:
                text = plan.to_csv() if out.suffix == ".csv" else plan.to_markdown()
                write_asked({out: text.encode()})
    if plan.exit_code:
        raise typer.Exit(plan.exit_code)


def _print(plan: Plan, as_json: bool, csv: bool, markdown: bool, quiet: bool) -> None:
    if as_json:
        print(json.dumps(plan.as_dict(), indent=1, allow_nan=False))
    elif csv or markdown:
        print(plan.to_csv() if csv else plan.to_markdown(), end="")
    else:
        print(plan.answer if quiet else plan)
