"""`fastsmc plan migration-table`: how long a VM's migration takes, by line rate and downtime limit."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.migrate.options import ioctl_cost
from fastsmc.cli.plan.options import Csv, Json, Markdown, Out, Quiet, links, lists, numbers, show
from fastsmc.errors import InputError

EPILOG = "Example: fastsmc plan migration-table --release 6.18 --vcpus 64 --memory-gib 256 --dirty-mib-per-s 400"


def migration_table(
    vcpus: Annotated[int, typer.Option(help="vCPUs of the VM.")],
    memory_gib: Annotated[float, typer.Option(help="Guest memory that has to be sent.")],
    dirty_mib_per_s: Annotated[float, typer.Option(help="Memory that the guest writes, beyond the hot set.")],
    hot_set_mib: Annotated[float, typer.Option(help="Memory that it writes again and again.")] = 0,
    hot_set_s: Annotated[float, typer.Option(help="How long it takes to write that once; 0: no time.")] = 0,
    release: Annotated[str | None, typer.Option(help="A release, whose register list counts: 6.18+pmu.")] = None,
    registers: Annotated[str | None, typer.Option(help="Or registers in QEMU's cpreg array, per vCPU.")] = None,
    sve: Annotated[bool, typer.Option("--sve", help="With --registers: the vCPUs have SVE.")] = False,
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network, a row each.")] = "1G,10G,25G,100G",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    downtime_ms: Annotated[str, typer.Option(help="Downtime limits, a column each.")] = "50,100,300,1000",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Tell how long a precopy migration takes: a row per link, a column per downtime limit (modelled).

    The limit is for memory that is left and for all that moving registers takes. A cell is - where it never ends.

    Exit code 4: it ends nowhere; 5: whether it ends anywhere rests on figures that are assumed.
    """
    from fastsmc import plan

    some = lists(release, registers, sve=sve)
    if len(some) > 1:
        msg = "give one register list: a table is of one VM"
        raise InputError(msg)
    found = plan.migration_table(
        registers=some[0],
        n_vcpu=vcpus,
        memory_gib=memory_gib,
        dirty_mib_per_s=dirty_mib_per_s,
        hot_set_mib=hot_set_mib,
        hot_set_s=hot_set_s,
        has_sve=sve,
        link=links(rate, rtt),
        downtime_ms=numbers("--downtime-ms", downtime_ms),
        ioctl_ns=ioctl_cost(ioctl_ns),
    )
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet)
