"""`fastsmc samples`: small files to try the other commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli.output import Json, Quiet, show

EXAMPLES = """
fastsmc samples /tmp/fastsmc-samples
fastsmc samples /tmp/fastsmc-samples --json
"""


def samples(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to write them; it is made if it is not there.")
    ] = Path("fastsmc-samples"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write small files to try the other commands on: a trace, scenarios, a fleet, registers, a stream, logs.

    They come with the package, so nothing is fetched. The documentation's commands run in the folder they are in. A
    command alone takes each without writing it: sample:NAME.
    """
    from fastsmc.recordings.samples import samples as written

    show(written(folder), as_json=as_json, quiet=quiet)
