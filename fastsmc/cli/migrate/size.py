"""`fastsmc migrate size`: how large a VMM's migration stream will be."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.checks import whole_numbers
from fastsmc.cli.migrate.options import only_qemu, registers_given
from fastsmc.cli.output import show


def size(
    vcpus: Annotated[str, typer.Option(help="vCPUs of the VM; several joined by commas make a table.")],
    vmm: Annotated[str, typer.Option(help="Whose stream: qemu.")] = "qemu",
    registers: Annotated[int | None, typer.Option(help="Registers in QEMU's cpreg array, per vCPU.")] = None,
    sve: Annotated[bool, typer.Option("--sve", help="With --registers: the vCPUs have SVE.")] = False,
    release: Annotated[str | None, typer.Option(help="A recorded release, whose register list counts.")] = None,
    features: Annotated[
        str | None, typer.Option(help="With --release: vCPU features, joined by +; or none. [default: psci02]")
    ] = None,
    qemu: Annotated[
        str | None, typer.Option(help="Version of QEMU: 7.2 or 10.0. [default: --machine's, or 7.2]")
    ] = None,
    machine: Annotated[
        str, typer.Option(help="As QEMU's -M: virt,virtualization=on,its=off; virt-10.0 is --qemu 10.0.")
    ] = "virt",
    gic: Annotated[int | None, typer.Option(help="Version of the interrupt controller, 2 or 3. [default: 3]")] = None,
    nodefaults: Annotated[
        bool, typer.Option("--nodefaults/--defaults", help="With -nodefaults, or with QEMU's default network card.")
    ] = True,
    accel: Annotated[
        str | None, typer.Option(help="tcg or kvm. [default: tcg with --registers, kvm with --release]")
    ] = None,
    cpu_max: Annotated[
        bool, typer.Option("--cpu-max", help="TCG's -cpu max, not a named CPU: QEMU 10.0 sends more for it.")
    ] = False,
    za: Annotated[bool, typer.Option("--za", help="SME's ZA is in use on every vCPU (TCG only).")] = False,
    suppress_vmdesc: Annotated[
        bool, typer.Option("--suppress-vmdesc", help="Without the description: -M ...,suppress-vmdesc=on.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one object, or a list for several --vcpus.")
    ] = False,
) -> None:
    """Predict the size of a migration stream's device state, section by section (modelled).

    For QEMU 7.2 and 10.0, machine virt, stopped before its first instruction. RAM is not counted. Later on, as far as
    is known, only SME's ZA (--za), a pending SError and the state of a network card change the size.
    """
    from fastsmc import migrate

    only_qemu(vmm, "only 'qemu' can be predicted, as no other VMM's stream is known to the byte")
    found = registers_given(registers, sve, release, features)
    accel = accel or ("kvm" if release else "tcg")
    guest = migrate.QemuMachine.of(
        machine, gic=gic, version=qemu, nodefaults=nodefaults, accel=accel, za=za, cpu_max=cpu_max
    )
    counts = whole_numbers("--vcpus", vcpus)
    sizes = migrate.size(found, n_vcpu=counts, has_sve=sve, machine=guest, suppress_vmdesc=suppress_vmdesc)
    show(sizes, as_json=as_json)
