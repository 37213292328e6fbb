"""Versions of VMMs: which words name one, and since which version each ability is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.facts.vmm_versions import CHANGES, Ability, VmmVersion, first_with
from fastsmc.facts.vmms import Vmm

ALL = (Vmm.QEMU, Vmm.FIRECRACKER, Vmm.CLOUD_HYPERVISOR, Vmm.CROSVM, Vmm.KVM)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("qemu", "qemu 11.1"),
        ("qemu:10.1", "qemu 10.1"),
        ("qemu:7.2.22", "qemu 7.2.22"),
        ("QEMU:8.0", "qemu 8.0"),
        ("cloud-hypervisor", "cloud-hypervisor v53"),
        ("cloud-hypervisor:v42", "cloud-hypervisor v42"),
        ("cloud-hypervisor:42.0", "cloud-hypervisor v42"),
        ("firecracker", "firecracker 1.16"),
        ("firecracker:v1.12.0", "firecracker 1.12"),
        ("firecracker:1.1.3", "firecracker 1.1.3"),
        ("crosvm", "crosvm"),
        ("kvm", "kvm"),
    ],
)
def test_words_that_name_a_version(text: str, name: str) -> None:
    assert str(VmmVersion.of(text, ALL)) == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("qemu:10.3", "did you mean qemu:10.2?"),  # QEMU's numbers go x.0, x.1, x.2, and the next year's follow
        ("qemu:12.0", "7.2 to 11.1 are"),
        ("qemu:6.2", "7.2 to 11.1 are"),
        ("qemu:", "no version that is known"),
        ("qemu:new", "no version that is known"),
        ("firecracker:2.0", "1.0 to 1.16 are"),
        ("cloud-hypervisor:v54", "v20 to v53 are"),
        ("crosvm:1", "versions of crosvm are not told apart"),
        ("quemu", "it must be one of qemu"),
        ("qemu-10.1", "it must be one of qemu"),
        (11.1, "it must be one of qemu"),
    ],
)
def test_words_that_name_none_end_in_one_sentence(text: object, told: str) -> None:
    with pytest.raises(InputError, match=r"vmm|qemu|firecracker|cloud-hypervisor|crosvm") as caught:
        VmmVersion.of(text, ALL)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ability", "before", "since"),
    [
        (Ability.NAMES_REFUSED, "qemu:10.1", "qemu:10.2"),
        (Ability.TOLERATES, "qemu:11.0", "qemu:11.1"),
        (Ability.PINS_PSCI, "qemu:10.2.2", "qemu:11.1"),
        (Ability.HAS_PMU, "cloud-hypervisor:v21", "cloud-hypervisor:v22"),
        (Ability.HAS_SVE, "cloud-hypervisor:v41", "cloud-hypervisor:v42"),
        (Ability.SAVES_SVE, "cloud-hypervisor:v52", "cloud-hypervisor:v53"),
        (Ability.SAVES_SVE, "firecracker:1.6", "firecracker:1.7"),
        (Ability.SAVES_WHOLE_VECTORS, "firecracker:1.1.3", "firecracker:1.1.4"),
        (Ability.EDITS_SNAPSHOTS, "firecracker:1.4", "firecracker:1.5"),
        (Ability.REFUSES_PMU, "firecracker:1.14", "firecracker:1.15"),
    ],
)
def test_an_ability_is_there_from_its_version_on(ability: Ability, before: str, since: str) -> None:
    """As CHANGELOGs and commits of the three projects have it."""
    assert not VmmVersion.of(before, ALL).can(ability)
    assert VmmVersion.of(since, ALL).can(ability)
    assert not VmmVersion.of("kvm", ALL).can(ability)


@given(st.sampled_from(CHANGES))
def test_no_later_version_loses_an_ability(change: object) -> None:
    assert hasattr(change, "vmm")
    assert VmmVersion.of(change.vmm, ALL).can(change.ability)
    assert first_with(change.vmm, change.ability)
    assert change.source
