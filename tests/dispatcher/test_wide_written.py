"""What the wide kernels make of vCPUs that were looked at and then overwritten by another thread: no read past a table.

A race comes by chance, so the steps that look at a vCPU again are given vCPUs that no fleet has.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsmc.jit.compiled import kernel
from fastsmc.jit.level import HAS_VECTORS
from fastsmc.kernels import N_CODE, Division, Groups

if not HAS_VECTORS:
    pytest.skip("this CPU has no vectors that kernels use, or Numba was told not to use them", allow_module_level=True)

from fastsmc.dispatcher.kernels.passes import COUNTED, STEP, by_runs, count, rows_of
from fastsmc.dispatcher.kernels.search import row_within
from fastsmc.dispatcher.kernels.vcpu_steps import group_step

N_VCPU, PER_VM, N_CALL = 3000, 4, 2000
MAGIC, SHIFT = np.uint64(-(-(1 << 40) // PER_VM)), np.uint64(40)
N_GROUP = N_VCPU // PER_VM
TYPES = [np.uint8, np.uint16, np.uint32]


@kernel
def groups_of(vcpu, magic, shift, last, out):  # type: ignore[no-untyped-def]
    for step in range(0, vcpu.size, STEP):
        group_step(vcpu, np.uint64(step), magic, shift, last, out[step:])


@kernel
def found_rows(vcpu, conduit, magic, shift, row, out, each):  # type: ignore[no-untyped-def]
    groups = Groups(Division(magic, shift), row)
    rows_of(vcpu, conduit, groups, np.uint32(0), out)
    for c in range(vcpu.size):
        each[c] = row_within(vcpu[c], groups)


@kernel
def found_runs(vcpu, magic, shift, row, run, classes, verdict, out):  # type: ignore[no-untyped-def]
    return by_runs(vcpu, False, Groups(Division(magic, shift), row), run, classes, verdict, out)


@kernel
def counted(code, vcpu, n_again, vm_of_vcpu, own, counts):  # type: ignore[no-untyped-def]
    count(code, vcpu, n_again, vm_of_vcpu, own, counts)


def any_vcpus(dtype: type, n: int = N_CALL) -> NDArray[np.unsignedinteger]:
    """Half of them vCPUs of the fleet, the others anything that the type holds, its greatest number among them."""
    rng = np.random.default_rng(np.dtype(dtype).itemsize)
    most = np.iinfo(dtype).max
    vcpu = rng.integers(0, most, n, endpoint=True).astype(dtype)
    vcpu[::2] = rng.integers(0, min(N_VCPU, most), len(vcpu[::2]))
    vcpu[1] = most
    return vcpu


@pytest.mark.parametrize("dtype", TYPES)
def test_no_group_is_past_the_last(dtype: type) -> None:
    vcpu, out = any_vcpus(dtype, 31 * STEP), np.zeros(31 * STEP, np.uint32)
    groups_of(vcpu, MAGIC, SHIFT, np.uint32(N_GROUP - 1), out)
    assert out.max() < N_GROUP
    there = vcpu < N_VCPU
    assert np.array_equal(out[there], vcpu[there] // PER_VM)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_row_is_one_of_the_fleet(dtype: type) -> None:
    vcpu = any_vcpus(dtype)
    memory = np.full(1 << 16, 0xDEAD, np.uint16)  # what lies after the table
    row = memory[:N_GROUP]
    row[:] = np.arange(N_GROUP) % 7
    out, each = np.zeros(N_CALL, np.uint32), np.zeros(N_CALL, np.uint32)
    found_rows(vcpu, np.zeros(0, np.uint8), MAGIC, SHIFT, row, out, each)
    assert out.max() < 7
    assert np.array_equal(out, each)
    there = vcpu < N_VCPU
    assert np.array_equal(out[there], row[vcpu[there] // PER_VM])


@pytest.mark.parametrize("dtype", TYPES)
def test_runs_end_at_the_last_group(dtype: type) -> None:
    row, run = np.zeros(1 << 16, np.uint16), np.zeros(1 << 16, np.uint32)
    run[N_GROUP:] = np.arange((1 << 16) - N_GROUP) + 5  # read, they would be other runs
    vcpu = any_vcpus(dtype, 4 * STEP)
    verdict = np.full(64, 3, np.uint8)
    out = np.zeros(4 * STEP, np.uint8)
    assert found_runs(vcpu, MAGIC, SHIFT, row[:N_GROUP], run[:N_GROUP], out.copy(), verdict, out)
    assert (out == 3).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("per_vm", [1, PER_VM])
@pytest.mark.parametrize("n_again", [0, 1, 63])
@pytest.mark.parametrize("n_call", [64, COUNTED, COUNTED + 1, N_CALL])
def test_calls_are_counted_in_cells_of_the_fleet(dtype: type, per_vm: int, n_again: int, n_call: int) -> None:
    vcpu, n_vm = any_vcpus(dtype, n_call), N_VCPU // per_vm
    code = (np.arange(n_call) % N_CODE).astype(np.uint8)
    memory = np.zeros((n_vm + 64, N_CODE), np.uint32)
    owner = np.full(1 << 16, 0xFFFF_FF00, np.uint32)
    owner[:N_VCPU] = np.arange(N_VCPU) // per_vm
    counted(code, vcpu, n_again, owner[:N_VCPU], np.zeros(COUNTED, dtype), memory[:n_vm])
    expected = np.zeros((n_vm, N_CODE), np.uint32)
    np.add.at(expected, (np.minimum(vcpu[n_again:].astype(np.int64), N_VCPU - 1) // per_vm, code[n_again:]), 1)
    assert np.array_equal(memory[:n_vm], expected)
    assert not memory[n_vm:].any()
