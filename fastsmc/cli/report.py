"""`fastsmc report`: the main job and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli.progress import progress
from fastsmc.errors import UnsavedError
from fastsmc.facts.packaged import GUEST_BOOT_TRACE


def report(
    trace: Annotated[
        Path, typer.Option(help="A real guest's calls; as `fastsmc trace` reads them.")
    ] = GUEST_BOOT_TRACE,
    out: Annotated[Path, typer.Option(help="Folder of the page, its figures and data.")] = Path("reports/scaling"),
    data: Annotated[Path | None, typer.Option(help="Draw this saved run again instead of measuring.")] = None,
) -> None:
    """Run the main job and write the scaling report.

    A real guest's trace on 1024 vCPUs, what its migration payload is for 1 to 1024 registers and vCPUs, and how both
    scale. Takes about a minute.
    """
    from fastsmc.scaling.report import report as reported

    try:
        with progress("main job") as show:
            result = reported(trace, out=out, data=data, progress=show)
    except UnsavedError as error:
        print(error.text, end="")
        raise
    print(result)
