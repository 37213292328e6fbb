"""What an orchestrator allows: how many migrations at once, how fast each, how long until it is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastsmc.checks import shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.orchestrators import PRESETS, Setting
from fastsmc.migrate.link import require_number

_COUNTS = ("outbound", "inbound", "cluster")
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of live migrations; None where there is none.

    Attributes:
        name: the preset's, or "given".
        outbound, inbound: migrations at once out of one host, and into one host.
        cluster: migrations at once in all.
        bandwidth_mib_per_s: of one migration.
        timeout_s_per_gib: seconds per GiB of the VM's memory after which its migration is aborted.
        timeout_least_gib: the least GiB that the timeout counts.
        downtime_limit_ms: what QEMU is told; the guest stops when the memory that is left takes at most so long. None:
            the downtime that the question allows.
        settings: where each figure of a preset comes from, with its orchestrator's name for it and the day.

    Raises:
        InputError: a limit of 0 or less, or one that is no number.

    >>> Limits.preset("hco-1.19").outbound, Limits(outbound=2).cluster
    (1, None)
    """

    name: str = "given"
    outbound: int | None = None
    inbound: int | None = None
    cluster: int | None = None
    bandwidth_mib_per_s: float | None = None
    timeout_s_per_gib: float | None = None
    timeout_least_gib: float = 0.0
    downtime_limit_ms: float | None = None
    settings: tuple[Setting, ...] = ()

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole(name, value, first=1, last=_MOST))
        for name in ("bandwidth_mib_per_s", "timeout_s_per_gib"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, require_number(value, name, above=0))
        if self.downtime_limit_ms is not None:
            object.__setattr__(
                self, "downtime_limit_ms", require_number(self.downtime_limit_ms, "downtime_limit_ms", least=1)
            )
        require_number(self.timeout_least_gib, "timeout_least_gib", least=0)

    @classmethod
    def preset(cls, name: str) -> Limits:
        """The defaults of an orchestrator's release, "kubevirt-1.6" (facts.orchestrators.PRESETS has all).

        Raises:
            InputError: no preset of that name.
        """
        if name not in PRESETS:
            msg = f"limits {shown(name)}: there are {', '.join(PRESETS)}"
            raise InputError(msg)
        values: Mapping[str, Any] = {each.limit: each.value for each in PRESETS[name]}
        return cls(name=name, settings=PRESETS[name], **values)

    def having(self, **changed: Any) -> Limits:
        """These limits with some changed; what is said of where those come from is dropped.

        Raises:
            InputError: no such limit, or a value out of range.
        """
        if strange := [name for name in changed if name not in self.__slots__ or name in ("name", "settings")]:
            msg = f"limits: no limit is called {shown(strange[0])}; there are {', '.join(self.values())}"
            raise InputError(msg)
        kept = tuple(each for each in self.settings if each.limit not in changed)
        name = f"{self.name}, changed" if self.settings and not self.name.endswith("changed") else self.name
        return replace(self, name=name, settings=kept, **changed)

    def called(self, limit: str) -> str:
        """What its orchestrator calls a limit, with its value: "parallelOutboundMigrationsPerNode 2"."""
        value = getattr(self, limit)
        its = next((each.name for each in self.settings if each.limit == limit), limit)
        return f"{its} {'unlimited' if value is None else format(value, 'g')}"

    def values(self) -> dict[str, Any]:
        """The limits by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in ("name", "settings")}

    def as_dict(self) -> dict[str, Any]:
        """The limits as plain values, with where they come from."""
        return {"name": self.name, **self.values(), "settings": [each._asdict() for each in self.settings]}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value:g}" for name, value in self.values().items() if value)
        return f"Limits({self.name!r}, {given})"[:200]

    def __str__(self) -> str:
        if not self.settings:
            return f"{self.name}: " + (
                ", ".join(self.called(n) for n, value in self.values().items() if value) or "none"
            )
        return "\n".join(
            [f"{self.name}:"]
            + [f"  {self.called(each.limit)} ({each.kind}, {each.since}: {each.source})" for each in self.settings]
        )
