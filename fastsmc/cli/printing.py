"""What a command found is printed, whatever becomes of the files it was to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastsmc.errors import FastsmcError


@contextmanager
def printed_all_the_same(show: Callable[[], None]) -> Iterator[None]:
    """Saves in its block, then shows; where saving fails the result is shown and the command ends as failed.

    In this order, as a reader that has seen enough (| head) ends the command while it prints.
    """
    failed: FastsmcError | None = None
    try:
        yield
    except FastsmcError as error:
        failed = error
    show()
    if failed is not None:
        raise failed
