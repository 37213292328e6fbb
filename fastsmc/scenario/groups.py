"""VM groups of a scenario: how many, how they are set up, and how their VMM takes forwarded calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from fastsmc.errors import FastsmcError
from fastsmc.facts.registers import FW_REGISTERS, FwKind
from fastsmc.facts.releases import KVM_ARM_MODES, release
from fastsmc.facts.smccc import FilterAction, Level
from fastsmc.facts.vcpu import has_el2
from fastsmc.facts.versions import NEWEST
from fastsmc.fleet.filters import FilterRange
from fastsmc.scenario.fleets import Setup, refused_of
from fastsmc.scenario.laws import law
from fastsmc.scenario.model import Law, Lock, VmGroup, Workload
from fastsmc.scenario.names import feature_word, function_id, psci_word
from fastsmc.scenario.problems import Problems, brief, meant
from fastsmc.scenario.profiles import Profile
from fastsmc.scenario.toml_lines import Path
from fastsmc.scenario.workloads import Draft

_BITMAPS = tuple(row.name for row in FW_REGISTERS if row.kind is FwKind.BITMAP)
_KEYS = (
    "name", "count", "vcpus", "release", "kvm_arm_mode", "features", "is_protected", "psci", "bitmaps", "filter",
    "workload", "vmm", "service",
)  # fmt: skip
_NEWEST = f"{NEWEST[0]}.{NEWEST[1]}"
_MAX = (1 << 32) - 1
_MAX_GROUPS, _MAX_RANGES = 1024, 4096
"""Each group is set up once, range by range where one is refused: some ms."""
_MAX_VCPUS = 1 << 16
"""vCPUs of one VM: 128 times what KVM takes. Scripts are made for each number of vCPUs."""


def read_groups(value: object, plans: Mapping[str, Draft], profile: Profile, problems: Problems) -> tuple[VmGroup, ...]:
    """The [[vms]] tables, set up once each to see what KVM refuses."""
    if not isinstance(value, list) or not value:
        problems.add(("vms",), f"it is {brief(value)}", "add at least one [[vms]] table")
        return ()
    if not problems.no_more_than(value, _MAX_GROUPS, ("vms",), "make one group of VMs that are alike"):
        return ()
    groups = [
        _group(row, ("vms", index), plans, profile, problems) for index, row in enumerate(value) if not problems.is_full
    ]
    names = set[str]()
    for index, group in enumerate(groups):
        if group.name in names:
            problems.add(
                ("vms", index, "name"), f"another group is called {brief(group.name)}", "give each a name of its own"
            )
        names.add(group.name)
    if (total := sum(group.count * group.vcpus for group in groups)) > _MAX:
        problems.add(("vms",), f"{total} vCPUs in all", f"they must be {_MAX} or fewer")
    return tuple(groups)


def _group(value: object, path: Path, plans: Mapping[str, Draft], profile: Profile, problems: Problems) -> VmGroup:
    row = problems.table(value, path)
    problems.unknown_keys(row, path, _KEYS)
    vcpus = problems.whole(row.get("vcpus"), (*path, "vcpus"), first=1, last=_MAX_VCPUS, default=1)
    lock, workers = _vmm(row.get("vmm", {"lock": "vm"}), (*path, "vmm"), vcpus, problems)
    n_problem = len(problems.found)
    group = VmGroup(
        name=problems.one_line(row.get("name", f"vms[{path[-1]}]"), (*path, "name")),
        count=problems.whole(row.get("count", 1), (*path, "count"), first=1, last=_MAX, default=1),
        vcpus=vcpus,
        release=_release(row.get("release", _NEWEST), (*path, "release"), problems),
        features=feature_word(row.get("features"), (*path, "features"), problems),
        psci=psci_word(row.get("psci"), (*path, "psci"), problems),
        bitmaps=_bitmaps(row.get("bitmaps", {}), (*path, "bitmaps"), problems),
        filter=_filter(row.get("filter", []), (*path, "filter"), problems),
        workload=_workload(row.get("workload"), (*path, "workload"), vcpus, plans, problems),
        lock=lock,
        workers=workers,
        service=law(row["service"], (*path, "service"), problems)
        if "service" in row
        else Law("deterministic", profile.vmm_service_ns.value),
        service_is_from_profile="service" not in row,
        kvm_arm_mode=_mode(row.get("kvm_arm_mode", "default"), (*path, "kvm_arm_mode"), problems),
        is_protected=_flag(row.get("is_protected", False), (*path, "is_protected"), problems),
    )
    level = next((entry.level for entry in group.workload.mix if entry.level is not Level.EL1), None)
    if level is not None and not has_el2(group.features):
        told = f"its mix has calls at level {level.name.lower()}, and these vCPUs have no EL2"
        problems.add((*path, "workload"), told, 'leave level out of the mix, or add "el2" to features')
    if len(problems.found) == n_problem:
        for key, error in refused_of(Setup.of(group)):
            # It is VM 0 of a fleet made for this check, which no reader has heard of.
            problems.add((*path, *key), re.sub(r" o[fn] VM 0\b", "", error))
    return group


def _vmm(value: object, path: Path, vcpus: int, problems: Problems) -> tuple[Lock, int]:
    table = problems.table(value, path)
    problems.unknown_keys(table, path, ("lock", "workers"))
    if not table:
        return "vm", 1
    lock = cast(Lock, problems.choice(table.get("lock"), (*path, "lock"), ("vm", "workers", "none"), default="vm"))
    if lock == "workers":
        return lock, problems.whole(table.get("workers"), (*path, "workers"), first=1, last=_MAX, default=1)
    if "workers" in table:
        problems.add((*path, "workers"), f'lock is "{lock}"', 'leave it out, or say lock = "workers"')
    return lock, vcpus if lock == "none" else 1


def _release(value: object, path: Path, problems: Problems) -> str:
    try:
        return release(cast(str, value)).name
    except FastsmcError as error:
        problems.add(path, error)
        return _NEWEST


def _mode(value: object, path: Path, problems: Problems) -> str:
    return problems.choice(value, path, KVM_ARM_MODES, default="default")


def _flag(value: object, path: Path, problems: Problems) -> bool:
    if not isinstance(value, bool):
        problems.add(path, f"it is {brief(value)}", "it must be true or false")
    return value is True


def _bitmaps(value: object, path: Path, problems: Problems) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping):
        problems.add(path, f"it is {brief(value)}", "it must be a table of words by register, as { STD_BMAP = 0x1 }")
        return ()
    problems.unknown_keys(value, path, _BITMAPS)
    words = {
        name: problems.whole(value[name], (*path, name), first=0, last=(1 << 64) - 1, default=0)
        for name in _BITMAPS
        if name in value
    }
    return tuple(words.items())


def _filter(value: object, path: Path, problems: Problems) -> tuple[FilterRange, ...]:
    if not isinstance(value, list):
        problems.add(path, f"it is {brief(value)}", "it must be a list of tables with base, count and action")
        return ()
    if not problems.no_more_than(value, _MAX_RANGES, path, "join ranges that meet"):
        return ()
    rows = (_range(row, (*path, i), problems) for i, row in enumerate(value) if not problems.is_full)
    return tuple(row for row in rows if row is not None)


def _range(value: object, path: Path, problems: Problems) -> FilterRange | None:
    row: dict[str, Any] = problems.table(value, path)
    problems.unknown_keys(row, path, ("base", "count", "action"))
    base = function_id(row.get("base"), (*path, "base"), problems)
    count = problems.whole(row.get("count", 1), (*path, "count"), first=0, last=_MAX, default=1)
    names = [action.name for action in FilterAction]
    action = problems.choice(row.get("action"), (*path, "action"), names, default="HANDLE")
    return None if base is None else FilterRange(base, count, FilterAction[action])


def _workload(value: object, path: Path, vcpus: int, plans: Mapping[str, Draft], problems: Problems) -> Workload:
    if not isinstance(value, str) or value not in plans:
        known = meant(value, list(plans)) if plans else "add a [workloads.NAME] table"
        problems.add(path, f"it is {brief(value)}", known)
        return Workload("?", "closed", ())
    try:
        return plans[value].of(vcpus)
    except FastsmcError as error:
        problems.add(path, error)
        return plans[value].workload
