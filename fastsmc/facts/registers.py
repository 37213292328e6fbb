"""KVM's ONE_REG ids: their anatomy, and the firmware pseudo-registers as a table.

Sources: Linux arch/arm64/include/uapi/asm/kvm.h (KVM_REG_ARM_*), include/uapi/linux/kvm.h (KVM_REG_SIZE_*),
Documentation/virt/kvm/arm/fw-pseudo-registers.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from numbers import Integral

from fastsmc.errors import InputError

ARCH_ARM64 = 0x6000_0000_0000_0000
ARCH_MASK = 0xFF0F_FFFF_0000_0000
"""The upper half of an id without its size field; anything but ARCH_ARM64 here is EINVAL. Source: guest.c."""
SIZE_SHIFT = 52
SIZE_MASK = 0x00F0_0000_0000_0000
SIZE_U64 = 0x0030_0000_0000_0000
CLASS_MASK = 0x0FFF_0000
"""KVM_REG_ARM_COPROC_MASK: the register class."""

CLASS_CORE, CLASS_DEMUX, CLASS_SYSREG = 0x0010_0000, 0x0011_0000, 0x0013_0000
CLASS_FW, CLASS_SVE, CLASS_FW_FEAT_BMAP = 0x0014_0000, 0x0015_0000, 0x0016_0000

CLASS_NAMES = {
    CLASS_CORE: "core",
    CLASS_DEMUX: "demux",
    CLASS_SYSREG: "sysreg",
    CLASS_FW: "firmware",
    CLASS_SVE: "sve",
    CLASS_FW_FEAT_BMAP: "firmware bitmap",
}


def whole(name: str, value: object, *, first: int = 0, last: int) -> int:
    """The value as an int; booleans are no numbers, nothing is rounded.

    Raises:
        InputError: not a whole number in first..last.
    """
    number = None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
    if number is None or not first <= number <= last:
        shown = " ".join(repr(value).split())[:60]
        end = last if last < _U32 else hex(last)
        msg = f"{name} is {shown}: it must be a whole number in {first}..{end}"
        raise InputError(msg)
    return number


_U32, _U64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF


def sysreg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The ONE_REG id of a 64-bit system register, from its encoding. Source: uapi/asm/kvm.h, ARM64_SYS_REG.

    >>> hex(sysreg(3, 0, 0, 4, 0))  # ID_AA64PFR0_EL1
    '0x603000000013c020'
    """
    return ARCH_ARM64 | SIZE_U64 | CLASS_SYSREG | op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


PTIMER_CNT, TIMER_CNT = sysreg(3, 3, 14, 0, 1), sysreg(3, 3, 14, 3, 2)
"""KVM_REG_ARM_PTIMER_CNT and TIMER_CNT, which has the encoding of CNTV_CVAL_EL0, by mistake."""
COUNTERS = frozenset({PTIMER_CNT, TIMER_CNT})
"""The registers that go on counting, so that two readings of one vCPU never agree."""


def register_id(reg: object) -> int:
    """A ONE_REG id as an int.

    Raises:
        InputError: not a 64-bit number; a name gets the hint to ask for its id.
    """
    if isinstance(reg, str):
        msg = f"a register id is a number, not {reg[:40]!r}: give register({reg[:40]!r})"
        raise InputError(msg)
    return whole("a register id", reg, last=_U64)


def reg_size(reg: int) -> int:
    """Bytes of a register's value, from the size field of its id.

    >>> reg_size(0x6030000000140000)
    8
    """
    return 1 << (reg >> SIZE_SHIFT & 0xF)


def reg_class(reg: int) -> int:
    """The class bits of a register id, one of the CLASS_* values if it is one KVM has."""
    return reg & CLASS_MASK


class FwKind(IntEnum):
    """Which SET rule a firmware register follows."""

    PSCI_VERSION = 0
    WORKAROUND = 1  # WORKAROUND_1 and _3: validated against the host level, not stored
    WORKAROUND_2 = 2
    BITMAP = 3


@dataclass(frozen=True, slots=True)
class FwRegister:
    """One firmware pseudo-register.

    Attributes:
        kind: its SET rule.
        index: bitmap number, or workaround number; 0 for PSCI_VERSION.
    """

    reg: int
    name: str
    kind: FwKind
    index: int
    source: str


_FW_RST = "Documentation/virt/kvm/arm/fw-pseudo-registers.rst"
_FW = ARCH_ARM64 | SIZE_U64 | CLASS_FW
_BMAP = ARCH_ARM64 | SIZE_U64 | CLASS_FW_FEAT_BMAP

FW_REGISTERS: tuple[FwRegister, ...] = (
    FwRegister(_FW, "PSCI_VERSION", FwKind.PSCI_VERSION, 0, _FW_RST),
    FwRegister(_FW | 1, "SMCCC_ARCH_WORKAROUND_1", FwKind.WORKAROUND, 1, _FW_RST),
    FwRegister(_FW | 2, "SMCCC_ARCH_WORKAROUND_2", FwKind.WORKAROUND_2, 2, _FW_RST),
    FwRegister(_FW | 3, "SMCCC_ARCH_WORKAROUND_3", FwKind.WORKAROUND, 3, _FW_RST),
    FwRegister(_BMAP, "STD_BMAP", FwKind.BITMAP, 0, _FW_RST),
    FwRegister(_BMAP | 1, "STD_HYP_BMAP", FwKind.BITMAP, 1, _FW_RST),
    FwRegister(_BMAP | 2, "VENDOR_HYP_BMAP", FwKind.BITMAP, 2, _FW_RST),
    FwRegister(_BMAP | 3, "VENDOR_HYP_BMAP_2", FwKind.BITMAP, 3, "arch/arm64/include/uapi/asm/kvm.h, 6.15"),
)

FW_BY_ID = {r.reg: r for r in FW_REGISTERS}
FW_BY_NAME = {r.name: r for r in FW_REGISTERS}


def register(name: object) -> int:
    """The ONE_REG id of a firmware register.

    Raises:
        InputError: no such name.

    >>> hex(register("STD_BMAP"))
    '0x6030000000160000'
    """
    if not isinstance(name, str):
        msg = f"a firmware register's name is text, not {name!r}; there are {', '.join(FW_BY_NAME)}"
        raise InputError(msg)
    if name not in FW_BY_NAME:
        close = get_close_matches(name.upper(), FW_BY_NAME, n=1, cutoff=0)[0]
        msg = f"no firmware register is called {name!r}; did you mean {close}? There are {', '.join(FW_BY_NAME)}"
        raise InputError(msg)
    return FW_BY_NAME[name].reg


WORKAROUND_LIMIT = 0xF
"""Feature level bits of WORKAROUND_1 and _3. Source: KVM_REG_FEATURE_LEVEL_MASK, hypercalls.c."""
WORKAROUND_2_ENABLED = 0x10
"""KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_ENABLED."""
WORKAROUND_NOT_REQUIRED = 2
"""Level of WORKAROUND_1 and _3 on an unaffected host."""
WORKAROUND_2_AVAIL, WORKAROUND_2_NOT_REQUIRED = 2, 3
