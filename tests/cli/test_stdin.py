"""A file of any kind may come from a pipe: - is standard input wherever one file is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastsmc.facts.packaged import SAMPLES

PIPED = [
    ("simulate - --calls 3 -q", "entropy.toml", "response of 1536 calls"),
    ("services - -q", "boot.ftrace.txt", "91 calls of this guest need no more than"),
    ("plan problems --hosts - --vms sample:vms.csv -q", "hosts.csv", "nothing wrong, 0 unknown in 4 hosts and 4 VMs"),
    ("migrate downtime --vcpus 4 --registers 182 --query-migrate - -q", "migrated.json", "(measured, "),
    ("migrate check - 6.18 -q", "vm6.12.bin.xz", "- to 6.18 restores with qemu"),
    ("migrate diff - sample:vm6.12.bin.xz -q", "vm6.12.bin.xz", "equal: 0 only in A, 0 only in B"),
]


@pytest.mark.parametrize(("command", "sample", "says"), PIPED, ids=[command for command, *_ in PIPED])
def test_a_file_may_come_from_a_pipe(command: str, sample: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastsmc", *command.split()],
        input=SAMPLES[sample].read_bytes(), capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert says in done.stdout.decode()
