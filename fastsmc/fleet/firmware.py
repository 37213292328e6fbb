"""SET_ONE_REG's rules for firmware registers, on columns: an errno per VM, 0 where KVM would accept.

Written independently of `reference`, with which the tests compare it.
Source: Linux arch/arm64/kvm/hypercalls.c, kvm_arm_set_fw_reg and kvm_arm_set_fw_reg_bmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import EBUSY, EINVAL, ENOENT, ENOEXEC
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, U64Array, whole_array
from fastsmc.errors import InputError
from fastsmc.facts.registers import (
    ARCH_ARM64,
    ARCH_MASK,
    CLASS_FW,
    CLASS_SVE,
    FW_BY_ID,
    WORKAROUND_2_AVAIL,
    WORKAROUND_2_ENABLED,
    WORKAROUND_2_NOT_REQUIRED,
    WORKAROUND_LIMIT,
    WORKAROUND_NOT_REQUIRED,
    FwKind,
    FwRegister,
    reg_class,
    register_id,
)
from fastsmc.facts.releases import Release
from fastsmc.facts.smccc import PSCI_0_1

Errnos = NDArray[np.int16]


def find(reg: int) -> tuple[FwRegister | None, int]:
    """The firmware register of an id, or the errno of its absence.

    Raises:
        InputError: no 64-bit number, or a core, system or cache register, which this package does not model.
    """
    reg = register_id(reg)
    row = FW_BY_ID.get(reg)
    if row is not None:
        return row, 0
    if reg & ARCH_MASK != ARCH_ARM64 or reg_class(reg) == CLASS_SVE:
        return None, EINVAL
    if reg_class(reg) < CLASS_FW:
        msg = f"register {reg:#018x} is not a firmware register: no other is modelled"
        raise InputError(msg)
    return None, ENOENT


def register_words(value: object, n: int) -> U64Array:
    """One word for all, or one for each of n VMs or vCPUs selected, as uint64[n].

    Raises:
        InputError: something that is no 64-bit word, or another number of them.
    """
    given = whole_array("a register value", value, last=0xFFFF_FFFF_FFFF_FFFF)
    if given.ndim > 1 or (given.ndim == 1 and given.size != n):
        msg = f"give one register value or {n}, one for each selected; got shape {given.shape}"
        raise InputError(msg)
    return np.broadcast_to(given, n).astype(np.uint64)


def bitmap_errno(value: U64Array, *, limit: U64Array, current: U64Array, has_run: BoolArray) -> Errnos:
    """A bit outside the limit is EINVAL, run or not; then another value after the first run is EBUSY."""
    return np.select([value & ~limit != 0, has_run & (value != current)], [EINVAL, EBUSY], 0).astype(np.int16)


def psci_version_errno(
    value: U64Array, *, accepted: Sequence[tuple[int, ...]], host: NDArray[Any], has_psci_0_2: BoolArray
) -> Errnos:
    """The release must know the word; 0.1 needs the PSCI_0_2 feature off, every other one needs it on.

    Args:
        accepted: the words each host's release knows. host: index into it, per VM.
    """
    lists = list(dict.fromkeys(accepted))
    known = np.stack([np.isin(value, np.array(words, np.uint64)) for words in lists])
    list_of_host = np.array([lists.index(words) for words in accepted])
    is_known = known[list_of_host[host], np.arange(value.size)]
    return np.where(is_known & ((value == PSCI_0_1) != has_psci_0_2), 0, EINVAL).astype(np.int16)


def workaround_errno(value: U64Array, *, kind: FwKind, available: U64Array) -> Errnos:
    """A level above the host's, or not a level at all, is EINVAL; what is accepted is not stored."""
    level = value & np.uint64(WORKAROUND_LIMIT)
    if kind is FwKind.WORKAROUND:
        return np.where((value != level) | (value > available), EINVAL, 0).astype(np.int16)
    is_enabled = value & np.uint64(WORKAROUND_2_ENABLED) != 0
    needed = np.where(level >= WORKAROUND_2_AVAIL, WORKAROUND_2_NOT_REQUIRED, 0)
    refused = (value > WORKAROUND_LIMIT | WORKAROUND_2_ENABLED) | (level > WORKAROUND_2_NOT_REQUIRED)
    refused |= (is_enabled & (level != WORKAROUND_2_AVAIL)) | (available < needed)
    return np.where(refused, EINVAL, 0).astype(np.int16)


def refusal(
    row: FwRegister | None, rules: Release, errno: int, *, value: int, level: Sequence[int], current: U64Array
) -> str:
    """Why a GET or SET was refused, and what would be right.

    Args:
        value: what was to be set; any for a GET.
        level: the host's workaround levels. current: uint64[4], the VM's bitmaps.
    """
    if errno == ENOEXEC:
        return "its vCPU has not had KVM_ARM_VCPU_INIT"
    if row is None:
        return "no firmware register has this id"
    if errno == ENOENT:
        return f"Linux {rules.name} has no such register"
    if errno == EBUSY:
        return f"the VM has run, and its value is {int(current[row.index]):#x}; set it before the first KVM_RUN"
    if row.kind is FwKind.BITMAP:
        return f"only bits in {rules.bitmap_limit[row.index]:#x} exist"
    if row.kind is FwKind.PSCI_VERSION:
        known = ", ".join(hex(word) for word in rules.psci_versions[1:])
        return f"accepted are {known}; with feature PSCI_0_2 off, 0x1 alone"
    return _no_level(row.kind, value, level[row.index - 1])


def _no_level(kind: FwKind, value: int, available: int) -> str:
    """Why a workaround register refuses a value: it is no level, or the host has less."""
    if kind is FwKind.WORKAROUND:
        is_level = value <= WORKAROUND_NOT_REQUIRED
        return f"above the host's level {available}" if is_level else "not a level: 0, 1 and 2 are"
    if value > WORKAROUND_2_NOT_REQUIRED and value != WORKAROUND_2_AVAIL | WORKAROUND_2_ENABLED:
        return "not a level: 0, 1, 2 and 3 are, and 0x12 for 2 and enabled"
    return f"above the host's level {available}: 2 and 3 need a host of level 3"
