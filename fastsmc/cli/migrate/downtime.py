"""`fastsmc migrate downtime`: where the downtime of a migration goes, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known, values
from fastsmc.cli.costs import Force, Profile, costs_given
from fastsmc.cli.migrate.options import (
    Features,
    IoctlNs,
    LimitMs,
    OnlyQemu,
    Rate,
    Registers,
    Release,
    Rtt,
    Sve,
    Vcpus,
    ioctl_cost,
    link_given,
    only_qemu,
    registers_given,
)
from fastsmc.cli.output import Csv, FailIf, Figure, Form, Json, Markdown, Out, Quiet, pictured

EXAMPLES = """
fastsmc migrate downtime --vcpus 512 --release 6.18 --line-rate 25G
fastsmc migrate downtime --vcpus 4 --registers 182 --query-migrate sample:migrated.json
"""


_QueryMigrate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="QMP's answer to query-migrate on the source, or what info migrate or virsh domjobinfo print.",
        autocompletion=known.samples,
    ),
]
_Trace = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="QEMU's log with vmstate_downtime_* events, of either end. May be repeated."),
]


def downtime(
    n_vcpu: Vcpus,
    vmm: OnlyQemu = "qemu",
    n_reg: Registers = None,
    sve: Sve = False,
    release: Release = None,
    features: Features = None,
    gbit_per_s: Rate = "10Gb/s",
    rtt_us: Rtt = "0",
    ioctl_ns: IoctlNs = None,
    profile: Profile = None,
    force: Force = False,
    limit_ms: LimitMs = 300,
    query_migrate: _QueryMigrate = None,
    trace: _Trace = None,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Show where the downtime of a migration goes, step by step, against QEMU's downtime limit (modelled).

    For QEMU on a KVM host, GICv3, precopy. Times of ioctls, pausing and resuming are assumed; a --profile that a probe
    measured has those of registers. What --query-migrate and --trace tell replaces modelled steps and is marked
    measured. Several --vcpus make a table, a row each.
    """
    from fastsmc import migrate

    only_qemu(vmm, "only 'qemu' is modelled, as no other VMM's steps are known")
    counts = values.counts("--vcpus", n_vcpu)
    if len(counts) > 1 and (figure is not None or trace or query_migrate is not None):
        msg = "--figure, --trace and --query-migrate are of one VM: give one number of --vcpus"
        raise typer.BadParameter(msg)
    registers = registers_given(n_reg, sve, release, features)
    link, each, told_by = link_given(gbit_per_s, rtt_us), ioctl_cost(ioctl_ns), costs_given(profile, force)
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    if len(counts) > 1:
        many = migrate.downtime(
            registers, n_vcpu=counts, has_sve=sve, link=link, ioctl_ns=each, profile=told_by, limit_ms=limit_ms
        )
        form.show(many)
        return
    found = migrate.downtime(
        registers,
        n_vcpu=counts[0],
        has_sve=sve,
        link=link,
        ioctl_ns=each,
        profile=told_by,
        limit_ms=limit_ms,
        trace=trace or (),
        query_migrate=query_migrate,
    )

    form.show(found, files=pictured(found.figure, figure))
