"""`fastsmc plan`: questions about fleets and shapes; each command is a function of `fastsmc.plan`."""

from __future__ import annotations

import typer

from fastsmc.cli.plan import evacuate, problems, upgrade
from fastsmc.cli.plan.baseline import baseline
from fastsmc.cli.plan.filter_cost import filter_cost
from fastsmc.cli.plan.largest_shape import largest_shape
from fastsmc.cli.plan.migration_table import migration_table

app = typer.Typer(
    name="plan",
    help="Answer a planner's question: one sentence, a table, and what it rests on.\n\n"
    "Exit code 4: what was asked for cannot be had; 5: what is unknown decides.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def plan() -> None:
    """Options of every command."""


app.command(epilog=problems.EPILOG)(problems.problems)
app.command(epilog=upgrade.EPILOG)(upgrade.upgrade)
app.command(epilog=evacuate.EPILOG)(evacuate.evacuate)
app.command(epilog="Example: fastsmc plan baseline --hosts hosts.csv --vms vms.csv --pool rack-7")(baseline)
app.command("filter-cost", epilog="Example: fastsmc plan filter-cost --ranges 0,1,10,100 --profile neoverse-n1")(
    filter_cost
)
app.command(
    "largest-shape",
    epilog="Example: fastsmc plan largest-shape --registers 6.18+pmu,7.3 --line-rate 10G,25G --downtime-ms 300",
)(largest_shape)
app.command(
    "migration-table",
    epilog="Example: fastsmc plan migration-table --registers 6.18 --vcpus 64 --memory-gib 64 --dirty-mib-per-s 200",
)(migration_table)
