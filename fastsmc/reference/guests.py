"""Calls of guests that are not ordinary: what a guest's own EL2 takes, and what pKVM answers a protected VM.

Recorded on 6.16.12, 6.18.15, 7.2.13 and 7.3.4 (guests with EL2) and on 7.3.4 (protected VMs); tests/recordings has
copies. Documents: Arm ARM (DDI 0487), D1.3 and D24.2, for vectors and ESR_EL2;
Documentation/virt/kvm/arm/hypercalls.rst for pKVM's calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.facts.guests import PROTECTED_ANSWERS, PROTECTED_INVALID
from fastsmc.facts.smccc import Conduit, Level, Verdict
from fastsmc.reference.state import Outcome, Taken, words

VECTOR_VEL2, VECTOR_VEL1 = 0x200, 0x400
"""Offsets from VBAR_EL2: a synchronous exception from the same level with its own stack, and from a lower level."""
EC_HVC64, EC_SMC64 = 0x16, 0x17
"""Exception classes of ESR_EL2, bits 31:26."""
_IL = 1 << 25
"""ESR_EL2.IL: the instruction that trapped has 32 bits."""
INSTRUCTION = 4
"""Bytes of an HVC or SMC."""

MEMORY_GRANULE = PROTECTED_ANSWERS[0xC600_0002][0]
"""What HYP_MEMINFO answers, in bytes: the host's page."""
PROTECTED_FEATURES = PROTECTED_ANSWERS[0x8600_0000][0]
"""What VENDOR_HYP_FEATURES answers a protected VM: bits 0, 2, 3 and 4, the four calls of `PROTECTED`. PTP is none."""

OF_MEMORY = (
    "the answer is INVALID_PARAMETER (-3) unless the page is the guest's own and not yet shared (MEM_SHARE), or shared "
    "(MEM_UNSHARE): no memory is modelled"
)
"""What the outcome of MEM_SHARE and MEM_UNSHARE depends on besides their arguments."""
OF_BASE = "the address is no base of a granule: INVALID_PARAMETER (-3) is assumed, neither recorded nor documented"
"""What is not known of an address with bits below the granule's."""


def required_level(level: Level, *, has_el2: bool) -> Level:
    """The level of a call, which a guest must have.

    Raises:
        InputError: no level, or one that only a guest with EL2 has.

    >>> required_level(Level.EL1, has_el2=True).name
    'EL1'
    """
    if level not in tuple(Level):
        msg = f"level is {shown(repr(level))}: it must be one of {', '.join(f'Level.{one.name}' for one in Level)}"
        raise InputError(msg)
    level = Level(level)
    if level is not Level.EL1 and not has_el2:
        msg = f"level {level.name} of a vCPU without EL2: its calls come from EL1; bit 7 of features is HAS_EL2"
        raise InputError(msg)
    return level


def exception_taken(conduit: Conduit, level: Level) -> Taken | None:
    """What the EL2 of a guest takes of a call; None where the call goes on to KVM.

    Every HVC is taken. Of SMCs those of vEL1 are taken while HCR_EL2.TSC is set, which has no effect on vEL2.

    >>> taken = exception_taken(Conduit.SMC, Level.VEL1_TSC)
    >>> hex(taken.vector), hex(taken.esr)
    ('0x400', '0x5e000000')
    >>> exception_taken(Conduit.SMC, Level.VEL2_TSC) is None
    True
    """
    is_smc, is_vel1 = bool(conduit & Conduit.SMC), level in (Level.VEL1, Level.VEL1_TSC)
    if is_smc and level is not Level.VEL1_TSC:
        return None
    esr = (EC_SMC64 if is_smc else EC_HVC64) << 26 | _IL
    return Taken(VECTOR_VEL1 if is_vel1 else VECTOR_VEL2, esr, elr=0 if is_smc else INSTRUCTION)


def _answered(x0: int) -> Outcome:
    """An answer of the real EL2: the host does not see the call."""
    return Outcome(Verdict.FAST_PATH, words(x0))


def _features(x1: int, x2: int, x3: int) -> Outcome:
    """Its bitmap is not the VM's VENDOR_HYP_BMAP, which the host keeps. The document names no argument."""
    return _answered(PROTECTED_FEATURES)


def _hyp_meminfo(x1: int, x2: int, x3: int) -> Outcome:
    """Arguments must be 0 (documented); recorded with none."""
    return _answered(PROTECTED_INVALID if x1 or x2 or x3 else MEMORY_GRANULE)


def _mem_share(x1: int, x2: int, x3: int) -> Outcome:
    """MEM_SHARE or MEM_UNSHARE of the granule whose base is x1; x2 and x3 must be 0 (documented).

    Recorded with one address, a page of the guest's own memory: shared, then unshared. The outcome says what else it
    depends on.
    """
    if x2 or x3:
        return _answered(PROTECTED_INVALID)
    if x1 % MEMORY_GRANULE:
        return replace(_answered(PROTECTED_INVALID), unknown=OF_BASE)
    return replace(_answered(0), unknown=OF_MEMORY)


PROTECTED: dict[int, Callable[[int, int, int], Outcome]] = {
    0x8600_0000: _features,
    0xC600_0002: _hyp_meminfo,
    0xC600_0003: _mem_share,
    0xC600_0004: _mem_share,
}
"""What pKVM answers a protected VM by HVC, from x1, x2, x3: VENDOR_HYP_FEATURES, HYP_MEMINFO, MEM_SHARE, MEM_UNSHARE.

By SMC these ids, and by either conduit all others, are answered as those of an ordinary VM (recorded).
"""
