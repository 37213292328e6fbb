"""`fastsmc compare`: saved results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc compare sample:vm6.12.bin.xz sample:vm6.18.bin.xz
fastsmc compare sample:vm6.12.bin.xz sample:vm6.18.bin.xz --csv
"""


def compare(
    base: Annotated[Path, typer.Argument(metavar="A", autocompletion=known.samples, help="The base of all ratios.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="B", autocompletion=known.samples, help="What is compared with it; several, file by file."
        ),
    ],
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Compare saved results of one kind: ratios with their 95 % intervals, and what else is different.

    It reads simulations (simulate --out), plans (plan … --out), benchmarks (bench --out, pytest-benchmark) and files of
    registers. A ratio whose interval holds 1 is the same, otherwise higher or lower; where no spread is saved it is
    unknown. --fail-if is about ratios: 'p99 > +5%' about every p99, 'response_p99 > +5%' about one, 'change > +5%'
    about all figures.
    """
    from fastsmc.comparing import compare as compared

    result = compared(base, files[0], *files[1:])
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
