"""`fastsmc migrate downtime`: where the downtime of a migration goes, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli.migrate.options import (
    check_figure,
    drawn,
    ioctl_cost,
    link_given,
    only_qemu,
    registers_given,
)
from fastsmc.cli.output import show, write_asked
from fastsmc.cli.printing import printed_all_the_same


def downtime(
    vcpus: Annotated[int, typer.Option(help="vCPUs of the VM.")],
    vmm: Annotated[str, typer.Option(help="Whose downtime: qemu.")] = "qemu",
    registers: Annotated[int | None, typer.Option(help="Registers in QEMU's cpreg array, per vCPU.")] = None,
    sve: Annotated[bool, typer.Option("--sve", help="With --registers: the vCPUs have SVE.")] = False,
    release: Annotated[
        str | None, typer.Option(help="A release, whose register list counts: recorded or inferred.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="With --release: vCPU features, joined by +; or none. [default: psci02]")
    ] = None,
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network: 10Gb/s, 25G, 128MiB/s.")] = "10Gb/s",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    limit_ms: Annotated[float, typer.Option(help="QEMU's downtime-limit.")] = 300,
    query_migrate: Annotated[
        Path | None,
        typer.Option(
            help="QMP's answer to query-migrate on the source, or what info migrate or virsh domjobinfo print."
        ),
    ] = None,
    trace: Annotated[
        list[Path] | None, typer.Option(help="QEMU's log with vmstate_downtime_* events, of either end; repeatable.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the steps there, as .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where the downtime of a migration goes, step by step (modelled), against QEMU's downtime limit.

    For QEMU on a KVM host, GICv3, precopy. Times of ioctls, pausing and resuming are assumed. What --query-migrate and
    --trace tell replaces modelled steps and is marked measured.
    """
    from fastsmc import migrate

    only_qemu(vmm, "only 'qemu' is modelled, as no other VMM's steps are known")
    check_figure(figure)
    found = migrate.downtime(
        registers_given(registers, sve, release, features),
        n_vcpu=vcpus,
        has_sve=sve,
        link=link_given(rate, rtt),
        ioctl_ns=ioctl_cost(ioctl_ns),
        limit_ms=limit_ms,
        trace=trace or (),
        query_migrate=query_migrate,
    )
    with printed_all_the_same(lambda: show(found, as_json=as_json)):
        if figure is not None:
            from fastsmc.reporting.waterfall import picture

            write_asked({figure: drawn(picture(**found.figure_data()), figure)})
