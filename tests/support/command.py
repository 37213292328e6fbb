"""The command line from outside: what it is given, and what comes back."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import traceback
from functools import cache
from pathlib import Path
from unittest import mock

import typer.main

from fastsmc.cli.app import main

_command = cache(typer.main.get_command)
"""Typer makes all commands anew each time that it is called, which takes longer than what most of them do."""

Done = subprocess.CompletedProcess[str]


def fastsmc(*arguments: str | Path, cwd: Path | None = None) -> Done:
    """Runs a command in this process, as starting one takes a second, most of it to import Numba."""
    command = ["fastsmc", *map(str, arguments)]
    code: str | int | None = 0
    with (
        contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out,
        contextlib.redirect_stderr(io.TextIOWrapper(io.BytesIO(), "utf-8")) as errors,
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.object(sys, "argv", command),
        mock.patch.object(typer.main, "get_command", _command),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    told = []
    for stream in (out, errors):
        stream.seek(0)
        told.append(stream.read())
    assert isinstance(code, int)
    return subprocess.CompletedProcess(command, code, *told)


def fastsmc_process(*arguments: str | Path, cwd: Path | None = None) -> Done:
    """Runs a command as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "fastsmc", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, timeout=300, env=dict(os.environ), check=False,
    )  # fmt: skip
