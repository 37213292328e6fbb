"""Limits: presets with dates and sources, limits of one's own, and what cannot be one."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.orchestrators import PRESETS
from fastsmc.plan import Limits
from tests.support.places import ROOT

FIELDS = {field.name for field in dataclasses.fields(Limits)} - {"name", "settings"}


@pytest.mark.parametrize("name", PRESETS)
def test_every_figure_of_a_preset_is_dated_and_sourced(name: str) -> None:
    for each in PRESETS[name]:
        assert datetime.date(2021, 1, 1) < datetime.date.fromisoformat(each.since) < datetime.date(2026, 12, 1)
        assert each.kind in ("source", "assumed")
        assert each.source
        assert each.limit in FIELDS
    told = [each.limit for each in PRESETS[name]]
    assert len(told) == len(set(told))
    assert set(told) >= FIELDS - {"timeout_least_gib"}  # a limit that there is none of is said too
    limits = Limits.preset(name)
    assert limits.name == name
    assert len(repr(limits)) <= 200
    assert str(limits).count("\n") == len(PRESETS[name])


def test_the_page_has_every_figure() -> None:
    page = (ROOT / "docs" / "planning" / "evacuate.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    told = {
        (row[0], row[1].strip("`"), row[2], row[3].split()[0], row[4])
        for row in rows
        if len(row) == 6 and row[4][:2] == "20"
    }
    assert {row for row in told if row[0] in PRESETS} == {
        (name, each.limit, each.name, "none" if each.value is None else f"{each.value:g}", each.since)
        for name, settings in PRESETS.items()
        for each in settings
    }


def test_presets_say_what_was_read() -> None:
    """As the sources have them, typed here a second time."""
    found = {name: Limits.preset(name).values() for name in PRESETS}
    told = ("cluster", "outbound", "inbound", "timeout_s_per_gib", "downtime_limit_ms")
    assert {name: tuple(values[key] for key in told) for name, values in found.items()} == {
        "kubevirt-1.3": (5, 2, None, 800, 300),
        "kubevirt-1.6": (5, 2, None, 150, 300),
        "hco-1.18": (5, 2, None, 150, 300),
        "hco-1.19": (5, 1, None, 20, 300),
        "nova-2026.1": (None, 1, None, 800, 500),
        "watcher-2026.1": (6, 2, None, 800, 500),
        "proxmox-9": (None, 4, None, None, 100),
    }
    assert all(values["bandwidth_mib_per_s"] is None for values in found.values())


def test_limits_of_ones_own() -> None:
    limits = Limits.preset("hco-1.19").having(outbound=3)
    assert (limits.outbound, limits.cluster, limits.name) == (3, 5, "hco-1.19, changed")
    assert limits.called("outbound") == "outbound 3"
    assert limits.called("cluster") == "parallelMigrationsPerCluster 5"
    assert limits.having(cluster=None).called("cluster") == "cluster unlimited"
    assert str(Limits(outbound=2)) == "given: outbound 2"
    assert str(Limits()) == "given: none"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"outbound": 0}, "outbound"),
        ({"cluster": 1.5}, "cluster"),
        ({"bandwidth_mib_per_s": 0}, "bandwidth_mib_per_s is 0: it must be a number above 0"),
        ({"timeout_s_per_gib": -1}, "timeout_s_per_gib is -1: "),
        ({"downtime_limit_ms": 0}, "downtime_limit_ms is 0: "),
        ({"timeout_least_gib": -1}, "timeout_least_gib is -1: "),
    ],
)
def test_impossible_limits_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Limits(**given)


def test_unknown_limits_are_refused() -> None:
    with pytest.raises(InputError, match="no limit is called 'per_node'; there are outbound, inbound"):
        Limits().having(per_node=1)
