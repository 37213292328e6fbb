"""Recordings of real kernels match, and a changed recording does not."""

from __future__ import annotations

import json
import lzma
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import InputError, RecordingError
from fastsmc.recordings.compact import compact
from fastsmc.verification import verify
from fastsmc.verification.calls import UNCLOSED_NOTE
from fastsmc.verification.tally import Verification
from tests.support.places import TESTS
from tests.support.thinned import LARGE, some_of, thin

RECORDINGS = TESTS / "recordings"
ONE_HOST = RECORDINGS / "linux-6.12.107-max"
A_LINE_A_RECORD = (
    *("calls", "random", "fuzz_calls", "filter", "a32", "setreg", "danger", "misc", "restore"),
    *("nested", "protected"),
)
"""Kinds of which every line is a record; a line of the others holds several, or a note."""
WHOLE = ("linux-5.10.218-n1", "linux-7.3.4-n1")
"""Hosts of which make test replays every record."""
HOSTS = sorted(path.parent.name for path in RECORDINGS.glob("*/meta.json"))


def rewrite(folder: Path, kind: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Changes the records of one kind in place; of a large kind the copy keeps what changed and one answer in eight."""
    path = folder / f"{kind}.jsonl.xz"
    records = [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]
    before = {id(record): json.dumps(record) for record in records}
    originals = list(records)  # so that no id is given twice
    kept = {id(record) for _, record in (some_of(enumerate(records), every=8) if kind in LARGE else enumerate(records))}
    change(records)
    lines = [(id(record), json.dumps(record)) for record in records]
    left = [line for key, line in lines if key in kept or before.get(key) != line]
    path.write_bytes(lzma.compress("".join(f"{line}\n" for line in left).encode(), preset=0))
    del originals


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A copy of one host's recordings, to be changed."""
    return Path(shutil.copytree(ONE_HOST, tmp_path / "linux-6.12.107-max"))


def n_line(path: Path) -> int:
    return lzma.decompress(path.read_bytes()).count(b"\n")


def test_every_release_is_there() -> None:
    assert {name.split("-")[1] for name in HOSTS} >= {
        *("5.10.218", "6.1.192", "6.12.107", "6.12.118", "6.16.12", "6.18.15", "7.1.13", "7.2.12", "7.2.13", "7.3.4")
    }


def judged(name: str) -> Verification:
    """What the replay of one host says, all of which must match."""
    result = verify([RECORDINGS / name])
    assert [difference for tally in result.tallies for difference in tally.differences] == []
    assert result.ok
    assert sum(sum(tally.unjudged.values()) for tally in result.tallies) == 0
    return result


@pytest.mark.parametrize("name", HOSTS)
def test_some_of_what_each_kernel_answered_is_what_the_model_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of large kinds one answer in eight; of the others every record."""
    thin(monkeypatch, every=8)
    result = judged(name)
    for tally in result.tallies:
        n_recorded = n_line(RECORDINGS / name / f"{tally.kind}.jsonl.xz") if tally.kind in A_LINE_A_RECORD else 0
        if tally.kind in LARGE:
            assert n_recorded / 9 < tally.n_record
        elif n_recorded:
            assert tally.n_record == n_recorded


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in WHOLE else [pytest.mark.soak("each record; make test has one in eight")])
        for name in HOSTS
    ],
)
def test_recorded_kernels_answer_as_the_model_does(name: str) -> None:
    for tally in judged(name).tallies:
        if tally.kind in A_LINE_A_RECORD:
            assert tally.n_record == n_line(RECORDINGS / name / f"{tally.kind}.jsonl.xz")


def _first(records: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    return next(r for r in records if all(r.get(key) == value for key, value in wanted.items()))


CHANGES: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None]]] = {
    "an answer": ("calls", lambda r: _first(r, id="0x80000000", c="hvc0").update(x=["0x10002", "0x0", "0x0", "0x0"])),
    "a kept register": ("calls", lambda r: _first(r, c="smc1")["x"].__setitem__(1, "0x5555")),
    "an exit that was none": ("fuzz_calls", lambda r: r.remove(next(x for x in r if "exit" in x))),
    "an exit's flags": ("fuzz_calls", lambda r: next(x for x in r if "exit" in x).update(hc_flags="0x2")),
    "an exit's pc": ("fuzz_calls", lambda r: next(x for x in r if "exit" in x).update(pc_off=48)),
    "a register dump": ("calls", lambda r: r[0]["fw"].update({"0x6030000000160000": "0x0"})),
    "a set's errno": ("calls", lambda r: next(x for x in r if x.get("sets"))["sets"][0].update(errno=16)),
    "a filter's errno": ("fuzz_calls", lambda r: next(x for x in r if x.get("filter"))["filter"][0].update(errno=17)),
    "a listed sweep id": ("sweep", lambda r: r.remove(_first(r, id="0x84000006"))),
    "a sweep's count": ("sweep", lambda r: _first(r, summary=True).update(other=3)),
    "a register's errno": ("setreg", lambda r: _first(r, t="post", errno=16).update(errno=22)),
    "a register's limit": ("setreg", lambda r: _first(r, t="discover")["supported"].__setitem__(2, "0x7")),
    "an AArch32 answer": (
        "a32",
        lambda r: _first(r, id="0x80000000", c="hvc0").update(r=["0x10002", "0x0", "0x0", "0x0"]),
    ),
    "an insert's errno": ("filter", lambda r: _first(r, t="single", errno=0).update(errno=17)),
    "a precedence": ("filter", lambda r: _first(r, t="after_run").update(nr0=16)),
    "an insert of a sequence": ("fuzz_filter", lambda r: r[0]["ops"][0].update(errno=7)),
    "a power state": ("danger", lambda r: _first(r, id="0x84000002", kind=4).update(mp=[0, 5])),
    "an event's data": ("danger", lambda r: _first(r, id="0x84000012", kind=2).update(sev_data0="0x0")),
    "a second CPU_ON": ("danger", lambda r: _first(r, second_x0="0xfffffffffffffffc").update(second_x0="0x0")),
    "a late vCPU": ("misc", lambda r: _first(r, t="late_vcpu").update(set_diff=0)),
    "what a forwarded call returns": ("misc", lambda r: _first(r, t="fwd_ret", mode=1).update(x0="0x888")),
    "a read-back": ("fuzz_regs", lambda r: r[0]["ops"][0].update(rb="0x7")),
}


FULL_CHANGES: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None]]] = {
    "a missing firmware register": ("calls", lambda r: r[0]["fw"].pop("0x6030000000160002")),
    "an unknown firmware register": ("calls", lambda r: r[0]["fw"].update({"0x6030000000160004": "0x0"})),
    "a steal-time errno": ("calls", lambda r: _first(r, cfg="pvtime").update(pvtime_errno_v1=99)),
    "every insert that met another": (
        "fuzz_calls",
        lambda r: [f.update(errno=22) for x in r for f in x.get("filter", ()) if f["errno"] == 17],
    ),
    "an unlisted UID": (
        "sweep",
        lambda r: (r.remove(_first(r, id="0x8600ff01")), _first(r, summary=True).update(other=8)),
    ),
    "x0 of a CPU_ON": ("danger", lambda r: _first(r, second_x0="0xfffffffffffffffc").update(affinity_info="0x1")),
    "a 65-bit word": ("random", lambda r: next(x for x in r if "x" in x)["x"].__setitem__(0, "0x1ffffffffffffffff")),
}
MALFORMED: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None], str]] = {
    "a key": ("calls", lambda r: _first(r, c="hvc0").update(y=["0x1"]), "keys"),
    "a note": ("calls", lambda r: _first(r, c="hvc0").update(note="x"), "keys"),
    "another configuration": ("calls", lambda r: _first(r, c="hvc0").update(cfg="other"), "cfg is 'other'"),
    "a conduit": (
        "calls",
        lambda r: _first(r, c="hvc0").update(c="hvc2"),
        "conduit c is 'hvc2': it must be one of hvc0, smc0, hvc1, smc1",
    ),
    "a negative argument": ("calls", lambda r: _first(r, c="hvc0").update(a=[-1, 0, 0]), "a word of a is -1"),
    "two arguments": ("calls", lambda r: _first(r, c="hvc0").update(a=[1, 0]), "must hold 3 register words"),
    "a float": ("danger", lambda r: r[0].update(a=[1.5, 0, 0]), "a word of a is 1.5"),
    "no vCPU": ("calls", lambda r: r[0].update(nvcpu=0), "nvcpu is 0"),
    "vCPUs past counting": ("calls", lambda r: r[0].update(nvcpu=10**15), "nvcpu is"),
    "wide features": ("calls", lambda r: r[0].update(features="0x10000000004"), "features is"),
    "a dump that is none": ("calls", lambda r: r[0].update(fw=["0x1"]), ":1: "),
    "a level that is none": ("calls", lambda r: r[0]["fw"].update({"0x6030000000140001": "0x9"}), "workaround levels"),
}


@pytest.mark.parametrize("what", FULL_CHANGES)
def test_nothing_is_a_wildcard(what: str, host: Path) -> None:
    kind, change = FULL_CHANGES[what]
    rewrite(host, kind, change)
    try:
        result = verify([host], kinds=[kind])
    except RecordingError as error:
        assert what == "a 65-bit word" and "a word of x" in str(error)  # noqa: PT018, PT017
    else:
        assert [tally.kind for tally in result.tallies if tally.differences] == [kind]


@pytest.mark.parametrize("what", MALFORMED)
def test_what_the_format_does_not_have_is_named_with_its_line(what: str, host: Path) -> None:
    kind, change, says = MALFORMED[what]
    rewrite(host, kind, change)
    with pytest.raises(RecordingError, match=rf"jsonl\.xz:\d+: .*{re.escape(says)}|{re.escape(says)}"):
        verify([host], kinds=[kind])


@pytest.mark.parametrize("release", ["6.1.0", "5.10.0", "7.3.4"])
def test_a_kernel_that_is_not_the_one_recorded_differs_and_stops_nothing(release: str, host: Path) -> None:
    meta = json.loads((host / "meta.json").read_text())
    (host / "meta.json").write_text(json.dumps(meta | {"release": release, "version": ""}))
    result = verify([host], kinds=["calls", "setreg", "danger"])
    assert not result.ok
    assert len(result.tallies) == 3


def test_a_full_copy_says_when_summaries_are_missing(host: Path) -> None:
    meta = json.loads((host / "meta.json").read_text())
    (host / "meta.json").write_text(json.dumps(meta | {"compact": False}))
    (tally,) = verify([host], kinds=["calls"]).tallies
    headers = sum(b'"fw"' in line for line in lzma.decompress((host / "calls.jsonl.xz").read_bytes()).splitlines())
    assert tally.notes == {UNCLOSED_NOTE: headers}


def test_the_same_folder_twice_is_looked_at_once(host: Path) -> None:
    assert verify([host, host], kinds=["misc"]).n_record == verify([host], kinds=["misc"]).n_record


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_recording_no_longer_matches(what: str, host: Path) -> None:
    kind, change = CHANGES[what]
    rewrite(host, kind, change)
    result = verify([host], kinds=[kind])
    assert not result.ok
    assert [tally.kind for tally in result.tallies if tally.differences] == [kind]


def test_a_record_without_a_rule_is_counted_as_not_judged(host: Path) -> None:
    rewrite(host, "setreg", lambda records: records.append({"t": "from_the_future", "errno": 0}))
    result = verify([host], kinds=["setreg"])
    assert not result.ok
    assert result.n_record - result.n_match == 1
    assert any("from_the_future" in reason for tally in result.tallies for reason in tally.unjudged)


def test_kinds_without_a_replay_are_named(host: Path) -> None:
    shutil.copy(host / "setreg.jsonl.xz", host / "telepathy.jsonl.xz")
    result = verify([host], kinds=["misc", "payload"])
    assert "telepathy" in result.not_looked_at
    assert set(result.not_looked_at) == {path.name.split(".")[0] for path in host.glob("*.jsonl.xz")} - {"misc"}


def test_a_kind_there_is_none_of_is_refused(host: Path) -> None:
    with pytest.raises(InputError, match=r"telepathy.*calls"):
        verify([host], kinds=["telepathy"])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "meta.json").write_text("{}"), r"meta\.json.*release"),
        (lambda f: (f / "meta.json").write_text('{"release": "4.4.0"}'), r"meta\.json.*5\.10 to 7\.3"),
        (lambda f: (f / "calls.jsonl.xz").write_bytes((f / "calls.jsonl.xz").read_bytes()[:-100]), r"calls.*whole"),
        (lambda f: (f / "calls.jsonl.xz").write_bytes(lzma.compress(b'{"cfg":\n')), r"calls\.jsonl\.xz:1: not JSON"),
        (lambda f: (f / "calls.jsonl.xz").write_bytes(lzma.compress(b"[1]\n")), r"calls\.jsonl\.xz:1: .* object"),
        (lambda f: (f / "calls.jsonl.xz").write_bytes(lzma.compress(b'{"cfg":"a","id":"0x1"}\n')), r"calls.*header"),
        (
            lambda f: rewrite(f, "calls", lambda r: next(x for x in r if "x" in x).pop("a")),
            r"calls\.jsonl\.xz:\d+: .*keys cfg, id, c, x is none",
        ),
        (
            lambda f: rewrite(
                f, "calls", lambda r: next(x for x in r if x.get("sets"))["sets"][0].update(reg="0x603000000013c020")
            ),
            r"calls\.jsonl\.xz:\d+: .*0x603000000013c020 is not a firmware register",
        ),
        (lambda f: rewrite(f, "setreg", lambda r: r[1].pop("reg")), r"setreg\.jsonl\.xz:2: .*'reg'"),
    ],
)
def test_a_damaged_recording_is_one_clear_sentence(damage: Any, says: str, host: Path) -> None:
    damage(host)
    with pytest.raises(RecordingError, match=says):
        verify([host], kinds=["setreg"] if says.startswith("setreg") else None)


def test_a_folder_without_recordings_says_what_one_looks_like(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RecordingError, match=r"meta\.json"):
            verify([path])


def test_a_compact_copy_keeps_every_kind_of_answer_and_matches(tmp_path: Path) -> None:
    small = RECORDINGS / "linux-5.10.218-n1"
    size = compact([small], tmp_path / "small")
    assert size == sum(path.stat().st_size for path in tmp_path.rglob("*.xz"))
    original, copied = verify([small]), verify([tmp_path / "small"])
    assert copied.ok
    assert [tally.kind for tally in copied.tallies] == [tally.kind for tally in original.tallies]


def test_a_compact_copy_does_not_replace_its_source(host: Path) -> None:
    before = (host / "calls.jsonl.xz").read_bytes()
    with pytest.raises(RecordingError, match="own source"):
        compact([host], host.parent)
    assert (host / "calls.jsonl.xz").read_bytes() == before


def test_a_verification_is_the_same_as_text_as_json_and_in_one_line(host: Path) -> None:
    rewrite(host, "setreg", lambda records: records.append({"t": "from_the_future", "errno": 0}))
    result = verify(host, kinds=["setreg"])
    told = result.as_dict()
    assert (told["records"], told["match"], told["ok"]) == (result.n_record, result.n_record - 1, False)
    assert [(row["host"], row["kind"], sum(row["not_judged"].values())) for row in told["kinds"]] == [
        ("linux-6.12.107-max", "setreg", 1)
    ]
    assert set(told["not_looked_at"]) == set(result.not_looked_at) >= {"calls", "misc"}
    text = str(result)
    assert "1 not judged: the model has no rule for setreg records of type 'from_the_future'" in text
    assert "not looked at: calls (of 1 host)" in text
    assert text.splitlines()[0] == f"{result.n_match} of {result.n_record} records match"
    assert repr(result) == f"Verification({result.n_match} of {result.n_record} records of 1 hosts match)"
    assert repr(result.tallies[0]).startswith("Tally(linux-6.12.107-max setreg: ")
