"""`fastsmc probe`: what KVM of an arm64 host has, asked here or read from a host profile."""

from __future__ import annotations

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
    side. VMs are made for it that have no memory and never run; running ones are left alone.
    """
    from fastsmc.probing import probe as probed

    result = probed(file)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
