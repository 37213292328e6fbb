"""What `add_registers` returns: a row per VMM and vCPU count, limits, directions, and what a map would save."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from fastsmc.facts import costs
from fastsmc.migrate.growth.carriers import Family
from fastsmc.migrate.growth.global_map import ORIGIN, ClaimPoint, MapSavings, conclusion, saved_ms
from fastsmc.migrate.link import Link
from fastsmc.migrate.span import Span
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.results.units import significant

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class VmmRow:
    """One VM under one VMM, without the new registers and with them (modelled).

    Attributes:
        max_vcpus: the VMM's own limit; None where nobody has looked it up.
        n_byte: bytes of the register arrays.
        ioctls, ms: what both ends need together.
        n_byte_after, ioctls_after, ms_after: with the new registers; None if the VMM cannot carry them.
        refused: why the VMM cannot carry them; "" if it can.
    """

    vmm: str
    n_vcpu: int
    max_vcpus: int | None
    n_byte: Span
    n_byte_after: Span | None
    ioctls: int
    ioctls_after: int | None
    ms: Span
    ms_after: Span | None
    refused: str

    @property
    def is_hypothetical(self) -> bool:
        """More vCPUs than the VMM, or KVM, runs today."""
        return self.n_vcpu > (self.max_vcpus or costs.VGIC_V3_MAX_CPUS.value)

    def __repr__(self) -> str:
        after = f"refused={self.refused[:60]!r}" if self.refused else f"ioctls_after={self.ioctls_after}"
        return f"VmmRow({self.vmm!r}, n_vcpu={self.n_vcpu}, ioctls={self.ioctls}, {after})"

    def __str__(self) -> str:
        now = f"{self.vmm}, {self.n_vcpu} vCPUs: {self.n_byte.mid:,.0f} B and {self.ioctls:,} ioctls"
        if self.n_byte_after is None:
            return f"{now}; {self.refused} (modelled)"
        return f"{now}, then {self.n_byte_after.mid:,.0f} B and {self.ioctls_after:,} ioctls (modelled)"


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that stops growing.

    Attributes:
        room: new registers that fit at most; None if any number does.
    """

    vmm: str
    what: str
    most: int
    before: int
    after: int
    room: int | None

    @property
    def is_crossed(self) -> bool:
        """Whether the new registers go beyond it."""
        return self.after > self.most


@dataclass(frozen=True, slots=True)
class BothWays:
    """What becomes of a VM that moves between a kernel with the new registers and one without, in words."""

    vmm: str
    new_to_old: str
    old_to_new: str


@dataclass(frozen=True, slots=True)
class MoreRegisters:
    """What n more firmware registers change (modelled).

    Attributes:
        subject: the list that they are added to.
        n_reg: registers that QEMU carries per vCPU before.
        rows: per vCPU count and VMM.
        savings: what a map of VM-global registers would save QEMU, per vCPU count.
        needed: VM-global registers from which on a map saves `share_percent` of the limit, per vCPU count.
        claim: what was said of such a map in 2022, in bytes, ioctls and ms.
    """

    subject: str
    n_reg: int
    n_new: int
    size_bits: int
    family: Family
    link: Link
    ioctl_ns: Span
    limit_ms: float
    share_percent: float
    rows: tuple[VmmRow, ...]
    limits: tuple[Limit, ...]
    directions: tuple[BothWays, ...]
    savings: tuple[MapSavings, ...]
    needed: tuple[Span, ...]
    claim: tuple[ClaimPoint, ...]

    @property
    def conclusion(self) -> str:
        """One sentence on the claim."""
        return conclusion(self.claim, share=self.share_percent / 100)

    @property
    def answer(self) -> str:
        """One sentence: what QEMU has to carry more at the most vCPUs, and how many directions and limits break."""
        rows = [row for row in self.rows if row.vmm == self.rows[0].vmm]
        most = max(rows, key=lambda row: row.n_vcpu)
        s = "s" * (self.n_new != 1)
        head = f"{self.n_new} more {self.size_bits}-bit firmware register{s}"
        if most.n_byte_after is None or most.ioctls_after is None or most.ms_after is None:
            return f"{head} cannot be carried by {most.vmm}: {most.refused}"
        low, high = most.ms_after.low - most.ms.low, most.ms_after.high - most.ms.high
        crossed = sum(limit.is_crossed for limit in self.limits)
        broken = sum(way.new_to_old.startswith("fails") for way in self.directions)
        n_byte = most.n_byte_after.mid - most.n_byte.mid
        return (
            f"{head}: {most.vmm} moves {n_byte:,.0f} bytes more at {most.n_vcpu} vCPUs, "
            f"with {most.ioctls_after - most.ioctls:,} more ioctls, {significant(low)} to {significant(high)} ms; "
            f"moves to a kernel without {'them' if s else 'it'} fail with {broken} of {len(self.directions)} VMMs, and "
            f"{crossed} of {len(self.limits)} limits {'is' if crossed == 1 else 'are'} crossed (modelled)"
        )

    def table(self) -> Table:
        """A row per number of vCPUs and VMM; what a VMM cannot carry is unknown."""
        rows = []
        for row in self.rows:
            told: dict[str, Any] = {"n_vcpu": row.n_vcpu, "vmm": row.vmm, "bytes": row.n_byte.mid, "ioctls": row.ioctls}
            told |= {"low_ms": row.ms.low, "mid_ms": row.ms.mid, "high_ms": row.ms.high}
            more, ms = row.n_byte_after, row.ms_after
            told["bytes_added"] = None if more is None else more.mid - row.n_byte.mid
            told["ioctls_added"] = None if row.ioctls_after is None else row.ioctls_after - row.ioctls
            for name in ("low", "mid", "high"):
                told[f"{name}_ms_added"] = None if ms is None else getattr(ms, name) - getattr(row.ms, name)
            rows.append(told | {"is_hypothetical": row.is_hypothetical})
        return table_of_rows("A row per number of vCPUs and VMM.", rows, "modelled", inputs={"n_vcpu"})

    def numbers(self) -> dict[str, list[float | None]]:
        """The columns of the table, how many limits are crossed, and how many VMMs break, for thresholds."""
        columns = {
            name: column.plain() for name, column in self.table().columns.items() if column.values.dtype.kind in "if"
        }
        broken = sum(way.new_to_old.startswith("fails") for way in self.directions)
        return columns | {"crossed": [sum(limit.is_crossed for limit in self.limits)], "failing": [broken]}

    def as_dict(self) -> dict[str, Any]:
        """The whole answer as plain values."""
        return {
            "kind": "modelled",
            "registers": self.subject,
            "added": self.n_new,
            "size_bits": self.size_bits,
            "family": self.family.value,
            "ioctl_ns": asdict(self.ioctl_ns),
            "ioctl_ns_kind": "assumed",
            "line_rate_gbit_per_s": self.link.gbit_per_s,
            "limit_ms": self.limit_ms,
            "rows": [{**asdict(row), "hypothetical": row.is_hypothetical} for row in self.rows],
            "limits": [{**asdict(limit), "crossed": limit.is_crossed} for limit in self.limits],
            "directions": list(map(asdict, self.directions)),
            "map": [
                {**asdict(saved), "break_even_percent": self.share_percent, "break_even_registers": _finite(least)}
                for saved, least in zip(self.savings, self.needed, strict=True)
            ],
            "claim": list(map(asdict, self.claim)),
            "verdict": self.conclusion,
        }

    def figure(self) -> Figure:
        """What a map of VM-global registers saves, as a share of the limit, by cost of an ioctl and repeated values."""
        import numpy as np

        from fastsmc.reporting.break_even import picture

        ns, repeats = np.geomspace(50, 5000, _SIDES[0]), np.geomspace(100, 4e6, _SIDES[1])
        each = np.array([saved_ms(1, link=self.link, ioctl_ns=float(one)) for one in ns]) / self.limit_ms
        largest = max(self.savings, key=lambda saved: saved.repeats)
        points = [(f"{n_reg} x {n_vcpu} of 2022", float(n_reg * (n_vcpu - 1))) for n_reg, n_vcpu, _ in ORIGIN]
        if largest.n_vcpu > 1:
            points += [(f"{largest.n_global} x {largest.n_vcpu} now asked", float(largest.repeats))]
        limit = f"{self.limit_ms:g}\N{NO-BREAK SPACE}ms"
        what = f"{self.share_percent:g} % of {limit} above the thick line ({self.link})"
        return picture(
            ns,
            repeats,
            repeats[:, None] * each,
            title=f"A map of VM-global registers saves QEMU {what}",
            threshold=self.share_percent / 100,
            points=points,
            marked_ns=sorted({*self.ioctl_ns}),
        )

    def __repr__(self) -> str:
        new = f"n_new={self.n_new}, size_bits={self.size_bits}, family={self.family.value}"
        return f"MoreRegisters({self.subject[:60]!r}, {new}, {len(self.rows)} rows)"

    def __str__(self) -> str:
        from fastsmc.migrate.growth.text import told

        return told(self)


_SIDES = (200, 200)
"""Points of the break-even surface: costs of an ioctl, and repeats."""


def _finite(span: Span) -> dict[str, float] | None:
    return None if span.low == inf else asdict(span)
