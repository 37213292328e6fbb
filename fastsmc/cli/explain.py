"""`fastsmc explain`: everything known about function ids and register ids."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc explain 0xC6000001 STD_BMAP --release 6.12
fastsmc explain PSCI_CPU_ON "fw reg 3" --json
"""


def explain(
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID",
            help="Function or register ids: 0x86000001, PSCI_CPU_ON, STD_BMAP.",
            autocompletion=known.ids,
        ),
    ],
    release: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="Say also what this release does, beside the newest: 5.10 to 7.3.",
            autocompletion=known.releases,
        ),
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell everything known about function ids and register ids.

    A number of 32 bits is a function id, a longer one a register id. Names are those of fastsmc, Linux or firmware;
    registers may be written as C, the Arm manual and QEMU write them: "ARM64_SYS_REG(3, 0, 10, 2, 2)", S3_0_C10_C2_2,
    "fw reg 3".
    "default" is what a VM gets that nobody configured: vCPU feature PSCI_0_2, no filter, no capability. "with EL2" and
    "protected" are the same of a guest that has EL2 itself, and of a protected VM; TSC is HCR_EL2.TSC of that guest.
    """
    from fastsmc.explanation import explain as explained

    result = explained(ids, release=release)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
