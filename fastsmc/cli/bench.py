"""`fastsmc bench`: how fast fastsmc itself is here."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.cli.progress import progress

EXAMPLES = """
fastsmc bench --seconds 1 --out bench.json
fastsmc bench --seconds 1 --only verdicts --only answers
"""


def bench(
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="For all rounds together; each case has at least 7.")
    ] = 5.0,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CASE", help="Measure this case only. May be repeated.")
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Measure how fast fastsmc dispatches and simulates on this machine: ns a call, by the CPU time of one core.

    The cases take turns, so that whatever disturbs the machine disturbs all alike. Compiling does not count. `fastsmc
    compare` reads what --out saves. It says nothing of KVM's own speed.
    """
    from fastsmc.measuring import bench as measured

    with progress("measuring") as shown:
        result = measured(seconds=seconds, only=only, progress=shown)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
