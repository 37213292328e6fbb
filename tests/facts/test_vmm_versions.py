"""Versions of VMMs: which words name one, and since which version each ability is there."""

from __future__ import annotations

from contextlib import suppress

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
        ("cloud-hypervisor:v51.2", "cloud-hypervisor v51.2"),
        ("cloud-hypervisor:28.4", "cloud-hypervisor v28.4"),
        ("cloud-hypervisor v51.2.0", "cloud-hypervisor v51.2"),
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
        ("cloud-hypervisor:v40.1", "did you mean cloud-hypervisor:v40?"),
        ("cloud-hypervisor:v51.3", "did you mean cloud-hypervisor:v51?"),
        ("cloud-hypervisor:v51.2.1", "did you mean cloud-hypervisor:v51?"),
        ("cloud-hypervisor:v19", "did you mean cloud-hypervisor:v20?"),
        ("firecracker:0.25", "did you mean firecracker:1.0?"),
        ("firecracker:2", "did you mean firecracker:1.16?"),
        ("qemu:8.9", "did you mean qemu:8.2?"),
        ("qemu:5.2", "did you mean qemu:7.2?"),
        ("ch", "did you mean cloud-hypervisor?"),
        ("clh:v42", "did you mean cloud-hypervisor?"),
        ("libvirt", "did you mean qemu?"),
        ("fc:1.12", "did you mean firecracker?"),
        ("crosvm:1", "versions of crosvm are not told apart"),
        ("quemu", "it must be one of qemu"),
        ("quemu:10.1", "did you mean qemu?"),
        ("QEMUU", "did you mean qemu?"),
        ("firecraker:1.12", "did you mean firecracker?"),
        ("cloud-hypervisr v42", "did you mean cloud-hypervisor?"),
        ("qemu-kvm", "is a vendor's build: say which version, such as qemu-kvm:9.1.0"),
        ("qemu-kvm:6.2.0-53.el9", "did you mean qemu:7.2?"),
        ("qemu:1:6.2+dfsg-2ubuntu6.24", "did you mean qemu:7.2?"),
        ("QEMU emulator version 11.2.0", "did you mean qemu:11.1?"),
        ("qemu:10,1", "did you mean qemu:10.1?"),
        ("qemu:10.1x", "did you mean qemu:10.1?"),
        ("qemu:10.1.2.3", "did you mean qemu:10.1?"),
        ("", "it must be one of qemu"),
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


@pytest.mark.parametrize(
    ("text", "version", "note"),
    [
        # Enterprise Linux: rpm -q, with its epoch, --version, our own form
        ("qemu-kvm:9.1.0-15.el9", "9.1", "a build of RHEL 9, which may carry backports: judged as QEMU 9.1"),
        ("qemu-kvm-9.1.0-15.el9_6.4.aarch64", "9.1", "a build of RHEL 9"),
        ("qemu-kvm-17:9.1.0-15.el9.aarch64", "9.1", "a build of RHEL 9"),
        ("qemu-kvm-9.1.0", "9.1", "a vendor's build, which may carry backports"),
        ("QEMU emulator version 9.1.0 (qemu-kvm-9.1.0-15.el9)", "9.1", "a build of RHEL 9"),
        ("qemu-kvm:10.0.0-14.el10", "10.0", "a build of RHEL 10"),
        # Debian and Ubuntu: dpkg -l, --version
        ("qemu:1:10.0.2+ds-2", "10.0.2", "a build of Debian or Ubuntu"),
        ("qemu-system-arm:1:7.2+dfsg-7+deb12u18", "7.2", "a build of Debian or Ubuntu"),
        ("qemu-system-arm 1:8.2.2+ds-0ubuntu1.10", "8.2.2", "a build of Ubuntu"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", "7.2.22", "a build of Debian or Ubuntu"),
        ("QEMU emulator version 9.2.4 (qemu-9.2.4-1.fc42)", "9.2.4", "a build of Fedora"),
        # git
        ("QEMU emulator version 9.2.0 (v9.2.0-15-gabcdef0)", "9.2", "a vendor's build"),
        ("QEMU emulator version 9.1.91 (v9.2.0-rc1)", "9.1.91", "under development: judged as QEMU 9.1.91"),
        ("firecracker v1.12.0-dev", "1.12", "is no release: judged as Firecracker 1.12"),
        # libvirt
        ("QEMU 8.2.2", "8.2.2", "libvirt tells no vendor's build, which may carry backports"),
        ("Running hypervisor: QEMU 8.2.2", "8.2.2", "libvirt tells no vendor's build"),
    ],
)
def test_a_vendors_build_is_judged_as_its_base_and_says_so(text: str, version: str, note: str) -> None:
    found = VmmVersion.of(text, ALL)
    assert found.version == version
    assert found.notes
    assert note in found.notes[0]
    assert ("QEMU 11.1's tolerances" in " ".join(found.notes)) == ("el10" in text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("QEMU emulator version 9.2.0 (v9.2.0)", "9.2"),
        ("QEMU emulator version 9.2.0", "9.2"),
        ("qemu-10.1", "10.1"),
        ("qemu=10.1", "10.1"),
        ("qemu: 10.1", "10.1"),
        ("qemu-system-aarch64", "11.1"),
        ("qemu:v10.1.2", "10.1.2"),
        ("Firecracker v1.12.0", "1.12"),
        ("firecracker-v1.12.0-aarch64", "1.12"),
        ("cloud-hypervisor v42.0.0", "v42"),
        ("Cloud Hypervisor v53.0", "v53"),
    ],
)
def test_what_makers_print_of_their_own_builds_needs_no_note(text: str, version: str) -> None:
    found = VmmVersion.of(text, ALL)
    assert (found.version, found.notes) == (version, ())


@given(st.text(max_size=40), st.sampled_from(["", "qemu", "qemu:", "QEMU emulator version 9.2.0 ", "qemu-kvm-9.1.0"]))
def test_any_word_is_a_version_or_one_sentence(text: str, begin: str) -> None:
    with suppress(InputError):
        found = VmmVersion.of(begin + text, ALL)
        assert found.version or found.vmm in (Vmm.CROSVM, Vmm.KVM)
        assert found.notes or "kvm-9" not in begin
