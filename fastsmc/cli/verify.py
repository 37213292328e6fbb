"""`fastsmc verify`: recordings of real kernels, replayed or copied in their compact form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError

EPILOG = "Example: fastsmc verify --kind restore"


def verify(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="A recorded host's folder, or a folder of such folders; by default those packaged."),
    ] = None,
    compact: Annotated[
        Path | None, typer.Option(help="Write a compact copy of the recordings there instead of replaying them.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Replay this kind of record only; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tallies as JSON.")] = False,
) -> None:
    """Replay recordings of real kernels: is every answer the one KVM gave?

    Answers and errnos are compared with the reference, verdicts and errnos with the vectorized path; a record
    matches when both agree with it. Exit 0 only if all records match.
    """
    if compact is not None:
        from fastsmc.recordings.compact import compact as copied

        if kind or as_json:
            msg = "--compact copies every kind and prints one line: leave out --kind and --json"
            raise typer.BadParameter(msg)
        if not paths:
            msg = "--compact copies recordings: name their folders"
            raise typer.BadParameter(msg)
        with progress("copying") as show:
            size = copied(paths, compact, progress=show)
        print(f"wrote {size / 1e6:.2f} MB of recordings to {compact}")
        return
    from fastsmc.verification import verify as replayed

    with progress("replaying") as show:
        result = replayed(paths or None, kinds=kind, progress=show)
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)
    if not result.ok:
        msg = f"{result.n_record - result.n_match} of {result.n_record} records do not match"
        raise CheckError(msg)
