"""One VM as KVM keeps it: its ioctls with their errnos, and what becomes of each call of its guest.

The rules stand in KVM's own order. Kernels are right when they agree with this module, and this module is right when it
agrees with recordings of real kernels.

Sources: Linux arch/arm64/kvm/{hypercalls,psci,trng,pvtime,guest,handle_exit,arm}.c, hyp/hyp-entry.S,
Documentation/virt/kvm/api.rst, between 5.10 and 7.x; and recorded behaviour, which wins.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from errno import EBUSY, EEXIST, EFAULT, EINTR, EINVAL, ENOENT, ENOEXEC, ENXIO
from typing import Self, TypeVar

from fastsmc.errors import InputError
from fastsmc.facts.guests import run_errno
from fastsmc.facts.registers import (
    ARCH_ARM64,
    ARCH_MASK,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    FW_BY_ID,
    WORKAROUND_2_AVAIL,
    WORKAROUND_2_ENABLED,
    WORKAROUND_2_NOT_REQUIRED,
    WORKAROUND_LIMIT,
    FwKind,
    FwRegister,
    reg_class,
    reg_size,
)
from fastsmc.facts.releases import Doubt, Release
from fastsmc.facts.services import NARROWED, SMC64_REFUSED_EARLY
from fastsmc.facts.smccc import (
    FUNCTION_BY_ID,
    PSCI_0_1,
    RESERVED_RANGES,
    SMC64,
    Conduit,
    FilterAction,
    Gate,
    Level,
    Verdict,
    is_psci_allowed,
)
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, RUNNABLE, STOPPED
from fastsmc.reference.guests import PROTECTED, exception_taken, required_level
from fastsmc.reference.psci import PSCI, PSCI_ANSWERED, SYSTEM_SUSPEND, system_suspend
from fastsmc.reference.services import ANSWERS, is_answered_by
from fastsmc.reference.state import (
    DENIED,
    EXIT_HYPERCALL,
    HYPERCALL_EXIT_SMC,
    MASK32,
    MASK64,
    OK,
    UNANSWERED,
    Exit,
    Outcome,
    VmState,
)

T = TypeVar("T")


class Vm(VmState):
    """One VM of a host: the state KVM keeps for it, and the ioctls and calls that read or change it.

    All vCPUs have the same features, as recent kernels require. There is no per-vCPU copy of a firmware register:
    an accessor takes a vCPU and reads or writes the VM. Arguments and errors are those of `VmState`.
    """

    def enable_system_suspend(self) -> int:
        """KVM_ENABLE_CAP(KVM_CAP_ARM_SYSTEM_SUSPEND); an errno.

        A protected VM says that it lacks the capability (recorded); that it refuses it with EINVAL is assumed.
        """
        if not self.release.has_system_suspend or self.is_protected:
            return EINVAL
        self.has_system_suspend = True
        return OK

    def vcpu_init(self, vcpu: int, *, power_off: bool = False) -> int:
        """KVM_ARM_VCPU_INIT; resets the vCPU, not the VM's registers, and does not thaw them."""
        self.is_initialised[vcpu] = True
        self.mp_state[vcpu] = STOPPED if power_off else RUNNABLE
        return OK

    def run(self, vcpu: int, *, immediate_exit: bool = False) -> int:
        """KVM_RUN: freezes bitmaps and filter, even when immediate_exit sends it back at once; an errno.

        A vCPU with EL2 and no in-kernel GIC is sent back with EAGAIN (recorded). That ENOEXEC comes before it, and that
        it freezes nothing, no recording shows: kvm_arch_vcpu_run_pid_change, in arm.c, does it in this order.
        """
        if not self.is_initialised[vcpu]:
            return ENOEXEC
        errno = run_errno(self.features, has_gic=self.has_gic)
        if errno:
            return errno
        self.has_run_once = True
        return EINTR if immediate_exit else OK

    # -- firmware registers ------------------------------------------------------------------------------------

    def _lookup(self, vcpu: int, reg: int) -> int:
        """What the ioctl returns before it looks at a register of our classes; 0 to go on."""
        if not self.is_initialised[vcpu]:
            return ENOEXEC
        if reg & ARCH_MASK != ARCH_ARM64:
            return EINVAL
        if reg_class(reg) == CLASS_FW:
            return OK
        if reg_class(reg) == CLASS_FW_FEAT_BMAP and self.release.is_gated:
            return OK
        if reg_class(reg) == CLASS_SVE:
            return EINVAL  # recorded on vCPUs without SVE
        if reg_class(reg) < CLASS_FW:
            msg = f"register {reg:#018x} is not a firmware register: the reference models no other"
            raise InputError(msg)
        return ENOENT  # an unknown class falls to the system-register table

    def _fw_register(self, reg: int) -> FwRegister | None:
        row = FW_BY_ID.get(reg)
        return row if row is not None and row.name in self.release.fw_registers else None

    def get_one_reg(self, vcpu: int, reg: int, *, is_pointer_bad: bool = False) -> tuple[int, int]:
        """KVM_GET_ONE_REG: (errno, value)."""
        errno = self._lookup(vcpu, reg)
        if errno:
            return errno, 0
        row = self._fw_register(reg)
        if row is None:
            return ENOENT, 0
        if is_pointer_bad:
            return EFAULT, 0
        if row.kind is FwKind.PSCI_VERSION:
            return OK, self.effective_psci_version()
        if row.kind is FwKind.BITMAP:
            return OK, self.bitmap[row.index]
        return OK, self.host.workaround[row.index - 1]

    def set_one_reg(self, vcpu: int, reg: int, value: int, *, is_pointer_bad: bool = False) -> int:
        """KVM_SET_ONE_REG: an errno."""
        errno = self._lookup(vcpu, reg)
        if errno:
            return errno
        if reg_size(reg) != 8:
            return ENOENT
        if is_pointer_bad:
            return EFAULT
        row = self._fw_register(reg)
        if row is None:
            return ENOENT
        if row.kind is FwKind.PSCI_VERSION:
            return self._set_psci_version(value)
        if row.kind is FwKind.BITMAP:
            return self._set_bitmap(row.index, value)
        if row.kind is FwKind.WORKAROUND_2:
            return self._check_workaround_2(value)
        return self._check_workaround(row.index, value)

    def _set_psci_version(self, value: int) -> int:
        """Sets the PSCI version at once, for all vCPUs: KVM does not check whether the VM has run."""
        if value not in self.release.psci_versions:
            return EINVAL
        has_psci_0_2 = bool(self.features & FEATURE_PSCI_0_2)
        if (value == PSCI_0_1) == has_psci_0_2:
            return EINVAL
        self.psci_version = value
        return OK

    def _set_bitmap(self, index: int, value: int) -> int:
        if value & ~self.release.bitmap_limit[index]:
            return EINVAL  # before the run-once check
        if self.has_run_once and value != self.bitmap[index]:
            return EBUSY
        self.bitmap[index] = value
        return OK

    def _check_workaround(self, number: int, value: int) -> int:
        """Checks a workaround level, which KVM then forgets: a lower level is accepted and changes nothing."""
        return EINVAL if value > WORKAROUND_LIMIT or value > self.host.workaround[number - 1] else OK

    def _check_workaround_2(self, value: int) -> int:
        level = value & WORKAROUND_LIMIT
        if value & ~(WORKAROUND_LIMIT | WORKAROUND_2_ENABLED) or level > WORKAROUND_2_NOT_REQUIRED:
            return EINVAL
        if value & WORKAROUND_2_ENABLED and level != WORKAROUND_2_AVAIL:
            return EINVAL
        needed = WORKAROUND_2_NOT_REQUIRED if level >= WORKAROUND_2_AVAIL else 0
        return EINVAL if self.host.workaround[1] < needed else OK

    # -- SMCCC filter ------------------------------------------------------------------------------------------

    def has_device_attr(self, group: int, attr: int) -> int:
        """KVM_HAS_DEVICE_ATTR on the VM's file descriptor; an errno. A protected VM has no filter (recorded)."""
        if not self.release.has_filter or self.is_protected:
            return EINVAL
        return OK if (group, attr) == (0, 0) else ENXIO

    def get_device_attr(self) -> int:
        """KVM_GET_DEVICE_ATTR on the VM's file descriptor: the filter is write-only; an errno."""
        return EINVAL

    def insert_filter(
        self, base: int, nr_functions: int, action: int, *, pad: bool = False, is_pointer_bad: bool = False
    ) -> int:
        """KVM_SET_DEVICE_ATTR of KVM_ARM_VM_SMCCC_FILTER; an errno. EFAULT, EINVAL, EBUSY, EEXIST, in this order."""
        if self.has_device_attr(0, 0) == EINVAL:
            return EINVAL
        if is_pointer_bad:
            return EFAULT
        if pad:
            return EINVAL
        if base == 0 and nr_functions == 0 and action <= FilterAction.FWD_TO_USER:
            # The end wraps to 0xffffffff: the whole space, which meets the reserved ranges.
            if self.release.filter_empty_at_0_errno == EINVAL or not self.has_run_once:
                return self.release.filter_empty_at_0_errno
            return EBUSY
        last = (base + nr_functions - 1) & MASK32
        if last < base or action > FilterAction.FWD_TO_USER:
            return EINVAL
        if self.has_run_once:
            return EBUSY
        taken = [*RESERVED_RANGES, *((first, end) for first, end, _ in self.filter)]
        if any(first <= last and base <= end for first, end in taken):
            return EEXIST
        self.filter.append((base, last, FilterAction(action)))
        return OK

    def filter_action(self, func_id: int) -> FilterAction:
        """What the VM's filter says of a function id; HANDLE where no range covers it."""
        for first, last, action in self.filter:
            if first <= func_id <= last:
                return action
        return FilterAction.HANDLE

    # -- calls -------------------------------------------------------------------------------------------------

    def call(
        self,
        vcpu: int,
        x0: int,
        x1: int = 0,
        x2: int = 0,
        x3: int = 0,
        conduit: Conduit = Conduit.HVC,
        level: Level = Level.EL1,
    ) -> Outcome:
        """What a guest's HVC or SMC does. The call changes power state only.

        The first of these that applies settles it: the fast path at EL2, what else of a protected VM the real EL2
        answers, the guest's own EL2, an SMC that nobody serves, the filter, the bitmaps and the allowed list, the
        service that the id names, PSCI.

        Args:
            x0, x1, x2, x3: 64-bit values of the caller's registers.
            level: the exception level the call is made at. Of a guest with EL2, EL1 is taken for vEL2.

        Raises:
            InputError: a level other than EL1, of a guest without EL2.
        """
        level = required_level(level, has_el2=self.has_el2)
        doubts = self.doubts_about(lambda vm: vm._called(vcpu, x0, x1, x2, x3, conduit, level))
        outcome = self._called(vcpu, x0, x1, x2, x3, conduit, level)
        return replace(outcome, doubts=doubts) if doubts else outcome

    def _called(self, vcpu: int, x0: int, x1: int, x2: int, x3: int, conduit: Conduit, level: Level) -> Outcome:
        func_id = x0 & MASK32  # bits 63:32 are ignored everywhere
        is_smc = bool(conduit & Conduit.SMC)
        if not is_smc and self._is_fast_path(func_id):
            return Outcome(Verdict.FAST_PATH, (0, 0, x2, x3))
        if self.is_protected and not is_smc and func_id in PROTECTED:
            return PROTECTED[func_id](x1, x2, x3)
        exception = exception_taken(conduit, level) if self.has_el2 else None
        if exception is not None:
            return Outcome(Verdict.TO_VEL2, (x0, x1, x2, x3), exception=exception)
        if is_smc and (conduit == Conduit.SMC_IMM or not self.release.serves_smc):
            return Outcome(Verdict.SMC_REFUSED, (MASK64, x1, x2, x3))
        action = self.filter_action(func_id)
        if action is FilterAction.FWD_TO_USER:
            flags = HYPERCALL_EXIT_SMC if is_smc else 0
            return Outcome(Verdict.FORWARDED, (x0, x1, x2, x3), exit=Exit(EXIT_HYPERCALL, nr=func_id, flags=flags))
        if action is FilterAction.DENY or not self.is_permitted(func_id):
            return DENIED
        if func_id in ANSWERS and is_answered_by(self, func_id):
            return ANSWERS[func_id](self, vcpu, x1, x2, x3)
        return self._psci(vcpu, x0, x1, x2, x3)

    def _is_fast_path(self, func_id: int) -> bool:
        row = FUNCTION_BY_ID.get(func_id)
        return row is not None and row.gate is Gate.FAST_PATH and row.needs in self.release.answers

    def is_permitted(self, func_id: int) -> bool:
        """Whether the bitmaps or the default allow list pass an id; before the bitmaps existed, every id passed."""
        if not self.release.is_gated:
            return True
        row = FUNCTION_BY_ID.get(func_id)
        if row is not None and row.gate is Gate.BITMAP:
            return bool(self.bitmap[row.bitmap] >> row.bit & 1)
        if row is not None and row.gate is Gate.DEFAULT:
            return True
        return is_psci_allowed(func_id)

    # -- what is not known -------------------------------------------------------------------------------------

    def doubts_about(self, ask: Callable[[Self], T]) -> tuple[Doubt, ...]:
        """The doubts about its release that would change an answer. Copies of the VM are asked, so it stays as it is.

        >>> from fastsmc.facts.releases import Host
        >>> vm = Vm(Host.of("5.15.0-125-generic"))
        >>> [doubt.fields for doubt in vm.doubts_about(lambda vm: vm.call(0, 0x80003FFF).verdict)]
        [('fw_registers', 'answers')]
        """
        if not self.release.doubts:
            return ()
        told = ask(self._under(replace(self.release, doubts=())))
        return tuple(
            doubt for doubt in self.release.doubts if any(ask(self._under(rules)) != told for rules in doubt.others)
        )

    def _under(self, rules: Release) -> Self:
        """A copy of this VM as it would be under other rules."""
        other = copy(self)
        other.host, other.release = replace(self.host, release=rules), rules
        # Without bitmaps there was nothing to set, so the VM would have them as they are at reset.
        other.bitmap = list(self.bitmap if self.release.is_gated else rules.bitmap_reset)
        other.filter, other.mp_state = list(self.filter), list(self.mp_state)
        other.is_initialised, other.steal_base = list(self.is_initialised), list(self.steal_base)
        return other

    # -- PSCI --------------------------------------------------------------------------------------------------

    def _psci(self, vcpu: int, x0: int, x1: int, x2: int, x3: int) -> Outcome:
        """PSCI's outcome of a call: it gets every permitted id that no other service answers, known or not."""
        func_id = x0 & MASK32
        row = FUNCTION_BY_ID.get(func_id)
        is_smc64 = bool(func_id & SMC64)
        if is_smc64 and self.is_a32 and (self.release.a32_refuses_all_smc64 or func_id in SMC64_REFUSED_EARLY):
            return UNANSWERED
        if (
            row is None
            or func_id not in PSCI_ANSWERED
            or not row.psci_min <= self.effective_psci_version() <= row.psci_max
        ):
            return UNANSWERED
        if row.vm_cap and not self.has_system_suspend:
            return UNANSWERED
        if not is_smc64 and func_id in NARROWED:
            x1, x2, x3 = x1 & MASK32, x2 & MASK32, x3 & MASK32
        if func_id in SYSTEM_SUSPEND:
            return system_suspend(x0, x1, x2, x3)
        return PSCI[func_id](self, vcpu, x1, x2, x3)
