"""What `check` returns: an outlook per direction, every register that stands in the way, and what the guest sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastsmc.facts.register_arches import coprocessor_name
from fastsmc.facts.register_names import name_of
from fastsmc.facts.registers import ARCH_ARM32, ARCH_FIELD, CLASS_DEMUX, CLASS_SYSREG, Encoding, reg_class
from fastsmc.facts.vmms import Vmm
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table


class SideBasis(StrEnum):
    """Where a side's registers come from: a recorded host, a file, or the rules of a release nobody recorded."""

    RECORDED = "recorded"
    FILE = "file"
    INFERRED = "inferred"


class Outlook(StrEnum):
    """What becomes of a VM that moves one way. Unknown: nothing is known to fail, and not every register is known."""

    RESTORES = "restores"
    FAILS = "fails"
    UNKNOWN = "unknown"


def shown_name(reg: int) -> str:
    """A register's name in one word, a system register's encoding where it has none here, or "".

    >>> shown_name(0x603000000013C103), shown_name(0x603000000013C03F), shown_name(0x6020000000110003)
    ('TCR2_EL1', 'S3_0_C0_C7_7', 'CCSIDR_L2_I')
    >>> shown_name(0x40200000200E0298)
    'DBGDTRTX'
    """
    if reg & ARCH_FIELD == ARCH_ARM32:
        return coprocessor_name(reg) or ""
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
        vcpus: the vCPUs it concerns, "1,4-7"; "" for all. The value is that of the first.
    """

    reg: int
    value: int | None
    errno: int | None
    reason: str
    vcpus: str = ""

    @property
    def name(self) -> str:
        """The register's name, its encoding where it has none here, or ""."""
        return shown_name(self.reg)

    def as_dict(self) -> dict[str, Any]:
        """The register as plain values, numbers as hexadecimal text."""
        return {
            "id": f"{self.reg:#018x}",
            "name": self.name or None,
            "value": None if self.value is None else f"{self.value:#x}",
            "errno": self.errno,
            "reason": self.reason,
            "vcpus": self.vcpus or None,
        }

    @property
    def where(self) -> str:
        """The vCPUs it concerns, to end a sentence: " (vCPU 1,4-7)"; "" for all."""
        return f" (vCPU {self.vcpus})" if self.vcpus else ""

    def __repr__(self) -> str:
        return f"RegisterFate({self.reg:#018x}, errno={self.errno}, {self.reason[:100]!r})"

    def __str__(self) -> str:
        return f"{self.reg:#018x} {self.name or '(no name)'}: {self.reason}{self.where}"


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that the guest, not the VMM, would notice.

    Attributes:
        kind: gains, loses, answers, smc, keeps reset value, not carried, vector lengths.
        names: functions by name (gains, loses, answers), or registers.
    """

    kind: str
    text: str
    names: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The caution as plain values."""
        return {"kind": self.kind, "text": self.text, "names": list(self.names)}

    def __repr__(self) -> str:
        return f"Caution({self.kind!r}, {self.text[:120]!r})"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would let a failing direction restore.

    Attributes:
        registers: the failing registers that the remedy takes care of.
        command: what to type or to put into a configuration; "" if there is nothing.
    """

    text: str
    registers: tuple[int, ...]
    command: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The remedy as plain values."""
        ids = [f"{reg:#018x}" for reg in self.registers]
        return {"text": self.text, "command": self.command or None, "registers": ids}

    def __repr__(self) -> str:
        return f"Remedy({self.text[:120]!r}, {len(self.registers)} registers)"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Direction:
    """Whether a VM of `source` restores on `dest`.

    Attributes:
        failing: registers the destination lacks or whose value it refuses, in the order of the payload.
        unjudged: registers whose fate no rule or no value tells.
        to_know: what would have to be brought to judge the rest, a sentence each; empty when all is judged.
        version: the VMM's version whose rules these are; "" where its versions are not told apart.
        stopped_by: where the VMM gives up, in words; "" if it does not.
        reason: why it fails if it is more than registers, as one sentence: the stream is TCG's; else "".
        error: the VMM's own error text, line by line; empty when it restores or when its text is not known.
        cautions: what the guest would see change; in a failing direction, once the failing registers are left out.
        remedies: what would let it restore.
        lengths: registers in the payload's array and in the destination's, as QEMU compares them; None for others.
        scope: what was judged and what was not, in one line.
        open_question: what keeps it from a yes although no register does: whether the source's file is whole; else "".
        is_unknown_accepted: the caller takes an unknown outlook for a yes.
    """

    source: str
    dest: str
    vmm: Vmm
    version: str
    failing: tuple[RegisterFate, ...]
    unjudged: tuple[RegisterFate, ...] = ()
    to_know: tuple[str, ...] = ()
    stopped_by: str = ""
    reason: str = ""
    error: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    lengths: tuple[int, int] | None = None
    scope: str = ""
    open_question: str = ""
    is_unknown_accepted: bool = False

    @property
    def by(self) -> str:
        """The VMM and its version: "qemu 11.1"."""
        return f"{self.vmm} {self.version}".rstrip()

    @property
    def outlook(self) -> Outlook:
        """Restores, fails or unknown. A known failure stands, whatever else is not known."""
        if self.failing or self.stopped_by or self.reason:
            return Outlook.FAILS
        return Outlook.UNKNOWN if self.unjudged or self.open_question else Outlook.RESTORES

    @property
    def ok(self) -> bool:
        """Whether the VM may move: it restores, or its unknown outlook was accepted."""
        return self.outlook is Outlook.RESTORES or (self.outlook is Outlook.UNKNOWN and self.is_unknown_accepted)

    @property
    def summary(self) -> str:
        """One sentence: whether the VM restores, what stands in the way if it does not, or what is not known."""
        way, count = f"{self.source} to {self.dest}", len(self.failing)
        if self.outlook is Outlook.RESTORES:
            return f"{way} restores with {self.by}"
        if self.outlook is Outlook.UNKNOWN:
            registers = f"{len(self.unjudged)} register{'s' * (len(self.unjudged) > 1)} cannot be judged"
            why = registers if self.unjudged else self.open_question
            accepted = ", which was accepted" if self.is_unknown_accepted else ""
            return f"whether {way} restores with {self.by} cannot be known: {why}{accepted}"
        if self.reason:
            return f"{way} fails with {self.by}: {self.reason}"
        if not count:
            return f"{way} fails with {self.by}: stopped by {self.stopped_by}"
        registers = "1 register stands" if count == 1 else f"{count} registers stand"
        return f"{way} fails with {self.by}: {registers} in the way"

    def as_dict(self) -> dict[str, Any]:
        """The direction as plain values."""
        lengths = self.lengths
        return {
            "ok": self.ok,
            "verdict": self.outlook,
            "unknown_accepted": self.is_unknown_accepted,
            "scope": self.scope,
            "failing": [fate.as_dict() for fate in self.failing],
            "unjudged": [fate.as_dict() for fate in self.unjudged],
            "open_question": self.open_question or None,
            "to_know": list(self.to_know),
            "reason": self.reason or None,
            "stopped_by": self.stopped_by or None,
            "error": list(self.error),
            "lengths": {"incoming": lengths[0], "own": lengths[1]} if lengths else None,
            "warnings": [caution.as_dict() for caution in self.cautions],
            "remedies": [remedy.as_dict() for remedy in self.remedies],
        }

    def __repr__(self) -> str:
        counts = f"{len(self.failing)} failing, {len(self.unjudged)} unjudged"
        return f"Direction({self.source[:40]!r} to {self.dest[:40]!r}, {self.by}, {self.outlook.value!r}, {counts})"

    def __str__(self) -> str:
        from fastsmc.migrate.compat.text import direction

        return direction("direction", self)


@dataclass(frozen=True, slots=True)
class SideInfo:
    """What one side was taken for.

    Attributes:
        release: the release whose rules apply; "" if none do (QEMU's TCG, a kernel fastsmc does not know).
        n_register: registers that one vCPU lists.
        n_value: those of them whose value is known.
        notes: assumptions, one sentence each.
    """

    name: str
    basis: SideBasis
    release: str
    features: str
    n_register: int
    n_value: int
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The side as plain values."""
        return {
            "name": self.name,
            "basis": self.basis,
            "release": self.release or None,
            "features": self.features,
            "registers": self.n_register,
            "values": self.n_value,
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"SideInfo({self.name[:80]!r}, {self.basis}, {self.n_register} registers, {self.n_value} values)"

    def __str__(self) -> str:
        kernel = f"Linux {self.release}" if self.release else "no kernel's rules"
        counts = f"{self.n_register} registers, {self.n_value} values"
        return f"{self.name} ({self.basis}: {kernel}, {self.features}, {counts})"


@dataclass(frozen=True, slots=True)
class MigrationCheck:
    """Both directions between two sides. Modelled: from recorded restores, published rules and source code read.

    Attributes:
        version: the VMM's version whose rules these are; "" where its versions are not told apart.
        vmm_notes: what must be known of a VMM that is a vendor's build, one sentence each.
    """

    source: SideInfo
    dest: SideInfo
    vmm: Vmm
    version: str
    forward: Direction
    backward: Direction
    vmm_notes: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """One sentence: whether the VM restores, and whether it could come back."""
        back = self.backward.outlook
        told = {Outlook.RESTORES: "the way back restores", Outlook.FAILS: "the way back fails"}
        return f"{self.forward.summary}; {told.get(back, 'the way back cannot be known')}"

    def table(self) -> Table:
        """A row per register that is refused or cannot be judged, of both directions."""
        rows = [
            {
                "direction": name,
                "id": f"{fate.reg:#018x}",
                "name": fate.name,
                "value": None if fate.value is None else f"{fate.value:#x}",
                "verdict": verdict,
                "reason": fate.reason,
                "vcpus": fate.vcpus,
            }
            for name, way in (("forward", self.forward), ("backward", self.backward))
            for verdict, fates in (("fails", way.failing), ("unknown", way.unjudged))
            for fate in fates
        ]
        columns = ("direction", "id", "name", "value", "verdict", "reason", "vcpus")
        return table_of_rows("A row per register that fails or cannot be judged.", rows, "", columns=columns)

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts of registers, for thresholds."""
        ways = (("", self.forward), ("backward_", self.backward))
        counted = (("failing", "failing"), ("unjudged", "unjudged"), ("warnings", "cautions"))
        return {f"{way}{name}": [len(getattr(one, held))] for way, one in ways for name, held in counted}

    def as_dict(self) -> dict[str, Any]:
        """Both sides and both directions as plain values."""
        return {
            "kind": "modelled",
            "vmm": self.vmm,
            "vmm_version": self.version or None,
            "vmm_notes": list(self.vmm_notes),
            "source": self.source.as_dict(),
            "dest": self.dest.as_dict(),
            "forward": self.forward.as_dict(),
            "backward": self.backward.as_dict(),
        }

    def __repr__(self) -> str:
        ways = f"forward={self.forward.outlook.value!r}, backward={self.backward.outlook.value!r}"
        return f"MigrationCheck({self.source.name[:40]!r}, {self.dest.name[:40]!r}, {self.vmm}, {ways})"

    def __str__(self) -> str:
        from fastsmc.migrate.compat.text import both_ways

        return both_ways(self)
