"""Real QEMU against the check: streams between CPU models, loaded by QEMU itself, where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from itertools import product
from pathlib import Path

import pytest

from fastsmc.migrate.compat.check import check

QEMU = shutil.which("qemu-system-aarch64")
CPUS = ("cortex-a57", "neoverse-n1", "max", "max,sve=off")
MACHINE = ("-M", "virt,gic-version=3", "-m", "64", "-S", "-nodefaults", "-display", "none")
POLLS, POLL_SECONDS = 300, 0.1

pytestmark = [
    pytest.mark.skipif(QEMU is None, reason="qemu-system-aarch64 is not installed: the check is not run on it"),
    pytest.mark.soak("verdicts and words of an installed QEMU; make test has those of its source (test_compat.py)"),
]


class Machine:
    """A paused QEMU under TCG, spoken to by QMP on its standard input and output."""

    def __init__(self, cpu: str, *more: str) -> None:
        assert QEMU is not None
        command = [QEMU, *MACHINE, "-cpu", cpu, "-qmp", "stdio", *more]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: str) -> dict[str, object] | None:
        """What a command returns; None once QEMU has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        for line in self.process.stdout:
            told: dict[str, dict[str, object]] = json.loads(line)
            if "return" in told:
                return told["return"]
        return None

    def migrated(self) -> bool:
        """Waits until the migration is completed, or QEMU has given up."""
        for _ in range(POLLS):
            told = self.ask("query-migrate")
            if told is None or told.get("status") == "failed":
                return False
            if told.get("status") == "completed":
                return True
            time.sleep(POLL_SECONDS)
        pytest.fail("QEMU neither completed the migration nor failed")

    def end(self) -> tuple[str, ...]:
        """Ends it; what it had to say."""
        self.ask("quit")
        _, errors = self.process.communicate(timeout=30)
        return tuple(errors.splitlines())


def version() -> str:
    """Of the installed QEMU: "7.2"."""
    assert QEMU is not None
    told = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+\.\d+)", told)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("streams")
    found = {}
    for number, cpu in enumerate(CPUS):
        found[cpu] = folder / f"{number}.bin"
        machine = Machine(cpu)
        machine.ask("migrate", uri=f"exec:cat > {found[cpu]}")
        assert machine.migrated()
        machine.end()
    return found


@pytest.mark.parametrize(("source", "dest"), list(product(CPUS, CPUS)))
def test_qemu_loads_or_refuses_as_the_check_says_in_these_words(
    streams: dict[str, Path], source: str, dest: str
) -> None:
    machine = Machine(dest, "-incoming", f"exec:cat {streams[source]}")
    has_loaded = machine.migrated()
    said = machine.end()
    forward = check(streams[source], streams[dest], vmm=f"qemu:{version()}").forward
    assert (not forward.failing) == has_loaded
    if not has_loaded:
        assert said[: len(forward.error)] == forward.error
