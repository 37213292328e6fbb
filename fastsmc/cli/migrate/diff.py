"""`fastsmc migrate diff`: two files of registers, register by register."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.errors import CheckError, UnknownError

EXAMPLES = """
fastsmc migrate diff sample:vm6.12.bin.xz sample:vm6.18.bin.xz
  they differ: exit code 4
fastsmc migrate diff sample:vm6.12.bin.xz sample:vm6.12.bin.xz --quiet
"""


def diff(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A",
            help="A file that migrate inspect reads; - for standard input.",
            autocompletion=known.samples,
        ),
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.", autocompletion=known.samples)],
    vcpu: Annotated[int, typer.Option(metavar="NUMBER", help="Which vCPU of both, from 0.")] = 0,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="FEATURES",
            help="Which feature set of a recorded reglist: psci02+sve.",
            autocompletion=known.features,
        ),
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Compare two files register by register: only in one, another value, equal; ID registers field by field.

    Exits with 0 when the registers are equal, with 4 when they differ (where diff has 1, an internal error here), and
    with 5 when nothing differs but some values are not told.
    """
    from fastsmc import migrate
    from fastsmc.migrate.read.differences import Likeness

    found = migrate.diff(a, b, vcpu=vcpu, features=features)
    failure = {Likeness.DIFFERENT: CheckError, Likeness.UNKNOWN: UnknownError}.get(found.likeness)
    show(
        found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if,
        failure=None if failure is None else failure(found.summary),
    )  # fmt: skip
