"""`fastsmc migrate inspect`: what a file of registers holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc migrate inspect sample:vm6.12.bin.xz
fastsmc migrate inspect sample:vm6.12.bin.xz --registers
"""


_File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="The file, or - for standard input; packed files are unpacked.",
        autocompletion=known.samples,
    ),
]
_Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="Its format, if the content shall not decide: qemu-stream, analyze-migration, "
        "firecracker-fingerprint, snapshot-editor, get-reg-list, cloud-hypervisor, recorded-reglist, "
        "recorded-payload, get-reg-list-report, "
        "debugfs-idregs, firecracker-template, qmp-cpu-model, qemu-log or vmm-log.",
        autocompletion=known.formats,
    ),
]
_Features = Annotated[
    str | None,
    typer.Option(
        metavar="FEATURES",
        help="Which feature set of a recorded reglist: psci02+sve.",
        autocompletion=known.features,
    ),
]
_Registers = Annotated[
    bool, typer.Option("--registers", help="Show every register: id, name, vCPU 0's value, where others differ.")
]


def inspect(
    file: _File,
    format: _Format = None,
    features: _Features = None,
    registers: _Registers = False,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
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
    is_text = not (as_json or csv or markdown or quiet)
    listing = found.listed() if registers and is_text and isinstance(found, RegisterFile) else ""
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if, more=listing)
