"""Host profiles that a table of hosts names: what they tell fills what the table leaves empty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastsmc.checks import cut
from fastsmc.errors import FastsmcError
from fastsmc.facts.releases import release
from fastsmc.plan.inventory.codes import distinct, is_empty
from fastsmc.plan.inventory.tables import Told
from fastsmc.plan.inventory.typed import Unread
from fastsmc.probing.profile import HostProfile, read_profile

_REMEDY = "name what fastsmc_probe.py -o wrote on that host, or leave it empty"


def with_profiles(hosts: Told) -> tuple[Told, Mapping[str, HostProfile]]:
    """The table of hosts with kernel and mode of those that were probed, and the profiles by what the table calls them.

    A profile that cannot be read, or one that contradicts the row's kernel or mode, is a field that could not be read.
    """
    named = hosts.columns["profile"]
    if is_empty(named):
        return hosts, {}
    values, of_row = distinct(named)
    profiles: dict[str, HostProfile] = {}
    unread: list[Unread] = []
    for number, text in enumerate(values.tolist()):
        if not text:
            continue
        path = Path(hosts.folder, text)
        try:
            profiles[text] = read_profile(path)
        except FastsmcError as error:
            what = str(error).removeprefix(f"{path}: ")
            unread += [Unread(row, "profile", text, what, _REMEDY) for row in np.flatnonzero(of_row == number).tolist()]
    columns: dict[str, list[Any]] = {name: hosts.columns[name].tolist() for name in ("kernel", "mode", "profile")}
    for row, text in enumerate(columns["profile"]):
        if text not in profiles:
            continue
        one = profiles[text]
        for name, found in (("kernel", one.kernel), ("mode", one.content["kvm"]["mode"])):
            own = columns[name][row]
            if own and own != one.content["kernel"]["release"] and not _agrees(name, own, found):
                what = f"its profile is of {name} {cut(found)}, and the row says {cut(own)}"
                unread.append(Unread(row, "profile", text, what, f"probe it again, or leave its {name} empty"))
            columns[name][row] = own or found
    whole = dict(hosts.columns)
    for name in ("kernel", "mode"):
        whole[name] = np.array(columns[name], np.str_)
        whole[name].flags.writeable = False
    return hosts._replace(columns=whole, unread=(*hosts.unread, *unread)), profiles


def _agrees(name: str, own: str, found: str) -> bool:
    """Whether a row says what its profile does; a kernel may be told shorter: 6.12 for 6.12.107+deb13-arm64."""
    if own == found or name == "mode":
        return own == found
    try:
        one, other = release(own), release(found)
    except FastsmcError:
        return False
    return one.series == other.series and one.stable in (None, other.stable)
