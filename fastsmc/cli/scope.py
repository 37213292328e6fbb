"""`fastsmc scope`: what register scopes cost when a VM moves."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fastsmc.checks import whole_numbers


def scope(
    release: Annotated[str, typer.Option(help="A release, whose register list counts.")] = "7.3",
    features: Annotated[
        str | None, typer.Option(help="vCPU features of that list, joined by +; or none. [default: psci02]")
    ] = None,
    vcpus: Annotated[str, typer.Option(help="vCPUs of the VM, several joined by commas.")] = "1,64,512",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare what register scopes cost when a VM moves (modelled): ioctls to save and to load, and bytes.

    VM-global through per-vCPU accessors is KVM today; per vCPU is the bug that was feared; VM-scoped register ids
    are series v4's, for its own table of registers and for larger ones.
    """
    from fastsmc.scopes.compare import scope as compared

    result = compared(release, features=features, n_vcpu=whole_numbers("--vcpus", vcpus))
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)
