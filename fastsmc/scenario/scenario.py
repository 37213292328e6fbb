"""A scenario file read and checked: every problem at once, each with its line, its key and what would be right."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from fastsmc.errors import InputError
from fastsmc.facts.costs import Figure
from fastsmc.scenario.groups import read_groups
from fastsmc.scenario.model import HostCores, VmGroup
from fastsmc.scenario.problems import Problems, read_toml
from fastsmc.scenario.profiles import FIGURES, Profile, load_profile, profiles
from fastsmc.scenario.workloads import MAX_WORKLOADS, read_workload

DEFAULT_PROFILE = "neoverse-n1"
DEFAULT_SEED, DEFAULT_CALLS, DEFAULT_WARMUP = 1, 100, 20
SLICE_MS = Figure(
    3.0,
    "ms",
    "assumed",
    "Linux kernel/sched/fair.c, sysctl_sched_base_slice: 0.75 ms (0.7 since 2025) times 4 on 8 CPUs or more; that a "
    "vCPU that waits gets a core after one such slice is a model",
)
"""How long a vCPU runs while others wait for its core."""

_KEYS = ("seed", "calls", "warmup", "profile", "profile_overrides", "host", "vms", "workloads")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario; `load` makes one of a TOML file, `of` of a mapping.

    Attributes:
        calls: per vCPU, counted. warmup: per vCPU, simulated before them and not counted. Neither is for scripts.
        profile: with the scenario's overrides in it.
        host: None: every vCPU has a core of its own.
        source_text: the TOML text, or the mapping as JSON.
        seed_is_default: the scenario gives none.
        path: of its file, as given; "" for one made of a mapping.
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
    path: str = ""

    def __repr__(self) -> str:
        n_vm = sum(group.count for group in self.groups)
        return f"<Scenario {self.name[:80]}: {n_vm} VMs, {self.n_vcpu} vCPUs, seed {self.seed}>"

    @property
    def n_vcpu(self) -> int:
        """vCPUs of all VMs."""
        return sum(group.count * group.vcpus for group in self.groups)

    @property
    def is_hypothetical(self) -> bool:
        """Whether some VM has more vCPUs than arm64 KVM allows today."""
        return any(group.is_hypothetical for group in self.groups)

    def problems(self) -> Problems:
        """An empty list for what is found wrong with the scenario later; it knows lines if the scenario is a file's."""
        return Problems(self.path, self.source_text) if self.path else Problems(self.name)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        seed: int | None = None,
        calls: int | None = None,
        profile: str | None = None,
        force: bool = False,
    ) -> Scenario:
        """The scenario of a TOML file.

        Args:
            seed, calls, profile: take the place of what the file says. The path of a profile starts from the working
                folder. The file's `profile_overrides` stay.
            force: take a profile that was measured on an emulated host too, as `load_profile`.

        Raises:
            InputError: it cannot be read; or every problem there is, a line each: FILE:LINE: key: what: remedy.
        """
        file = FilePath(path)
        text, table = read_toml(file, "a scenario")
        if profile is not None:
            load_profile(profile, force=force)  # or it says what is wrong with it, without the file's name
            profile = profile if profile in profiles() else str(FilePath(profile).absolute())
        given = {"seed": seed, "calls": calls, "profile": profile}
        table |= {key: value for key, value in given.items() if value is not None}
        problems = Problems(os.fspath(path), text)
        return _read(table, problems, file.parent, name=file.stem, text=text, path=path, force=force)

    @classmethod
    def of(
        cls,
        table: Mapping[str, Any],
        *,
        name: str = "scenario",
        folder: str | os.PathLike[str] = ".",
        text: str | None = None,
    ) -> Scenario:
        """The scenario of a mapping, as TOML would give it.

        Args:
            folder: what relative paths of profiles and traces start from.
            text: its `source_text`, where that is known; None: the table as JSON.

        Raises:
            InputError: every problem there is, a line each.

        >>> vms = [{"vcpus": 4, "workload": "w"}]
        >>> think = {"law": "exponential", "mean_us": 20}
        >>> workloads = {"w": {"kind": "closed", "think": think, "mix": {"PTP": 1.0}}}
        >>> Scenario.of({"vms": vms, "workloads": workloads}).groups[0].workload.mix[0].name
        'VENDOR_HYP_PTP'
        """
        try:
            text = json.dumps(table, indent=1, default=str) if text is None else text
        except (ValueError, RecursionError) as error:
            msg = f"{name}: no table as TOML would give it: {error}"
            raise InputError(msg) from None
        return _read(dict(table), Problems(name), FilePath(folder), name=name, text=text)


def _read(
    table: dict[str, Any],
    problems: Problems,
    folder: FilePath,
    *,
    name: str,
    text: str,
    path: str | os.PathLike[str] = "",
    force: bool = False,
) -> Scenario:
    problems.unknown_keys(table, (), _KEYS)
    profile = _profile(table, problems, folder, force)
    workloads = problems.table(table.get("workloads"), ("workloads",))
    if not problems.no_more_than(workloads, MAX_WORKLOADS, ("workloads",), "leave out those that no group has"):
        problems.raise_any()
    for key in workloads:
        problems.one_line(key or "w", ("workloads", key))
    plans = {
        key: read_workload(key, value, problems, folder) for key, value in workloads.items() if not problems.is_full
    }
    scenario = Scenario(
        name=name,
        seed=problems.whole(table.get("seed", DEFAULT_SEED), ("seed",), first=0, last=(1 << 63) - 1, default=0),
        calls=problems.whole(table.get("calls", DEFAULT_CALLS), ("calls",), first=1, last=1 << 40, default=1),
        warmup=problems.whole(table.get("warmup", DEFAULT_WARMUP), ("warmup",), first=0, last=1 << 40, default=0),
        profile=profile,
        host=_host(table["host"], problems) if "host" in table else None,
        groups=read_groups(table.get("vms"), plans, profile, problems),
        source_text=text,
        seed_is_default="seed" not in table,
        path=os.fspath(path),
    )
    problems.raise_any()
    return scenario


def _profile(table: dict[str, Any], problems: Problems, folder: FilePath, force: bool) -> Profile:
    name = problems.text(table.get("profile", DEFAULT_PROFILE), ("profile",), default=DEFAULT_PROFILE)
    try:
        profile = load_profile(folder / name if name.endswith(".toml") else name, force=force)
    except InputError as error:
        problems.add(("profile",), error)
        profile = load_profile(DEFAULT_PROFILE)
    path = ("profile_overrides",)
    values = problems.table(table.get("profile_overrides", {}), path)
    problems.unknown_keys(values, path, FIGURES)
    numbers = {key: problems.number(values[key], (*path, key), unit="ns") for key in FIGURES if key in values}
    return profile.with_overrides(numbers, source=f"scenario {problems.where}")


def _host(value: object, problems: Problems) -> HostCores | None:
    table = problems.table(value, ("host",))
    if not table:
        return None
    problems.unknown_keys(table, ("host",), ("cores", "slice_ms"))
    cores = problems.whole(table.get("cores"), ("host", "cores"), first=1, last=(1 << 32) - 1, default=1)
    if "slice_ms" not in table:
        return HostCores(cores, Figure(SLICE_MS.value * 1e6, "ns", SLICE_MS.kind, SLICE_MS.source))
    slice_ms = problems.number(table["slice_ms"], ("host", "slice_ms"), above_zero=True, unit="ms")
    return HostCores(cores, Figure(slice_ms * 1e6, "ns", "assumed", f"scenario {problems.where}"))
