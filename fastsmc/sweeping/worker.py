"""A worker process on this machine: cells in, outcomes out, and gone as soon as whoever started it is.

A message is a design's parts as JSON, then a list of cells whose kernels are to be compiled, then lists of cells to
compute; an answer is a cell's number, whether it is done, and its content. An empty answer says that the worker is
ready.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue

from fastsmc.sweeping.record import Outcome

HEAD = struct.Struct("<q?")
_PR_SET_PDEATHSIG = 1
"""Source: include/uapi/linux/prctl.h."""


def main(connected: int, parent: int) -> None:
    """Works on what comes over a socket until it is closed.

    Args:
        connected: file descriptor of the socket. parent: process that has its other end.
    """
    _end_with(parent)
    connection = Connection(connected)
    asked: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, asked), daemon=True).start()
    from fastsmc.sweeping.cell import prepared  # Numba takes a second, and the watch should begin before it

    ready = prepared(tuple(json.loads(asked.get()).items()))
    for cell in json.loads(asked.get()):
        ready.warm_up(cell)
    connection.send_bytes(b"")
    while True:
        for cell in json.loads(asked.get()):
            connection.send_bytes(as_bytes(ready.outcome(cell)))


def as_bytes(outcome: Outcome) -> bytes:
    """An outcome as a message."""
    return HEAD.pack(outcome.cell, outcome.is_done) + outcome.content


def outcome_of(message: bytes) -> Outcome:
    """Undoes `as_bytes`."""
    cell, is_done = HEAD.unpack_from(message)
    return Outcome(cell, is_done, message[HEAD.size :])


def _listen(connection: Connection, asked: SimpleQueue[bytes]) -> None:
    try:
        while True:
            asked.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def _end_with(parent: int) -> None:
    """Asks the kernel to end this process with the one that started it; the closed socket says the same, but may have
    to wait for a thread of LLVM's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
