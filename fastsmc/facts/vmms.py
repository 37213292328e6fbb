"""The virtual machine monitors of arm64 by name: one word each, wherever registers are counted, moved or restored."""

from __future__ import annotations

from enum import StrEnum

from fastsmc.checks import word_of


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
        return cls(word_of("vmm", value.strip().lower() if isinstance(value, str) else value, allowed))


_TITLES = {Vmm.QEMU: "QEMU", Vmm.FIRECRACKER: "Firecracker", Vmm.CLOUD_HYPERVISOR: "Cloud Hypervisor"}
