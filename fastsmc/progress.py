"""How a caller is told how far a long piece of work is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, how much there is in all)."""


def silent(what: str, done: int, total: int) -> None:
    """The progress that nobody asked for: nothing is shown."""
