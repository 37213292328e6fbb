"""The virtual machine monitors of arm64 by name: one word each, wherever registers are counted, moved or restored."""

from __future__ import annotations

from enum import StrEnum

from fastsmc.checks import shown, word_of
from fastsmc.errors import InputError


class Vmm(StrEnum):
    """Who saves and restores a VM's registers. Each question says which of these it can answer.

    KVM is no VMM: SET_ONE_REG of every register in list order, as the recordings were made. MINIMAL is none that
    exists: it reads each register once at save and writes it once at load, the least any VMM can do (derived).

    Source of the names: qemu.org, github.com/firecracker-microvm, github.com/cloud-hypervisor, crosvm.dev.
    """

    QEMU = "qemu"
    FIRECRACKER = "firecracker"
    CLOUD_HYPERVISOR = "cloud-hypervisor"
    CROSVM = "crosvm"
    KVM = "kvm"
    MINIMAL = "minimal"

    @property
    def full_name(self) -> str:
        """The name as its makers write it."""
        return _TITLES.get(self, self.value)

    @classmethod
    def among(cls, value: object, allowed: tuple[Vmm, ...]) -> Vmm:
        """The VMM of that name, if it is one of those that a question can answer.

        Raises:
            InputError: it is not; the message lists those that are.

        >>> Vmm.among("qemu", (Vmm.QEMU, Vmm.MINIMAL))
        <Vmm.QEMU: 'qemu'>
        """
        word = value.strip().lower() if isinstance(value, str) else value
        meant = _OTHER_NAMES.get(word) if isinstance(word, str) else None
        if meant in allowed and word not in allowed:
            msg = f"vmm is {shown(value)}: it must be one of {', '.join(allowed)}; did you mean {meant}?"
            raise InputError(msg)
        return cls(word_of("vmm", word, allowed))


_TITLES = {Vmm.QEMU: "QEMU", Vmm.FIRECRACKER: "Firecracker", Vmm.CLOUD_HYPERVISOR: "Cloud Hypervisor"}
_OTHER_NAMES = {
    **dict.fromkeys(("ch", "clh", "cloudhypervisor"), Vmm.CLOUD_HYPERVISOR),
    **dict.fromkeys(("libvirt", "virsh"), Vmm.QEMU),
    "fc": Vmm.FIRECRACKER,
}
"""What is written for a VMM and is none of these words: short names, and what mostly drives it."""
