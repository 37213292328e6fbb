"""What the commands of `fastsmc plan` share: how a plan is printed, and the exit code it ends with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fastsmc.plan.result import Plan


def show(plan: Plan, *, as_json: bool) -> None:
    """Prints a plan and ends with its exit code."""
    print(json.dumps(plan.as_dict(), indent=1, allow_nan=False) if as_json else plan)
    if plan.exit_code:
        raise typer.Exit(plan.exit_code)
