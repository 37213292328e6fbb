"""`fastsmc migrate add-registers`: what n more firmware registers change, and whether a map of globals is worth it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.checks import whole_numbers
from fastsmc.cli.migrate.options import (
    check_figure,
    drawn,
    ioctl_cost,
    link_given,
    registers_of,
)
from fastsmc.cli.output import show, write_asked
from fastsmc.cli.printing import printed_all_the_same


def add_registers(
    count: Annotated[int, typer.Argument(help="How many firmware registers are added.")],
    vcpus: Annotated[str, typer.Option(help="vCPUs of the VM, several joined by commas.")] = "8,64,192,512",
    release: Annotated[
        str, typer.Option(help="A release, whose register list is the base: recorded or inferred.")
    ] = "7.3",
    features: Annotated[
        str, typer.Option(help="vCPU features of that list, joined by +: pmu+sve; none is without PSCI 0.2 too.")
    ] = "psci02",
    size: Annotated[int, typer.Option(help="Bits of a new register: 32, 64 or 128.")] = 64,
    family: Annotated[str, typer.Option(help="bitmap, or fw for a single value such as PSCI_VERSION.")] = "bitmap",
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network: 10Gb/s, 25G, 128MiB/s.")] = "10Gb/s",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    limit_ms: Annotated[float, typer.Option(help="QEMU's downtime-limit.")] = 300,
    share: Annotated[float, typer.Option(help="Percent of the limit from which on a saving counts.")] = 10,
    figure: Annotated[Path | None, typer.Option(help="Draw the break-even surface there, as .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what n more firmware registers change when a VM moves (modelled), VMM by VMM.

    The table has the bytes of the register arrays, and the ioctls and ms of both ends. Below it stand the limits that
    are crossed, the migration directions that break, what a map of VM-global registers would save, and whether what was
    said of such a map in 2022 holds.
    """
    from fastsmc import migrate

    check_figure(figure)
    found = migrate.add_registers(
        registers_of(release, features),
        n_new=count,
        n_vcpu=whole_numbers("--vcpus", vcpus),
        link=link_given(rate, rtt),
        size_bits=size,
        family=family,
        ioctl_ns=ioctl_cost(ioctl_ns),
        limit_ms=limit_ms,
        share_percent=share,
    )
    with printed_all_the_same(lambda: show(found, as_json=as_json)):
        if figure is not None:
            from fastsmc.reporting.break_even import picture

            write_asked({figure: drawn(picture(**found.figure_data()), figure)})
