"""`fastsmc migrate`: what moving a VM's register state takes."""

from __future__ import annotations

import typer

from fastsmc import cli_migrate_size

migrate = typer.Typer(
    name="migrate",
    help="What moving a VM takes: the size of its stream.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
migrate.command(epilog=cli_migrate_size.EPILOG)(cli_migrate_size.size)
