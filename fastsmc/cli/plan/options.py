"""What the commands of `fastsmc plan` share: the tables of a fleet, typed text made into values, and `cli.output`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.checks import shown
from fastsmc.cli import known
from fastsmc.cli.migrate.options import link_given
from fastsmc.cli.output import Csv, FailIf, Figure, Form, Json, Markdown, Out, Quiet, pictured, show
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.migrate.link import Link

__all__ = [
    "Csv",
    "FailIf",
    "Figure",
    "Form",
    "Hosts",
    "Json",
    "Markdown",
    "Out",
    "Quiet",
    "Vms",
    "links",
    "numbers",
    "pictured",
    "register_lists",
    "show",
]

Hosts = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="Hosts: CSV with a header, or Parquet; docs/planning/inventory.md has the columns.",
        autocompletion=known.samples,
    ),
]
Vms = Annotated[Path, typer.Option(metavar="FILE", help="VMs, the same way.", autocompletion=known.samples)]
Rate = Annotated[
    str, typer.Option("--line-rate", metavar="RATE,…", help="Line rate of the network, several by commas: 10G,25G.")
]
DowntimeMs = Annotated[str, typer.Option(metavar="MS,…", help="Downtime budget in ms, several by commas: 100,300.")]


def numbers(option: str, text: str) -> list[float]:
    """Numbers joined by commas.

    Raises:
        InputError: written otherwise.

    >>> numbers("--downtime-ms", "100, 300.5")
    [100.0, 300.5]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        msg = f"{option} {shown(text)}: give numbers joined by commas, such as 100,300"
        raise InputError(msg) from None


HasSve = Annotated[bool, typer.Option("--sve", help="With a number in --registers: the vCPUs have SVE.")]


def links(rates: str, rtt: str) -> list[Link]:
    """Network paths, by line rates joined by commas, all with one round trip.

    Raises:
        InputError: a rate or a time that cannot be read.
    """
    if not all(rate.strip() for rate in rates.split(",")):
        msg = f"--line-rate {shown(rates)}: give rates joined by commas, such as 10G,25G"
        raise InputError(msg)
    return [link_given(rate.strip(), rtt) for rate in rates.split(",")]


def register_lists(text: str, *, has_sve: bool) -> list[int | str]:
    """What QEMU carries per vCPU: releases such as 6.18+pmu, or numbers, joined by commas.

    Raises:
        BadParameter: --sve beside a release.
    """
    lists = [int(part) if part.strip().isdecimal() else part.strip() for part in text.split(",")]
    if has_sve and not all(isinstance(each, int) for each in lists):
        msg = "--sve belongs to numbers in --registers; of a release the features say it: 6.18+sve"
        raise typer.BadParameter(msg)
    return lists
