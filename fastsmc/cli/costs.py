"""Options of commands that rest on a cost profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.migrate.options import ioctl_cost

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


def ioctl_or_profile(ioctl_ns: str | None, profile: str | None, force: bool) -> tuple[float, ...] | CostProfile | None:
    """What an ioctl costs, by --ioctl-ns or by --profile.

    Raises:
        BadParameter: both.
        InputError: what cannot be read or used.
    """
    if ioctl_ns is not None and profile is not None:
        msg = "--ioctl-ns and --profile both say what an ioctl costs: give one of them"
        raise typer.BadParameter(msg)
    return ioctl_cost(ioctl_ns) if profile is None else costs_given(profile, force)


def costs_given(profile: str | None, force: bool) -> CostProfile | None:
    """The profile that was given.

    Raises:
        InputError: one that cannot be used.
    """
    if profile is None:
        return None
    from fastsmc.scenario.profiles import load_profile

    return load_profile(profile, force=force)
