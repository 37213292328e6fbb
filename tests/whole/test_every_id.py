"""All 2**32 function ids: the kernel against the reference's rules painted over the id space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS, Conduit, FilterAction, Level, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet

CHUNK = 1 << 24
HOST = Host(release("7.3"))
BITMAPS = [register(name) for name in ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2")]


def many_ranges() -> list[FilterRange]:
    """500 ranges: over known ids, at both ends of the space, touching each other, and far from anything."""
    rng = np.random.default_rng(5)
    edges = [
        FilterRange(0, 1, 1),
        FilterRange(1, 0x1F, 2),
        FilterRange(0xFFFF_FFFF, 1, 2),
        FilterRange(0x7FFF_FFFF, 1, 1),
    ]
    known = [
        FilterRange(f.func_id, int(rng.integers(1, 3)), int(rng.integers(0, 3)))
        for f in FUNCTIONS
        if f.func_id >> 16 & 0xFFF
    ]
    far = [
        FilterRange(int(base), int(size), int(action))
        for base, size, action in zip(
            rng.integers(0, 1 << 32, 2000), rng.integers(1, 1 << 20, 2000), rng.integers(0, 3, 2000), strict=True
        )
    ]
    return edges + known + far


def policy(name: str) -> tuple[Vm, Fleet]:
    """The same policy as a reference VM and as a fleet."""
    vm, fleet = Vm(HOST), Fleet([1], hosts=HOST)
    if name == "all clear":
        for reg in BITMAPS:
            assert vm.set_one_reg(0, reg, 0) == 0
            fleet.set_one_reg(reg, 0)
    if name == "500 ranges":
        for new in many_ranges():
            if len(vm.filter) < 500:
                errno = vm.insert_filter(new.base, new.nr_functions, int(new.action))
                assert fleet.try_install_filter(new).tolist() == [[errno]]
        assert len(vm.filter) == 500
    return vm, fleet


def painted(vm: Vm, chunks: Sequence[int] = range(0, 1 << 32, CHUNK)) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Expected verdicts, 2**24 ids at a time: first the rule for ids without a name, then ranges, then known ids."""
    for first in chunks:
        expected = np.full(CHUNK, Verdict.DENIED, np.uint8)
        if first >> 24 & 0x3F == 4:
            expected.reshape(-1, 1 << 16)[:, :0x20] = Verdict.NOT_SUPPORTED
        for start, last, action in vm.filter:
            here = slice(max(start - first, 0), max(min(last + 1 - first, CHUNK), 0))
            if action is not FilterAction.HANDLE and here.start < CHUNK:
                expected[here] = Verdict.DENIED if action is FilterAction.DENY else Verdict.FORWARDED
        for row in FUNCTIONS:
            if 0 <= row.func_id - first < CHUNK:
                expected[row.func_id - first] = vm.call(0, row.func_id).verdict
        yield first, expected


@pytest.mark.parametrize("name", ["default", "all clear", "500 ranges"])
def test_the_painting_is_what_the_reference_says(name: str) -> None:
    vm, _ = policy(name)
    rng = np.random.default_rng(6)
    edges = [edge + step for first, last, _ in vm.filter for edge in (first, last) for step in (-1, 0, 1)]
    edges += [f.func_id + step for f in FUNCTIONS for step in (-1, 0, 1)]
    ids = np.unique(np.clip(np.concatenate([edges, rng.integers(0, 1 << 32, 5000)]), 0, (1 << 32) - 1)).astype(np.int64)
    for first, expected in painted(vm):
        for func_id in ids[(ids >= first) & (ids < first + CHUNK)].tolist():
            assert vm.call(0, func_id).verdict == expected[func_id - first], hex(func_id)


NAMED = sorted({0, (1 << 32) - CHUNK, *(f.func_id // CHUNK * CHUNK for f in FUNCTIONS)})
"""Chunks of ids that have names, and both ends."""


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(NAMED, id="named"),
        pytest.param(
            range(0, 1 << 32, CHUNK),
            id="all",
            marks=pytest.mark.soak(f"2**32 ids; make test has {len(NAMED)} / 256 of them"),
        ),
    ],
)
@pytest.mark.parametrize("name", ["default", "all clear", "500 ranges"])
def test_every_id_gets_the_verdict_of_the_reference(name: str, chunks: Sequence[int]) -> None:
    vm, fleet = policy(name)
    low = np.arange(CHUNK, dtype=np.uint32)
    vcpu, out = np.zeros(CHUNK, np.uint32), np.empty(CHUNK, np.uint8)
    for first, expected in painted(vm, chunks):
        verdicts(fleet, Calls(vcpu, low + np.uint32(first)), out)
        assert np.array_equal(out, expected), hex(first + int(np.argmax(out != expected)))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([NAMED[0], 0x8000_0000, 0x8400_0000, 0xC600_0000], id="some"),
        pytest.param(
            range(0, 1 << 32, CHUNK), id="all", marks=pytest.mark.soak("2**32 ids; make test has 4 / 256 of them")
        ),
    ],
)
@pytest.mark.parametrize(
    ("conduit", "level"),
    [(Conduit.HVC, Level.VEL1), (Conduit.SMC, Level.VEL1_TSC), (Conduit.SMC, Level.VEL2_TSC)],
    ids=["hvc", "trapped", "smc"],
)
def test_every_id_of_a_guest_with_el2(conduit: Conduit, level: Level, chunks: Sequence[int]) -> None:
    """Its HVCs and trapped SMCs are its own EL2's, but for the fast path; its SMCs are an ordinary guest's."""
    host = Host.of("7.3", kvm_arm_mode="nested")
    vm, fleet, ordinary = Vm(host, features=0x84), Fleet([1], hosts=host, features=0x84), policy("500 ranges")[0]
    for first, last, action in ordinary.filter:
        new = FilterRange(first, last - first + 1, action)
        assert vm.insert_filter(new.base, new.nr_functions, int(action)) == 0
        fleet.install_filter(new)
    low, vcpu = np.arange(CHUNK, dtype=np.uint32), np.zeros(CHUNK, np.uint32)
    conduits, levels = np.full(CHUNK, conduit, np.uint8), np.full(CHUNK, level, np.uint8)
    is_taken = level is not Level.VEL2_TSC
    if is_taken:  # one row decides all of these but the fast path's; its SMCs are asked by every id
        chunks = chunks[:: max(len(chunks) // 16, 1)]
    for first, painting in painted(ordinary, chunks):
        expected = np.full(CHUNK, Verdict.TO_VEL2, np.uint8) if is_taken else painting
        for row in FUNCTIONS:
            if 0 <= row.func_id - first < CHUNK:
                told = vm.call(0, row.func_id, conduit=conduit, level=level).verdict
                expected[row.func_id - first] = told
                vm.vcpu_init(0)
        found = verdicts(fleet, Calls(vcpu, low + np.uint32(first), conduits, level=levels))
        assert np.array_equal(found, expected), hex(first + int(np.argmax(found != expected)))
