"""Recorded register lists, payloads and restores match, and changed ones do not."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import RecordingError
from fastsmc.facts.registers import register, sysreg
from fastsmc.recordings.compact import compact
from fastsmc.recordings.folder import open_recording, payload_path
from fastsmc.verification import host_of, verify
from fastsmc.verification.by_list import UNTOLD
from fastsmc.verification.payloads import replay_payloads
from fastsmc.verification.reglist import replay_reglist
from fastsmc.verification.restore import NOT_MODELLED, replay_restore
from fastsmc.verification.tally import Tally
from tests.support.places import TESTS
from tests.support.thinned import thin

RECORDINGS = TESTS / "recordings"
PSCI, TIMER_CNT, MMFR0 = register("PSCI_VERSION"), 0x6030_0000_0013_DF1A, sysreg(3, 0, 0, 7, 0)
RESTORED_BY_LIST = {"linux-6.18.15-max-nested": 1120, "linux-7.3.4-max-nested": 1120}
"""Registers of restores whose payloads nobody has: those of 6.16.12 and 7.2.13 in the mode nested."""
DESTINATION = "linux-6.12.107-max"
REPLAYS = {"reglist": replay_reglist, "restore": replay_restore, "payload": replay_payloads}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """One host's folder with the payloads of the others beside it, to be changed."""
    shutil.copytree(RECORDINGS / DESTINATION, tmp_path / DESTINATION)
    for path in RECORDINGS.glob("linux-*/payload-*"):
        copy = tmp_path / path.parent.name / path.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path / DESTINATION


def replayed(folder: Path) -> dict[str, Tally]:
    recording = open_recording(folder)
    return {kind: replay(recording, host_of(recording)) for kind, replay in REPLAYS.items()}


def bad(tallies: dict[str, Tally]) -> list[str]:
    return [kind for kind, tally in tallies.items() if tally.n_match != tally.n_record]


def rewrite(folder: Path, kind: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = folder / f"{kind}.jsonl.xz"
    records = [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]
    change(records)
    path.write_bytes(lzma.compress("".join(json.dumps(record) + "\n" for record in records).encode()))


def rewrite_payload(path: Path, change: Callable[[bytearray], None]) -> None:
    raw = bytearray(lzma.decompress(path.read_bytes()))
    change(raw)
    path.write_bytes(lzma.compress(bytes(raw)))


def one(records: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    return next(r for r in records if all(r.get(key) == value for key, value in wanted.items()))


def from_6_16(records: list[dict[str, Any]]) -> dict[str, Any]:
    return one(records, src="linux-6.16.12-max", feat="psci02")


def psci_register(records: list[dict[str, Any]]) -> list[Any]:
    regs: list[list[Any]] = one(records, feat="psci02")["regs"]
    return next(row for row in regs if row[0] == f"{PSCI:#x}")


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RECORDINGS.glob("*/reglist.jsonl.xz")))
def test_recorded_lists_payloads_and_restores_are_as_predicted(name: str) -> None:
    recording = open_recording(RECORDINGS / name)
    for kind, replay in REPLAYS.items():
        if kind == "restore" and not recording.has(kind):
            continue
        tally = replay(recording, host_of(recording))
        assert tally.n_record > 0
        assert (tally.differences, dict(tally.unjudged), tally.n_match) == ([], {}, tally.n_record)
        untold = RESTORED_BY_LIST.get(name, 0) if kind == "restore" else 0
        assert tally.notes == ({UNTOLD: untold} if untold else {})  # every other register rests on a rule


CHANGES: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None]]] = {
    "a firmware errno": ("restore", lambda r: from_6_16(r)["fails"][0].__setitem__(1, 2)),
    "a system register's errno": ("restore", lambda r: from_6_16(r)["fails"][-1].__setitem__(1, 5)),
    "a failure that was none": ("restore", lambda r: from_6_16(r).update(fails=[], failed=0)),
    "a failure too many": ("restore", lambda r: from_6_16(r).update(fails=[[f"{PSCI | 1:#x}", 22]], failed=1)),
    "a failure of no register": ("restore", lambda r: from_6_16(r)["fails"].append(["0x6030000000170000", 2])),
    "the order of failures": ("restore", lambda r: from_6_16(r)["fails"].reverse()),
    "the number of registers": ("restore", lambda r: from_6_16(r).update(n=258)),
    "the number of failures": ("restore", lambda r: from_6_16(r).update(failed=9)),
    "the register that is listed": ("reglist", lambda r: psci_register(r).__setitem__(1, "0x10003")),
    "an unreadable register": ("reglist", lambda r: psci_register(r).__setitem__(2, 2)),
    "why a vCPU was refused": ("reglist", lambda r: one(r, feat="psci02+el2").update(init_errno=22)),
    "the size of a class": ("reglist", lambda r: one(r, feat="psci02")["by_class"].update({"0x0014": [4, 31]})),
    "the size of all": ("reglist", lambda r: one(r, feat="psci02").update(payload_bytes=8)),
    "room for no id": ("reglist", lambda r: one(r, feat="psci02").update(n0_errno=0)),
    "a list before its time": ("reglist", lambda r: one(r, feat="psci02+sve").update(prefinal_errno=0)),
    "a result nobody knew": ("reglist", lambda r: one(r, feat="psci02").update(surprise=1)),
    "a restore at home": ("reglist", lambda r: one(r, feat="psci02+sve", failed=1).update(self_restore=[], failed=0)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_record_no_longer_matches(what: str, host: Path) -> None:
    kind, change = CHANGES[what]
    assert bad(replayed(host)) == []
    rewrite(host, kind, change)
    told = replayed(host)
    assert kind in bad(told)  # a changed list also differs from its payload
    assert told[kind].differences


@pytest.mark.parametrize("at", [8, 16])  # the first register's id, its value
def test_a_changed_payload_no_longer_matches(at: int, host: Path) -> None:
    rewrite_payload(payload_path(host, "none"), lambda raw: raw.__setitem__(at, raw[at] ^ 0x80))
    assert bad(replayed(host)) == ["payload"]


def test_counters_go_on_between_two_readings(host: Path) -> None:
    timer = TIMER_CNT.to_bytes(8, "little")
    rewrite_payload(payload_path(host, "none"), lambda raw: raw.__setitem__(raw.index(timer) + 8, 0x55))
    assert bad(replayed(host)) == []


def test_a_register_without_a_rule_is_counted_and_hides_nothing(host: Path) -> None:
    source = payload_path(host.parent / "linux-6.16.12-max", "psci02")
    unused_bits = 8 + 6  # bits 51:48, in byte 6 behind the id
    rewrite_payload(source, lambda raw: raw.__setitem__(raw.index(MMFR0.to_bytes(8, "little")) + unused_bits, 1))
    rewrite(host, "restore", lambda r: from_6_16(r)["fails"].append([f"{MMFR0:#x}", 22]))
    rewrite(host, "restore", lambda r: from_6_16(r).update(failed=len(from_6_16(r)["fails"])))
    told = replayed(host)["restore"]
    assert (told.n_match, dict(told.notes)) == (told.n_record, {NOT_MODELLED: 1})
    rewrite(host, "restore", lambda r: from_6_16(r)["fails"][0].__setitem__(1, 2))
    assert bad(replayed(host)) == ["restore"]


def test_a_source_is_looked_for_beside_the_host_among_the_given_and_in_the_package(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = host.parent / "elsewhere"
    shutil.move(host.parent / "linux-6.1.192-max", away)
    assert not replayed(host)["restore"].unjudged
    monkeypatch.setattr("fastsmc.verification.restore.KNOWN_PAYLOADS", host.parent / "none")
    told = replayed(host)["restore"]
    assert (told.n_match, list(told.notes)) == (told.n_record, [UNTOLD]), "judged by the list of 6.1"
    recording = open_recording(host)
    found = replay_restore(recording, host_of(recording), {"linux-6.1.192-max": away})
    assert (found.n_match, found.notes) == (told.n_record, {})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: rewrite_payload(payload_path(f, "none"), lambda raw: raw.pop()), r"payload-none.*ends at byte"),
        (lambda f: payload_path(f, "none").write_bytes(b"\0"), r"payload-none.*1 bytes; a count of 0"),
        (lambda f: rewrite(f, "restore", lambda r: r[1].pop("n")), r"restore\.jsonl\.xz:2: .*'n'"),
        (lambda f: rewrite(f, "reglist", lambda r: r.pop(0)), r"reglist\.jsonl\.xz:1: .*'none'"),
        (lambda f: rewrite(f, "reglist", lambda r: r[0].update(regs=[["x", "0x0", 0]])), r"reglist\.jsonl\.xz:1: "),
        (lambda f: (f / "meta.json").write_text('{"release": "6.12.107"}'), r"meta\.json.*caps"),
    ],
)
def test_a_damaged_recording_is_one_clear_sentence(damage: Any, says: str, host: Path) -> None:
    damage(host)
    with pytest.raises(RecordingError, match=says):
        replayed(host)


def test_features_nobody_knows_are_not_judged(host: Path) -> None:
    rewrite(host, "reglist", lambda r: one(r, feat="psci02+el2").update(feat="psci02+sme"))
    told = replayed(host)["reglist"]
    assert dict(told.unjudged) == {"register lists with vCPU features psci02+sme": 1}


def test_a_compact_copy_of_one_host_carries_the_payloads_it_restored(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    for path in host.glob("*.jsonl.xz"):
        if path.name.partition(".")[0] not in REPLAYS:
            path.unlink()  # records of calls, which take longest and are no part of this
    size = compact([host], small)
    assert size == sum(path.stat().st_size for path in small.rglob("*.xz"))
    assert bad(replayed(small / DESTINATION)) == []
    thin(monkeypatch, every=8)
    assert verify([small]).not_looked_at == {}
