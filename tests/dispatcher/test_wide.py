"""The wide kernel says what the portable one says, whatever the order of calls, and is made of wide instructions."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsmc import bitmaps, kernels
from fastsmc.dispatcher.decide import decide_columns
from fastsmc.facts.smccc import FUNCTIONS
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit import simd_wide
from fastsmc.jit.level import BACK_END, HAS_VECTORS, HAS_WIDE, WIDE
from fastsmc.kernels import N_CODE
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.places import ROOT
from tests.support.strategies import func_ids, hosts, policies
from tests.test_kernels import fleet_of
from tools.mutate import ANYWHERE, WIDE_FILES

vectors_only = pytest.mark.skipif(not HAS_VECTORS, reason="no vectors that kernels use, or Numba was told not to")
KNOWN = np.array([f.func_id for f in FUNCTIONS], np.uint32)
NO_CONDUIT = np.zeros(0, np.uint8)


def assert_equal(
    fleet: Fleet, vcpu: NDArray[np.unsignedinteger], func_id: NDArray[np.uint32], conduit: NDArray[np.uint8]
) -> None:
    n, got = len(func_id), []
    for is_wide in (False, True):
        for n_counter in (0, 1, fleet.n_vm):
            # Guards on both sides: a kernel that writes past its end is caught.
            out, counts = np.full(n + 128, 0xEE, np.uint8), np.zeros((n_counter, N_CODE), np.uint32)
            here = out[64 : 64 + n]
            rows, looks_first = fleet.rows(), n % 2 == 0
            listed = np.empty(kernels.CHUNK, np.uint16)
            if is_wide:
                # NumPy's arrays start at a multiple of 16 bytes: some have lines that steps fill, others have none.
                given = ((func_id, vcpu, conduit), rows, fleet.vm_of_vcpu, counts, here)
                n_decided = decide_columns(*given, looks_first=looks_first, streams=n % 3 > 0)
            else:
                given = (func_id, vcpu, conduit, *rows.portable, fleet.vm_of_vcpu, counts)
                n_decided = kernels.decide(*given, looks_first, listed, here)
            assert n_decided == n
            assert (out[:64] == 0xEE).all()
            assert (out[-64:] == 0xEE).all()
            got.append((here.tobytes(), counts.sum(axis=0).tolist() if n_counter else None, counts.tolist()))
    assert got[:3] == got[3:]
    assert got[0][0] == got[2][0]
    assert got[1][1] == got[2][1]


def mixed_ids(rng: np.random.Generator, n: int, unknown: float) -> NDArray[np.uint32]:
    near = rng.choice(KNOWN, n) ^ (np.uint32(1) << rng.integers(0, 32, n, np.uint32))
    strange = np.where(rng.random(n) < 0.5, near, rng.integers(0, 1 << 32, n, np.uint32))
    return np.where(rng.random(n) < unknown, strange, rng.choice(KNOWN, n)).astype(np.uint32)


@vectors_only
@pytest.mark.parametrize("n_call", [1, 63, 64, 65, 127, 128, 255, 256, 257, 2047, 2048, 2049, 2111, 2112, 4100, 10_000])
@pytest.mark.parametrize("n_vcpu", [3, 300, 70_000])
def test_steps_groups_and_chunks_that_end_anywhere(n_call: int, n_vcpu: int) -> None:
    fleet = Fleet.uniform(n_vm=n_vcpu // 3 or 1, n_vcpu=3)
    rng = np.random.default_rng(n_call)
    fleet.set_one_reg(0x6030_0000_0016_0000, rng.integers(0, 2, fleet.n_vm))
    fleet.set_one_reg(0x6030_0000_0014_0000, rng.choice([0x2, 0x10000, 0x10003], fleet.n_vm))
    if fleet.n_vm < 1000:
        for vm in range(0, fleet.n_vm, 7):
            fleet.install_filter([FilterRange(0x1000 * vm + 0x100, 1 << 28, 1 + vm % 2)], vms=vm)
    func_id, vcpu = mixed_ids(rng, n_call, 0.05), rng.integers(0, fleet.n_vcpu, n_call, np.uint32)
    runs = np.sort(vcpu // 3 * 3) + rng.integers(0, 3, n_call, np.uint32)
    for order in (vcpu, np.sort(vcpu), runs):
        assert_equal(fleet, order, func_id, NO_CONDUIT)
    assert_equal(fleet, vcpu, func_id, rng.integers(0, 4, n_call, np.uint8))


@vectors_only
@pytest.mark.parametrize(
    ("n_vm", "n_vcpu", "n_id", "are_bits"),
    [
        (16, 64, 5, True),
        (16, 65, 5, True),
        (41, 25, 5, True),
        (256, 4, 8, True),
        (256, 5, 8, True),
        (257, 3, 8, False),
        (257, 4, 8, False),
        (30, 300, 12, True),
        (30, 30, 13, False),
        (16, 16, 60, False),
    ],
)
def test_rows_looked_up_in_registers(n_vm: int, n_vcpu: int, n_id: int, are_bits: bool) -> None:
    """Each id filtered is a class of three verdicts, so of two bits: 24 bits hold 12. Up to 1024 vCPUs and more."""
    fleet, rng = Fleet.uniform(n_vm=n_vm, n_vcpu=n_vcpu), np.random.default_rng(n_vm)
    open_ids = [f.func_id for f in FUNCTIONS if f.func_id >> 16 & 0x3FFF][:n_id]
    for vm in range(n_vm):
        actions = [vm // 3**k % 3 if 3**k < n_vm else int(rng.integers(3)) for k in range(len(open_ids))]
        fleet.install_filter([FilterRange(i, 1, a) for i, a in zip(open_ids, actions, strict=True)], vms=vm)
    rows = fleet.rows()
    assert (rows.n_row, rows.bit_rows.table.size > 0) == (n_vm, are_bits)
    for dtype in (np.uint8, np.uint16, np.uint32):
        last = min(fleet.n_vcpu, 256) if dtype == np.uint8 else fleet.n_vcpu
        for unknown in (0, 0.05):
            func_id, vcpu = mixed_ids(rng, 5000, unknown), rng.integers(0, last, 5000).astype(dtype)
            for order in (vcpu, np.sort(vcpu)):
                assert_equal(fleet, order, func_id, NO_CONDUIT)
    assert_equal(fleet, vcpu, func_id, rng.integers(0, 4, 5000, np.uint8))


@vectors_only
@pytest.mark.parametrize("inside", [0, 2])
def test_steps_that_begin_and_end_with_one_row_and_have_others_inside(inside: int) -> None:
    fleet, rng = Fleet.uniform(n_vm=3, n_vcpu=1), np.random.default_rng(inside)
    fleet.set_one_reg(0x6030_0000_0016_0000, np.array([0, 1, 0]))
    fleet.set_one_reg(0x6030_0000_0014_0000, np.array([0x2, 0x10000, 0x10001]))
    vcpu = np.full((40, 64), 1, np.uint16)
    vcpu[np.arange(40), rng.integers(1, 63, 40)] = inside
    assert_equal(fleet, vcpu.reshape(-1), mixed_ids(rng, vcpu.size, 0), NO_CONDUIT)


@vectors_only
@pytest.mark.parametrize("has_ranges", [False, True])
def test_ids_that_differ_from_a_known_one_in_the_bucket_or_one_byte_of_the_product(has_ranges: bool) -> None:
    """The wide kernel compares products, of which it takes the bucket for granted: so also where a bucket is empty."""
    half = bitmaps.MULTIPLIER >> 1
    product = KNOWN.astype(np.uint64) * half
    flips = np.concatenate([np.arange(256, dtype=np.uint64) << np.uint64(shift) for shift in (0, 8, 16, 24)])
    func_id = ((product[:, None] ^ flips) * pow(half, -1, 1 << 32)).astype(np.uint32).reshape(-1)
    assert np.isin(KNOWN, func_id).all()
    fleet = Fleet.uniform(n_vm=3, n_vcpu=2)
    fleet.set_one_reg(0x6030_0000_0014_0000, 0x2, vms=1)
    if has_ranges:
        fleet.install_filter([FilterRange(0xC700_0000, 1 << 24, 1), FilterRange(0x0, 1 << 30, 2)], vms=slice(1, 3))
    for vcpu in (np.zeros(func_id.size, np.uint16), np.arange(func_id.size, dtype=np.uint32) % 6):
        assert_equal(fleet, vcpu, func_id, NO_CONDUIT)


@vectors_only
@pytest.mark.parametrize("n_call", [64, 2048, 2049, 10_000])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_vcpu_too_many_leaves_the_whole_output_as_it_was(n_call: int, is_last: bool) -> None:
    fleet, out = Fleet.uniform(n_vm=2, n_vcpu=3), np.full(n_call, 0xEE, np.uint8)
    vcpu, counts = np.zeros(n_call, np.uint32), np.zeros((2, N_CODE), np.uint32)
    vcpu[-1 if is_last else 0] = 6
    given = ((np.full(n_call, KNOWN[0]), vcpu, NO_CONDUIT), fleet.rows(), fleet.vm_of_vcpu, counts, out)
    assert decide_columns(*given, looks_first=True) < n_call
    assert (out == 0xEE).all()
    assert not counts.any()
    n_decided = decide_columns(*given, looks_first=False)
    assert n_decided < n_call
    assert (out[n_decided:] == 0xEE).all()
    assert not (out[:n_decided] == 0xEE).any()


@vectors_only
@examples(60)
@given(
    st.lists(policies, min_size=4, max_size=4),
    st.lists(hosts, min_size=4, max_size=4),
    st.lists(func_ids, max_size=30),
    st.integers(64, 700),
    st.integers(0, 2**32 - 1),
)
def test_any_policy_and_any_order(policy_of_vm, hosts_of_vm, ids, n_call, seed) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of(policy_of_vm, hosts_of_vm)
    rng = np.random.default_rng(seed)
    func_id = mixed_ids(rng, n_call, rng.choice([0, 0.02, 0.5, 1]))
    func_id[rng.integers(0, n_call, len(ids))] = np.array(ids, np.uint32)
    vcpu = rng.integers(0, 4, n_call)
    vcpu = np.sort(vcpu) if seed % 2 else vcpu
    conduit = rng.integers(0, 4, n_call, np.uint8) if seed % 3 == 0 else NO_CONDUIT
    assert_equal(fleet, vcpu.astype(rng.choice(["u1", "u2", "u4"])), func_id, conduit)


@vectors_only
@pytest.mark.skipif(
    BACK_END != WIDE or simd_wide.look_up_64.__module__ != simd_wide.__name__,
    reason="another back end, or loops in place of the instructions (tests/support/wide_anywhere.py)",
)
@pytest.mark.parametrize("kernel", ["wide.decide", "blocks.decide_blocks"])
def test_the_wide_kernels_are_made_of_wide_instructions(kernel: str) -> None:
    """In a process of its own, uncached: Numba keeps no text of code it found in a cache."""
    program = f"""
import numpy as np
from fastsmc.dispatcher.kernels import blocks, wide
from fastsmc.dispatcher.batch import verdicts
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.vm import Fleet
from fastsmc.calls.workload import Calls
fleet, ids = Fleet.uniform(n_vm=2, n_vcpu=1), np.zeros(64, np.uint32)
verdicts(fleet, Calls(np.zeros(64, np.uint16), ids))
verdicts(fleet, GroupedCalls.of([0], ids, n_call=[64]))
(text,) = {kernel}.inspect_asm().values()
print(*(text.count(word) for word in ("vpermi2b", "vpermt2b", "vpermb", "vpgatherdd", "vpmulld", "zmm")))
"""
    asked = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "FASTSMC_JIT_CACHE": "0"},
    )
    first, second, permutes, gathers, products, registers = map(int, asked.stdout.split())
    assert first + second >= 9, "byte planes and keys are looked up in registers"
    assert permutes >= 1
    assert gathers >= 4
    assert products >= 4
    assert registers > 100


@pytest.mark.soak("processes that compile for other CPUs")
@pytest.mark.parametrize(
    "settings",
    [
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_NAME": "x86-64-v2"},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+bmi2"},
        {"NUMBA_CPU_FEATURES": "-avx512vbmi"},
        {"NUMBA_ENABLE_AVX": "0"},
        {"NUMBA_DISABLE_JIT": "1"},
    ],
)
def test_numba_told_of_another_cpu_gets_the_portable_kernel(settings: dict[str, str]) -> None:
    program = """
import numpy as np
from fastsmc.jit.level import BACK_END
from fastsmc.dispatcher.batch import dispatch
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.vm import Fleet
from fastsmc.calls.workload import Calls
assert BACK_END != 'avx512-vbmi2'
fleet, ids = Fleet.uniform(n_vm=1, n_vcpu=1), np.full(100, 0x84000050, np.uint32)
with np.errstate(over="ignore"):
    for calls in (Calls(ids * 0, ids), GroupedCalls.of([0, 0], ids, n_call=[30, 70])):
        found = dispatch(fleet, calls)
        print(set(found.verdict.tolist()), found.counts())
"""
    env = {**os.environ, **settings, "FASTSMC_JIT_CACHE": "0"}
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=False)
    assert asked.stdout.splitlines() == ["{0} {('TRNG', 'HANDLED'): 100}"] * 2, asked.stderr


@pytest.mark.soak("the wide kernels by loops, on a CPU without their instructions; make test skips them there")
@pytest.mark.skipif(HAS_WIDE, reason="this CPU has the instructions: make test runs the wide kernels as they are")
def test_the_wide_kernels_agree_where_loops_stand_in_for_their_instructions() -> None:
    """In a process of its own: the plugin has to be there before any kernel is imported."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *ANYWHERE, *WIDE_FILES]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout[-5000:] + asked.stderr[-2000:]
    assert re.search(r"= \d+ passed, \d+ deselected in ", asked.stdout), "a wide test was skipped"
