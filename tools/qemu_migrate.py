"""Write the migration stream of a guest that real QEMU has not started, or has run for a moment.

python tools/qemu_migrate.py OUT -M virt,gic-version=3 -cpu max -smp 4 -m 64M -nodefaults
"""

from __future__ import annotations

import json
import shlex
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PROGRAM = "qemu-system-aarch64"

_ZA_CODE = (0xD2A00600, 0xB2700400, 0xB2680400, 0xD5181040, 0xD5033FDF, 0xD503457F, 0xD503207F, 0x17FFFFFF)
ZA_GUEST = struct.pack("<8I", *_ZA_CODE)
"""A kernel that turns SME's ZA on and sleeps: CPACR_EL1.{FPEN,ZEN,SMEN} = 3, isb, smstart za, wfi for ever."""


def version() -> str | None:
    """The version of the QEMU on PATH, such as "7.2.22"; None where there is none."""
    try:
        done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.removeprefix("QEMU emulator version ").split()[0]


class _Qmp:
    """Commands and answers over the child's stdin and stdout."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._line()  # the greeting
        self("qmp_capabilities")

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        if not line:
            msg = f"{PROGRAM} ended: {self.process.stderr.read().strip() or 'it was out of time'}"
            raise RuntimeError(msg)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __call__(self, command: str, **arguments: object) -> Any:
        assert self.process.stdin is not None
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.process.stdin, flush=True)
        while True:
            answer = self._line()
            if "error" in answer:
                msg = f"{command}: {answer['error']['desc']}"
                raise RuntimeError(msg)
            if "return" in answer:
                return answer["return"]


def migrate(*arguments: str, out: Path, run_s: float = 0, timeout_s: float = 60) -> bytes:
    """The stream, also left in `out`. The child is ended whatever happens, at the latest after `timeout_s`.

    Args:
        run_s: how long the guest runs first; 0 leaves it before its first instruction.
    """
    command = [PROGRAM, *arguments, "-accel", "tcg", "-display", "none", "-S", "-qmp", "stdio"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        alarm = threading.Timer(timeout_s, process.kill)
        alarm.start()
        try:
            qmp = _Qmp(process)
            if run_s:
                qmp("cont")
                time.sleep(run_s)
                qmp("stop")
            qmp("migrate", uri=f"exec:cat > {shlex.quote(str(out))}")
            while (status := qmp("query-migrate").get("status")) not in ("completed", "failed"):
                time.sleep(0.02)
            if status == "failed":
                msg = f"{shlex.join(command)}: the migration failed"
                raise RuntimeError(msg)
            qmp("quit")
            process.wait()
        finally:
            alarm.cancel()
            process.kill()
    return out.read_bytes()


if __name__ == "__main__":
    print(f"wrote {len(migrate(*sys.argv[2:], out=Path(sys.argv[1])))} bytes to {sys.argv[1]}")
