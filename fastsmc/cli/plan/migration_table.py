"""`fastsmc plan migration-table`: how long precopy takes, by line rate and downtime limit."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.checks import shown
from fastsmc.cli import known
from fastsmc.cli.costs import Force, Profile, ioctl_or_profile
from fastsmc.cli.migrate.options import IoctlNs, Rtt
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
from fastsmc.errors import InputError

EXAMPLES = """
fastsmc plan migration-table --registers 6.18 --vcpus 64 --memory-gib 64 --dirty-mib-per-s 200
fastsmc plan migration-table --registers 182 --vcpus 8 --memory-gib 32 --dirty-mib-per-s 50 --line-rate 25G --quiet
"""


def migration_table(
    registers: Annotated[
        str,
        typer.Option(
            metavar="RELEASE",
            help="What QEMU carries per vCPU: a release such as 6.18+pmu, or a number.",
            autocompletion=known.releases,
        ),
    ],
    n_vcpu: Annotated[int, typer.Option("--vcpus", metavar="COUNT", help="vCPUs of the VM.")],
    memory_gib: Annotated[float, typer.Option(metavar="GIB", help="Guest memory that has to be sent, in GiB.")],
    dirty_mib_per_s: Annotated[
        float, typer.Option(metavar="MIB/S", help="Memory that the guest writes, beyond the hot set, in MiB/s.")
    ],
    has_sve: HasSve = False,
    hot_set_mib: Annotated[
        float, typer.Option(metavar="MIB", help="Memory that the guest writes again and again, in MiB.")
    ] = 0.0,
    hot_set_s: Annotated[
        float, typer.Option(metavar="S", help="How long it takes to write the hot set once, in s.")
    ] = 0.0,
    gbit_per_s: Rate = "1G,10G,25G,100G",
    rtt_us: Rtt = "0",
    downtime_ms: DowntimeMs = "50,100,300,1000",
    ioctl_ns: IoctlNs = None,
    profile: Profile = None,
    force: Force = False,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell how long a VM's precopy migration takes: a row per line rate, a column per downtime limit (modelled).

    Registers and their ioctls are in the downtime. Several values are joined by commas. Exit code 4: no cell but "-";
    5: that rests on the assumed figures.
    """
    from fastsmc import plan

    lists = register_lists(registers, has_sve=has_sve)
    if len(lists) != 1:
        msg = f"--registers {shown(registers)}: a table is of one VM: give one release or number"
        raise InputError(msg)
    found = plan.migration_table(
        registers=lists[0],
        has_sve=has_sve,
        n_vcpu=n_vcpu,
        memory_gib=memory_gib,
        dirty_mib_per_s=dirty_mib_per_s,
        hot_set_mib=hot_set_mib,
        hot_set_s=hot_set_s,
        link=links(gbit_per_s, rtt_us),
        downtime_ms=numbers("--downtime-ms", downtime_ms),
        ioctl_ns=ioctl_or_profile(ioctl_ns, profile, force),
    )
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))
