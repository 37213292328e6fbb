"""`fastsmc migrate inspect`: what a file of registers holds."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.migrate.options import show


def inspect(
    file: Annotated[str, typer.Argument(help="The file, or - for standard input; xz is unpacked.")],
    format: Annotated[
        str | None, typer.Option(help="Its format, if the content shall not decide: qemu-stream, analyze-migration, …")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Which feature set of a recorded reglist: psci02+sve.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a file of registers is, what it holds, and its bytes by part.

    Reads QEMU migration streams (version 3), the JSON of analyze-migration.py, Firecracker fingerprints, the text of
    snapshot-editor and of the kernel's get-reg-list, Cloud Hypervisor's state.json, recorded lists and payloads.
    Registers equal on all vCPUs are compared with those that fastsmc declares VM-global (derived).
    """
    from fastsmc import migrate

    show(migrate.inspect(file, format=format, features=features), as_json=as_json)
