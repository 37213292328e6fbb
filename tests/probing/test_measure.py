"""What the probe measures, against a KVM whose costs are known: medians and differences give them back exactly."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fastsmc.probing import standalone
from fastsmc.scenario.profiles import filter_levels
from tests.support import fake_kvm
from tests.support.timed_kvm import TimedKvm

UNKNOWN, PSCI_VERSION, WORKAROUND_1, FILTERED = 0x4B000000, 0x84000000, 0x80008000, 0xC2000000
CALL_NS = {
    (UNKNOWN, 0): 306.0,
    (PSCI_VERSION, 0): 351.5,
    (WORKAROUND_1, 0): 18.25,
    (FILTERED, 1): 310.0,
    (FILTERED, 2): 900.0,
    (0, -1): 700.0,
}


def reg_ns(is_set: bool, reg: int, is_first: bool) -> float:
    """By class, by direction and by whether it is the first touch: all different."""
    return (reg >> 16 & 0xFFF) * 10.0 + 1000 * is_set + 5000 * is_first


def timed(name: str = "linux-6.12.107-n1") -> TimedKvm:
    kvm = TimedKvm(name)
    kvm.call_ns = dict(CALL_NS)
    kvm.filter_ns = lambda n_range: 7.0 * filter_levels(n_range)
    kvm.reg_ns = reg_ns
    kvm.most_vcpus, kvm.beyond = 12, errno.EMFILE
    return kvm


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    kvm = timed()
    profile = standalone.probe(kvm)
    profile["costs"] = standalone.measure(profile, kvm)
    assert kvm.open_fds == {}
    return profile


def test_run(measured):
    print(standalone.told(measured))
    print(standalone.cost_profile(measured))
