"""The downtimes of VMs that differ in their number of vCPUs only: a row each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastsmc.errors import InputError
from fastsmc.migrate.switchover.steps import Waterfall
from fastsmc.results.layout import drawn, number, starred
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.results.units import milliseconds


@dataclass(frozen=True, slots=True)
class Waterfalls:
    """Modelled downtimes, in the order in which their vCPUs were given.

    Attributes:
        each: at least one.
    """

    each: tuple[Waterfall, ...]

    def __post_init__(self) -> None:
        if not self.each:
            msg = "n_vcpu is empty: give at least one number"
            raise InputError(msg)

    def __iter__(self) -> Iterator[Waterfall]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, number: int) -> Waterfall:
        return self.each[number]

    @property
    def answer(self) -> str:
        """One sentence: the middle downtimes of the least and the most vCPUs, and up to how many keep the limit."""
        least, most = (find(self.each, key=lambda one: one.n_vcpu) for find in (min, max))
        kept = [one.n_vcpu for one in self.each if one.total_ms.mid <= one.limit_ms]
        limit = f"{least.limit_ms:g} ms limit"
        told = f"up to {max(kept)} vCPUs keep the {limit}" if kept else f"none keeps the {limit}"
        return (
            f"{least.n_vcpu} to {most.n_vcpu} vCPUs: downtime {milliseconds(least.total_ms.mid)} to "
            f"{milliseconds(most.total_ms.mid)} at the middle figures; {told} ({', '.join(least.kinds)})"
        )

    def table(self) -> Table:
        """A row per number of vCPUs."""
        rows = [
            {
                "n_vcpu": one.n_vcpu,
                "downtime_low_ms": one.total_ms.low,
                "downtime_ms": one.total_ms.mid,
                "downtime_high_ms": one.total_ms.high,
                "overlapped_ms": one.overlapped_ms.mid,
                "share_of_limit_percent": 100 * one.share_of_limit.mid,
                "is_hypothetical": one.is_hypothetical,
            }
            for one in self.each
        ]
        return table_of_rows("A row per number of vCPUs.", rows, "assumed", inputs={"n_vcpu"})

    def as_dict(self) -> list[dict[str, Any]]:
        """The downtimes as plain values, in a list."""
        return [one.as_dict() for one in self.each]

    def __repr__(self) -> str:
        return f"Waterfalls({len(self)} VMs, {self.each[0].n_vcpu} to {self.each[-1].n_vcpu} vCPUs)"

    def __str__(self) -> str:
        first = self.each[0]
        vcpus = starred([one.n_vcpu for one in self.each], [one.is_hypothetical for one in self.each])
        heads = map(number, ("vCPUs", "low ms", "mid ms", "high ms", "mid ms, overlapped", "of the limit"))
        rows = [
            (n, *(f"{ms:.3f}" for ms in one.total_ms), f"{one.overlapped_ms.mid:.3f}", f"{one.share_of_limit.mid:.1%}")
            for n, one in zip(vcpus, self.each, strict=True)
        ]
        kinds = ", ".join(first.kinds)
        lines = [
            self.answer,
            f"QEMU, {first.subject}: {first.n_reg} registers carried per vCPU, {first.link} ({kinds})",
            *drawn(list(heads), rows),
            "one number of vCPUs shows the steps and what they rest on",
            *(f"note: {text}" for text in first.told),
        ]
        if any(one.is_hypothetical for one in self.each):
            lines += ["* hypothetical: QEMU's virt and arm64 KVM stop at 512 vCPUs per VM"]
        return "\n".join(lines)
