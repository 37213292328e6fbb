"""Where the program starts and how it ends: Ctrl-C is exit code 130 and SIGTERM 143, at any moment and without a trace.

A signal during the imports ends the program at once, as there is nothing to clean up. Later it ends as an exception
does, so that what is under way is put away. Should a callback swallow that exception or make another of it, it comes
again after a second, and the exit code stays the signal's. This module imports nothing of the command line before it
watches.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_AGAIN_S = 1.0


def main() -> None:
    """Runs the command line."""
    _open_missing_streams()
    watch = _Watch()
    try:
        from fastsmc.cli.app import main as command

        watch.is_running = True
        command()
    except SystemExit as end:
        watch.end(end.code)
    except BaseException:
        if not watch.noted:
            raise
        watch.end(None)
    watch.end(0)


class _Watch:
    """What signals came, and what is done about the next."""

    def __init__(self) -> None:
        self.noted: list[int] = []
        self.is_running = False
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if not self.is_running:
            os._exit(128 + (self.noted or [number])[0])
        self.noted.append(number)
        sys.unraisablehook = _say_nothing
        self._raise()

    def _again(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_running:
            self._raise()

    def _raise(self) -> NoReturn:
        signal.signal(signal.SIGALRM, self._again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        raise SystemExit(128 + self.noted[0])

    def end(self, code: str | int | None) -> NoReturn:
        """Ends the program; from here on a signal ends it at once, as nothing is under way any more.

        Not by way of Python's own end, which gives signals their default back, and waits for threads and their chunk.
        """
        self.is_running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not self.noted:
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                continue
        os._exit(128 + self.noted[0] if self.noted else _number_of(code))


def _number_of(code: str | int | None) -> int:
    return code if isinstance(code, int) else int(code is not None)


def _say_nothing(_unraisable: object) -> None:
    """In place of "Exception ignored in …", once the program is ending."""


def _open_missing_streams() -> None:
    """Opens what a shell has closed (2>&-), or the next file that is opened would be standard error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:  # or what is printed there would go to standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open to the end, and pathlib is not imported yet
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123 - as above
