"""Releases that were not recorded: recorded ones are hidden, and what is inferred of them meets their own restores."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from typing import Any

import pytest

from fastsmc.facts.registers import FW_BY_ID
from fastsmc.migrate.compat import named, values
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import MigrationCheck, SideBasis
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
HOSTS = {path.parent.name.split("-")[1]: path for path in sorted(RECORDINGS.glob("*-max/restore.jsonl.xz"))}
FOLDERS = values._folders()


def restores() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(source, destination, record) between releases."""
    for dest, path in HOSTS.items():
        for line in lzma.decompress(path.read_bytes()).splitlines():
            record = json.loads(line)
            yield record["src"].split("-")[1], dest, record


def hide(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    """From here on these releases were never recorded."""
    left = {name: folder for name, folder in FOLDERS.items() if folder.name.split("-")[1] not in hidden}
    monkeypatch.setattr(values, "_folders", lambda: left)


def checked(source: str, dest: str, features: str) -> MigrationCheck:
    return check(source, dest, vmm="kvm", source_features=features, dest_features=features)


@pytest.mark.parametrize("hidden", ["source", "destination", "both"])
def test_a_hidden_release_fails_nothing_wrongly_and_leaves_out_nothing(
    hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_record = 0
    for source, dest, record in restores():
        hide(monkeypatch, *{"source": (source,), "destination": (dest,), "both": (source, dest)}[hidden])
        found = checked(source, dest, record["feat"])
        assert SideBasis.INFERRED in (found.source.basis, found.dest.basis)
        recorded = {int(reg, 16): errno for reg, errno in record["fails"]}
        failing = {fate.reg: fate.errno for fate in found.forward.failing}
        unjudged = {fate.reg for fate in found.forward.unjudged}
        assert failing.items() <= recorded.items()
        assert recorded.keys() <= failing.keys() | unjudged
        n_record += 1
    assert n_record >= 432


@pytest.mark.parametrize("release", ["6.1.192", "6.12.107", "6.16.12", "6.18.15", "7.1.13", "7.2.12"])
def test_a_release_between_two_has_the_values_they_agree_on(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = checked(release, release, "psci02")
    own = named.by_release(release, "psci02").values
    hide(monkeypatch, release)
    side = named.by_release(release, "psci02")
    assert (recorded.source.basis, side.basis) == (SideBasis.RECORDED, SideBasis.INFERRED)
    known = {reg: value for reg, value in side.values.items() if value is not None}
    assert known.items() <= own.items()
    assert not known.keys() & FW_BY_ID.keys()
    n_other = sum(reg not in FW_BY_ID for reg in own)
    assert n_other - len(known) <= 24, "most values never change"


def test_outside_two_recorded_releases_no_value_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "7.3.4")
    side = named.by_release("7.3", "psci02")
    assert set(side.values.values()) == {None}
    assert side.notes[0].endswith("its list is inferred, and its values are not known")


@pytest.mark.parametrize(
    ("dest", "name", "since"),
    [
        ("6.2", "CCSIDR_L3_D", "6.3"),
        ("5.17", "OSLSR_EL1", "5.18"),
        ("6.3", "KVM_REG_ARM_PTIMER_CTL", "6.4"),
        ("6.3", "KVM_REG_ARM_PTIMER_CVAL", "6.4"),
        ("6.4", "TCR2_EL1", "6.5"),
        ("6.4", "PIR_EL1", "6.5"),
        ("6.4", "PIRE0_EL1", "6.5"),
    ],
)
def test_a_register_that_a_merge_window_brought_is_missing_before_it(dest: str, name: str, since: str) -> None:
    """Sources: the pull requests "KVM/arm64 updates for" 5.18 and 6.4, and "arm64 updates for 6.5"."""
    reasons = {fate.name: fate.reason for fate in check("6.12", dest, vmm="qemu:10.2").forward.failing}
    assert reasons[name].startswith(f"missing there: listed from {since} on")
    later = check("6.12", since, vmm="qemu:10.2").forward
    assert name not in {fate.name for fate in later.failing}
    assert not any("lists it" in fate.reason for fate in later.unjudged if fate.name == name)
