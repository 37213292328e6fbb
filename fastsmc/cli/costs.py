"""Options of commands that rest on a cost profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli import known

if TYPE_CHECKING:
    from fastsmc.scenario.profiles import Profile as CostProfile

Profile = Annotated[
    str | None,
    typer.Option(
        metavar="PROFILE",
        help="A cost profile, by name or path: what one ioctl costs, where a host was measured.",
        autocompletion=known.profiles,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Take a cost profile too that was measured on an emulated host.")]


def costs_given(profile: str | None, force: bool) -> CostProfile | None:
    """The profile that was given.

    Raises:
        InputError: one that cannot be used.
    """
    if profile is None:
        return None
    from fastsmc.scenario.profiles import load_profile

    return load_profile(profile, force=force)
