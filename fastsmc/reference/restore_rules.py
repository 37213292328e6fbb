"""What a fresh vCPU does with a value that one of its cache or system registers does not have already.

ID registers are a subject of their own, `id_registers`.

Sources: recordings of restores between eight releases; Linux arch/arm64/kvm/sys_regs.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EINVAL

from fastsmc.facts.registers import IMPLEMENTATION, Encoding, sysreg
from fastsmc.facts.releases import Release
from fastsmc.reference.id_registers import CTR_EL0, Fate, id_register
from fastsmc.reference.state import OK

STATE: Fate = (OK, "state: any value")

# -- caches ----------------------------------------------------------------------------------------------------

_CLIDR_EL1, _CTR_EL0 = sysreg(3, 1, 0, 0, 1), sysreg(3, 3, 0, 0, 1)
_CTR_IDC = 1 << 28
_FIXED_CACHES: Fate = (EINVAL, "cache geometry is the host's, on this release")


_UNSURE_CACHES: Fate = (None, "whether cache geometry is the host's is not known, on this release")


def cache_size(value: int, own: int, release: Release) -> Fate:
    """CCSIDR takes any geometry whose lines are not shorter than the fresh vCPU's. Source: sys_regs.c, set_ccsidr."""
    is_unsure = "caches_are_fixed" in release.uncertain
    if release.caches_are_fixed and not is_unsure:
        return _FIXED_CACHES
    if value & 7 < own & 7:
        return EINVAL, "cache lines shorter than the host's"
    return _UNSURE_CACHES if is_unsure else (OK, "any geometry with lines at least as long as the host's")


def _cache_levels(value: int, fresh: Mapping[int, int], release: Release) -> Fate:
    """CLIDR_EL1 may promise no more coherence than CTR_EL0 does. Source: sys_regs.c, set_clidr."""
    is_unsure = "caches_are_fixed" in release.uncertain
    if release.caches_are_fixed and not is_unsure:
        return _FIXED_CACHES
    louis, loc, louu = (value >> shift & 7 for shift in (21, 24, 27))
    needs_idc = loc == 0 or (louis == 0 and louu == 0)
    if value >> 47 or (needs_idc and not fresh.get(_CTR_EL0, _CTR_IDC) & _CTR_IDC):
        return EINVAL, "promises coherence that CTR_EL0 does not, or reserved bits"
    if needs_idc and _CTR_EL0 not in fresh:
        return None, "promises coherence that CTR_EL0 has to promise too, and its value is not known"
    return _UNSURE_CACHES if is_unsure else (OK, "any levels that CTR_EL0 allows")


# -- identification --------------------------------------------------------------------------------------------

_OSLSR = Encoding(2, 0, 1, 1, 4)
_OSLK = 2
_READ_ONLY = {Encoding(3, 0, 9, 14, 6): "PMMIR_EL1"}
"""What is neither in the ID block nor plain state. Writing it another value was never recorded."""


def system_register(
    reg: int, value: int, fresh: Mapping[int, int], release: Release, source: Mapping[int, int] | None = None
) -> Fate:
    """What happens when a listed system register is written a value that it does not have.

    Args:
        fresh: registers of the fresh vCPU.
        source: registers of the vCPU that the value comes from, as far as they are known: what hides a field accepts
            the hardware's value, which only the source's kernel shows.
    """
    encoding = Encoding.of(reg)
    if reg == _CLIDR_EL1:
        return _cache_levels(value, fresh, release)
    if encoding in IMPLEMENTATION:
        return EINVAL, f"{IMPLEMENTATION[encoding]} is the host's; no VM was given KVM_CAP_ARM_WRITABLE_IMP_ID_REGS"
    if encoding == _OSLSR:
        return _os_lock(value, fresh[reg])
    if encoding in _READ_ONLY:
        return None, f"another {_READ_ONLY[encoding]}"
    return STATE if is_state(reg) else id_register(reg, value, fresh, release, source)


def _os_lock(value: int, own: int) -> Fate:
    """OSLSR_EL1 takes the state of the lock and nothing else. Source: sys_regs.c, set_oslsr_el1."""
    if (value ^ own) & ~_OSLK:
        return EINVAL, "OSLSR_EL1 takes another OSLK only"
    return OK, "the OS lock is state"


def is_state(reg: int) -> bool:
    """Whether a listed system register takes any value: it neither identifies the CPU nor describes its caches."""
    encoding = Encoding.of(reg)
    is_identity = encoding.is_id_register or encoding in IMPLEMENTATION or encoding == CTR_EL0
    return not is_identity and reg != _CLIDR_EL1 and encoding != _OSLSR and encoding not in _READ_ONLY
