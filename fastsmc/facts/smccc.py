"""Function ids: their anatomy, and every id KVM/arm64 knows, as a table.

Facts only: which id is called what, which service owns it, which gate lets it through and what a release must have to
answer it. What the answer is, is said in `reference`; what a release has, in `releases`.

Sources: Arm DEN0028 (SMCCC) for the anatomy; Linux include/linux/arm-smccc.h and include/uapi/linux/psci.h for the ids;
Linux arch/arm64/kvm/{hypercalls,psci,trng,pvtime}.c, read between 5.10 and 7.x, for gates and versions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

FAST_CALL = 0x8000_0000
"""Bit 31: a fast call; clear: a yielding call. Source: DEN0028, 2.5."""
SMC64 = 0x4000_0000
"""Bit 30: SMC64/HVC64 convention."""
OWNER_SHIFT, OWNER_MASK = 24, 0x3F
SVE_HINT = 0x0001_0000
"""Bit 16, SMCCC 1.3. KVM does not mask it off for guests: id | SVE_HINT matches nothing."""

SMCCC_VERSION_1_1 = 0x10001
"""What KVM advertises, always. Source: hypercalls.c."""

PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3 = 0x1, 0x2, 0x10000, 0x10001, 0x10002, 0x10003
"""PSCI versions as KVM's register holds them: major << 16 | minor. Source: uapi/linux/psci.h, KVM_ARM_PSCI_*."""


def psci_name(word: int) -> str:
    """A PSCI version word as people write it.

    >>> psci_name(PSCI_1_3)
    '1.3'
    """
    return f"{word >> 16}.{word & 0xFFFF}"


PSCI_ALLOWED_OWNER, PSCI_ALLOWED_LAST = 4, 0x1F
"""Owner 4, low half <= 0x1F is allowed by default; bits 31, 30 and 23:16 are not looked at. Source: hypercalls.c."""

RESERVED_RANGES = ((0x8000_0000, 0x8000_FFFF), (0xC000_0000, 0xC000_FFFF))
"""Arm architecture calls, which a VMM's filter may not touch (inclusive). Source: hypercalls.c, 6.4."""


class Owner(IntEnum):
    """Owning entity of a function id, bits 29:24. Source: DEN0028, table 2-1."""

    ARCH = 0
    CPU = 1
    SIP = 2
    OEM = 3
    STANDARD = 4
    STANDARD_HYP = 5
    VENDOR_HYP = 6


class Service(IntEnum):
    """The group a known id belongs to; UNKNOWN collects every id that is not in FUNCTIONS."""

    ARCH = 0
    PSCI = 1
    TRNG = 2
    PV_TIME = 3
    VENDOR_HYP = 4
    UNKNOWN = 5


class Gate(IntEnum):
    """What lets a known id through, once the SMCCC filter said HANDLE (or was not asked)."""

    DEFAULT = 0  # on the allowed list
    BITMAP = 1  # a bit of a firmware feature bitmap
    NONE = 2  # never allowed in the kernel: only a FWD_TO_USER filter gets it out
    FAST_PATH = 3  # answered at EL2 before any filter, HVC only; by SMC it is gated as NONE


class FilterAction(IntEnum):
    """KVM_SMCCC_FILTER_* of the VM's SMCCC filter. Source: arch/arm64/include/uapi/asm/kvm.h, 6.4."""

    HANDLE = 0
    DENY = 1
    FWD_TO_USER = 2


class Conduit(IntEnum):
    """How a guest called. Bit 0: SMC; bit 1: the immediate is not zero (HVC ignores it, SMC does not)."""

    HVC = 0
    SMC = 1
    HVC_IMM = 2
    SMC_IMM = 3


class Level(IntEnum):
    """The exception level that a call is made at, and HCR_EL2.TSC there: bits 1:0 the level, bit 2 TSC.

    Only a guest with EL2 has more than one level. TSC traps SMCs of its vEL1 and has no effect on vEL2.
    """

    EL1 = 0  # an ordinary guest; of a guest with EL2: not told, taken for vEL2 (vEL1 gets the same unless TSC is set)
    VEL1 = 1
    VEL2 = 2
    VEL1_TSC = 5
    VEL2_TSC = 6


class Verdict(IntEnum):
    """What becomes of one call, in one byte."""

    HANDLED = 0  # answered in the kernel by the service the id names
    DENIED = 1  # filter DENY, a clear bit, or not on the allowed list: x0 = -1, x1..x3 = 0
    FORWARDED = 2  # filter FWD_TO_USER: KVM_EXIT_HYPERCALL
    NOT_SUPPORTED = 3  # allowed, but nothing here answers it: x0 = -1, x1..x3 = 0
    EXIT = 4  # PSCI system function: KVM_EXIT_SYSTEM_EVENT
    FAST_PATH = 5  # answered at the real EL2: WORKAROUND_n (x0 = x1 = 0, the rest kept), and pKVM's calls
    SMC_REFUSED = 6  # SMC before 6.4, or with an immediate: x0 = -1, the rest kept
    TO_VEL2 = 7  # an exception to the guest's own EL2, which decides: registers kept


N_VERDICT = len(Verdict)
N_SERVICE = len(Service)

STD_BMAP, STD_HYP_BMAP, VENDOR_HYP_BMAP, VENDOR_HYP_BMAP_2 = range(4)
"""Index of a feature bitmap register: position in a policy's row of bitmaps, and low bits of its register id."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function id KVM/arm64 has a name for.

    Attributes:
        func_id: all 32 bits.
        name: Linux' macro, less what all of a kind begin and end with. An SMC64 form of PSCI ends in 64.
        service: the group it belongs to.
        gate: what lets a call through to the kernel's answer.
        source: files of Linux or documents of Arm that have it.
        bitmap, bit: for Gate.BITMAP, which bitmap register and bit.
        needs: what a release's `answers` must hold for the id to be answered; "" = every release here,
            "-" = named in the ABI, answered by no release.
        psci_min, psci_max: effective PSCI versions that answer it (PSCI functions only).
        vm_cap: VM capability that must be enabled.
        exits: it leaves the guest with KVM_EXIT_SYSTEM_EVENT.
    """

    func_id: int
    name: str
    service: Service
    gate: Gate
    source: str
    bitmap: int = 0
    bit: int = 0
    needs: str = ""
    psci_min: int = 0
    psci_max: int = 0xFFFF_FFFF
    vm_cap: str = ""
    exits: bool = False


_ARM_SMCCC_H = "include/linux/arm-smccc.h"
_WORKAROUND_4 = "Arm DEN0028 (SMCCC), 7.9; TF-A include/services/arm_arch_svc.h, 6a164dda7"
"""No header of Linux up to 7.2 has it."""
_PSCI_H = "include/uapi/linux/psci.h; arch/arm64/kvm/psci.c"
_NEVER = "-"


def _arch(func_id: int, name: str, gate: Gate, needs: str = "") -> Function:
    return Function(func_id, name, Service.ARCH, gate, f"{_ARM_SMCCC_H}; hyp/hyp-entry.S", needs=needs)


def _psci(func_id: int, name: str, psci_min: int = 0, *, vm_cap: str = "", exits: bool = False) -> Function:
    """A PSCI 0.2+ id; without a minimum version it is one no release answers."""
    return Function(
        func_id,
        name,
        Service.PSCI,
        Gate.DEFAULT,
        _PSCI_H,
        needs="" if psci_min else _NEVER,
        psci_min=psci_min,
        vm_cap=vm_cap,
        exits=exits,
    )


def _psci_0_1(func_id: int, name: str, needs: str = "") -> Function:
    source = "arch/arm64/include/uapi/asm/kvm.h, KVM_PSCI_FN_*"
    return Function(
        func_id, name, Service.PSCI, Gate.DEFAULT, source, needs=needs, psci_min=PSCI_0_1, psci_max=PSCI_0_1
    )


def _trng(func_id: int, name: str) -> Function:
    return Function(func_id, name, Service.TRNG, Gate.BITMAP, f"{_ARM_SMCCC_H}; trng.c", STD_BMAP, 0, needs="TRNG")


def _pv_time(func_id: int, name: str) -> Function:
    source = f"{_ARM_SMCCC_H}; pvtime.c"
    return Function(func_id, name, Service.PV_TIME, Gate.BITMAP, source, STD_HYP_BMAP, 0, needs="PV_TIME")


def _vendor(func_id: int, name: str, bit: int) -> Function:
    source = f"{_ARM_SMCCC_H}; hypercalls.c"
    return Function(func_id, name, Service.VENDOR_HYP, Gate.BITMAP, source, VENDOR_HYP_BMAP, bit, needs="VENDOR_HYP")


def _no_gate(func_id: int, name: str) -> Function:
    return Function(func_id, name, Service.VENDOR_HYP, Gate.NONE, _ARM_SMCCC_H, needs=_NEVER)


FUNCTIONS: tuple[Function, ...] = (
    _arch(0x8000_0000, "SMCCC_VERSION", Gate.DEFAULT),
    _arch(0x8000_0001, "SMCCC_ARCH_FEATURES", Gate.DEFAULT),
    _arch(0x8000_0002, "SMCCC_ARCH_SOC_ID", Gate.NONE, _NEVER),
    Function(0x8000_0004, "SMCCC_ARCH_WORKAROUND_4", Service.ARCH, Gate.NONE, _WORKAROUND_4, needs=_NEVER),
    _arch(0x8000_8000, "SMCCC_ARCH_WORKAROUND_1", Gate.FAST_PATH, "WORKAROUND_1"),
    _arch(0x8000_7FFF, "SMCCC_ARCH_WORKAROUND_2", Gate.FAST_PATH, "WORKAROUND_2"),
    _arch(0x8000_3FFF, "SMCCC_ARCH_WORKAROUND_3", Gate.FAST_PATH, "WORKAROUND_3"),
    # KVM-private PSCI 0.1 numbers, not SMCCC ids; allowed by an explicit range check.
    _psci_0_1(0x95C1_BA5E, "PSCI_0_1_CPU_SUSPEND", _NEVER),
    _psci_0_1(0x95C1_BA5F, "PSCI_0_1_CPU_OFF"),
    _psci_0_1(0x95C1_BA60, "PSCI_0_1_CPU_ON"),
    _psci_0_1(0x95C1_BA61, "PSCI_0_1_MIGRATE", _NEVER),
    _psci(0x8400_0000, "PSCI_VERSION", PSCI_0_2),
    _psci(0x8400_0001, "PSCI_CPU_SUSPEND", PSCI_0_2),
    _psci(0xC400_0001, "PSCI_CPU_SUSPEND64", PSCI_0_2),
    _psci(0x8400_0002, "PSCI_CPU_OFF", PSCI_0_2),
    _psci(0x8400_0003, "PSCI_CPU_ON", PSCI_0_2),
    _psci(0xC400_0003, "PSCI_CPU_ON64", PSCI_0_2),
    _psci(0x8400_0004, "PSCI_AFFINITY_INFO", PSCI_0_2),
    _psci(0xC400_0004, "PSCI_AFFINITY_INFO64", PSCI_0_2),
    _psci(0x8400_0005, "PSCI_MIGRATE"),
    _psci(0xC400_0005, "PSCI_MIGRATE64"),
    _psci(0x8400_0006, "PSCI_MIGRATE_INFO_TYPE", PSCI_0_2),
    _psci(0x8400_0007, "PSCI_MIGRATE_INFO_UP_CPU"),
    _psci(0xC400_0007, "PSCI_MIGRATE_INFO_UP_CPU64"),
    _psci(0x8400_0008, "PSCI_SYSTEM_OFF", PSCI_0_2, exits=True),
    _psci(0x8400_0009, "PSCI_SYSTEM_RESET", PSCI_0_2, exits=True),
    _psci(0x8400_000A, "PSCI_FEATURES", PSCI_1_0),
    _psci(0x8400_000B, "PSCI_CPU_FREEZE"),
    _psci(0x8400_000C, "PSCI_CPU_DEFAULT_SUSPEND"),
    _psci(0xC400_000C, "PSCI_CPU_DEFAULT_SUSPEND64"),
    _psci(0x8400_000D, "PSCI_NODE_HW_STATE"),
    _psci(0xC400_000D, "PSCI_NODE_HW_STATE64"),
    _psci(0x8400_000E, "PSCI_SYSTEM_SUSPEND", PSCI_1_0, vm_cap="SYSTEM_SUSPEND", exits=True),
    _psci(0xC400_000E, "PSCI_SYSTEM_SUSPEND64", PSCI_1_0, vm_cap="SYSTEM_SUSPEND", exits=True),
    _psci(0x8400_000F, "PSCI_SET_SUSPEND_MODE"),
    _psci(0x8400_0010, "PSCI_STAT_RESIDENCY"),
    _psci(0xC400_0010, "PSCI_STAT_RESIDENCY64"),
    _psci(0x8400_0011, "PSCI_STAT_COUNT"),
    _psci(0xC400_0011, "PSCI_STAT_COUNT64"),
    _psci(0x8400_0012, "PSCI_SYSTEM_RESET2", PSCI_1_1, exits=True),
    _psci(0xC400_0012, "PSCI_SYSTEM_RESET2_64", PSCI_1_1, exits=True),
    _psci(0x8400_0013, "PSCI_MEM_PROTECT"),
    _psci(0x8400_0014, "PSCI_MEM_PROTECT_CHECK_RANGE"),
    _psci(0xC400_0014, "PSCI_MEM_PROTECT_CHECK_RANGE64"),
    _psci(0x8400_0015, "PSCI_SYSTEM_OFF2", PSCI_1_3, exits=True),
    _psci(0xC400_0015, "PSCI_SYSTEM_OFF2_64", PSCI_1_3, exits=True),
    _trng(0x8400_0050, "TRNG_VERSION"),
    _trng(0x8400_0051, "TRNG_FEATURES"),
    _trng(0x8400_0052, "TRNG_GET_UUID"),
    _trng(0x8400_0053, "TRNG_RND32"),
    _trng(0xC400_0053, "TRNG_RND64"),
    _pv_time(0xC500_0020, "PV_TIME_FEATURES"),
    _pv_time(0xC500_0021, "PV_TIME_ST"),
    _vendor(0x8600_FF01, "VENDOR_HYP_CALL_UID", 0),
    _vendor(0x8600_0000, "VENDOR_HYP_FEATURES", 0),
    _vendor(0x8600_0001, "VENDOR_HYP_PTP", 1),
    _no_gate(0xC600_0002, "VENDOR_HYP_HYP_MEMINFO"),
    _no_gate(0xC600_0003, "VENDOR_HYP_MEM_SHARE"),
    _no_gate(0xC600_0004, "VENDOR_HYP_MEM_UNSHARE"),
    _no_gate(0xC600_0007, "VENDOR_HYP_MMIO_GUARD"),
    _no_gate(0xC600_0040, "VENDOR_HYP_DISCOVER_IMPL_VER"),
    _no_gate(0xC600_0041, "VENDOR_HYP_DISCOVER_IMPL_CPUS"),
)

FUNCTION_BY_ID = {f.func_id: f for f in FUNCTIONS}
FUNCTION_BY_NAME = {f.name: f for f in FUNCTIONS}


def func_id(*, fast: bool, smc64: bool, owner: int, number: int) -> int:
    """The 32-bit id of a call, from its parts.

    >>> hex(func_id(fast=True, smc64=False, owner=Owner.STANDARD, number=0x50))
    '0x84000050'
    """
    return fast << 31 | smc64 << 30 | (owner & OWNER_MASK) << OWNER_SHIFT | (number & 0xFFFF)


def owner_of(func_id: int) -> int:
    """Bits 29:24 of a function id."""
    return func_id >> OWNER_SHIFT & OWNER_MASK


def is_psci_allowed(func_id: int) -> bool:
    """Whether the default allow list passes this id to the PSCI code, known there or not."""
    return owner_of(func_id) == PSCI_ALLOWED_OWNER and func_id & 0xFFFF <= PSCI_ALLOWED_LAST


def name_key(text: str) -> str:
    """What a user wrote for a name, as tables spell names: in capitals, with _ for -."""
    return text.strip().upper().replace("-", "_")


def names_meant(text: str, names: Collection[str]) -> list[str]:
    """The names that a user may mean: the one that was written in full, or all that end so.

    PSCI 0.1, which is older than SMCCC, must be named in full.

    >>> names_meant("ptp", FUNCTION_BY_NAME), names_meant("rnd", ["TRNG_RND", "MY_RND"])
    (['VENDOR_HYP_PTP'], ['TRNG_RND', 'MY_RND'])
    """
    key = name_key(text)
    return [key] if key in names else [name for name in names if name.endswith(f"_{key}") and "PSCI_0_1_" not in name]
