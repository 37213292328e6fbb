"""Register ids of architectures other than arm64: whose an id is, and the parts of a 32-bit Arm one.

Sources: Linux include/uapi/linux/kvm.h (KVM_REG_*), arch/arm/include/uapi/asm/kvm.h (KVM_REG_ARM_*), where 32-bit Arm
was; QEMU target/arm/cpregs.h (CP_REG_NS_SHIFT): under TCG, QEMU lists its AArch32 registers by such ids.
"""

from __future__ import annotations

from fastsmc.facts.registers import ARCH_ARM32, ARCH_FIELD, ARCH_MASK, MAX_VALUE_BYTES, SIZE_U32, SIZE_U64, reg_size

_ARCH_X86 = 0x2000_0000_0000_0000

ARCHITECTURES = {
    0x1000_0000_0000_0000: ("PowerPC", "KVM_REG_PPC"),
    _ARCH_X86: ("x86", "KVM_REG_X86"),
    0x3000_0000_0000_0000: ("Itanium", "KVM_REG_IA64"),
    ARCH_ARM32: ("32-bit Arm", "KVM_REG_ARM"),
    0x5000_0000_0000_0000: ("s390", "KVM_REG_S390"),
    0x7000_0000_0000_0000: ("MIPS", "KVM_REG_MIPS"),
    0x8000_0000_0000_0000: ("RISC-V", "KVM_REG_RISCV"),
    0x9000_0000_0000_0000: ("LoongArch", "KVM_REG_LOONGARCH"),
}
"""Architectures by the field of KVM_REG_ARCH_MASK, with Linux' macro; arm64 is not among them."""

_X86_TYPES = (0x2_0000_0000, 0x3_0000_0000)
"""KVM_X86_REG_TYPE_MSR and _KVM, in bits 39:32. Source: Linux arch/x86/include/uapi/asm/kvm.h."""
_NON_SECURE = 1 << 29
_COPROCESSORS = (14, 15)
_NAMES = {(14, 3, 0, 5, 0): "DBGDTRTX"}
"""Coprocessor registers by coprocessor, opc1, CRn, CRm and opc2, as QEMU numbers them. This one is the last that a
stream of TCG has and an arm64 kernel lacks. Source: a stream of QEMU 10.0; the name, QEMU target/arm/debug_helper.c."""


def foreign_architecture(reg: int) -> tuple[str, str] | None:
    """Whose register a 64-bit number is, and Linux' macro for that; None if it is arm64's or no register id at all.

    A number is taken for an id if bits 63:56 name an architecture, the size is 4 to 256 bytes and bits 51:32 are 0, or
    have the type that x86's registers have there.

    >>> foreign_architecture(0x40200000200E0298), foreign_architecture(0x8030000002000000)
    (('32-bit Arm', 'KVM_REG_ARM'), ('RISC-V', 'KVM_REG_RISCV'))
    """
    kind = reg & ARCH_MASK & ~ARCH_FIELD
    is_id = not kind or (kind in _X86_TYPES and reg & ARCH_FIELD == _ARCH_X86)
    return ARCHITECTURES.get(reg & ARCH_FIELD) if is_id and 4 <= reg_size(reg) <= MAX_VALUE_BYTES else None


def coprocessor_name(reg: int) -> str | None:
    """The name of a 32-bit Arm coprocessor register, where it is known here.

    >>> coprocessor_name(0x40200000200E0298)
    'DBGDTRTX'
    """
    return _NAMES.get((reg >> 16 & 0xFFF, reg >> 3 & 0xF, reg >> 11 & 0xF, reg >> 7 & 0xF, reg & 7))


def foreign_anatomy(reg: int) -> str:
    """The fields of another architecture's register id, as far as Linux' headers say them for all."""
    architecture, macro = ARCHITECTURES[reg & ARCH_FIELD]
    text = f"{architecture} ({macro}), {reg_size(reg)} bytes"
    coprocessor = reg >> 16 & 0xFFF
    if macro != "KVM_REG_ARM" or coprocessor not in _COPROCESSORS:
        return f"{text}, bits 31:0 0x{reg & 0xFFFF_FFFF:08X}"
    opc1, crn, crm, opc2 = reg >> 3 & 0xF, reg >> 11 & 0xF, reg >> 7 & 0xF, reg & 7
    size = reg & 0x00F0_0000_0000_0000
    fields = f"opc1 {opc1}, CRm {crm}" if size == SIZE_U64 else f"opc1 {opc1}, CRn {crn}, CRm {crm}, opc2 {opc2}"
    bank = ", non-secure bank (QEMU)" if reg & _NON_SECURE and size in (SIZE_U32, SIZE_U64) else ""
    return f"{text}, coprocessor {coprocessor}, {fields}{bank}"
