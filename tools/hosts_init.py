#!/usr/bin/python3.11 -S
"""The first program of an emulated host: runs what /job.json lists, hands out its files by the console, and stops.

It runs there as /init, with nothing but Python around it. A job is {"commands": [[file, argument, ...], ...]}, each
command a Python file with its arguments; every file that they leave below /out is handed out. On the console

    @up SECONDS                               Python runs
    @run NUMBER, @ran NUMBER CODE SECONDS     a command begins and has ended
    @file {"name": ..., "size": ..., "sha256": ...}, lines of base64 of its deflated bytes, @end
    @done                                     all files are out

and between them whatever the kernel and the commands say.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import runpy
import sys
import termios
import time
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path

JOB, OUT, PROBE = "/job.json", "/out", "/fastsmc_probe.py"
LINE = 768
"""Bytes per line of base64, which become 1,024 characters."""
_POWER_OFF = 0x4321FEDC
"""RB_POWER_OFF. Source: Linux include/uapi/linux/reboot.h."""


def framed(name: str, data: bytes) -> Iterator[str]:
    """The lines that hand out one file."""
    yield "@file " + json.dumps({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    packed = zlib.compress(data, 6)
    for start in range(0, len(packed), LINE):
        yield base64.b64encode(packed[start : start + LINE]).decode()
    yield "@end"


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every file below a folder, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def _prepare() -> None:
    """Mounts what programs expect, and has the console pass on bytes as they are."""
    libc = ctypes.CDLL(None, use_errno=True)
    for where, kind in (("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "devtmpfs"), ("/tmp", "tmpfs"), (OUT, "tmpfs")):
        Path(where).mkdir(exist_ok=True)
        libc.mount(b"none", where.encode(), kind.encode(), 0, None)
    console = os.open("/dev/console", os.O_RDWR | os.O_NOCTTY)
    for descriptor in (0, 1, 2):
        os.dup2(console, descriptor)
    settings = termios.tcgetattr(1)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(1, termios.TCSANOW, settings)


def _run(command: list[str]) -> int:
    """Runs a Python file in a process of its own, so that whatever becomes of it the files still come out."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code: object = 1
    try:
        sys.argv = command
        os.chdir(OUT)
        runpy.run_path(command[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    """Runs the job."""
    _say(f"@up {Path('/proc/uptime').read_text('ascii').split()[0]}")
    job = json.loads(Path(JOB).read_text("utf-8"))
    for number, command in enumerate(job["commands"]):
        _say(f"@run {number}")
        start = time.monotonic()
        code = _run(command)
        _say(f"@ran {number} {code} {time.monotonic() - start:.1f}")
    for name, path in files(Path(OUT)):
        for line in framed(name, path.read_bytes()):
            _say(line)
    _say("@done")
    termios.tcdrain(1)


if __name__ == "__main__":
    try:
        _prepare()
        main()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    ctypes.CDLL(None).reboot(_POWER_OFF)
