"""One side of a migration: a kernel, a vCPU's registers, and how they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_ORDER,
    CLASS_SVE,
    FIRMWARE_CLASSES,
    FW_BY_ID,
    WORKAROUND_LIMIT,
    FwKind,
    reg_class,
    sysreg,
)
from fastsmc.facts.releases import DEFAULT_LEVELS, Host, Release
from fastsmc.facts.vcpu import feature_bits, has_el2
from fastsmc.facts.versions import bare
from fastsmc.migrate.compat.result import SideBasis, SideInfo
from fastsmc.reference.restore import as_ordinary
from fastsmc.reference.vm import Vm

MIDR = sysreg(3, 0, 0, 0, 0)
_WORKAROUNDS = {row.index: row.reg for row in FW_BY_ID.values() if row.kind in (FwKind.WORKAROUND, FwKind.WORKAROUND_2)}
WORKAROUNDS = frozenset(_WORKAROUNDS.values())
_LEVELS_KNOWN = {1: (0, 1, 2), 2: (0, 1, 2, 3), 3: (0, 1, 2)}

Levels = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A kernel and what one of its vCPUs lists.

    Attributes:
        release: whose rules apply; None if none do.
        values: by id, in the order in which they travel; None where a value is not known.
        is_named_by_release: the user named a release and no machine, so that its recorded values may be dropped when
            the other side is another CPU.
        has_assumed_levels: the workaround levels among the values are the other side's, or the default.
        doubtful: registers of which it is not certain whether such a kernel lists them, each with the reason.
        left_out: registers that such a vCPU has and the file does not hold, so that nothing is known of them.
        perhaps_lost: registers that another kernel would list of which a file may be a part, each with the reason.
        is_whole: what such a vCPU lists is known, so that `left_out` has all that is missing.
        is_emulated: it is no KVM at all but a stream of QEMU's TCG, whose lists have no firmware registers.
        is_stream: it is a migration stream of QEMU's, so that QEMU's own machine is at that end.
        has_gicv3: the stream has the state of a GICv3.
        vcpus: whose registers these are, ascending; () for a side that tells no VM's number of vCPUs.
        others: the same of vCPUs that are judged differently, `others` of their own apart.
        refused: why the kernel has no such vCPUs at all; "" where it has.
        is_host: it is a host profile, which has registers for several sets of features.
        tells_kernel: the kernel is told; else it was inferred from the registers, and a list is taken to be whole.
    """

    name: str
    basis: SideBasis
    release: Release | None
    features: str
    values: Mapping[int, int | None]
    is_named_by_release: bool = False
    has_assumed_levels: bool = False
    notes: tuple[str, ...] = ()
    doubtful: Mapping[int, str] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()
    tells_kernel: bool = True
    is_whole: bool = True
    is_emulated: bool = False
    perhaps_lost: Mapping[int, str] = field(default_factory=dict)
    is_stream: bool = False
    has_gicv3: bool = False
    vcpus: tuple[int, ...] = ()
    others: tuple[Side, ...] = ()
    refused: str = ""
    is_host: bool = False

    @property
    def info(self) -> SideInfo:
        """What this side was taken for."""
        n_value = sum(value is not None for value in self.values.values())
        release = self.release.name if self.release else ""
        return SideInfo(self.name, self.basis, release, self.features, len(self.values), n_value, self.notes)

    @property
    def n_vcpu(self) -> int:
        """How many vCPUs its VM has; 0 where that is not told."""
        return sum(len(side.vcpus) for side in (self, *self.others))

    @property
    def levels(self) -> Levels | None:
        """Workaround levels of the host, if its registers tell all it has; a register it lacks is level 0."""
        found = []
        for number in (1, 2, 3):
            value = self.values.get(_WORKAROUNDS[number], 0)
            if value is None or value & WORKAROUND_LIMIT not in _LEVELS_KNOWN[number]:
                return None
            found.append(value & WORKAROUND_LIMIT)
        return found[0], found[1], found[2]

    def is_same_machine(self, other: Side) -> bool:
        """Whether both sides are one machine, whose values are equal even where they are not known.

        A host profile is none: it stands for all hosts alike, and a host with several kinds of CPU is not like itself.
        """
        if self.release is None or other.release is None:
            same_kernel = self.release is other.release
        else:
            name, theirs = bare(self.release.name), bare(other.release.name)
            same_kernel = name == theirs
        same_file = self.name == other.name and not self.is_host
        same_place = same_file or (self.is_named_by_release and other.is_named_by_release)
        return same_kernel and same_place and self.features == other.features and self.values == other.values

    @property
    def may_list_more(self) -> bool:
        """Whether its firmware registers are no kernel's, so that it is a part of a list."""
        return self.release is None and not self.tells_kernel and not self.is_emulated

    def is_apart(self, reg: int) -> bool:
        """Whether a register is one that files of this kind never hold: QEMU keeps core and SVE registers elsewhere."""
        return self.is_stream and reg_class(reg) in (CLASS_CORE, CLASS_SVE)

    def has_class(self, kind: int) -> bool:
        """Whether any register of a class is listed: a stream's array has no core registers."""
        return any(reg_class(reg) == kind for reg in self.values)

    def in_list_order(self) -> Side:
        """The same side with its registers in the order of KVM_GET_REG_LIST, which a file need not keep."""
        order = {kind: place for place, kind in enumerate(CLASS_ORDER)}
        ids = sorted(self.values, key=lambda reg: (order.get(reg_class(reg), len(order)), reg))
        return replace(self, values={reg: self.values[reg] for reg in ids})

    def noted(self, note: str) -> Side:
        """The same side with one more note."""
        return replace(self, notes=(*self.notes, note))

    def without_values(self, note: str) -> Side:
        """The same list with fewer values: only firmware registers', which belong to the kernel, are kept."""
        values = {
            reg: value if reg_class(reg) in FIRMWARE_CLASSES and reg not in WORKAROUNDS else None
            for reg, value in self.values.items()
        }
        return replace(self, basis=SideBasis.INFERRED, values=values, notes=(*self.notes, note))

    def with_levels(self, levels: Levels) -> Side:
        """The firmware registers' unknown values as KVM gives them on a host with these workaround levels."""
        if self.release is None:
            return self
        vm = Vm(Host(self.release, workaround=levels), features=as_ordinary(self.features))
        values = dict(self.values)
        for reg, value in values.items():
            if value is None and reg_class(reg) in FIRMWARE_CLASSES:
                errno, own = vm.get_one_reg(0, reg)
                is_certain = not vm.doubts_about(partial(Vm.get_one_reg, vcpu=0, reg=reg))
                values[reg] = own if not errno and is_certain else None
        return replace(self, values=values, has_assumed_levels=True)


def paired(one: Side, other: Side) -> tuple[Side, Side]:
    """Both sides, completed by what follows for each of them from the other.

    A release is a kernel without a machine: on the other side's machine its workaround levels are taken to be the
    other's, and recorded values of another CPU are not used.
    """
    one, other = _on_machine(one, other), _on_machine(other, one)
    return _with_levels_of(one, other), _with_levels_of(other, one)


def _on_machine(side: Side, other: Side) -> Side:
    own, theirs = _midr(side), _midr(other)
    if side.is_named_by_release and has_el2(feature_bits(side.features)) < has_el2(feature_bits(other.features)):
        return side.without_values("its recorded values are those of another machine than the one with el2, not used")
    if not side.is_named_by_release or own is None or theirs is None or own == theirs:
        return side
    note = f"its recorded values are another CPU's (MIDR_EL1 {own:#x}, not {theirs:#x}) and are not used"
    return side.without_values(f"{note}; name the recorded host to use them")


def _midr(side: Side) -> int | None:
    """MIDR_EL1 of the first vCPU of which it is known."""
    told = (each.values.get(MIDR) for each in (side, *side.others))
    return next((value for value in told if value is not None), None)


def _with_levels_of(side: Side, other: Side) -> Side:
    if side.release is None or side.basis is not SideBasis.INFERRED or side.levels is not None:
        return side
    if other.levels is not None and other.release is not None:
        return side.with_levels(other.levels).noted("workaround levels assumed to be those of the other side")
    return side.with_levels(DEFAULT_LEVELS).noted(f"workaround levels assumed: {DEFAULT_LEVELS}")


def kernel_host(side: Side) -> Host | None:
    """The host that a side's kernel and workaround levels make; None where no kernel's rules apply."""
    return None if side.release is None else Host(side.release, workaround=side.levels or DEFAULT_LEVELS)
