"""`fastsmc trace`: which services a real guest called, as a tracer saw it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: trace-cmd report | fastsmc trace -"


def trace(
    file: Annotated[
        Path,
        typer.Argument(
            help="Text of kvm:kvm_hvc_arm64 from ftrace, trace-cmd report, perf script, perf trace, Perfetto, "
            "Babeltrace, bpftrace or a hist trigger; plain, .gz, .xz, .bz2 or .zst; - for standard input."
        ),
    ],
    lenient: Annotated[bool, typer.Option(help="Count lines that are not understood instead of stopping.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which services a real guest called, how often, and by which vCPU (recorded).

    The columns are those of perf kvm stat, for calls: how many, their part of all, how many a second, and how many by
    each vCPU's thread. SMCs are counted where kvm_exit was recorded; their function ids are not in any trace.
    """
    from fastsmc.traces.text import trace as read

    result = read(file, lenient=lenient)
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)
