"""`fastsmc probe`: what KVM of an arm64 host has, asked here or read from a host profile."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc probe sample:host.json.xz
fastsmc probe sample:host.json.xz --csv
"""


def probe(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="A host profile; - for standard input. Without it this machine's KVM is asked."
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Record what this host's KVM answers to small guests, in a new folder."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="SECTIONS", help="Of --record: some sections, with commas.")
    ] = None,
    restore: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="Of --record: another recorded host, tried here.")
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Ask an arm64 host's KVM what its VMs have, or show a host profile: registers, limits, filter, capabilities.

    The host needs no fastsmc: `fastsmc new probe` writes fastsmc_probe.py, one file that its python3 runs. What that
    file writes with -o, or this command with --json, is the host profile, which `fastsmc migrate check` takes as a
    side. VMs are made for it that have no memory and never run; running ones are left alone. With --record a small
    guest runs in them, and what KVM answers to its calls becomes a folder for `fastsmc verify`.
    """
    from fastsmc.probing import probe as probed

    if record is not None:
        if file or any((as_json, csv, markdown, out, quiet, fail_if)):
            msg = "--record writes a folder and prints no result: leave out FILE and the options of output"
            raise typer.BadParameter(msg)
        _record(record, only.split(",") if only else [], restore or [])
        return
    if only or restore:
        msg = "--only and --restore belong to --record"
        raise typer.BadParameter(msg)
    result = probed(file)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)


def _record(folder: str, only: list[str], others: list[str]) -> None:
    """Records this host; sections and their seconds are told as they pass."""
    from fastsmc.probing import SECTIONS
    from fastsmc.probing import record as recorded

    if set(only) - set(SECTIONS):
        msg = f"--only {','.join(only)}: sections are {', '.join(SECTIONS)}"
        raise typer.BadParameter(msg)
    recorded(folder, only=only, others=others, progress=lambda text: print(text, file=sys.stderr, flush=True))
