"""What commands of `fastsmc migrate` share: their options, and typed text made into values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.checks import shown
from fastsmc.cli import known, values
from fastsmc.errors import InputError

NewestRelease = Annotated[
    str,
    typer.Option(
        metavar="RELEASE",
        help="A release, whose register list is taken: 5.10 to 7.3, recorded or inferred.",
        autocompletion=known.releases,
    ),
]
Release = Annotated[
    str | None,
    typer.Option(
        metavar="RELEASE",
        help="A release, whose register list is taken: 5.10 to 7.3, recorded or inferred.",
        autocompletion=known.releases,
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="FEATURES",
        help=f"vCPU features of that list: {known.FEATURES_HELP}. [default: psci02]",
        autocompletion=known.features,
    ),
]
Registers = Annotated[
    int | None,
    typer.Option("--registers", metavar="COUNT", help="In place of a release: registers in QEMU's cpreg array."),
]
Sve = Annotated[bool, typer.Option("--sve", help="With --registers: the vCPUs have SVE.")]
Vcpus = Annotated[str, typer.Option("--vcpus", metavar=values.COUNTS, help=f"vCPUs of the VM; {values.HOW}")]
OnlyQemu = Annotated[
    str, typer.Option(metavar="VMM", help="Whose migration: qemu.", autocompletion=known.one_of("qemu"))
]
Rate = Annotated[
    str, typer.Option("--line-rate", metavar="RATE", help="Line rate of the network: 10Gb/s, 25G, 128MiB/s.")
]
Rtt = Annotated[str, typer.Option("--rtt", metavar="TIME", help="Round trip of the network, with its unit: 80us.")]
IoctlNs = Annotated[
    str | None,
    typer.Option(metavar="NS", help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]"),
]
LimitMs = Annotated[float, typer.Option(metavar="MS", help="QEMU's downtime-limit, in ms.")]

if TYPE_CHECKING:
    from fastsmc.facts.register_sets import RegisterSet
    from fastsmc.migrate.link import Link


def only_qemu(vmm: str, why: str) -> None:
    """Refuses every VMM but QEMU.

    Raises:
        InputError: another one; the message says why.
    """
    if vmm.strip().lower() != "qemu":
        msg = f"--vmm {shown(vmm)}: {why}"
        raise InputError(msg)


def registers_given(n_reg: int | None, sve: bool, release: str | None, features: str | None) -> RegisterSet | int:
    """Registers from a number or from a release, of which exactly one is given.

    Raises:
        BadParameter: both, none, or an option that belongs to the other.
        InputError: a release fastsmc does not know, or features it does not have.
    """
    if (n_reg is None) == (release is None):
        msg = "give either --registers, how many QEMU carries per vCPU, or --release, whose list is taken"
        raise typer.BadParameter(msg)
    if release is None:
        if features is not None:
            msg = "--features belongs to --release; beside --registers there is --sve"
            raise typer.BadParameter(msg)
        assert n_reg is not None
        return n_reg
    if sve:
        msg = "--sve belongs to --registers; with --release the features say it: --features psci02+sve"
        raise typer.BadParameter(msg)
    return registers_of(release, features)


def registers_of(release: str, features: str | None) -> RegisterSet:
    """The list of a release's vCPU, recorded or inferred. PSCI 0.2 is among the features unless "none" is.

    Raises:
        InputError: a release fastsmc does not know, or features it does not have.
    """
    from fastsmc.migrate.compat.named import listed

    return listed(release, features)


def ioctl_cost(text: str | None) -> tuple[float, ...] | None:
    """ns of one ioctl: one number, or low,mid,high.

    Raises:
        InputError: written otherwise.
    """
    if text is None:
        return None
    try:
        given = tuple(float(part) for part in text.split(","))
    except ValueError:
        given = ()
    if len(given) not in (1, 3):
        msg = f"--ioctl-ns {text!r}: give one number of ns, or low,mid,high such as 200,500,1000"
        raise InputError(msg)
    return given if len(given) == 3 else given * 3


def link_given(rate: str, rtt: str) -> Link:
    """The network path.

    Raises:
        InputError: a rate or a time that cannot be read.
    """
    from fastsmc.migrate.link import Link, line_rate, microseconds

    return Link(line_rate(rate), microseconds(rtt))
