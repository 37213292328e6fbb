"""Restores whose source's payload is not to be had: judged by what such a host lists, without its values.

A register that the destination lacks is missing whatever its value, and state is accepted whatever it is. PSCI's
version and the bitmaps have the values that the source's kernel gives them. Of the others nothing is said, and they are
counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastsmc.errors import InputError
from fastsmc.facts.releases import Host, Release, release
from fastsmc.migrate.compat.judge import fates
from fastsmc.migrate.compat.lists import inferred_ids, is_known
from fastsmc.migrate.compat.result import RegisterFate, SideBasis
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.compat.unsure import unsure
from fastsmc.recordings.folder import Record
from fastsmc.reference.restore import RegisterDump
from fastsmc.reference.state import OK

UNTOLD = "registers of restores from hosts whose payloads are not to be had, whose fate their values decide"


def source_release(name: str, features: str) -> Release | None:
    """The release of a host by its folder's name, if it is known what its vCPUs list; else None.

    >>> source_release("linux-6.16.12-max-nested", "psci02+el2"), source_release("other", "psci02")
    (Release('6.16.12'), None)
    """
    parts = name.split("-")
    try:
        rules = release(parts[1]) if parts[0] == "linux" and len(parts) > 2 else None
    except InputError:
        return None
    return rules if rules is not None and is_known(rules, features) else None


def by_list(
    host: Host, name: str, rules: Release, fresh: RegisterDump, record: Record, fails: list[tuple[str, int]]
) -> tuple[list[str], int]:
    """What of a recorded restore contradicts the list of its source, and how many registers were not judged.

    Args:
        name, rules: the source, and its release.
        fresh: a fresh vCPU of the destination.
        fails: registers that failed, and with what errno.
    """
    source = _source(name, rules, fresh.features).with_levels(host.workaround)
    dest = Side(host.name, SideBasis.RECORDED, host.release, fresh.features, fresh.values)
    recorded = {int(reg, 16): errno for reg, errno in fails}
    found = [fate for fate in fates(source, dest, (), is_vls_early=False) if fate.reg in source.values]
    told = list(_differences(found, recorded))
    if (record["n"], record["failed"]) != (len(source.values), len(fails)):
        counted = f"{record['n']} registers, {record['failed']} failed"
        told.append(f"{counted}; such a host lists {len(source.values)}, and {len(fails)} failures are listed")
    if list(recorded) != [reg for reg in source.values if reg in recorded] or len(recorded) != len(fails):
        told.append("the failures are not in the order of the list, or not of its registers")
    return told, sum(fate.errno is None for fate in found)


def _source(name: str, rules: Release, features: str) -> Side:
    ids = inferred_ids(rules, features)
    doubtful = unsure(rules, features, ids)
    return Side(name, SideBasis.INFERRED, rules, features, dict.fromkeys(ids), doubtful=doubtful).in_list_order()


def _differences(found: list[RegisterFate], recorded: Mapping[int, int]) -> list[str]:
    return [
        f"SET {fate.reg:#x}: recorded {recorded.get(fate.reg, OK)}, model {fate.errno} ({fate.reason})"
        for fate in found
        if fate.errno is not None and fate.errno != recorded.get(fate.reg, OK)
    ]
