"""An upgrade as a plan: the answer in a sentence, its tables, why not, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import I64Array
from fastsmc.migrate.compat.outlooks import FAILS, RESTORES, UNKNOWN
from fastsmc.plan.inventory.codes import distinct
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.kernels.rolling import STOPS
from fastsmc.plan.result import Excuse, Plan
from fastsmc.plan.rolling import fate as known
from fastsmc.plan.rolling.blocking import Block, blocks, causes_of
from fastsmc.plan.rolling.fate import Fates
from fastsmc.plan.rolling.pools import MIB, Asked, Fleet
from fastsmc.plan.rolling.schedule import Schedule, rounds
from fastsmc.results.tables import Column, Table

_WORDS = np.array(["moves", "stops", "unknown"])
"""What becomes of a VM, by its code."""


class Upgrade(NamedTuple):
    """All of an upgrade that was found."""

    inv: Inventory
    fleet: Fleet
    fates: Fates
    schedule: Schedule
    asked: Asked


def plan_of(found: Upgrade, inputs: Mapping[str, Any], *, has_pins: bool) -> Plan:
    """The plan."""
    fleet, fates, schedule = found.fleet, found.fates, found.schedule
    due = fleet.is_due[fleet.at]
    n = {word: int((fates.code[due] == code).sum()) for word, code in (("stops", FAILS), ("unknown", UNKNOWN))}
    lost = int((found.inv.host_of_vm < 0).sum())
    why = blocks(fleet, fates, has_pins=has_pins)
    moved = np.unique(schedule.moves[schedule.moves[:, 3] != STOPS, 1])
    moved = moved[fates.code[moved] == RESTORES]
    is_met = False if n["stops"] else None if n["unknown"] or lost else True
    waves, back = _waves(found), _back(found, moved)
    n["back"] = int(back["vms"][back["verdict"] == "restores"].sum())
    return Plan(
        question="upgrade",
        answer=_answer(found, n, moved, why, lost),
        table=waves,
        is_met=is_met,
        excuses=tuple(_excuses(found, why, lost)),
        bottleneck=_bottleneck(found, n),
        inputs=inputs,
        assumptions=tuple(_assumptions(found)),
        tables={
            "causes": causes_of(why, found.inv.vms["name"][fleet.vm]),
            "blocking": _blocking(found, why),
            "vms": _held(found, why),
            "back": back,
            "hosts": _hosts(found),
            "moves": _moves(found),
        },
    )


def _some(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _answer(found: Upgrade, n: Mapping[str, int], moved: I64Array, why: Sequence[Block], lost: int) -> str:
    n_due, schedule = int(found.fleet.is_due.sum()), found.schedule
    if not n_due:
        return f"no host needs the upgrade to {found.asked.to}"
    head = f"{_some(n_due, 'host')} reach{'es' * (n_due == 1)} {found.asked.to} in {_some(schedule.n_wave, 'wave')}: "
    parts = [f"{_some(len(moved), 'VM')} move{'s' * (len(moved) == 1)} live, of which {n['back']:,} could go back"]
    first = next((block for block in why if not block.is_unknown), None)
    named = "" if first is None else f" ({first.cause})"
    parts.append(f"{n['stops']:,} must stop{named}" if n["stops"] else "none must stop")
    if n["unknown"]:
        parts.append(f"of {n['unknown']:,} it cannot be known, and they are planned to stop")
    if lost:
        parts.append(f"{lost:,} {'is' if lost == 1 else 'are'} on no host of the inventory")
    return head + ", ".join(parts)


# -- tables ----------------------------------------------------------------------------------------------------


def _text(values: Any, meaning: str = "") -> Column:
    return Column.of(np.asarray(values, np.str_), "", meaning)


def _count(values: Any, meaning: str = "") -> Column:
    return Column.of(np.asarray(values, np.int64), "modelled", meaning)


def _tenants(found: Upgrade) -> NDArray[np.int64]:
    names, number = distinct(found.inv.vms["tenant"][found.fleet.vm])
    number = number.reshape(-1).astype(np.int64)
    return np.where(number == 0, -1, number) if len(names) and names[0] == "" else number


def _waves(found: Upgrade) -> Table:
    fleet, fates, moves = found.fleet, found.fates, found.schedule.moves
    n = found.schedule.n_wave
    is_live, code = moves[:, 3] != STOPS, fates.code[moves[:, 1]]
    turns = rounds(moves, _tenants(found), found.asked.per_tenant_at_once)
    most = np.zeros(n, np.int64)
    np.maximum.at(most, moves[:, 0], turns + 1)
    wave = found.schedule.wave[found.schedule.wave >= 0]

    def per_wave(rows: NDArray[np.bool_], weights: Any = None) -> NDArray[Any]:
        return np.bincount(moves[rows, 0], None if weights is None else weights[rows], n)

    gib = per_wave(is_live, fleet.size[moves[:, 1], 1] / MIB)
    columns = {
        "wave": _count(np.arange(1, n + 1), "from 1"),
        "hosts": _count(np.bincount(wave, minlength=n), "emptied and upgraded in it"),
        "moved": _count(per_wave(is_live), "VMs that move live"),
        "stopped": _count(per_wave(~is_live & (code != UNKNOWN)), "VMs that stop until their host is upgraded"),
        "unknown": _count(per_wave(~is_live & (code == UNKNOWN)), "VMs of which it cannot be known, planned to stop"),
        "rounds": _count(most, "one after the other, so that no tenant has too many VMs on the move"),
        "moved_gib": Column.of(gib, "modelled", "memory of the VMs that move live, GiB"),
    }
    return Table("a wave of the upgrade", columns)


def _moves(found: Upgrade) -> Table:
    fleet, moves = found.fleet, found.schedule.moves
    names = np.concatenate([fleet.names, [""]])
    turns = rounds(moves, _tenants(found), found.asked.per_tenant_at_once)
    is_live = moves[:, 3] != STOPS
    words = np.where(is_live, "moves", _WORDS[fates] if (fates := found.fates.code[moves[:, 1]]).size else "stops")
    columns = {
        "wave": _count(moves[:, 0] + 1),
        "round": _count(turns + 1),
        "vm": _text(found.inv.vms["name"][fleet.vm[moves[:, 1]]]),
        "host": _text(names[moves[:, 2]], "that it leaves, or on which it stops"),
        "to": _text(names[moves[:, 3]], '"" where it stops and starts again on its host'),
        "what": _text(
            np.where(~is_live & (words == "moves"), "stops", words), "moves, stops, or unknown: planned to stop"
        ),
    }
    return Table("a VM that moves or stops", columns)


def _hosts(found: Upgrade) -> Table:
    fleet = found.fleet
    kernels = np.array([place.kernel for place in fleet.places])
    columns = {
        "host": _text(fleet.names),
        "pool": _text(np.array(fleet.pools)[fleet.pool]),
        "kernel": _text(kernels[fleet.now], "before the upgrade"),
        "wave": _count(found.schedule.wave + 1, "0 for a host that needs no upgrade"),
    }
    return Table("a host", columns)


def _blocking(found: Upgrade, why: Sequence[Block]) -> Table:
    names = found.inv.vms["name"][found.fleet.vm]
    rows = [(block, reason) for block in why for reason in block.reasons]
    columns = {
        "vms": _count([len(block.vms) for block, _ in rows], "VMs that it holds for"),
        "what": _text(["unknown" if block.is_unknown else "stops" for block, _ in rows]),
        "kernel": _text([block.source for block, _ in rows]),
        "to": _text([block.dest for block, _ in rows]),
        "features": _text([block.features for block, _ in rows]),
        "vmm": _text([block.vmm for block, _ in rows]),
        "register": _text([reason.register for _, reason in rows], "in the way"),
        "value": _text([reason.value for _, reason in rows], "that the VM has"),
        "why": _text([reason.why for _, reason in rows]),
        "remedy": _text([reason.remedy for _, reason in rows], "as `migrate check` names it"),
        "command": _text([reason.command for _, reason in rows]),
        "example": _text([names[block.vms[0]] for block, _ in rows], "one of the VMs"),
    }
    return Table("why VMs cannot go live, a row per register in the way", columns)


def _held(found: Upgrade, why: Sequence[Block]) -> Table:
    fleet, vms = found.fleet, found.inv.vms
    rows = np.concatenate([block.vms for block in why]) if why else np.zeros(0, np.int64)
    sizes = [len(block.vms) for block in why]
    words = ["unknown" if block.is_unknown else "stops" for block in why]
    columns = {
        "vm": _text(vms["name"][fleet.vm[rows]]),
        "host": _text(fleet.names[fleet.at[rows]]),
        "tenant": _text(vms["tenant"][fleet.vm[rows]]),
        "what": _text(np.repeat(np.array(words, np.str_), sizes)),
        "wave": _count(found.schedule.wave[fleet.at[rows]] + 1),
        "why": _text(np.repeat(np.array([str(block.cause) for block in why], np.str_), sizes)),
    }
    return Table("a VM that must stop, or of which it cannot be known", columns)


def _back(found: Upgrade, moved: I64Array) -> Table:
    """Whether VMs that moved could go back to the kernel that they came from."""
    fleet, ways = found.fleet, found.fates.ways
    moves = found.schedule.moves
    end = np.full(len(fleet.vm), -1, np.int64)
    end[moves[:, 1]] = moves[:, 3]
    key = np.stack([fleet.guest[moved], fleet.new[end[moved]], fleet.now[fleet.at[moved]]], 1)
    rows, n = np.unique(key, axis=0, return_counts=True)
    causes = [ways.causes[ways.cause[g, i, j]] for g, i, j in rows.tolist()]
    columns = {
        "vms": _count(n),
        "kernel": _text([fleet.places[i].kernel for _, i, _ in rows.tolist()]),
        "to": _text([fleet.places[j].kernel for _, _, j in rows.tolist()], "the kernel that they came from"),
        "features": _text([fleet.guests[g].features for g, _, _ in rows.tolist()]),
        "verdict": _text([cause.outlook.value for cause in causes]),
        "why": _text([str(cause) for cause in causes]),
    }
    return Table("VMs that moved live, and whether they could go back", columns)


# -- why not ---------------------------------------------------------------------------------------------------


def _excuses(found: Upgrade, why: Sequence[Block], lost: int) -> list[Excuse]:
    """Why VMs do not go live, each counted and with one of them."""
    fleet, vms = found.fleet, found.inv.vms
    counted: dict[str, list[Any]] = {}
    for block in why:
        example = {
            "vm": str(vms["name"][fleet.vm[block.vms[0]]]),
            "host": str(fleet.names[fleet.at[block.vms[0]]]),
            "kernel": block.source,
            "features": block.features,
        }
        counted.setdefault(str(block), [0, example])[0] += len(block.vms)
    found_out = [Excuse(text, n, example) for text, (n, example) in counted.items()]
    if lost:
        row = int(np.argmax(found.inv.host_of_vm < 0))
        example = {"vm": str(vms["name"][row]), "host": str(vms["host"][row])}
        found_out.append(Excuse("its host is not in the inventory, so the VM is in no plan", lost, example))
    down = (found.inv.host_of_vm >= 0).sum() - len(fleet.vm)
    if down:
        is_down = found.inv.hosts["state"][found.inv.host_of_vm] == "down"
        row = int(np.argmax(is_down & (found.inv.host_of_vm >= 0)))
        example = {"vm": str(vms["name"][row]), "host": str(vms["host"][row])}
        found_out.append(Excuse("its host is down, so the VM is in no plan", int(down), example))
    return sorted(found_out, key=lambda excuse: -excuse.n_row)


def _bottleneck(found: Upgrade, n: Mapping[str, int]) -> str:
    """What limits the upgrade most."""
    fleet, fates, schedule = found.fleet, found.fates, found.schedule
    causes = [fates.causes[k] for k in fates.cause[fleet.is_due[fleet.at]].tolist()]
    n_full, n_apart = causes.count(known.FULL), causes.count(known.APART)
    if n["stops"] + n["unknown"] > n_full + n_apart:
        return "compatibility: VMs that restore on no upgraded host, or of which that is not known"
    if n_apart > n_full:
        return "conflicts: groups of VMs that never share a host"
    if n_full or schedule.n_wave > schedule.at_least:
        return f"{_tighter(fleet)}: what is free in a pool limits how many hosts can be emptied"
    if schedule.n_wave:
        return f"concurrency: {_some(found.asked.hosts_at_once, 'host')} at once"
    return ""


def _tighter(fleet: Fleet) -> str:
    """Cores or memory, of which the hosts whose room is known have less free."""
    mine = fleet.is_known[fleet.at]
    cap = fleet.cap[fleet.is_known].sum(axis=0)
    share = fleet.size[mine].sum(axis=0) / np.maximum(cap, 1)
    return "cores" if share[0] >= share[1] else "memory"


def _assumptions(found: Upgrade) -> list[str]:
    """What the plan rests on, the weakest first."""
    fleet, asked = found.fleet, found.asked
    told = []
    if not found.schedule.is_proven:
        told.append(
            "the order is the best that was found; that no other has fewer VMs stop or fewer waves is not proven"
        )
    told.append("a kernel's register values are those that `migrate check` takes for it: recorded on QEMU's max CPU")
    told.append("hosts whose CPU is told by one text, or by none, are alike down to their workaround levels")
    unnamed = int((found.inv.vms["features"][fleet.vm] == "").sum())
    if unnamed:
        told.append(f"{_some(unnamed, 'VM')} of which no vCPU features are told have those that their VMM gives")
    n_vmm = int((found.inv.hosts["vmm"] == "").sum())
    if n_vmm and asked.vmm:
        told.append(f"{_some(n_vmm, 'host')} of which no VMM is told run {asked.vmm}")
    told.append(
        "a VM carries what each kernel wrote that it ran on, and goes only where VMs begun on any of them restore"
    )
    carried = f"{asked.vcpus_per_core:g} vCPU{'s' * (asked.vcpus_per_core != 1)}"
    told.append(f"a core carries {carried}; a VM that stops keeps its host's room")
    if asked.spare_hosts:
        told.append(
            f"each pool is given {_some(asked.spare_hosts, 'empty host')}, like its most common one, on {asked.to}"
        )
    return [*told, *(f"{name}: {text}" for name, text in found.inv.assumed.items())]
