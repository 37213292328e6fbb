"""State of one VM, outcome of one call, and the ABI's constants that the rules speak of.

Sources: Linux include/uapi/linux/{kvm,psci}.h, arch/arm64/include/uapi/asm/kvm.h, arch/arm64/kvm/{psci,trng}.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsmc.errors import InputError
from fastsmc.facts.guests import why_refused
from fastsmc.facts.releases import Doubt, Host
from fastsmc.facts.services import MPIDR_AFFINITY, SHOWN_BEFORE_BITMAPS
from fastsmc.facts.smccc import PSCI_0_1, FilterAction, Verdict
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_PSCI_0_2, RUNNABLE, STOPPED, has_el2

OK = 0

EXIT_HYPERCALL, EXIT_SYSTEM_EVENT = 3, 24
HYPERCALL_EXIT_SMC = 0x1
EVENT_SHUTDOWN, EVENT_RESET, EVENT_SUSPEND = 1, 2, 5
"""KVM_SYSTEM_EVENT_*. Source: include/uapi/linux/kvm.h."""
RESET2_FLAG = OFF2_FLAG = 1
"""KVM_SYSTEM_EVENT_{RESET_FLAG_PSCI_RESET2,SHUTDOWN_FLAG_PSCI_OFF2}, in data[0]."""

MASK32, MASK64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
NOT_SUPPORTED = -1

PSTATE_EL1, PSTATE_EL2, PSTATE_A32 = 0x3C5, 0x3C9, 0x1D3
"""PSTATE of a vCPU that was initialised: EL1h, EL2h, Supervisor mode of AArch32, with interrupts masked.

Recorded: `reglist` of every host, `reset_state` of hosts with guests that have EL2.
"""

FourWords = tuple[int, int, int, int]
KNOWN: FourWords = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Exit:
    """A return from KVM_RUN: HYPERCALL with nr and flags, or SYSTEM_EVENT with type and data."""

    reason: int
    nr: int = 0
    flags: int = 0
    event: int = 0
    data: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """An exception that the guest's own EL2 takes in the place of an answer.

    Attributes:
        vector: its offset from VBAR_EL2, in bytes.
        esr: ESR_EL2 without the call's immediate, which KVM puts into bits 15:0.
        elr: ELR_EL2 minus the address of the instruction, in bytes: past an HVC, at an SMC that was trapped.
    """

    vector: int
    esr: int
    elr: int


@dataclass(frozen=True, slots=True)
class Start:
    """A vCPU that CPU_ON starts, and what it starts with.

    Attributes:
        vcpu: its number.
        pstate: PSTATE, which holds the exception level. Recorded of guests with EL2; for others it is taken to be that
            of a vCPU that was initialised.
        entry, x0: the program counter and x0, as the caller gave them.
    """

    vcpu: int
    pstate: int
    entry: int
    x0: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call does.

    Attributes:
        verdict: what became of it.
        x: x0..x3 when the guest goes on, or as userspace finds them at the exit.
        free: per register, the bits that may be anything (random or clock-derived); they are 0 in `x`.
        exit: how the call leaves the guest, if it does.
        blocks: the vCPU then waits in KVM_RUN (CPU_SUSPEND, CPU_OFF).
        exception: what the guest's own EL2 takes instead, if the call goes there; `x` is then as it was.
        starts: the vCPU that the call starts (CPU_ON), if it does.
        doubts: what is not known of the release and would make the outcome another one; no part of a comparison.
        unknown: what else the outcome depends on and no state here holds, in words; "" where nothing.
    """

    verdict: Verdict
    x: FourWords
    free: FourWords = KNOWN
    exit: Exit | None = None
    blocks: bool = False
    exception: Taken | None = None
    starts: Start | None = None
    unknown: str = field(default="", compare=False)
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)

    def matches(self, x: FourWords, *, width: int = MASK64) -> bool:
        """Whether registers seen on a real host agree, outside the free bits.

        Args:
            width: MASK32 for an AArch32 caller, who sees r0..r3.
        """
        return all((mine ^ seen) & ~free & width == 0 for mine, seen, free in zip(self.x, x, self.free, strict=True))


def words(x0: int, x1: int = 0, x2: int = 0, x3: int = 0) -> FourWords:
    """x0..x3 as KVM writes them together; a negative x0 is an error code."""
    return (x0 & MASK64, x1, x2, x3)


def answered(x0: int, x1: int = 0, x2: int = 0, x3: int = 0) -> Outcome:
    """The outcome of a call that a service answers."""
    return Outcome(Verdict.HANDLED, words(x0, x1, x2, x3))


DENIED = Outcome(Verdict.DENIED, words(NOT_SUPPORTED))
"""The outcome of a call that the filter or a bitmap stops."""
UNANSWERED = Outcome(Verdict.NOT_SUPPORTED, words(NOT_SUPPORTED))
"""The outcome of a permitted call that nothing answers."""
REFUSED = answered(NOT_SUPPORTED)
"""A service's own NOT_SUPPORTED."""


class VmState:
    """What KVM keeps for one VM.

    All vCPUs have the same features, as recent kernels require. There is no per-vCPU copy of a firmware register.

    Args:
        features: word 0 of the features that vCPUs are initialised with.
        is_protected: the VM is of type KVM_VM_TYPE_ARM_PROTECTED.
        has_gic: it has an interrupt controller in the kernel, without which no vCPU with EL2 runs.

    Raises:
        InputError: the host has no such VM; the sentence says what refuses it, and with which errno.
    """

    def __init__(
        self,
        host: Host,
        *,
        features: int = FEATURE_PSCI_0_2,
        n_vcpu: int = 1,
        is_protected: bool = False,
        has_gic: bool = True,
    ) -> None:
        self.host = host
        self.release = host.release
        reason = why_refused(host, features, is_protected=is_protected)
        if reason:
            msg = f"features {features:#x}: {reason}"
            raise InputError(msg)
        self.features = features
        self.is_protected, self.has_gic = is_protected, has_gic
        self.bitmap = list(self.release.bitmap_reset)
        self.psci_version = 0  # 0: not set, the release's default applies
        self.has_run_once = False
        self.has_system_suspend = False
        self.filter: list[tuple[int, int, FilterAction]] = []  # (first, last, action), disjoint
        self.is_initialised = [True] * n_vcpu
        self.mp_state = [RUNNABLE] * n_vcpu
        self.steal_base: list[int | None] = [None] * n_vcpu

    @property
    def is_a32(self) -> bool:
        """Whether the vCPUs run AArch32 at EL1."""
        return bool(self.features & FEATURE_EL1_32BIT)

    @property
    def has_el2(self) -> bool:
        """Whether the guest has EL2 itself."""
        return has_el2(self.features)

    @property
    def start_pstate(self) -> int:
        """PSTATE of a vCPU that was initialised, and with which CPU_ON starts one, whichever level called.

        >>> hex(VmState(Host.of("6.18", kvm_arm_mode="nested"), features=0x84).start_pstate)
        '0x3c9'
        """
        return PSTATE_EL2 if self.has_el2 else PSTATE_A32 if self.is_a32 else PSTATE_EL1

    def effective_psci_version(self) -> int:
        """The version word its guests see: 0.1 without the feature PSCI_0_2, else what was set, else the default."""
        if not self.features & FEATURE_PSCI_0_2:
            return PSCI_0_1
        return self.psci_version or self.release.psci_versions[-1]

    def shown_bitmap(self, index: int) -> int:
        """The bitmap as services see it. Before the registers existed, services saw all the bits of that time."""
        if self.release.is_gated:
            return self.bitmap[index]
        return SHOWN_BEFORE_BITMAPS[index]

    def affinity_target(self, target: int) -> int | None:
        """The affinity fields a PSCI target names, or None where the release rejects bits outside them."""
        if target & ~MPIDR_AFFINITY and not self.release.mpidr_masks_extra_bits:
            return None
        return target & MPIDR_AFFINITY

    def stop_all(self) -> None:
        """Stops every vCPU, as KVM does before it leaves the guest to shut down or reset."""
        self.mp_state = [STOPPED] * len(self.mp_state)

    def event_data(self, word: int) -> tuple[int, ...]:
        """data[] of a SYSTEM_EVENT exit, as far as the release fills it."""
        return (word,) if self.release.has_event_data else ()
