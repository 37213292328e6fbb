"""A scenario file read and checked: every problem at once, each with its line, its key and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

from fastsmc.profiles import Profile
from fastsmc.scenario.model import HostCores, VmGroup


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario; `load` in `fastsmc.scenario` makes one of a TOML file.

    Attributes:
        calls: per vCPU, counted. warmup: per vCPU, simulated before them and not counted. Neither is for scripts.
        profile: with the scenario's overrides in it.
        host: None: every vCPU has a core of its own.
        source_text: the TOML text, or the mapping as JSON.
        seed_is_default: the scenario gives none.
    """

    name: str
    seed: int
    calls: int
    warmup: int
    profile: Profile
    host: HostCores | None
    groups: tuple[VmGroup, ...]
    source_text: str
    seed_is_default: bool = False

    @property
    def n_vcpu(self) -> int:
        return sum(group.count * group.vcpus for group in self.groups)

    @property
    def is_hypothetical(self) -> bool:
        """Whether some VM has more vCPUs than arm64 KVM allows today."""
        return any(group.is_hypothetical for group in self.groups)
