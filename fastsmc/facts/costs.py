"""Figures that cost models need, each with its unit, its source, and how far it can be trusted.

A figure's kind says how it was obtained: *measured* by us on a real program; *recorded* from a real kernel; *read* in
a named source; *derived* by arithmetic from those; *assumed*, because nobody has published it or nobody has checked
it. Whatever is computed from an assumed figure says so in its output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

FigureKind = Literal["measured", "recorded", "read", "derived", "assumed"]


@dataclass(frozen=True, slots=True, repr=False)
class Figure:
    """One number with its unit, how it was obtained, and from where."""

    value: float
    unit: str
    kind: FigureKind
    source: str

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit} ({self.kind})"

    def __repr__(self) -> str:
        return f"Figure({self})"


@dataclass(frozen=True, slots=True)
class Range:
    """A figure of which only a lowest, a likely and a highest value are known."""

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
"""The time of one KVM_GET_ONE_REG or KVM_SET_ONE_REG ioctl."""

EMULATED = "measured on an emulated host: means nothing"
"""What is said of every figure that was measured where no real machine was."""

NESTED_HVC_NS = Figure(
    1000,
    "ns",
    "assumed",
    "no published cost of a call that KVM hands to a guest's own EL2 was found: an exit, the guest's EL1 put away and "
    "its EL2 brought in, a return; 1 us, some three traps, is a scenario. For scale: a whole hypercall of a nested "
    "guest took 92,000 cycles and 15 traps with NEVE (SOSP 2017, from memory)",
)
"""What a call costs that goes to the guest's own EL2, in profiles that do not say; not what that EL2 then does."""

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
FIRECRACKER_MAX_STATE_BYTES = Figure(10_000_000, "B", "read", "Firecracker 81b38b9da refuses a larger state file")
CLOUD_HYPERVISOR_REGISTER_BYTES = Range(
    *(
        Figure(value, "B per register", "derived", "Cloud Hypervisor ae44c2971: JSON within JSON, quotes escaped")
        for value in (36, 40, 43)
    )
)
CROSVM_REGISTER_BYTES = Range(
    *(Figure(value, "B per register", "assumed", "crosvm f1e797a68 writes CBOR; from memory") for value in (5, 8, 11))
)

_SERIALISED = (
    "QEMU 7.2.22 under TCG on a 2-core x86 VM, cortex-a57, 64 to 512 vCPUs, no ioctls: downtime of query-migrate per "
    "vCPU; 60 to 117 ms at 512. Making the description is in it, sent or not; patches of January 2025 save that"
)
QEMU_SAVE_MS = Range(*(Figure(value, "ms per vCPU", "measured", _SERIALISED) for value in (0.11, 0.12, 0.23)))
"""The time that QEMU takes to make a vCPU's sections and their description, without ioctls."""
_LOADED = (
    "QEMU 7.2.22 under TCG on a busy 2-core x86 VM, cortex-a57, no ioctls: time from MIGRATION active to completed at "
    "512 vCPUs less that at 1; fastest, median and 90th percentile of 25 (tools/qemu_downtime.py)"
)
QEMU_LOAD_MS = Range(*(Figure(value, "ms per vCPU", "measured", _LOADED) for value in (0.09, 0.13, 0.25)))
"""The time that QEMU takes to read a vCPU's sections, without ioctls."""
_STOPPED = (
    "no published time of QEMU's; Cloud Hypervisor pauses 254 vCPUs in about 4 ms, 16 us each (its #7290); a quarter "
    "and four times that are a scenario"
)
VCPU_PAUSE_US = Range(*(Figure(value, "us per vCPU", "assumed", _STOPPED) for value in (4, 16, 64)))
"""The time that it takes to stop a vCPU, or to start one."""

_GIC_C = "QEMU hw/intc/arm_gicv3_kvm.c, commit 01b5ab8cc: KVM_GET/SET_DEVICE_ATTR, one 32-bit word each"
QEMU_GIC_GETS = Figure(637, "ioctls per VM", "read", f"{_GIC_C}; distributor of 288 interrupts")
QEMU_GIC_GETS_PER_VCPU = Figure(30, "ioctls per vCPU", "read", f"{_GIC_C}; with LPIs and 5 bits of priority")
QEMU_GIC_SETS = Figure(661, "ioctls per VM", "read", f"{_GIC_C}; distributor of 288 interrupts")
QEMU_GIC_SETS_PER_VCPU = Figure(33, "ioctls per vCPU", "read", f"{_GIC_C}; with LPIs and 5 bits of priority")
GIC_IOCTL_LOCKS = Figure(
    1,
    "vCPU mutexes per vCPU and ioctl",
    "read",
    "Linux vgic-kvm-device.c, vgic_v3_attr_regs_access, at 0ea5c948cb64: each access takes the mutexes of all vCPUs",
)
