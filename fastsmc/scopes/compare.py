"""Every register scope side by side for one release's vCPU: what `fastsmc scope` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fastsmc.facts.register_sets import RegisterSet
from fastsmc.migrate.compat.named import listed
from fastsmc.results.layout import drawn, number, starred, words
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.scopes.cost import ASSUMED, NOTES, ScopeRow, compare_scopes


@dataclass(frozen=True, slots=True, repr=False)
class ScopeComparison:
    """What register scopes cost when a VM moves (modelled): ioctls to save and to load, and bytes.

    Attributes:
        registers: of one vCPU.
        rows: by number of vCPUs in the order given, then by VMM and scope.
    """

    registers: RegisterSet
    rows: tuple[ScopeRow, ...]

    @property
    def answer(self) -> str:
        """One sentence: what the largest map of VM-global registers would take off, at the most vCPUs."""
        most = max(row.n_vcpu for row in self.rows)
        rows = [row for row in self.rows if row.n_vcpu == most and row.vmm == "qemu"]
        today, best = rows[0], min(rows, key=lambda row: row.payload_bytes)
        ioctls = f"{best.save_ioctls + best.load_ioctls:,} of {today.save_ioctls + today.load_ioctls:,} ioctls"
        return (
            f"if all VM-global registers were VM-scoped, QEMU would need {ioctls} and {best.payload_bytes:,} of "
            f"{today.payload_bytes:,} bytes at {most} vCPU{'s' * (most > 1)}{'*' * today.is_hypothetical} (modelled)"
        )

    def table(self) -> Table:
        """A row per number of vCPUs, VMM and scope."""
        rows = [
            {
                "n_vcpu": row.n_vcpu,
                "vmm": str(row.vmm),
                "scope": str(row.scope),
                "marked": str(row.marked or ""),
                "registers_once": row.n_marked,
                "save_ioctls": row.save_ioctls,
                "load_ioctls": row.load_ioctls,
                "payload_bytes": row.payload_bytes,
                "of_today_percent": 100 * row.of_today,
                "is_hypothetical": row.is_hypothetical,
            }
            for row in self.rows
        ]
        return table_of_rows("A row per number of vCPUs, VMM and scope.", rows, "modelled", inputs={"n_vcpu"})

    def as_dict(self) -> dict[str, Any]:
        """What `fastsmc scope --json` prints."""
        return {
            "registers": self.registers.name,
            "kind": "modelled",
            "assumes": ASSUMED,
            "notes": {scope.value: note for scope, note in NOTES.items()},
            "rows": [asdict(row) for row in self.rows],
        }

    def __repr__(self) -> str:
        return f"<ScopeComparison of {self.registers.name}: {len(self.rows)} rows (modelled)>"

    def __str__(self) -> str:
        """What `fastsmc scope` prints."""
        lines = [
            self.answer,
            f"{self.registers.name}: {self.registers.qemu_cpregs} registers carried per vCPU (modelled)",
            *_table(self.rows),
        ]
        lines += ["* hypothetical: arm64 KVM stops at 512 vCPUs per VM"] * any(row.is_hypothetical for row in self.rows)
        lines += [f"{scope.value}: {note}." for scope, note in NOTES.items()]
        return "\n".join([*lines, f"assumes: {ASSUMED}."])


def _table(rows: tuple[ScopeRow, ...]) -> list[str]:
    vcpus = starred([row.n_vcpu for row in rows], [row.is_hypothetical for row in rows])
    heads = (
        number("vCPUs", names_row=True),
        words("VMM", names_row=True),
        words("scope", names_row=True),
        *map(number, ("once", "save", "load", "bytes", "of today")),
    )
    cells = [
        (
            *(n_vcpu, row.vmm, row.scope + f": {row.marked}" * bool(row.marked), row.n_marked),
            *(row.save_ioctls, row.load_ioctls, row.payload_bytes, f"{row.of_today:.1%}"),
        )
        for n_vcpu, row in zip(vcpus, rows, strict=True)
    ]
    return drawn(heads, cells)


def scope(
    release: str = "7.3", *, features: str | None = None, n_vcpu: Iterable[int] = (1, 64, 512)
) -> ScopeComparison:
    """Compares what register scopes cost when a VM moves (modelled): ioctls to save and to load, and bytes.

    Args:
        release: whose register list counts.
        features: vCPU features of that list, joined by +; or "none"; by default those in the release's text, or psci02.
        n_vcpu: vCPU counts of the VM; one that is given again is dropped.

    Raises:
        InputError: a release fastsmc does not know, features it does not have, or a vCPU count out of range.

    >>> scope("6.18", n_vcpu=[64])
    <ScopeComparison of linux-6.18.15-max psci02: 10 rows (modelled)>
    """
    registers = listed(release, features)
    return ScopeComparison(registers, compare_scopes(registers, n_vcpu))
