"""`fastsmc plan largest-shape`: the most vCPUs whose downtime stays within a budget."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.migrate.options import ioctl_cost
from fastsmc.cli.plan.options import Csv, Json, Markdown, Out, Quiet, links, numbers, register_lists, show

_SVE = "--sve belongs to numbers in --registers; of a release the features say it: 6.18+sve"


def largest_shape(
    registers: Annotated[
        str, typer.Option(help="What QEMU carries per vCPU: a release such as 6.18+pmu, or a number; or several.")
    ],
    sve: Annotated[bool, typer.Option("--sve", help="With a number in --registers: the vCPUs have SVE.")] = False,
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network: 10G, 10Gb/s; or several.")] = "10Gb/s",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    downtime_ms: Annotated[str, typer.Option(help="The budget; or several.")] = "300",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    vmm: Annotated[str, typer.Option(help="Whose downtime: qemu.")] = "qemu",
    limit: Annotated[int, typer.Option(help="The largest number of vCPUs to consider; KVM stops at 512.")] = 1024,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Tell the most vCPUs whose registers move within a downtime (modelled), over a grid of what is given.

    The downtime is that of `fastsmc migrate downtime`. Several values are joined by commas. Exit code 4: in some cell
    not even one vCPU fits; 5: that rests on the assumed figures.
    """
    from fastsmc import plan

    lists = register_lists(registers)
    if sve and not all(isinstance(each, int) for each in lists):
        raise typer.BadParameter(_SVE)
    found = plan.largest_shape(
        registers=lists,
        has_sve=sve,
        link=links(rate, rtt),
        downtime_ms=numbers("--downtime-ms", downtime_ms),
        ioctl_ns=ioctl_cost(ioctl_ns),
        vmm=vmm,
        limit=limit,
    )
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet)
