"""Measure what QEMU takes to save and to load vCPUs without any ioctl: a guest under TCG that was never started.

python tools/qemu_downtime.py [RUNS] [VCPUS...]

Prints, per number of vCPUs, the sorted downtimes of query-migrate on the source (ms) and the sorted times from
MIGRATION active to completed on the destination (ms), from QMP's own time stamps. Figures of fastsmc/facts/costs.py.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

PROGRAM = "qemu-system-aarch64"
MACHINE = ("-M", "virt,gic-version=3", "-cpu", "cortex-a57", "-m", "64M", "-nodefaults")


class Qemu:
    """A stopped guest that answers QMP on its standard input and output."""

    def __init__(self, *arguments: str) -> None:
        command = [PROGRAM, *MACHINE, *arguments, "-accel", "tcg", "-display", "none", "-S", "-qmp", "stdio"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.stamps: dict[str, float] = {}
        self._answer()  # the greeting
        self("qmp_capabilities")
        self("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])

    def __call__(self, command: str, **arguments: object) -> Any:
        assert self.process.stdin is not None
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.process.stdin, flush=True)
        while "event" in (answer := self._answer()):
            if answer["event"] == "MIGRATION":
                at = answer["timestamp"]
                self.stamps[answer["data"]["status"]] = at["seconds"] * 1e3 + at["microseconds"] / 1e3
        return answer["return"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"return": {"status": "gone"}}')
        return answer

    def finished(self) -> dict[str, Any]:
        """What query-migrate says once it is over."""
        while (answer := self("query-migrate")).get("status") not in ("completed", "failed", "gone"):
            time.sleep(0.02)
        answer = self("query-migrate") or answer  # 7.2 may say completed before it knows the downtime
        if answer.get("status") != "completed":
            msg = f"the migration ended as {answer.get('status')!r}"
            raise RuntimeError(msg)
        return dict(answer)

    def close(self) -> None:
        """End the guest."""
        self.process.kill()
        self.process.communicate()


def measure(n_vcpu: int, stream: Path) -> tuple[dict[str, Any], float]:
    """(query-migrate of the source, ms of the load) of one migration through a file."""
    with closing(Qemu("-smp", str(n_vcpu))) as source:
        source("migrate", uri=f"exec:cat > {shlex.quote(str(stream))}")
        told = source.finished()
    with closing(Qemu("-smp", str(n_vcpu), "-incoming", "defer")) as destination:
        destination("migrate-incoming", uri=f"exec:cat {shlex.quote(str(stream))}")
        destination.finished()
    return told, destination.stamps["completed"] - destination.stamps["active"]


if __name__ == "__main__":
    runs = int(sys.argv[1]) if sys.argv[1:] else 7
    with tempfile.TemporaryDirectory() as folder:
        for n_vcpu in map(int, sys.argv[2:] or ("1", "64", "512")):
            pairs = [measure(n_vcpu, Path(folder) / "stream") for _ in range(runs)]
            saves, loads = sorted(told["downtime"] for told, _ in pairs), sorted(round(ms, 1) for _, ms in pairs)
            print(f"{n_vcpu} vCPUs: downtime {saves}, load {loads}", flush=True)
