"""`fastsmc trace`: which services a real guest called, as a tracer saw it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Figure, Json, Markdown, Out, Quiet, pictured, show

EXAMPLES = """
fastsmc trace sample:boot.ftrace.txt
fastsmc trace sample:boot.ftrace.txt --quiet --figure calls.svg
"""
TraceFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        autocompletion=known.samples,
        help="Text of kvm:kvm_hvc_arm64 from ftrace, trace-cmd report, perf script, perf trace, Perfetto, "
        "Babeltrace, bpftrace or a hist trigger; plain, .gz, .xz, .bz2 or .zst; - for standard input.",
    ),
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Count lines that are not understood instead of stopping at one.")
]
El2 = Annotated[
    bool,
    typer.Option(
        "--el2",
        help="The guest has EL2: KVM answered none of its HVCs but passed them on to the guest's own EL2 (vEL2). "
        "Nothing in a line tells, so this holds for all of FILE.",
    ),
]


def trace(
    file: TraceFile,
    lenient: Lenient = False,
    el2: El2 = False,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Show which services a real guest called, how often, and by which vCPU (recorded).

    The columns are those of perf kvm stat, for calls: how many, their part of all, how many a second, and how many by
    each vCPU's thread. SMCs are counted where kvm_exit was recorded; their function ids are not in any trace.

    Of a guest with EL2, KVM answers SMCs, and HVCs go to its own EL2: such a guest's kvm_hvc_arm64 says nothing of what
    KVM answers. Record kvm_exit besides, which counts SMCs (SMC64), or count function ids where KVM has them, at
    kvm_smccc_call_handler: the note that --el2 prints has the command of bpftrace.
    """
    from fastsmc.traces.text import trace as read

    result = read(file, lenient=lenient, el2=el2)
    files = pictured(result.figure, figure)
    show(result, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if, files=files)
