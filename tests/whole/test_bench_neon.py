"""C with NEON, run by an emulator: what it says is what our verdicts are. Skipped where there is no cross compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench import inputs
from bench.rows import rows_of
from bench.vector import Vector
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.dispatcher import batch as dispatcher
from tests.support.places import ROOT

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
SOURCE = ROOT / "tests" / "support" / "vector_from_file.c"
pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("cc", COMPILER, EMULATOR)),
    reason=f"no {COMPILER} or no {EMULATOR} (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)",
)
OF_ROWS = (
    "slot_of_bucket", "slot_id", "policy_of_vcpu", "action", "unknown", "step_first", "step_start", "step_action",
)  # fmt: skip
OF_VECTOR = ("word", "plane", "code", "packed", "row_of_vcpu", "key", "place", "by_bucket")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("neon") / "vector"
    subprocess.run([COMPILER, "-O3", "-static", "-Wall", str(SOURCE), "-o", str(target)], check=True)
    return target


@pytest.mark.parametrize("n_vm", [40, 3000])
@pytest.mark.parametrize("n_range", [0, 30])
def test_neon_gives_our_verdicts(n_vm: int, n_range: int, program: Path, tmp_path: Path) -> None:
    series = inputs.WITH_FILTER if n_range else inputs.SERIES
    fleet = inputs.fleet_of_policies(n_vm, n_policy=20, n_vcpu=8, series=series)
    if n_range:
        inputs.install_ranges(fleet, n_range, n_filter=5)
    calls = inputs.random_calls(30_001, fleet.n_vcpu, seed=1, unknown_share=0.1)
    expected, rows, blocks = dispatcher.verdicts(fleet, calls), rows_of(fleet), GroupedCalls.from_calls(calls)
    vector = Vector(rows)
    of_vector = vector._tables
    numbers = (rows.multiplier, rows.shift, of_vector.multiplier, of_vector.shift, of_vector.is_per_vcpu)
    assert bool(of_vector.is_per_vcpu) == (n_vm == 40)
    arrays = [
        np.array(numbers, np.uint32),
        *(getattr(rows, name) for name in OF_ROWS),
        *(vector._kept[name] for name in OF_VECTOR),
        calls.func_id, calls.vcpu.astype(np.uint16), calls.vcpu.astype(np.uint32),
        blocks.block_first.astype(np.int64), blocks.block_vcpu.astype(np.uint32), expected,
    ]  # fmt: skip
    path = tmp_path / "given"
    path.write_bytes(b"".join(struct.pack("<Q", array.nbytes) + array.tobytes() for array in arrays))
    done = subprocess.run([EMULATOR, str(program), str(path)], capture_output=True, text=True, check=True)
    ways = done.stdout.splitlines()
    assert len(ways) == 6
    assert all(line.endswith(": 0 of 30001 differ") for line in ways), done.stdout
