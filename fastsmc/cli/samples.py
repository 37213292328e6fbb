"""`fastsmc samples`: small files to try the other commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc samples
fastsmc samples my-samples --markdown
"""


def samples(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to write them; it is made if it is not there.")
    ] = Path("fastsmc-samples"),
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Write small files to try the other commands on: a trace, scenarios, a fleet, registers, a stream, logs.

    They come with the package, so nothing is fetched. The documentation's commands run in the folder they are in. A
    command alone takes each without writing it: sample:NAME.
    """
    from fastsmc.templates.samples import samples as written

    result = written(folder)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
