"""`fastsmc migrate diff`: two files of registers, register by register."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.output import show
from fastsmc.errors import CheckError, UnknownError


def diff(
    a: Annotated[str, typer.Argument(help="A file that migrate inspect reads, or - for standard input.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    vcpu: Annotated[int, typer.Option(help="Which vCPU of both.")] = 0,
    features: Annotated[str | None, typer.Option(help="Which feature set of a recorded reglist: psci02+sve.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two files register by register: only in one, another value, equal; ID registers field by field.

    Exits with 0 when the registers are equal, with 4 when they differ (where diff has 1, an internal error here), and
    with 5 when nothing differs but some values are not told.
    """
    from fastsmc import migrate
    from fastsmc.migrate.read.differences import Likeness

    found = migrate.diff(a, b, vcpu=vcpu, features=features)
    show(found, as_json=as_json)
    if found.likeness is Likeness.DIFFERENT:
        raise CheckError(found.summary)
    if found.likeness is Likeness.UNKNOWN:
        raise UnknownError(found.summary)
