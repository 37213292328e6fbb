"""`fastsmc plan`: questions about fleets and shapes; each command is a function of `fastsmc.plan`."""

from __future__ import annotations

import typer

from fastsmc.cli.grammar import Group, add
from fastsmc.cli.plan import baseline, evacuate, filter_cost, largest_shape, migration_table, problems, upgrade

EXAMPLES = """
fastsmc plan problems --hosts sample:hosts.csv --vms sample:vms.csv
fastsmc plan evacuate --hosts sample:hosts.csv --vms sample:vms.csv --drain h1 --within 30min
"""

app = typer.Typer(
    name="plan",
    cls=Group,
    help="Answer a planner's question: one sentence, a table, and what it rests on.\n\n"
    "Exit code 4: what was asked for cannot be had; 5: what is unknown decides.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def plan() -> None:
    """Options of every command."""


add(app, problems.problems, examples=problems.EXAMPLES)
add(app, upgrade.upgrade, examples=upgrade.EXAMPLES)
add(app, evacuate.evacuate, examples=evacuate.EXAMPLES)
add(app, baseline.baseline, examples=baseline.EXAMPLES)
add(app, filter_cost.filter_cost, examples=filter_cost.EXAMPLES)
add(app, largest_shape.largest_shape, examples=largest_shape.EXAMPLES)
add(app, migration_table.migration_table, examples=migration_table.EXAMPLES)
