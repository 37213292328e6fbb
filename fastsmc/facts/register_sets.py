"""Which registers one vCPU has: the lists real kernels gave, and which of the registers belong to the whole VM.

The lists are KVM_GET_REG_LIST as recorded, per release, CPU model and vCPU features; none is interpolated. Where they
can be compared with dumps of real Neoverse N1 hosts, 6.18 has the same 257 ids. The dumped 5.10 and 6.1 list two
more than Debian's: CNTP_CTL_EL0 and CNTP_CVAL_EL0.

Lists of vCPUs with EL2 are those of hosts that were booted with kvm-arm.mode=nested, whose names end in -nested. The
same releases refuse such vCPUs without it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.facts.packaged import packaged
from fastsmc.facts.registers import (
    ARCH_ARM32,
    ARCH_ARM64,
    ARCH_FIELD,
    CLASS_CORE,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_NAMES,
    CLASS_ROOM,
    CLASS_SVE,
    CLASS_SYSREG,
    IMPLEMENTATION,
    PTIMER_CNT,
    SIZE_U64,
    TIMER_CNT,
    Encoding,
    reg_class,
    reg_size,
    sysreg,
)
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.versions import bare

_VM_GLOBAL_SYSREGS = {
    **IMPLEMENTATION,
    Encoding(3, 3, 0, 0, 1): "CTR_EL0",
    Encoding.of(PTIMER_CNT): "KVM_REG_ARM_PTIMER_CNT",
    Encoding.of(TIMER_CNT): "KVM_REG_ARM_TIMER_CNT",
}
"""The VM-global system registers outside the block of ID registers."""

SCOPE_NOTES = {
    sysreg(3, 1, 0, 0, 1): "a vCPU has its own since 6.3; from 6.3 to 6.9 CPU_ON resets it on the vCPU that starts, "
    "so that a value a VMM wrote stays on the first one only",
}
"""What the scope of a register does not tell. Source, for CLIDR_EL1: Linux 7af0c2534f4c (6.3) and e016333745c7 (6.10);
Firecracker's issue 6139 and pull request 6172."""


def is_vm_global(reg: int) -> bool:
    """Whether a register has one value per VM although every vCPU lists it. Derived: a classification of ours.

    True for firmware registers, the ID block, MIDR, REVIDR, AIDR, CTR and the two counters. Kernels differ: ID
    registers became per-VM storage around 6.6 (from memory). The counters are one offset per VM but go on counting, so
    two GETs never return the same; a VMM that sends them once must take vCPU 0's. MPIDR, CLIDR and the cache sizes
    (demux) are per vCPU: `SCOPE_NOTES` has more on CLIDR.

    >>> from fastsmc.facts.registers import register, sysreg
    >>> is_vm_global(register("STD_BMAP")), is_vm_global(sysreg(3, 0, 0, 0, 5))  # MPIDR_EL1
    (True, False)
    """
    kind = reg_class(reg)
    if kind in (CLASS_FW, CLASS_FW_FEAT_BMAP):
        return True
    if kind != CLASS_SYSREG:
        return False
    encoding = Encoding.of(reg)
    return encoding.is_id_register or encoding in _VM_GLOBAL_SYSREGS


def vm_global_mask(ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """`is_vm_global` of every id. uint64[n_reg] -> bool[n_reg]."""
    return np.fromiter(map(is_vm_global, ids.tolist()), np.bool_, ids.size)


def class_name(reg: int) -> str:
    """A register's class in words; QEMU's emulated CPUs list coprocessor registers of 32-bit Arm beside arm64's.

    >>> class_name(0x6030000000140000), class_name(0x40200000200E0298)
    ('firmware', '32-bit coprocessor')
    """
    if reg & ARCH_FIELD == ARCH_ARM32:
        return "32-bit coprocessor"
    return CLASS_NAMES.get(reg_class(reg), f"class {reg_class(reg):#x}")


def bitmap_ids(n_reg: int) -> NDArray[np.uint64]:
    """Ids of the first `n_reg` firmware bitmap registers, of which KVM has four; more are a what-if.

    Raises:
        InputError: not 1 to 65536, the numbers the class has room for.
    """
    if not 1 <= n_reg <= CLASS_ROOM:
        msg = f"n_reg {n_reg}: the bitmap class has room for 1 to 65536 registers"
        raise InputError(msg)
    return np.arange(n_reg, dtype=np.uint64) + np.uint64(ARCH_ARM64 | SIZE_U64 | CLASS_FW_FEAT_BMAP)


@dataclass(frozen=True, eq=False, repr=False)
class RegisterSet:
    """The registers one vCPU has. What follows from the ids is found out when it is first asked for, once.

    Attributes:
        name: such as "linux-6.12.107-max psci02".
        release: the recorded stable update: "6.12.107".
        cpu: the model of the recorded CPU: "max" or "n1".
        features: vCPU init features, as recorded: psci02, pmu, sve, pauth, el1_32bit, el2, e2h0, power_off.
        ids: uint64[n_reg], ascending, read-only.
    """

    name: str
    release: str
    cpu: str
    features: tuple[str, ...]
    ids: NDArray[np.uint64]

    @property
    def n_reg(self) -> int:
        """Registers KVM lists per vCPU."""
        return int(self.ids.size)

    @cached_property
    def value_bytes(self) -> int:
        """Bytes of all values at their true sizes, per vCPU."""
        return sum(map(reg_size, self.ids.tolist()))

    @cached_property
    def n_global(self) -> int:
        """Registers that `is_vm_global` calls VM-global; all of them are in `cpreg_ids`."""
        return int(np.count_nonzero(vm_global_mask(self.ids)))

    @cached_property
    def cpreg_ids(self) -> NDArray[np.uint64]:
        """What QEMU carries in its cpreg array: every class but core and SVE. Source: QEMU target/arm/kvm.c."""
        by_hand = [reg_class(reg) in (CLASS_CORE, CLASS_SVE) for reg in self.ids.tolist()]
        ids = self.ids[~np.array(by_hand, np.bool_)]
        ids.flags.writeable = False
        return ids

    @cached_property
    def qemu_cpregs(self) -> int:
        """How many registers QEMU's cpreg array has."""
        return int(self.cpreg_ids.size)

    @cached_property
    def has_sve(self) -> bool:
        """Whether the list has SVE registers."""
        return any(reg_class(reg) == CLASS_SVE for reg in self.ids.tolist())

    def by_class(self) -> dict[str, tuple[int, int]]:
        """(registers, value bytes) per class, in id order of the classes."""
        table: dict[str, tuple[int, int]] = {}
        for reg in self.ids.tolist():
            name = class_name(reg)
            count, size = table.get(name, (0, 0))
            table[name] = count + 1, size + reg_size(reg)
        return table

    def __str__(self) -> str:
        return f"{self.name}: {self.n_reg} registers, {self.value_bytes} B per vCPU, {self.n_global} VM-global"

    def __repr__(self) -> str:
        return f"RegisterSet({shown(self.name)}, {self.n_reg} registers)"


def register_sets() -> tuple[RegisterSet, ...]:
    """Every recorded set, oldest release first."""
    return tuple(_recorded().values())


def register_set(release: str, *, cpu: str = "max", features: str = "psci02") -> RegisterSet:
    """The set a recorded kernel gave to a vCPU.

    Args:
        release: "6.12", "6.12.107" or what its `uname -r` printed; a series stands for its one recorded update.
        cpu: "max" or "n1".
        features: joined by "+", in any order: "psci02+pmu". "none" for no feature.

    Raises:
        InputError: no such release, not recorded, or refused by KVM; the message lists what there is.

    >>> print(register_set("6.12"))
    linux-6.12.107-max psci02: 259 registers, 2264 B per vCPU, 69 VM-global
    """
    named: dict[str, object] = {"release": release, "cpu": cpu, "features": features}
    for what, given in named.items():
        if not isinstance(given, str):
            msg = f"{what} {given!r}: give it as text, such as register_set('6.12', cpu='max', features='psci02')"
            raise InputError(msg)
    found = _release_names().get(bare(release))
    if found is None:
        rules_of(release)  # there was such a release, and no vCPU feature is in its name
        known = ", ".join(dict.fromkeys(key[0] for key in _recorded()))
        msg = f"no register list of release {release} was recorded; recorded: {known}"
        raise InputError(msg)
    here = {key[2]: value for key, value in _recorded().items() if key[:2] == (found, cpu)}
    if not here:
        known = ", ".join(dict.fromkeys(key[1] for key in _recorded() if key[0] == found))
        msg = f"release {found} was not recorded on cpu {cpu!r}; recorded: {known}"
        raise InputError(msg)
    wanted = _feature_key(features)
    if wanted in here:
        return here[wanted]
    refused = {_feature_key(name): errno for name, errno in _refused()[found, cpu].items()}
    why = f"were refused (errno {refused[wanted]})" if wanted in refused else "were not recorded"
    known = ", ".join("+".join(value.features) or "none" for value in here.values())
    msg = f"features {features!r} {why} on {found} cpu {cpu}; recorded: {known}"
    raise InputError(msg)


def _feature_key(features: str) -> frozenset[str]:
    return frozenset(features.split("+")) - {"none", ""}


@cache
def _data() -> dict[str, Any]:
    text = packaged("register_sets.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def _recorded() -> dict[tuple[str, str, frozenset[str]], RegisterSet]:
    """All sets by (release, cpu, features)."""
    union = np.array([int(reg, 16) for reg in _data()["ids"]], np.uint64)
    table = {}
    for host in _data()["hosts"]:
        release, cpu = host["release"], host["cpu"]
        for features, mask in host["sets"].items():
            bits = int(mask, 16)
            ids = union[[bool(bits >> i & 1) for i in range(union.size)]]
            ids.flags.writeable = False
            key = _feature_key(features)
            named = tuple(name for name in features.split("+") if name in key)
            name = host.get("name", f"linux-{release}-{cpu}")
            table[release, cpu, key] = RegisterSet(f"{name} {features}", release, cpu, named, ids)
    return table


@cache
def _release_names() -> dict[str, str]:
    """The recorded release by each of its names: 6.12.107, 6.12, and what `uname -r` printed."""
    names: dict[str, str] = {}
    for host in _data()["hosts"]:
        release = host["release"]
        names |= dict.fromkeys((release, release.rpartition(".")[0], host["uname"]), release)
    return names


def _refused() -> dict[tuple[str, str], dict[str, int]]:
    """errno of vCPU init by host and feature set."""
    return {(host["release"], host["cpu"]): host["refused"] for host in _data()["hosts"]}
