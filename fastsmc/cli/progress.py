"""A progress line for the commands that take a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fastsmc.checks import escaped
from fastsmc.progress import Progress, silent


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A progress line on stderr when it is a terminal, nothing otherwise: (step, done, total)."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(file=getattr(sys.stderr, "stream", sys.stderr))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(step: str, done: int, total: int) -> None:
            bar.update(task, description=escaped(step), completed=done, total=total)

        yield show
