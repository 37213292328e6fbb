"""`fastsmc plan largest-shape`: the most vCPUs whose downtime stays within a budget."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.costs import Force, Profile, costs_given
from fastsmc.cli.migrate.options import IoctlNs, OnlyQemu, Rtt, ioctl_cost
from fastsmc.cli.plan.options import (
    Csv,
    DowntimeMs,
    FailIf,
    Figure,
    Form,
    HasSve,
    Json,
    Markdown,
    Out,
    Quiet,
    Rate,
    links,
    numbers,
    pictured,
    register_lists,
)

EXAMPLES = """
fastsmc plan largest-shape --registers 6.18+pmu,7.3 --line-rate 10G,25G --downtime-ms 300
fastsmc plan largest-shape --registers 182 --downtime-ms 100,200,300 --quiet --figure shapes.svg
"""


def largest_shape(
    registers: Annotated[
        str,
        typer.Option(
            metavar="RELEASE,…",
            help="What QEMU carries per vCPU: a release such as 6.18+pmu, or a number; several by commas.",
            autocompletion=known.releases,
        ),
    ],
    has_sve: HasSve = False,
    gbit_per_s: Rate = "10Gb/s",
    rtt_us: Rtt = "0",
    downtime_ms: DowntimeMs = "300",
    ioctl_ns: IoctlNs = None,
    profile: Profile = None,
    force: Force = False,
    vmm: OnlyQemu = "qemu",
    limit: Annotated[
        int, typer.Option(metavar="COUNT", help="The largest number of vCPUs to consider; KVM stops at 512.")
    ] = 1024,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell the most vCPUs whose registers move within a downtime (modelled), over a grid of what is given.

    The downtime is that of `fastsmc migrate downtime`. Several values are joined by commas. Exit code 4: in some cell
    not even one vCPU fits; 5: that rests on the assumed figures.
    """
    from fastsmc import plan

    lists = register_lists(registers, has_sve=has_sve)
    found = plan.largest_shape(
        registers=lists,
        has_sve=has_sve,
        link=links(gbit_per_s, rtt_us),
        downtime_ms=numbers("--downtime-ms", downtime_ms),
        ioctl_ns=ioctl_cost(ioctl_ns),
        profile=costs_given(profile, force),
        vmm=vmm,
        limit=limit,
    )
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))
