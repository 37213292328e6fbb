"""`fastsmc dispatch`: what becomes of one's own mix of calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.cli.policies import Bitmap, Deny, Forward, PsciVersion, Release, bitmap_word

EXAMPLES = """
fastsmc dispatch TRNG_RND64=3 PTP PSCI_VERSION --release 6.12 --bitmap STD_BMAP=0
fastsmc dispatch --trace sample:boot.ftrace.txt --deny PTP --forward 0xc5000020-0xc5000021
"""
CallArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CALL",
        autocompletion=known.functions,
        help="Names or ids, perhaps with x1 to x3 and a weight: TRNG_RND64=3, 'PSCI_FEATURES(PSCI_CPU_ON)'.",
    ),
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        autocompletion=known.samples,
        help="A guest's calls, as `fastsmc trace` reads them; - for standard input.",
    ),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        metavar="FEATURES",
        autocompletion=known.features,
        help=f"vCPU features: {known.FEATURES_HELP}.  [default: psci02]",
    ),
]
ConduitOption = Annotated[
    str,
    typer.Option(metavar="CONDUIT", help="How the guest calls: hvc or smc.", autocompletion=known.one_of("hvc", "smc")),
]


def dispatch(
    calls: CallArguments = None,
    trace: TraceOption = None,
    release: Release = "7.3",
    features: FeaturesOption = None,
    bitmap: Bitmap = None,
    psci_version: PsciVersion = None,
    deny: Deny = None,
    forward: Forward = None,
    conduit: ConduitOption = "hvc",
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell what becomes of calls of one's own choice: answered, to the VMM or denied, by which rule, with what in x0.

    All of it is modelled: by the reference, compared with the tables that large fleets are dispatched by. Each call is
    made on its own in a VM of one vCPU. --fail-if knows answered, to_vmm and refused: 'refused > 5%' is about the share
    of calls, 'refused_functions > 0' about functions.
    """
    from fastsmc.usage import dispatch as decided

    if not calls and trace is None:
        msg = "give CALLs, such as TRNG_RND64=3, or --trace FILE"
        raise typer.BadParameter(msg)
    result = decided(
        calls or [],
        trace=trace,
        release=release,
        features=features,
        bitmaps=dict(map(bitmap_word, bitmap or [])),
        psci_version=psci_version,
        deny=deny or [],
        forward=forward or [],
        conduit=conduit,
    )
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
