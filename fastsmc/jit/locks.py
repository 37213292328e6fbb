"""A lock that a forked child finds open: the thread that held it in the parent does not exist in the child."""

from __future__ import annotations

import os
import threading

_generation = 0
"""How many forks lie between this process and the one that imported this file first."""


def _forked() -> None:
    global _generation
    _generation += 1


os.register_at_fork(after_in_child=_forked)


class ForkedOpen:
    """A lock for `with`, which one thread holds at a time and may take again; copies and pickles are new locks."""

    def __init__(self) -> None:
        self._generation, self._lock = _generation, threading.RLock()

    def __enter__(self) -> None:
        if self._generation != _generation:
            self._generation, self._lock = _generation, threading.RLock()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[ForkedOpen], tuple[()]]:
        return ForkedOpen, ()
