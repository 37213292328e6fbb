"""What `check_migration` returns: one verdict per direction, every register that stands in the way, and the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fastsmc.facts.register_names import name_of
from fastsmc.facts.registers import CLASS_DEMUX, CLASS_SYSREG, Encoding, reg_class


class Vmm(StrEnum):
    """Whose restore is judged. KVM: no VMM, SET_ONE_REG of every register in list order, as the recordings made it."""

    QEMU = "qemu"
    FIRECRACKER = "firecracker"
    CLOUD_HYPERVISOR = "cloud-hypervisor"
    CROSVM = "crosvm"
    KVM = "kvm"


class Basis(StrEnum):
    """Where a side's registers come from: a recorded host, a file, or the rules of a release nobody recorded."""

    RECORDED = "recorded"
    FILE = "file"
    INFERRED = "inferred"


class Verdict(StrEnum):
    """Of one direction. As far as known: nothing fails, but some registers could not be judged."""

    PASS = "pass"
    AS_FAR_AS_KNOWN = "passes as far as known"
    FAIL = "fail"


def shown_name(reg: int) -> str:
    """A register's name in one word, a system register's encoding where it has none here, or "".

    >>> shown_name(0x603000000013C103), shown_name(0x603000000013C03F), shown_name(0x6020000000110003)
    ('TCR2_EL1', 'S3_0_C0_C7_7', 'CCSIDR_L2_I')
    """
    if reg_class(reg) == CLASS_DEMUX and name_of(reg):
        return f"CCSIDR_L{(reg >> 1 & 7) + 1}_{'I' if reg & 1 else 'D'}"
    name = name_of(reg)
    if name is None and reg_class(reg) == CLASS_SYSREG:
        return str(Encoding.of(reg)).partition("(")[2].rstrip(")")
    return name or ""


@dataclass(frozen=True, slots=True)
class RegisterFate:
    """One register that is refused, or of which nothing can be said.

    Attributes:
        value: what the payload holds; None where the source does not tell.
        errno: Linux errno of its SET_ONE_REG (2 ENOENT, 22 EINVAL); None where it could not be judged.
        reason: why, in words.
    """

    reg: int
    value: int | None
    errno: int | None
    reason: str

    @property
    def name(self) -> str:
        """Its name, or its encoding."""
        return shown_name(self.reg)

    def __str__(self) -> str:
        return f"{self.reg:#018x} {self.name or '(no name)'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that the guest, not the VMM, would notice.

    Attributes:
        kind: gains, loses, answers, smc, keeps reset value, not carried.
        names: functions by name (gains, loses, answers), or registers.
    """

    kind: str
    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would let a failing direction pass.

    Attributes:
        registers: which of the failing ones it takes care of.
        command: to be typed or put into a configuration, "" if there is none.
    """

    text: str
    registers: tuple[int, ...]
    command: str = ""


@dataclass(frozen=True, slots=True)
class Direction:
    """Whether a VM of `source` restores on `dest`.

    Attributes:
        failing: registers the destination lacks or whose value it refuses, in the order of the payload.
        unjudged: registers whose fate no rule or no value tells.
        stopped_by: where the VMM gives up, in words; "" if it does not.
        error: the VMM's own error text, line by line; empty when it passes or when its text is not known.
        warnings: what the guest would see change; of a failing direction, once the failing registers are left out.
        remedies: what would let it pass.
        lengths: registers in the payload's array and in the destination's, as QEMU compares them; None for others.
    """

    source: str
    dest: str
    vmm: Vmm
    ok: bool
    failing: tuple[RegisterFate, ...]
    unjudged: tuple[RegisterFate, ...] = ()
    stopped_by: str = ""
    error: tuple[str, ...] = ()
    warnings: tuple[Warning, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    lengths: tuple[int, int] | None = None

    @property
    def verdict(self) -> Verdict:
        """Pass, fail, or passes as far as known."""
        if not self.ok:
            return Verdict.FAIL
        return Verdict.AS_FAR_AS_KNOWN if self.unjudged else Verdict.PASS


@dataclass(frozen=True, slots=True)
class SideInfo:
    """What one side was taken for.

    Attributes:
        release: whose rules apply; "" if none do (QEMU's TCG, a kernel fastsmc does not know).
        n_register: registers of one vCPU.
        n_value: of how many the value is known.
        notes: assumptions, one sentence each.
    """

    name: str
    basis: Basis
    release: str
    features: str
    n_register: int
    n_value: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MigrationCheck:
    """Both directions between two sides. Modelled: from recorded restores, published rules and source code read."""

    source: SideInfo
    dest: SideInfo
    vmm: Vmm
    forward: Direction
    backward: Direction
    notes: tuple[str, ...] = field(default=())
