"""`fastsmc plan migration-table`: how long precopy takes, by line rate and downtime limit."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.checks import shown
from fastsmc.cli.migrate.options import ioctl_cost
from fastsmc.cli.plan.options import Csv, Json, Markdown, Out, Quiet, links, numbers, register_lists, show
from fastsmc.errors import InputError

_SVE = "--sve belongs to numbers in --registers; of a release the features say it: 6.18+sve"


def migration_table(
    registers: Annotated[
        str, typer.Option(help="What QEMU carries per vCPU: a release such as 6.18+pmu, or a number.")
    ],
    vcpus: Annotated[int, typer.Option(help="vCPUs of the VM.")],
    memory_gib: Annotated[float, typer.Option(help="Guest memory that has to be sent.")],
    dirty_mib_per_s: Annotated[float, typer.Option(help="Memory that the guest writes, beyond the hot set.")],
    sve: Annotated[bool, typer.Option("--sve", help="With a number in --registers: the vCPUs have SVE.")] = False,
    hot_set_mib: Annotated[float, typer.Option(help="Memory that the guest writes again and again.")] = 0.0,
    hot_set_s: Annotated[float, typer.Option(help="How long it takes to write the hot set once.")] = 0.0,
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network, several.")] = "1G,10G,25G,100G",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    downtime_ms: Annotated[str, typer.Option(help="The limits.")] = "50,100,300,1000",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Tell how long a VM's precopy migration takes: a row per line rate, a column per downtime limit (modelled).

    Registers and their ioctls are in the downtime. Several values are joined by commas. Exit code 4: no cell but "-";
    5: that rests on the assumed figures.
    """
    from fastsmc import plan

    lists = register_lists(registers)
    if len(lists) != 1:
        msg = f"--registers {shown(registers)}: a table is of one VM: give one release or number"
        raise InputError(msg)
    if sve and not isinstance(lists[0], int):
        raise typer.BadParameter(_SVE)
    found = plan.migration_table(
        registers=lists[0],
        has_sve=sve,
        n_vcpu=vcpus,
        memory_gib=memory_gib,
        dirty_mib_per_s=dirty_mib_per_s,
        hot_set_mib=hot_set_mib,
        hot_set_s=hot_set_s,
        link=links(rate, rtt),
        downtime_ms=numbers("--downtime-ms", downtime_ms),
        ioctl_ns=ioctl_cost(ioctl_ns),
    )
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet)
