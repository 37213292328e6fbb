"""`fastsmc explain`: everything known about function ids and register ids."""

from __future__ import annotations

import json
from typing import Annotated

import typer

EPILOG = "Example: fastsmc explain 0xC6000001 PTP STD_BMAP --release 6.12"


def explain(
    ids: Annotated[list[str], typer.Argument(help="Function or register ids: 0x86000001, PSCI_CPU_ON, STD_BMAP.")],
    release: Annotated[str | None, typer.Option(help="Say also what this release does, beside the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list as JSON.")] = False,
) -> None:
    """Tell everything known about function ids and register ids.

    A number of 32 bits is a function id, a longer one a register id. Names are those of fastsmc, Linux or firmware;
    registers may be written as C, the Arm manual and QEMU write them: "ARM64_SYS_REG(3, 0, 10, 2, 2)", S3_0_C10_C2_2,
    "fw reg 3".
    "default" is what a VM gets that nobody configured: vCPU feature PSCI_0_2, no filter, no capability.
    """
    from fastsmc.explanation import explain as explained

    result = explained(ids, release=release)
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)
