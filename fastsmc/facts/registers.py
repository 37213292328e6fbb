"""KVM's ONE_REG ids: their anatomy, system registers by encoding, and the firmware registers as a table.

Sources: Linux arch/arm64/include/uapi/asm/kvm.h (KVM_REG_ARM_*), include/uapi/linux/kvm.h (KVM_REG_SIZE_*),
Documentation/virt/kvm/arm/fw-pseudo-registers.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from typing import NamedTuple

from fastsmc.checks import LAST_U64, shown, whole
from fastsmc.errors import InputError

ARCH_ARM32, ARCH_ARM64 = 0x4000_0000_0000_0000, 0x6000_0000_0000_0000
"""KVM_REG_ARM and KVM_REG_ARM64, in the field of KVM_REG_ARCH_MASK."""
ARCH_FIELD = 0xFF00_0000_0000_0000
"""KVM_REG_ARCH_MASK: the architecture a register belongs to."""
ARCH_MASK = 0xFF0F_FFFF_0000_0000
"""The upper half of an id without its size field; anything but ARCH_ARM64 here is EINVAL. Source: guest.c."""
SIZE_SHIFT = 52
SIZE_MASK = 0x00F0_0000_0000_0000
"""KVM_REG_SIZE_MASK: the binary logarithm of a register's bytes."""
SIZE_U32, SIZE_U64 = 0x0020_0000_0000_0000, 0x0030_0000_0000_0000
SIZE_U128, SIZE_U512 = 0x0040_0000_0000_0000, 0x0060_0000_0000_0000
MAX_VALUE_BYTES = 2048 // 8
"""Bytes of the largest size KVM defines, KVM_REG_SIZE_U2048: an SVE register. Source: include/uapi/linux/kvm.h."""
CLASS_MASK = 0x0FFF_0000
"""KVM_REG_ARM_COPROC_MASK: the register class."""
CLASS_ROOM = 1 << 16
"""Registers that a class has room for: bits 15:0 of an id number them."""

CLASS_CORE, CLASS_DEMUX, CLASS_SYSREG = 0x0010_0000, 0x0011_0000, 0x0013_0000
CLASS_FW, CLASS_SVE, CLASS_FW_FEAT_BMAP = 0x0014_0000, 0x0015_0000, 0x0016_0000

FIRMWARE_CLASSES = (CLASS_FW, CLASS_FW_FEAT_BMAP)
CLASS_ORDER = (CLASS_CORE, CLASS_SVE, CLASS_FW, CLASS_FW_FEAT_BMAP, CLASS_SYSREG, CLASS_DEMUX)
"""The classes in the order of KVM_GET_REG_LIST. Timers, which come before the other system registers, have ids of the
class sysreg. Source: Linux arch/arm64/kvm/guest.c, kvm_arm_copy_reg_indices; recorded in every list."""

CLASS_NAMES = {
    CLASS_CORE: "core",
    CLASS_DEMUX: "demux",
    CLASS_SYSREG: "sysreg",
    CLASS_FW: "firmware",
    CLASS_SVE: "sve",
    CLASS_FW_FEAT_BMAP: "firmware bitmap",
}


class Encoding(NamedTuple):
    """The five fields by which the Arm manual names a system register; a ONE_REG id has them in its low half.

    >>> print(Encoding.of(0x603000000013C020))
    op0 3, op1 0, CRn 0, CRm 4, op2 0 (S3_0_C0_C4_0)
    """

    op0: int
    op1: int
    crn: int
    crm: int
    op2: int

    @classmethod
    def of(cls, reg: int) -> Encoding:
        """The encoding in bits 15:0 of a register id."""
        return cls(reg >> 14 & 3, reg >> 11 & 7, reg >> 7 & 15, reg >> 3 & 15, reg & 7)

    @property
    def is_id_register(self) -> bool:
        """Whether the register is one of the block of ID registers: op0 3, op1 0, CRn 0, CRm 1 to 7."""
        return self[:3] == (3, 0, 0) and 1 <= self.crm <= 7

    def __str__(self) -> str:
        op0, op1, crn, crm, op2 = self
        return f"op0 {op0}, op1 {op1}, CRn {crn}, CRm {crm}, op2 {op2} (S{op0}_{op1}_C{crn}_C{crm}_{op2})"


def sysreg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The ONE_REG id of a 64-bit system register, from its encoding. Source: uapi/asm/kvm.h, ARM64_SYS_REG.

    >>> hex(sysreg(3, 0, 0, 4, 0))  # ID_AA64PFR0_EL1
    '0x603000000013c020'
    """
    return ARCH_ARM64 | SIZE_U64 | CLASS_SYSREG | op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


IMPLEMENTATION = {
    Encoding(3, 0, 0, 0, 0): "MIDR_EL1",
    Encoding(3, 0, 0, 0, 6): "REVIDR_EL1",
    Encoding(3, 1, 0, 0, 7): "AIDR_EL1",
}
"""The registers that name who made the CPU, and which."""


def core_register(offset: int, size: int = SIZE_U64) -> int:
    """The ONE_REG id of the core register at a byte of struct kvm_regs. Source: uapi/asm/kvm.h, KVM_REG_ARM_CORE_REG.

    >>> hex(core_register(256))  # regs.pc
    '0x6030000000100040'
    """
    return ARCH_ARM64 | size | CLASS_CORE | offset // 4


PSTATE = core_register(264)
"""The core register regs.pstate."""
SVE_VLS = ARCH_ARM64 | SIZE_U512 | CLASS_SVE | 0xFFFF
"""KVM_REG_ARM64_SVE_VLS: the vector lengths a vCPU has."""
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
        msg = f"a register id is a number, not {shown(reg)}: give register({shown(reg)})"
        raise InputError(msg)
    return whole("a register id", reg, last=LAST_U64)


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
        reg: the ONE_REG id.
        name: Linux' macro without KVM_REG_ARM_.
        kind: the rule of SET_ONE_REG that it follows.
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

BITMAP_REGISTERS = tuple(row for row in FW_REGISTERS if row.kind is FwKind.BITMAP)

BIT_NAMES = {
    ("STD_BMAP", 0): "TRNG_V1_0",
    ("STD_HYP_BMAP", 0): "PV_TIME",
    ("VENDOR_HYP_BMAP", 0): "FUNC_FEAT",
    ("VENDOR_HYP_BMAP", 1): "PTP",
    ("VENDOR_HYP_BMAP_2", 0): "DISCOVER_IMPL_VER",
    ("VENDOR_HYP_BMAP_2", 1): "DISCOVER_IMPL_CPUS",
}
"""Names of bits by bitmap register and bit. Source: arch/arm64/include/uapi/asm/kvm.h, KVM_REG_ARM_*_BIT_*."""

FW_BY_ID = {row.reg: row for row in FW_REGISTERS}
FW_BY_NAME = {row.name: row for row in FW_REGISTERS}


_LONGEST = 80
"""Characters of a wrong name that are compared with others."""


def register(name: object) -> int:
    """The ONE_REG id of a firmware register, by its name or any other spelling of `register_spellings`.

    Raises:
        InputError: no such register, or one that is no firmware register.

    >>> hex(register("STD_BMAP")), hex(register("KVM_REG_ARM_FW_REG(3)"))
    ('0x6030000000160000', '0x6030000000140003')
    """
    if not isinstance(name, str):
        msg = f"a firmware register's name is text, not {name!r}; there are {', '.join(FW_BY_NAME)}"
        raise InputError(msg)
    if name in FW_BY_NAME:
        return FW_BY_NAME[name].reg
    from fastsmc.facts.register_spellings import register_spelled  # which reads this table

    reg = register_spelled(name)
    if reg is None:
        close = get_close_matches(name.upper().removeprefix("KVM_REG_ARM_")[:_LONGEST], FW_BY_NAME, n=1)
        there = f"there are {', '.join(FW_BY_NAME)}"
        msg = f"no firmware register is called {shown(name)}; {there}{f'; did you mean {close[0]}?' if close else ''}"
        raise InputError(msg)
    if reg not in FW_BY_ID:
        msg = f"{shown(name)} is {reg:#x}, which is no firmware register; there are {', '.join(FW_BY_NAME)}"
        raise InputError(msg)
    return reg


WORKAROUND_LIMIT = 0xF
"""Feature level bits of WORKAROUND_1 and _3. Source: KVM_REG_FEATURE_LEVEL_MASK, hypercalls.c."""
WORKAROUND_2_ENABLED = 0x10
"""KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_ENABLED."""
WORKAROUND_NOT_REQUIRED = 2
"""Level of WORKAROUND_1 and _3 on an unaffected host."""
WORKAROUND_2_AVAIL, WORKAROUND_2_NOT_REQUIRED = 2, 3
