"""Verdicts of fleets of ordinary guests are byte for byte what they were before guests with EL2 came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS
from fastsmc.fleet.filters import FilterRange
from fastsmc.vm import Fleet

CHUNK, N_CHUNK = 1 << 20, 64
BEFORE = {
    4: "1272ee8efb4eddff15de00680e4ddbf007dd79bf3f9163499f11ae5ca5dcb0c0",
    N_CHUNK: "2350e5c88f6cb6c2091039bab82899beff19513a44c8156b48f56af0f72c3c5a",
}
"""SHA-256 of the verdicts of so many chunks, as commit 5ecefbb gave them, the last before calls had levels."""
RELEASES = ("5.10", "5.15", "6.1", "6.6", "6.12", "6.18", "7.3")
KNOWN = np.array([function.func_id for function in FUNCTIONS], np.uint32)


def fleets() -> Iterator[Fleet]:
    """A uniform fleet, one of policies that fit bits, one of many policies, and one of many with filters."""
    hosts = [Host(release(name)) for name in RELEASES]
    yield Fleet.uniform(n_vm=16, n_vcpu=64)
    yield Fleet([2, 3, 5, 7] * 5, hosts=hosts[:2], host_of_vm=[0, 1] * 10, features=[0x4, 0x0, 0x6, 0x4] * 5)
    for with_filters in (False, True):
        rng, n_vm = np.random.default_rng([19, with_filters]), 300
        features = rng.choice(np.array([0x0, 0x2, 0x4, 0x6], np.uint32), n_vm)
        fleet = Fleet(rng.integers(1, 9, n_vm), hosts=hosts, host_of_vm=np.arange(n_vm) % len(hosts), features=features)
        for name in ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2"):
            fleet.try_set_one_reg(register(name), rng.integers(0, 4, n_vm))
        fleet.try_set_one_reg(register("PSCI_VERSION"), rng.choice([0x2, 0x10000, 0x10001, 0x10003], n_vm))
        fleet.enable_system_suspend(vms=np.flatnonzero(rng.random(n_vm) < 0.5))
        for vm in range(0, n_vm, 2) if with_filters else ():
            near = int(rng.choice(KNOWN)) & ~0xFF
            ranges = [FilterRange(near, 0x100, vm % 3), FilterRange(0xC600_0000 + 0x1000 * vm, 0x800, 2 - vm % 3)]
            fleet.try_install_filter(ranges, vms=vm)
        yield fleet


def batches(n_vcpu: int, chunk: int) -> Calls:
    """Known ids, ids one bit off and ids at random, by every conduit or by HVC, with arguments or without."""
    rng = np.random.default_rng([19, chunk])
    near = rng.choice(KNOWN, CHUNK) ^ (np.uint32(1) << rng.integers(0, 32, CHUNK, np.uint32))
    strange = np.where(rng.random(CHUNK) < 0.5, near, rng.integers(0, 1 << 32, CHUNK, np.uint32))
    func_id = np.where(rng.random(CHUNK) < 0.2, strange, rng.choice(KNOWN, CHUNK)).astype(np.uint32)
    vcpu = rng.integers(0, n_vcpu, CHUNK, np.uint32)
    conduit = rng.integers(0, 4, CHUNK, np.uint8) if chunk % 3 else None
    x1 = rng.integers(0, 3, CHUNK).astype(np.uint64) if chunk % 5 > 1 else None
    return Calls.of(vcpu, func_id, conduit=conduit, x1=x1)


@pytest.mark.parametrize(
    "n_chunk",
    [4, pytest.param(N_CHUNK, marks=pytest.mark.soak("64 million calls; make test has four million of them"))],
)
def test_verdicts_of_ordinary_guests_are_those_of_before(n_chunk: int) -> None:
    digest, those = hashlib.sha256(), list(fleets())
    for chunk in range(n_chunk):
        fleet = those[chunk % len(those)]
        digest.update(verdicts(fleet, batches(fleet.n_vcpu, chunk)).tobytes())
    assert digest.hexdigest() == BEFORE[n_chunk]
