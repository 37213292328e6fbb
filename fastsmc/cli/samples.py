"""`fastsmc samples`: small files to try the other commands on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: fastsmc samples && cd fastsmc-samples && fastsmc services boot.ftrace.txt --release 6.12"


def samples(
    folder: Annotated[Path, typer.Argument(help="Where to write them; made if it is not there.")] = Path(
        "fastsmc-samples"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write small files to try the other commands on: a trace, scenarios, a fleet, registers, a stream, logs.

    They come with the package, so nothing is fetched. The documentation's commands run in the folder they are in.
    """
    from fastsmc.recordings.samples import samples as written

    result = written(folder)
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)
