"""How long precopy takes, by line rate and downtime limit, with registers and their ioctls in the downtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import whole
from fastsmc.errors import InputError
from fastsmc.migrate.carried import Registers, carried
from fastsmc.migrate.link import Links, as_links, require_number
from fastsmc.migrate.precopy import ASSUMED as PRECOPY_ASSUMED
from fastsmc.migrate.profiled import IOCTL_ASSUMED, profiled
from fastsmc.migrate.qemu.machine import MAX_VCPU
from fastsmc.migrate.span import IoctlNs, ioctl_span
from fastsmc.migrate.switchover.arrays import FIGURES
from fastsmc.plan.grid import axis
from fastsmc.plan.migrations_told import answer, bottleneck, excuses, table_of, weakest
from fastsmc.plan.moving import GIB, MIB, Found, Moving, moved
from fastsmc.plan.result import Cube, Plan, Values
from fastsmc.scenario.profiles import Profile

ASSUMED = (
    IOCTL_ASSUMED,
    "QEMU does not count registers, so its downtime-limit is set to what they leave of the limit (qemu_limit_ms)",
    "QEMU's max-bandwidth, 128 MiB/s by default, is set to the line rate",
    *PRECOPY_ASSUMED,
    "all steps of the registers one after another, an upper side",
)


def migration_table(
    *,
    registers: Registers,
    n_vcpu: int,
    memory_gib: float,
    dirty_mib_per_s: float,
    hot_set_mib: float = 0.0,
    hot_set_s: float = 0.0,
    has_sve: bool = False,
    link: Links = ("1G", "10G", "25G", "100G"),
    downtime_ms: ArrayLike = (50.0, 100.0, 300.0, 1000.0),
    ioctl_ns: IoctlNs | Profile = None,
) -> Plan:
    """How long the precopy migration of a VM takes: a row per link, a column per downtime limit (modelled).

    A cell is "-" where what is left of memory never fits the limit, or where the registers alone take longer. The limit
    is for the whole downtime: memory that is left, and all steps of `migrate.downtime`.

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number.
        memory_gib: guest memory that has to be sent.
        dirty_mib_per_s: memory that the guest writes, beyond the hot set.
        hot_set_mib: memory that the guest writes again and again.
        hot_set_s: how long it takes to write the hot set once; 0: every round finds all of it written.
        has_sve: of a number of registers: the vCPUs have SVE.
        link: network paths, or their line rates as text.
        downtime_ms: the limits.
        ioctl_ns: of one ioctl, or low, mid and high; without it `costs.IOCTL_NS`. Or a cost profile (`load_profile`),
            whose figures of registers are taken as by `migrate.downtime`.

    Returns:
        A plan that is met if some cell is no "-" whatever the figures, missed if every cell is "-" even with all
        figures low, and unknown if that rests on the figures.

    Raises:
        InputError: a number out of range, a hot set larger than memory, a release or features that fastsmc does not
            know, or an empty list.

    >>> found = migration_table(
    ...     registers="6.18", n_vcpu=64, memory_gib=64, dirty_mib_per_s=200, link=["1G", "10G"], downtime_ms=[30, 300]
    ... )
    >>> list(found.table.rows())
    [{'link': '1 Gbit/s', 'within_30_ms': '-', 'within_300_ms': '-'}, \
{'link': '10 Gbit/s', 'within_30_ms': '-', 'within_300_ms': '66.1 s'}]
    """
    profile, each = (ioctl_ns, None) if isinstance(ioctl_ns, Profile) else (None, ioctl_ns)
    return _plan(
        Moving(
            carried(registers, has_sve=has_sve),
            whole("n_vcpu", n_vcpu, first=1, last=MAX_VCPU, remark="KVM runs up to 512"),
            require_number(memory_gib, "memory_gib", above=0),
            require_number(dirty_mib_per_s, "dirty_mib_per_s", least=0),
            require_number(hot_set_mib, "hot_set_mib", least=0),
            require_number(hot_set_s, "hot_set_s", least=0),
            as_links(link),
            axis("downtime_ms", downtime_ms),
            np.array(tuple(ioctl_span(each))),
            profiled(profile),
        )
    )


def _plan(moving: Moving) -> Plan:
    if moving.hot_set_mib * MIB > moving.memory_gib * GIB:
        msg = f"hot_set_mib is {moving.hot_set_mib:g}: it must be at most the memory, {moving.memory_gib:g} GiB"
        raise InputError(msg)
    return _planned(moving)


def _planned(moving: Moving) -> Plan:
    found = moved(moving)
    is_some = ~np.isnan(found.total_s)
    return Plan(
        "migration_table",
        answer(moving, found),
        table_of(moving, found),
        is_met=True if is_some.all(-1).any() else None if is_some.any() else False,
        cube=_cube(moving, found),
        excuses=tuple(excuses(moving, found)),
        bottleneck=bottleneck(moving, found),
        weakest=weakest(moving),
        inputs=_inputs(moving),
        assumptions=moving.told_by.before(ASSUMED),
    )


def _inputs(moving: Moving) -> dict[str, Any]:
    return {
        "registers": moving.registers.subject,
        "registers_per_vcpu": moving.registers.n_reg,
        "sve": moving.registers.has_sve,
        "vcpus": moving.n_vcpu,
        "memory_gib": moving.memory_gib,
        "dirty_mib_per_s": moving.dirty_mib_per_s,
        "hot_set_mib": moving.hot_set_mib,
        "hot_set_s": moving.hot_set_s,
        "link": [str(link) for link in moving.links],
        "downtime_ms": moving.downtime_ms.tolist(),
        "ioctl_ns": moving.ioctl_ns.tolist(),
    }


def _cube(moving: Moving, found: Found) -> Cube:
    left = np.where(found.left_ms >= 0, found.left_ms, np.nan)
    sent = np.where(np.isnan(found.total_s), np.nan, found.memory.sent_bytes / MIB)
    rounds = np.where(np.isnan(found.total_s), 0, found.memory.rounds)
    coords = {"link": np.array([str(link) for link in moving.links]), "downtime_ms": moving.downtime_ms}
    return Cube(
        coords | {"figure": np.array(FIGURES)},
        {
            "total_s": Values(
                found.total_s, "assumed", "from the first byte to the guest's start; unknown where never"
            ),
            "stopped_ms": Values(found.stopped_ms, "assumed", "the downtime: memory that is left, and registers"),
            "qemu_limit_ms": Values(left, "assumed", "what the registers leave of the limit: QEMU's downtime-limit"),
            "sent_mib": Values(sent, "assumed", "of memory"),
            "n_round": Values(rounds, "assumed", "while the guest runs"),
        },
    )
