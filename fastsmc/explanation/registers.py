"""A register id explained: its bits, what a firmware register accepts and gates, which recorded kernels list it."""

from __future__ import annotations

from errno import errorcode

from fastsmc.explanation.explanation import Explanation, Line, Near, summary_of_unknown
from fastsmc.explanation.functions import kernel_lines
from fastsmc.facts.history import series_name, since, span, turning_points
from fastsmc.facts.register_arches import ARCHITECTURES, coprocessor_name, foreign_anatomy
from fastsmc.facts.register_names import anatomy, name_of, recorded_ids, recorded_in
from fastsmc.facts.register_sets import SCOPE_NOTES, is_vm_global
from fastsmc.facts.registers import (
    ARCH_ARM32,
    ARCH_ARM64,
    ARCH_FIELD,
    ARCH_MASK,
    BIT_NAMES,
    CLASS_FW,
    CLASS_SYSREG,
    FW_BY_ID,
    MAX_VALUE_BYTES,
    SIZE_MASK,
    SIZE_SHIFT,
    Encoding,
    FwKind,
    FwRegister,
    reg_class,
)
from fastsmc.facts.releases import Doubt, Host, Release
from fastsmc.facts.smccc import (
    FUNCTION_BY_NAME,
    FUNCTIONS,
    PSCI_0_1,
    PSCI_1_0,
    PSCI_1_1,
    PSCI_1_2,
    PSCI_1_3,
    Gate,
    psci_name,
)
from fastsmc.reference.vm import Vm

_KINDS = {
    FwKind.PSCI_VERSION: "the PSCI version the VM's guests see",
    FwKind.WORKAROUND: "how far the host mitigates this, checked when a VM arrives from another host",
    FwKind.WORKAROUND_2: "how far the host mitigates this, checked when a VM arrives from another host",
    FwKind.BITMAP: "a bit for each service or group of functions",
}
_SCOPES = {
    FwKind.PSCI_VERSION: "VM: one value, read and written through any vCPU",
    FwKind.WORKAROUND: "host: reads give the host's level, writes are checked against it and stored nowhere",
    FwKind.WORKAROUND_2: "host: reads give the host's level, writes are checked against it and stored nowhere",
    FwKind.BITMAP: "VM: one value, read and written through any vCPU",
}
_EINVAL = {
    FwKind.PSCI_VERSION: "EINVAL not one of the values, or 0.1 with the feature PSCI_0_2, or another without it",
    FwKind.WORKAROUND: "EINVAL above 0xF or above the host's level",
    FwKind.WORKAROUND_2: "EINVAL bits outside 0x1F, a level above 3 or above the host's, or bit 4 with a level but 2",
    FwKind.BITMAP: "EINVAL a bit outside the limit, EBUSY a vCPU has run and the value differs",
}
_AFTER_RUN = {
    FwKind.PSCI_VERSION: "writable as before, and takes effect at once for all vCPUs",
    FwKind.WORKAROUND: "writable as before: nothing is stored",
    FwKind.WORKAROUND_2: "writable as before: nothing is stored",
    FwKind.BITMAP: "frozen: writing the value it has is accepted, another one is EBUSY",
}
_LEVELS = {
    FwKind.WORKAROUND: "0 not available, 1 available, 2 not required",
    FwKind.WORKAROUND_2: "0 not available, 1 unknown, 2 available, 3 not required; 0x10 enabled",
}
"""What the levels of workaround registers mean. Source: Linux arch/arm64/include/uapi/asm/kvm.h; order of errnos:
guest.c, hypercalls.c, and recorded."""

_MAX_NEAR = 4
_UAPI = "arch/arm64/include/uapi/asm/kvm.h"


def explain_register(reg: int, rules: tuple[Release, ...], also: tuple[Near, ...] = ()) -> Explanation:
    """Everything known about a register id.

    Args:
        rules: releases to give the default value of, the newest first.
        also: near misses the caller knows of.
    """
    row = FW_BY_ID.get(reg)
    name = name_of(reg)
    is_listed = reg in recorded_ids()
    near = (*also, *(_near_known(row) if row else () if name or is_listed else _near_unknown(reg)))[:_MAX_NEAR]
    lines: list[Line] = [("anatomy", anatomy(reg))]
    if reg & ARCH_MASK != ARCH_ARM64:
        lines.append(("arch", "EINVAL: bits 63:32 without the size (55:52) must be 0x60000000"))
    lines += _firmware_lines(row) if row else [("scope", _scope(reg))] if name or is_listed else []
    for release in rules:
        if text := default_value(reg, release):
            lines.append((f"default {release.name}", text))
            lines += kernel_lines(release, _doubts_about(reg, release))
    lines.append(("listed", recorded_in(reg)))
    what = f"{Encoding.of(reg)}, not named here" if is_listed else "no register KVM/arm64 is known to have"
    names = ("arch/arm64/include/asm/sysreg.h", "arch/arm64/tools/sysreg") if reg_class(reg) == CLASS_SYSREG else ()
    sources = (_UAPI, *names, "recorded KVM_GET_REG_LIST")
    return Explanation(
        "register",
        reg,
        name,
        name or summary_of_unknown(near, what),
        tuple(lines),
        near,
        tuple(dict.fromkeys((row.source, *sources))) if row else sources,
    )


def explain_foreign(reg: int) -> Explanation:
    """What is known of a register id of another architecture: whose it is, and that no arm64 kernel takes it."""
    architecture, macro = ARCHITECTURES[reg & ARCH_FIELD]
    name = coprocessor_name(reg) if reg & ARCH_FIELD == ARCH_ARM32 else None
    kind = "32-bit coprocessor register" if reg & ARCH_FIELD == ARCH_ARM32 else f"register of {architecture}"
    lines: list[Line] = [
        ("anatomy", foreign_anatomy(reg)),
        ("arch", "EINVAL for KVM on arm64: bits 63:32 without the size (55:52) must be 0x60000000"),
    ]
    if reg & ARCH_FIELD == ARCH_ARM32:
        text = "QEMU lists such ids under TCG, for what AArch32 sees of its emulated CPU; a stream that has them"
        lines.append(("found in", f"{text} comes from TCG and cannot be loaded under KVM"))
    lines.append(("listed", recorded_in(reg)))
    what = f"{name}, a {kind}" if name else f"a {kind}"
    return Explanation(
        "register",
        reg,
        name,
        f"{what} ({macro}), which no arm64 kernel has",
        tuple(lines),
        (),
        ("include/uapi/linux/kvm.h", "arch/arm/include/uapi/asm/kvm.h", "QEMU target/arm/cpregs.h")
        if macro == "KVM_REG_ARM"
        else ("include/uapi/linux/kvm.h",),
    )


def _scope(reg: int) -> str:
    scope = "VM: one value, although every vCPU lists it (derived)" if is_vm_global(reg) else "vCPU"
    return f"{scope}: {SCOPE_NOTES[reg]}" if reg in SCOPE_NOTES else scope


def _firmware_lines(row: FwRegister) -> list[Line]:
    begin = since(lambda release: row.name in release.fw_registers)
    lines = [
        ("Linux name", f"KVM_REG_ARM_{row.name}"),
        ("holds", _KINDS[row.kind]),
        ("scope", _SCOPES[row.kind]),
        ("since", begin or f"no release from {span()}"),
        ("values", _values(row)),
    ]
    if row.kind is FwKind.BITMAP:
        lines += [(f"bit {bit}", _gated_by(row, bit)) for name, bit in BIT_NAMES if name == row.name]
    errnos = "ENOEXEC vCPU not initialised, ENOENT size not 8 bytes, EFAULT bad pointer, ENOENT release without it"
    return [*lines, ("SET fails", f"in this order: {errnos}, {_EINVAL[row.kind]}"), ("after run", _AFTER_RUN[row.kind])]


def _gated_by(row: FwRegister, bit: int) -> str:
    name = BIT_NAMES[row.name, bit]
    gated = [f.name for f in FUNCTIONS if f.gate is Gate.BITMAP and (f.bitmap, f.bit) == (row.index, bit)]
    if gated:
        return f"{name}: allows {', '.join(gated)}"
    told = FUNCTION_BY_NAME[f"VENDOR_HYP_{name}"]
    return f"{name}: allows nothing; tells the guest, in x2 of VENDOR_HYP_FEATURES, to call {told.name}"


def _values(row: FwRegister) -> str:
    """What SET accepts, by release where that changed."""
    if row.kind in _LEVELS:
        return _LEVELS[row.kind]
    if row.kind is FwKind.PSCI_VERSION:
        return _psci_values()
    limits = [
        f"limit 0x{release.bitmap_limit[row.index]:X}, reset 0x{release.bitmap_reset[row.index]:X}"
        for release in turning_points(
            lambda release: (release.bitmap_limit[row.index], release.bitmap_reset[row.index])
        )
        if row.name in release.fw_registers
    ]
    return "; then ".join(limits)


def _psci_values() -> str:
    steps = []
    known: tuple[int, ...] = ()
    for release in turning_points(lambda release: release.psci_versions):
        new = ", ".join(psci_name(word) for word in release.psci_versions if word not in known)
        steps.append(f"from {series_name(release)} on also {new}" if known else new)
        known = release.psci_versions
    without = f"{psci_name(PSCI_0_1)} without the feature PSCI_0_2"
    return f"{'; '.join(steps)} (major << 16 | minor); the highest by default, {without}"


def default_value(reg: int, release: Release) -> str:
    """What GET_ONE_REG gives on a VM nobody configured; "" for classes the reference does not model."""
    if reg & ARCH_MASK == ARCH_ARM64 and reg_class(reg) < CLASS_FW:
        return ""
    errno, value = Vm(Host(release)).get_one_reg(0, reg)
    if errno:
        return f"GET is {errorcode[errno]}"
    row = FW_BY_ID[reg]
    note = ", on a host with the levels recorded from 6.1 on" if row.kind in _LEVELS else ""
    return f"0x{value:X}{f' ({psci_name(value)})' if row.kind is FwKind.PSCI_VERSION else note}"


def _doubts_about(reg: int, release: Release) -> tuple[Doubt, ...]:
    """What is not known of a release and would change what a register reads or which values it takes."""
    words = (*range(0x10), PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3)

    def told(vm: Vm) -> tuple[object, ...]:
        return vm.get_one_reg(0, reg), *(vm.set_one_reg(0, reg, word) for word in words)

    return Vm(Host(release)).doubts_about(told)


def _near_known(row: FwRegister) -> tuple[Near, ...]:
    """What is near a known register: the function of that name, if there is one."""
    other = FUNCTION_BY_NAME.get(row.name)
    return ((other.func_id, other.name, "the function of that name"),) if other else ()


def _near_unknown(reg: int) -> tuple[Near, ...]:
    """Known registers that differ in what is easily got wrong, nearest first."""
    known = recorded_ids() | FW_BY_ID.keys()
    sizes = range(MAX_VALUE_BYTES.bit_length())
    candidates = [
        *((reg & ~SIZE_MASK | log << SIZE_SHIFT, f"with {1 << log} bytes") for log in sizes),
        (reg - 1, "its neighbour"),
        (reg + 1, "its neighbour"),
        *((reg ^ 1 << bit, f"with bit {bit} {'clear' if reg >> bit & 1 else 'set'}") for bit in range(64)),
    ]
    found: dict[int, Near] = {}
    for other, why in candidates:
        if other in known:
            found.setdefault(other, (other, name_of(other) or str(Encoding.of(other)), why))
    return tuple(found.values())
