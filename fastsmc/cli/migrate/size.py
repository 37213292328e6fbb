"""`fastsmc migrate size`: how large a VMM's migration stream will be."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.cli.migrate.options import registers_given, whole_numbers
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.migrate.qemu.machine import QemuMachine
    from fastsmc.migrate.qemu.size import StreamSize

EPILOG = "Example: fastsmc migrate size --vcpus 64,512 --release 6.18 --features psci02+pmu"

KIND = {
    "tcg": "modelled; checked against QEMU {}: every section and the description to the byte",
    "kvm": "modelled; derived from what QEMU {} sends under TCG, not compared with a stream of a KVM host",
}
CHECKED = {"7.2": "7.2.22", "10.0": "10.0.2"}
LEFT_OUT = "RAM: a page of zeros takes 9 bytes, any other 4104"


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
    from fastsmc.migrate.qemu.size import qemu_stream_size

    if vmm != "qemu":
        msg = f"--vmm {vmm!r}: only 'qemu' can be predicted, as no other VMM's stream is known to the byte"
        raise InputError(msg)
    n_reg, has_sve, of_what = _registers(registers, sve, release, features)
    accel = accel or ("kvm" if release else "tcg")
    guest = _machine(machine, gic, qemu, nodefaults=nodefaults, accel=accel, za=za, cpu_max=cpu_max)
    sizes = [
        qemu_stream_size(n, n_reg, has_sve=has_sve, machine=guest, suppress_vmdesc=suppress_vmdesc)
        for n in whole_numbers("--vcpus", vcpus)
    ]
    if as_json:
        told = list(map(_as_json, sizes))
        print(json.dumps(told[0] if len(told) == 1 else told, indent=1))
    else:
        print(f"QEMU {guest.version}, {of_what} ({_kind(guest)})")
        _print_text(sizes)


def _registers(n_reg: int | None, sve: bool, release: str | None, features: str | None) -> tuple[int, bool, str]:
    """(registers, SVE, what they are) from a number or from a release."""
    found, has_sve = registers_given(n_reg, sve, release, features)
    if isinstance(found, int):
        return found, has_sve, f"{found} registers per vCPU{', SVE' * has_sve}"
    return found.qemu_cpregs, has_sve, f"{found.name}: {found.qemu_cpregs} registers carried per vCPU"


def _kind(machine: QemuMachine) -> str:
    return KIND[machine.accel].format(CHECKED[machine.version])


def _machine(text: str, gic: int | None, version: str | None, **more: Any) -> QemuMachine:
    """The machine of --machine, of --gic and --qemu, which may say the same once more, and of other options."""
    from fastsmc.migrate.qemu.machine import QemuMachine, parse_machine

    options: dict[str, Any] = parse_machine(text)
    for option, name, value in (("--gic", "gic", gic), ("--qemu", "version", version)):
        if value is not None and options.setdefault(name, value) != value:
            msg = f"{option} {value} contradicts --machine {text!r}"
            raise InputError(msg)
    return QemuMachine(**options, **more)


def _as_json(size: StreamSize) -> dict[str, Any]:
    return {
        "format": "qemu",
        "kind": _kind(size.machine),
        "command_line": size.machine.command_line(size.n_vcpu, sve=size.has_sve),
        "hypothetical": size.is_hypothetical,
        "vcpus": size.n_vcpu,
        "registers_per_vcpu": size.n_reg,
        "sve": size.has_sve,
        "parts": list(map(asdict, size.parts)),
        "description_bytes": size.description_bytes,
        "description": [] if size.suppress_vmdesc else list(map(asdict, size.description)),
        "other": [{"name": name, "bytes": count} for name, count in size.other],
        "total_bytes": size.total_bytes,
        "suppress_vmdesc_saves": size.suppress_vmdesc_saves,
        "left_out": LEFT_OUT,
    }


def _print_text(sizes: list[StreamSize]) -> None:
    """Sections of one stream, or a line for each of several."""
    if len(sizes) == 1:
        _print_sections(sizes[0])
    else:
        _print_table(sizes)
    if any(one.is_hypothetical for one in sizes):
        print("* hypothetical: QEMU's virt and arm64 KVM stop at 512 vCPUs per VM")
    print(f"left out: {LEFT_OUT}")


def _print_sections(size: StreamSize) -> None:
    """One line per device, in the order of the stream; instances of a name together."""
    print(f"command line: {size.machine.command_line(size.n_vcpu, sve=size.has_sve)}")
    rows: dict[str, list[int]] = {}
    for part in size.parts:
        row = rows.setdefault(part.name, [0, 0])
        row[0] += 1
        row[1] += part.bytes
    described = {} if size.suppress_vmdesc else {row.name: row.bytes for row in size.description}
    print(f"{'section':24} {'count':>6} {'each':>8} {'bytes':>11} {'description':>11}")
    for name, (count, total) in rows.items():
        print(f"{name:24} {count:6d} {total // count:8d} {total:11d} {described.get(name, 0):11d}")
    other = sum(count for _, count in size.other)
    print(f"{'other':24} {'':6} {'':8} {other:11d} {described.get('frame', 0):11d}")
    print(f"{'sum':24} {'':6} {'':8} {size.device_bytes + other:11d} {size.description_bytes:11d}")
    mark = "*" if size.is_hypothetical else ""
    print(f"total {size.total_bytes} B{mark}; {_saved(size)}")


def _saved(size: StreamSize) -> str:
    saved = size.suppress_vmdesc_saves
    before = size.total_bytes + (saved if size.suppress_vmdesc else 0)
    verb = "has saved" if size.suppress_vmdesc else "would save"
    return f"suppress-vmdesc {verb} {saved} B, {saved / before:.1%}"


def _print_table(sizes: list[StreamSize]) -> None:
    """One line per number of vCPUs."""
    print(f"command line: {sizes[0].machine.command_line('<vCPUs>', sve=sizes[0].has_sve)}")
    titles = ("cpu", "GIC", "other dev.", "description", "other", "total")
    print(f"{'vCPUs':>7} " + " ".join(f"{title:>11}" for title in titles) + "  suppress-vmdesc")
    for size in sizes:
        cpu = sum(part.bytes for part in size.parts if part.name == "cpu")
        gic = sum(part.bytes for part in size.parts if part.name in ("arm_gic", "arm_gicv3", "arm_gicv3_its"))
        other = sum(count for _, count in size.other)
        counts = (cpu, gic, size.device_bytes - cpu - gic, size.description_bytes, other, size.total_bytes)
        mark = "*" if size.is_hypothetical else " "
        saved = _saved(size).removeprefix("suppress-vmdesc ")
        print(f"{size.n_vcpu:6d}{mark} " + " ".join(f"{count:11d}" for count in counts) + f"  {saved}")
