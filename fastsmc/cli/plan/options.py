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

from fastsmc.checks import shown
from fastsmc.cli.migrate.options import check_writable, link_given, write_asked
from fastsmc.cli.printing import printed_all_the_same
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.migrate.link import Link
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


Hosts = Annotated[Path, typer.Option(help="Hosts: CSV with a header, or Parquet; docs/planning/inventory.md.")]
Vms = Annotated[Path, typer.Option(help="VMs, the same way.")]
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


def numbers(option: str, text: str) -> list[float]:
    """Numbers joined by commas.

    Raises:
        InputError: written otherwise.

    >>> numbers("--downtime-ms", "100, 300.5")
    [100.0, 300.5]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        msg = f"{option} {shown(text)}: give numbers joined by commas, such as 100,300"
        raise InputError(msg) from None


def links(rates: str, rtt: str) -> list[Link]:
    """Network paths, by line rates joined by commas, all with one round trip.

    Raises:
        InputError: a rate or a time that cannot be read.
    """
    return [link_given(rate.strip(), rtt) for rate in rates.split(",")]


def register_lists(text: str) -> list[int | str]:
    """What QEMU carries per vCPU: releases such as 6.18+pmu, or numbers, joined by commas."""
    return [int(part) if part.strip().isdecimal() else part.strip() for part in text.split(",")]


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
