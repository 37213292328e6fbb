"""`fastsmc migrate …`: the commands about register state on the move."""

from __future__ import annotations

import typer

from fastsmc.cli.migrate.add_registers import add_registers
from fastsmc.cli.migrate.check import check
from fastsmc.cli.migrate.diff import diff
from fastsmc.cli.migrate.downtime import downtime
from fastsmc.cli.migrate.inspect import inspect
from fastsmc.cli.migrate.size import size

app = typer.Typer(
    help="Register state on the move: what a file of a real system holds, and what it costs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def migrate() -> None:
    """Options of every command."""


app.command(epilog="Example: fastsmc migrate check 6.18 6.12+pmu --vmm qemu")(check)
app.command(epilog="Example: fastsmc migrate size --vcpus 64,512 --release 6.18 --features psci02+pmu")(size)
app.command(
    epilog="Example: fastsmc migrate downtime --vcpus 512 --release 6.18 --line-rate 25G --query-migrate answer.json"
)(downtime)
app.command(epilog="Example: fastsmc migrate add-registers 1 --release 6.18 --vcpus 8,512 --line-rate 25G")(
    add_registers
)
app.command(epilog="Example: fastsmc migrate inspect vm.migration --json")(inspect)
app.command(epilog="Example: fastsmc migrate diff before.json after.json")(diff)
