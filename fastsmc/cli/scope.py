"""`fastsmc scope`: what register scopes cost when a VM moves."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known, values
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show

EXAMPLES = """
fastsmc scope --release 6.18 --vcpus 64,512
fastsmc scope --vcpus 1..512..x8 --csv
"""


def scope(
    release: Annotated[
        str,
        typer.Option(
            metavar="RELEASE", help="A release, whose register list counts: 5.10 to 7.3.", autocompletion=known.releases
        ),
    ] = "7.3",
    features: Annotated[
        str | None,
        typer.Option(
            metavar="FEATURES",
            help=f"vCPU features of that list: {known.FEATURES_HELP}. [default: psci02]",
            autocompletion=known.features,
        ),
    ] = None,
    n_vcpu: Annotated[
        str, typer.Option("--vcpus", metavar=values.COUNTS, help=f"vCPUs of the VM; {values.HOW}")
    ] = "1,64,512",
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Compare what register scopes cost when a VM moves: ioctls to save and to load, and bytes (modelled).

    VM-global through per-vCPU accessors is KVM today; per vCPU is the bug that was feared; VM-scoped register ids
    are series v4's, for its own table of registers and for larger ones.
    """
    from fastsmc.scopes.compare import scope as compared

    result = compared(release, features=features, n_vcpu=values.counts("--vcpus", n_vcpu))
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
