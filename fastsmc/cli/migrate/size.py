"""`fastsmc migrate size`: how large a VMM's migration stream will be."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known, values
from fastsmc.cli.migrate.options import (
    Features,
    OnlyQemu,
    Registers,
    Release,
    Sve,
    Vcpus,
    only_qemu,
    registers_given,
)
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc migrate size --vcpus 64,512 --release 6.18 --features psci02+pmu
fastsmc migrate size --vcpus 4 --registers 182
"""


_Version = Annotated[
    str | None,
    typer.Option(
        "--qemu",
        metavar="VERSION",
        help="Version of QEMU: 7.2 or 10.0. [default: --machine's, or 7.2]",
        autocompletion=known.one_of("7.2", "10.0"),
    ),
]
_Machine = Annotated[
    str,
    typer.Option(metavar="MACHINE", help="As QEMU's -M: virt,virtualization=on,its=off; virt-10.0 is --qemu 10.0."),
]
_Gic = Annotated[
    int | None,
    typer.Option(
        metavar="VERSION",
        help="Version of the interrupt controller, 2 or 3. [default: 3]",
        autocompletion=known.one_of("2", "3"),
    ),
]
_Nodefaults = Annotated[
    bool, typer.Option("--nodefaults/--defaults", help="With -nodefaults, or with QEMU's default network card.")
]
_Accel = Annotated[
    str | None,
    typer.Option(
        metavar="ACCEL",
        help="tcg or kvm. [default: tcg with --registers, kvm with --release]",
        autocompletion=known.one_of("tcg", "kvm"),
    ),
]
_CpuMax = Annotated[
    bool, typer.Option("--cpu-max", help="TCG's -cpu max, not a named CPU: QEMU 10.0 sends more for it.")
]
_SuppressVmdesc = Annotated[
    bool, typer.Option("--suppress-vmdesc", help="Without the description: -M ...,suppress-vmdesc=on.")
]


def size(
    n_vcpu: Vcpus,
    vmm: OnlyQemu = "qemu",
    n_reg: Registers = None,
    sve: Sve = False,
    release: Release = None,
    features: Features = None,
    version: _Version = None,
    machine: _Machine = "virt",
    gic: _Gic = None,
    nodefaults: _Nodefaults = True,
    accel: _Accel = None,
    cpu_max: _CpuMax = False,
    za: Annotated[bool, typer.Option("--za", help="SME's ZA is in use on every vCPU (TCG only).")] = False,
    suppress_vmdesc: _SuppressVmdesc = False,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Predict the size of a migration stream's device state, section by section (modelled).

    For QEMU 7.2 and 10.0, machine virt, stopped before its first instruction. RAM is not counted. Later on, as far as
    is known, only SME's ZA (--za), a pending SError and the state of a network card change the size. JSON is one
    object, or a list for several --vcpus.
    """
    from fastsmc import migrate

    only_qemu(vmm, "only 'qemu' can be predicted, as no other VMM's stream is known to the byte")
    found = registers_given(n_reg, sve, release, features)
    accel = accel or ("kvm" if release else "tcg")
    guest = migrate.QemuMachine.of(
        machine, gic=gic, version=version, nodefaults=nodefaults, accel=accel, za=za, cpu_max=cpu_max
    )
    counts = values.counts("--vcpus", n_vcpu)
    sizes = migrate.size(found, n_vcpu=counts, has_sve=sve, machine=guest, suppress_vmdesc=suppress_vmdesc)
    show(sizes, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
