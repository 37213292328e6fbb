"""`fastsmc migrate …`: the commands about register state on the move."""

from __future__ import annotations

import typer

from fastsmc.cli.grammar import Group, add
from fastsmc.cli.migrate import add_registers, check, diff, downtime, encode, inspect, size

EXAMPLES = """
fastsmc migrate check 6.12 6.18
fastsmc migrate downtime --vcpus 512 --release 6.18 --line-rate 25G
"""

app = typer.Typer(
    cls=Group,
    help="Register state on the move: what a file of a real system holds, whether it restores, and what it costs.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def migrate() -> None:
    """Options of every command."""


add(app, check.check, examples=check.EXAMPLES)
add(app, size.size, examples=size.EXAMPLES)
add(app, downtime.downtime, examples=downtime.EXAMPLES)
add(app, add_registers.add_registers, examples=add_registers.EXAMPLES)
add(app, inspect.inspect, examples=inspect.EXAMPLES)
add(app, diff.diff, examples=diff.EXAMPLES)
add(app, encode.encode, examples=encode.EXAMPLES)
