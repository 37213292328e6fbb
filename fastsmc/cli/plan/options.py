"""What the commands of `fastsmc plan` share: how a plan is printed, and the exit code it ends with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fastsmc.plan.result import Plan


def show(plan: Plan, *, as_json: bool, tables: Sequence[str] = ()) -> None:
    """Prints a plan and ends with its exit code.

    Args:
        tables: further tables of the plan that its text has, those without a row left out.
    """
    print(json.dumps(plan.as_dict(), indent=1, allow_nan=False) if as_json else plan)
    for table in () if as_json else (plan.table, *(plan.tables[name] for name in tables)):
        if table.n_row:
            print(f"\n{table}")
    if plan.exit_code:
        raise typer.Exit(plan.exit_code)
