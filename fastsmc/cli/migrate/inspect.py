"""`fastsmc migrate inspect`: what a file of registers holds."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.output import show


def inspect(
    file: Annotated[str, typer.Argument(help="The file, or - for standard input; xz is unpacked.")],
    format: Annotated[
        str | None, typer.Option(help="Its format, if the content shall not decide: qemu-stream, analyze-migration, …")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Which feature set of a recorded reglist: psci02+sve.")] = None,
    registers: Annotated[
        bool, typer.Option("--registers", help="Show every register: id, name, vCPU 0's value, where others differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every register among it.")] = False,
) -> None:
    """Show what a file of registers is, what it holds, and its bytes by part.

    Reads QEMU migration streams (version 3), the JSON of analyze-migration.py, Firecracker fingerprints, the text of
    snapshot-editor and of the kernel's get-reg-list, Cloud Hypervisor's state.json, recorded lists and payloads. Also
    what people paste: templates of Firecracker, get-reg-list's report, QEMU's log, debugfs idregs, QMP's CPU models.
    Registers equal on all vCPUs are compared with those that fastsmc declares VM-global (derived).
    """
    from fastsmc import migrate
    from fastsmc.migrate.read.result import RegisterFile

    found = migrate.inspect(file, format=format, features=features)
    show(found, as_json=as_json)
    if registers and not as_json and isinstance(found, RegisterFile):
        print(found.listed())
