"""`fastsmc verify`: recordings of real kernels, replayed or copied in their compact form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError

EXAMPLES = """
fastsmc verify --kind restore
fastsmc verify sample:recording
fastsmc verify sample:recording --kind reglist --json
"""


def verify(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="A recorded host's folder, or a folder of such folders; by default all that fastsmc brings.",
            autocompletion=known.samples,
        ),
    ] = None,
    compact: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a compact copy of the recordings there instead of replaying them."),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Replay this kind of record only, such as calls or reglist. May be repeated.",
            autocompletion=known.one_of(
                *("a32", "calls", "danger", "filter", "fuzz_calls", "fuzz_filter", "fuzz_regs", "misc", "nested"),
                *("payload", "protected", "random", "reglist", "restore", "setreg", "sweep"),
            ),
        ),
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Replay recordings of real kernels: is every answer the one KVM gave?

    Answers and errnos are compared with the reference, verdicts and errnos with the vectorized path; a record
    matches when both agree with it. Exit code 4: some record does not match.
    """
    if compact is not None:
        from fastsmc.recordings.compact import compact as copied

        if kinds or as_json or csv or markdown or quiet or out or fail_if:
            msg = "--compact copies every kind and finds nothing out: leave out --kind and the options of output"
            raise typer.BadParameter(msg)
        if not paths:
            msg = "--compact copies recordings: name their folders"
            raise typer.BadParameter(msg)
        with progress("copying") as step:
            size = copied(paths, compact, progress=step)
        print(f"wrote {size / 1e6:.2f} MB of recordings to {compact}", file=sys.stderr)
        return
    from fastsmc.verification import verify as replayed

    with progress("replaying") as step:
        result = replayed(paths or None, kinds=kinds, progress=step)
    failure = None
    if not result.ok:
        failure = CheckError(f"{result.n_record - result.n_match} of {result.n_record} records do not match")
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if, failure=failure)
