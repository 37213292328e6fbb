"""What becomes of a VM that moves between two places of an inventory."""

from __future__ import annotations

import pytest

from fastsmc.migrate.compat.result import Outlook
from fastsmc.plan.ways import Guest, Place, way

HERE, THERE = Place("7.2.13", "", "qemu:11.1"), Place("7.3.4", "", "qemu:11.1")


@pytest.mark.parametrize(
    ("features", "source", "dest", "outlook", "why"),
    [
        # Between two kernels of which `check` says that it restores, the mode of the destination decides.
        ("psci02+el2", HERE, THERE, Outlook.UNKNOWN, "a guest with EL2 needs a host booted with kvm-arm.mode=nested"),
        # What fails in every mode fails.
        ("psci02+el2", HERE, Place("6.12.107", "", "qemu:11.1"), Outlook.FAILS, "ENOENT"),
        ("psci02+pmu", HERE, HERE, Outlook.RESTORES, ""),
    ],
)
def test_a_guest_with_el2_restores_where_the_mode_is_told_only(
    features: str, source: Place, dest: Place, outlook: Outlook, why: str
) -> None:
    found = way(Guest(features, ""), source, dest)
    assert found.outlook is outlook
    assert why in found.why
