"""Figures that cost models need, each with its unit, its source, and how far it can be trusted.

Kinds: *measured* by us on a real program; *recorded* from a real kernel; *read* in a named source; *derived* by
arithmetic from those; *assumed*, because nobody has published it or nobody has checked it. Whatever is computed
from an assumed figure says so in its output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["measured", "recorded", "read", "derived", "assumed"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its unit, how it was obtained, and from where."""

    value: float
    unit: str
    kind: Kind
    source: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Range:
    """A figure nobody knows better than as a span."""

    low: Figure
    mid: Figure
    high: Figure

    def __iter__(self) -> Iterator[Figure]:
        return iter((self.low, self.mid, self.high))


def _ioctl(value: float) -> Figure:
    return Figure(
        value,
        "ns",
        "assumed",
        "no published cost of KVM_GET/SET_ONE_REG on arm64 was found; 0.2, 0.5 and 1 us are a scenario. For scale: "
        "a guest-to-userspace round trip takes 1.6 to 2.3 us (kvm-unit-tests micro-bench, mmio_read_user)",
    )


IOCTL_NS = Range(_ioctl(200), _ioctl(500), _ioctl(1000))
"""One KVM_GET_ONE_REG or KVM_SET_ONE_REG ioctl."""

_QEMU_MEASURED = "query-migrate-parameters of QEMU 7.2.22"
QEMU_DOWNTIME_LIMIT_MS = Figure(300, "ms", "measured", f"downtime-limit, {_QEMU_MEASURED}")
QEMU_MAX_BANDWIDTH = Figure(134_217_728, "B/s", "measured", f"max-bandwidth (128 MiB/s), {_QEMU_MEASURED}")

_KVM_C = "QEMU target/arm/kvm.c, commit 03380dd99"
QEMU_CORE_GETS = Figure(
    75, "ioctls per vCPU", "read", f"{_KVM_C}: 31 x, sp, sp_el1, pstate, pc, elr_el1, 5 spsr, 32 v, fpsr, fpcr"
)
QEMU_CORE_GETS_SVE = Figure(
    92, "ioctls per vCPU", "read", f"{_KVM_C}: as without SVE, but 32 z, 16 p and ffr in place of 32 v"
)
QEMU_STATE_GETS = Figure(2, "ioctls per vCPU", "read", f"{_KVM_C}: KVM_GET_VCPU_EVENTS and KVM_GET_MP_STATE")
QEMU_CPREG_GETS = Figure(
    2, "ioctls per register", "read", f"{_KVM_C}, machine.c: once in kvm_arch_get_registers, again in cpu_pre_save"
)
QEMU_CPREG_SETS = Figure(
    2,
    "ioctls per register",
    "assumed",
    "cpu_post_load writes the whole list (read in machine.c); that the later synchronisation of all vCPUs writes it "
    "again is from memory",
)

VGIC_V3_MAX_CPUS = Figure(512, "vCPUs per VM", "read", "Linux include/kvm/arm_vgic.h; the proposed VGIC_V5 has 512 too")
QEMU_VIRT_MAX_CPUS = Figure(512, "vCPUs per VM", "measured", "QEMU 7.2 virt with gicv3 refuses 513")
CLOUD_HYPERVISOR_MAX_CPUS = Figure(255, "vCPUs per VM", "read", "Cloud Hypervisor ae44c2971, arm64")
FIRECRACKER_MAX_CPUS = Figure(32, "vCPUs per VM", "read", "Firecracker 81b38b9da")
RUST_VMM_MAX_REGS = Figure(
    500,
    "registers per vCPU",
    "read",
    "ARM64_REGS_MAX of rust-vmm kvm-bindings 3ffc9b62a, which Firecracker and Cloud Hypervisor use",
)
