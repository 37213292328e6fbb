"""`fastsmc plan largest-shape`: how many vCPUs may a VM have so that its registers move within a downtime?"""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.migrate.options import ioctl_cost
from fastsmc.cli.plan.options import Csv, Json, Markdown, Out, Quiet, links, lists, numbers, show

EPILOG = "Example: fastsmc plan largest-shape --release 6.12,7.3+sve --line-rate 10G,25G --downtime-ms 100,300"


def largest_shape(
    release: Annotated[
        str | None, typer.Option(help="Releases, whose register lists count: 6.12,7.3+pmu+sve; recorded or inferred.")
    ] = None,
    registers: Annotated[
        str | None, typer.Option(help="Or registers in QEMU's cpreg array, per vCPU: 182,266.")
    ] = None,
    sve: Annotated[bool, typer.Option("--sve", help="With --registers: the vCPUs have SVE.")] = False,
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network: 10Gb/s,25G,128MiB/s.")] = "10Gb/s",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    downtime_ms: Annotated[str, typer.Option(help="The budgets: 100,300.")] = "300",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    vmm: Annotated[str, typer.Option(help="Whose downtime: qemu.")] = "qemu",
    limit: Annotated[int, typer.Option(help="The most vCPUs to consider. KVM stops at 512.")] = 1024,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Tell how many vCPUs fit a downtime, without guest memory, by register list, link and budget (modelled).

    The downtime is that of `fastsmc migrate downtime`, all steps one after another.

    Exit code 4: not even one vCPU fits somewhere; 5: whether one does rests on figures that are assumed.
    """
    from fastsmc import plan

    found = plan.largest_shape(
        registers=lists(release, registers, sve=sve),
        has_sve=sve,
        link=links(rate, rtt),
        downtime_ms=numbers("--downtime-ms", downtime_ms),
        ioctl_ns=ioctl_cost(ioctl_ns),
        vmm=vmm,
        limit=limit,
    )
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet)
