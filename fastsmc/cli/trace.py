"""`fastsmc trace`: which services a real guest called, as a tracer saw it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: trace-cmd report | fastsmc trace /dev/stdin"


def trace(
    file: Annotated[Path, typer.Argument(help="Text of kvm:kvm_hvc_arm64: trace-cmd report, perf script or ftrace.")],
    lenient: Annotated[bool, typer.Option(help="Count lines that are not understood instead of stopping.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which services a real guest called, and how often (recorded)."""
    from fastsmc.traces.text import trace as read

    result = read(file, lenient=lenient)
    print(json.dumps(result.as_dict(), indent=1) if as_json else result)
