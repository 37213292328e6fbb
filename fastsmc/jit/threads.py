"""A batch cut into parts that threads take in turn, the caller's own thread among them.

Threads that find nothing left end at once, so a core that is busy with something else delays a batch by one part at
most. The threads are kept for the next batch.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fastsmc.errors import InputError
from fastsmc.jit.locks import ForkedOpen

P = TypeVar("P")
T = TypeVar("T")

PART = 1 << 18
"""Calls in a part: 0.1 ms of work or more, which is some 10 times what handing a part over costs."""
LARGE_PART = 1 << 20
"""Calls in a part of a big batch."""
MANY = 1 << 24
"""From so many calls on a batch is cut into large parts."""
SMALL = 1 << 22
"""Batches of fewer calls stay on the caller's thread."""

_pool: ThreadPoolExecutor | None = None
_starting = ForkedOpen()


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_pool)


def _kept_pool() -> ThreadPoolExecutor:
    """The pool of this process, which all its threads share."""
    global _pool
    with _starting:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(n_core() - 1, 1), thread_name_prefix="fastsmc")
        return _pool


def _handed_out(work: Callable[[], T], n_helper: int) -> list[Future[T]]:
    """Work handed to threads of the pool; none, where the interpreter is ending and starts no more."""
    with contextlib.suppress(RuntimeError):
        return [_kept_pool().submit(work) for _ in range(n_helper)]
    return []


def n_core() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # a system without it
        return os.cpu_count() or 1


def thread_count(threads: int | None, n_call: int) -> int:
    """How many threads a batch gets: as many as asked for, or every core for a big one; never more than parts.

    Raises:
        InputError: fewer than one thread.
    """
    if threads is None:
        return 1 if n_call < SMALL else min(n_core(), n_call // PART)
    asked: object = threads
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        msg = f"threads is {threads!r}: it must be a whole number from 1 up, or None for every core"
        raise InputError(msg)
    return max(min(threads, n_call // PART), 1)


def in_parts(work: Callable[[Iterator[slice]], T], n_call: int, n_thread: int) -> list[T]:
    """What `work` returns on each thread that had time for it; together they are given every part of 0..n_call once.

    Args:
        work: called once per thread with the parts that thread is to do, taken as it gets to them.
    """
    size = LARGE_PART if n_call >= MANY else PART
    return share(work, [slice(first, min(first + size, n_call)) for first in range(0, n_call, size)], n_thread)


def share(work: Callable[[Iterator[P]], T], parts: Iterable[P], n_thread: int) -> list[T]:
    """What `work` returns on each thread that had time for it, the caller's own first; each part is given out once.

    Args:
        work: called once per thread with the parts that thread is to do, taken as it gets to them.
    """
    left = deque(parts)

    def taken() -> Iterator[P]:
        while True:
            try:
                yield left.popleft()
            except IndexError:
                return

    if n_thread == 1 or len(left) < 2:
        return [work(taken())]
    helpers = _handed_out(lambda: work(taken()), n_thread - 1)
    try:
        own = work(taken())
    finally:
        left.clear()
        results = [helper.result() for helper in helpers if not helper.cancel()]
    return [own, *results]
