"""`fastsmc migrate add-registers`: what n more firmware registers change, and whether a map of globals is worth it."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known, values
from fastsmc.cli.migrate.options import (
    IoctlNs,
    LimitMs,
    NewestRelease,
    Rate,
    Rtt,
    Vcpus,
    ioctl_cost,
    link_given,
    registers_of,
)
from fastsmc.cli.output import Csv, FailIf, Figure, Form, Json, Markdown, Out, Quiet, pictured

EXAMPLES = """
fastsmc migrate add-registers 1 --release 6.18 --vcpus 8,512 --line-rate 25G
fastsmc migrate add-registers 1024 --vcpus 512 --fail-if 'bytes_added > 4MiB'
  more than 4 MiB are added: exit code 4
"""


_Features = Annotated[
    str,
    typer.Option(
        metavar="FEATURES",
        help=f"vCPU features of that list: {known.FEATURES_HELP}.",
        autocompletion=known.features,
    ),
]
_SizeBits = Annotated[
    int,
    typer.Option(
        "--size",
        metavar="BITS",
        help="Bits of a new register: 32, 64 or 128.",
        autocompletion=known.one_of("32", "64", "128"),
    ),
]
_Family = Annotated[
    str,
    typer.Option(
        metavar="FAMILY",
        help="bitmap, or fw for a single value such as PSCI_VERSION.",
        autocompletion=known.one_of("bitmap", "fw"),
    ),
]
_SharePercent = Annotated[
    float, typer.Option("--share", metavar="PERCENT", help="Percent of the limit from which on a saving counts.")
]


def add_registers(
    n_new: Annotated[int, typer.Argument(metavar="COUNT", help="How many firmware registers are added.")],
    n_vcpu: Vcpus = "8,64,192,512",
    release: NewestRelease = "7.3",
    features: _Features = "psci02",
    size_bits: _SizeBits = 64,
    family: _Family = "bitmap",
    gbit_per_s: Rate = "10Gb/s",
    rtt_us: Rtt = "0",
    ioctl_ns: IoctlNs = None,
    limit_ms: LimitMs = 300,
    share_percent: _SharePercent = 10,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell what more firmware registers change when a VM moves, VMM by VMM (modelled).

    The table has the bytes of the register arrays, and the ioctls and ms of both ends. Below it stand the limits that
    are crossed, the migration directions that break, what a map of VM-global registers would save, and whether what was
    said of such a map in 2022 holds.
    """
    from fastsmc import migrate

    found = migrate.add_registers(
        registers_of(release, features),
        n_new=n_new,
        n_vcpu=values.counts("--vcpus", n_vcpu),
        link=link_given(gbit_per_s, rtt_us),
        size_bits=size_bits,
        family=family,
        ioctl_ns=ioctl_cost(ioctl_ns),
        limit_ms=limit_ms,
        share_percent=share_percent,
    )

    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))
