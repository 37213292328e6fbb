"""`fastsmc services`: what a guest used, the least that answers it, and what a policy would take away."""

from __future__ import annotations

from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.cli.policies import Bitmap, Deny, Forward, PsciVersion, Release, bitmap_word
from fastsmc.cli.trace import El2, Lenient, TraceFile

EXAMPLES = """
fastsmc services sample:boot.ftrace.txt
fastsmc services sample:boot.ftrace.txt --release 6.12 --bitmap STD_BMAP=0 --deny PTP
"""


def services(
    file: TraceFile,
    release: Release = "7.3",
    bitmap: Bitmap = None,
    psci_version: PsciVersion = None,
    deny: Deny = None,
    forward: Forward = None,
    lenient: Lenient = False,
    el2: El2 = False,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell which services, bits and functions a guest used, and the least policy that answers all of it.

    The calls are recorded, the verdicts modelled. Under the least bitmaps and filter every call was dispatched again,
    and not one verdict changes. With a policy: which calls it changes, and what a Linux guest would lack.
    With --el2 what the guest needs is not known (exit code 5): bitmaps and filter hold for its SMCs, and no trace has
    those.
    """
    from fastsmc.usage import services as asked

    result = asked(
        file,
        release=release,
        bitmaps=dict(map(bitmap_word, bitmap or [])),
        psci_version=psci_version,
        deny=deny or [],
        forward=forward or [],
        lenient=lenient,
        el2=el2,
    )
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
