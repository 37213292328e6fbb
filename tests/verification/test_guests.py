"""Recordings of guests with EL2 and of protected VMs: they match, a changed one does not, nothing is passed over."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import RecordingError
from fastsmc.recordings.compact import compact
from fastsmc.recordings.folder import open_recording
from fastsmc.recordings.levels import workaround_levels
from fastsmc.recordings.mode import NAME_ALONE, kvm_arm_mode
from fastsmc.verification import host_of, verify
from fastsmc.verification import pair as pairs
from fastsmc.verification.tally import Tally
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
NESTED, PROTECTED = RECORDINGS / "linux-6.18.15-max-nested", RECORDINGS / "linux-7.3.4-max-mode-protected"
Records = list[dict[str, Any]]
Change = Callable[[Records], object]


def read(folder: Path, kind: str) -> Records:
    return [json.loads(line) for line in lzma.decompress((folder / f"{kind}.jsonl.xz").read_bytes()).splitlines()]


def write(folder: Path, kind: str, records: Records) -> None:
    text = "".join(f"{json.dumps(record)}\n" for record in records)
    (folder / f"{kind}.jsonl.xz").write_bytes(lzma.compress(text.encode(), preset=0))


def edit_meta(folder: Path, **change: Any) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    meta.pop("files", None)
    (folder / "meta.json").write_text(json.dumps(meta | change))


def some_of(records: Records) -> Records:
    """A vCPU with EL2 and one without, lists of calls (vEL2, vEL1 with TSC, a filter, no GIC), some power calls."""
    kept, wanted = Records(), True
    for record in records:
        kind = record.get("t")
        if kind == "calls":
            chosen = (record["cfg"][:7], record["mode"], record["vgic"])
            wanted = record["features"] == "0x84" and chosen in (
                ("default", "vEL2, TSC=1", 1),
                ("default", "vEL1, TSC=1", 1),
                ("filter:", "vEL1, HCD=1", 1),
                ("default", "vEL2, HCR_EL2 untouched", 0),
            )
        elif kind == "power":
            wanted = record["features"] == "0x84" and (record["el"], record["c"]) == (2, "smc0")
            wanted = wanted or record["id"] == "0xc4000003"
        elif kind not in (None, "stop", "end"):
            wanted = kind == "caps" or record["features"] in ("0x84", "0x86", "0x104")
        if wanted:
            kept.append(record)
    return kept


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("guests")
    for folder, kind in ((NESTED, "nested"), (PROTECTED, "protected")):
        host = Path(shutil.copytree(folder, root / folder.name))
        edit_meta(host)
        write(host, kind, some_of(read(host, kind)) if kind == "nested" else read(host, kind))
    return root


@pytest.fixture
def host(small: Path, tmp_path: Path) -> Path:
    """A copy of both, to be changed."""
    return Path(shutil.copytree(small, tmp_path / "hosts"))


def part_of(record: dict[str, Any]) -> str:
    return {"power": "power", "calls": "lists", "stop": "lists", "end": "lists", None: "lists"}.get(
        record.get("t"), "vcpu"
    )


def replayed(host: Path, kind: str, change: Change, part: str = "") -> Tally:
    """What the replay of a changed recording says; of one part of it only, where that is given."""
    folder = host / (NESTED if kind == "nested" else PROTECTED).name
    records = [record for record in read(folder, kind) if part in ("", part_of(record))]
    change(records)
    write(folder, kind, records)
    (tally,) = verify(folder, kinds=[kind]).tallies
    return tally


def first(records: Records, where: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    return next(record for record in records if where(record))


def taken(conduit: str, el: int) -> Callable[[dict[str, Any]], Any]:
    return lambda r: "t" not in r and r["c"] == conduit and r["el"] == el and "to_vEL2" in r


def of(kind: str, /, **wanted: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda r: r.get("t") == kind and all(r.get(key) == value for key, value in wanted.items())


def answered(record: dict[str, Any]) -> bool:
    return "t" not in record and "to_vEL2" not in record


def listed(records: Records, reg: str) -> list[Any]:
    found: list[Any] = next(row for row in first(records, of("reg_list"))["regs"] if row[0] == reg)
    return found


STD_BMAP = "0x6030000000160000"
EXTRA = "0x6030000000160004"
"""A bitmap register that no release has."""
CPU_ON = of("power", id="0xc4000003", c="smc0")
NESTED_CHANGES: dict[str, tuple[str, Change]] = {
    "a vector": ("lists", lambda r: first(r, taken("hvc0", 1))["to_vEL2"].update(vector="0x200")),
    "a vector of vEL2": ("lists", lambda r: first(r, taken("hvc0", 2))["to_vEL2"].update(vector="0x400")),
    "a syndrome's class": ("lists", lambda r: first(r, taken("smc0", 1))["to_vEL2"].update(esr="0x5a000000")),
    "a syndrome's immediate": ("lists", lambda r: first(r, taken("hvc1", 2))["to_vEL2"].update(esr="0x5a000000")),
    "where an HVC returns to": ("lists", lambda r: first(r, taken("hvc0", 2))["to_vEL2"].update(elr_off=120)),
    "where an SMC returns to": ("lists", lambda r: first(r, taken("smc0", 1))["to_vEL2"].update(elr_off=132)),
    "the level it was taken from": ("lists", lambda r: first(r, taken("hvc0", 1))["to_vEL2"].update(spsr="0x800003c9")),
    "a register that is kept": ("lists", lambda r: first(r, taken("hvc0", 2))["x"].__setitem__(1, "0x5")),
    "an answer": ("lists", lambda r: first(r, answered)["x"].__setitem__(0, "0x10002")),
    "an exception that was none": ("lists", lambda r: first(r, taken("hvc0", 2)).pop("to_vEL2")),
    "an exception to vEL1": (
        "lists",
        lambda r: first(r, answered).update(to_vEL1={"vector": "0x200", "esr": "0x56000000"}),
    ),
    "a level": ("lists", lambda r: first(r, answered).update(el=1)),
    "HCR_EL2 as the guest saw it": ("lists", lambda r: first(r, of("end")).update(hcr_el2_seen_by_guest="0x480000000")),
    "E2H": ("lists", lambda r: first(r, of("end")).update(hcr_el2_seen_by_guest="0x80080000")),
    "PSTATE at the end": ("lists", lambda r: first(r, of("end")).update(pstate="0x600003c5")),
    "a missing end": ("lists", lambda r: r.remove(first(r, of("end")))),
    "a filter's errno": ("lists", lambda r: first(r, of("calls")).update(filter_errnos=[22, 0, 0])),
    "the number of calls": ("lists", lambda r: first(r, of("calls")).update(calls=139)),
    "an exit's flags": ("lists", lambda r: first(r, of("stop", kind=2)).update(hc_flags="0x0")),
    "an exit's arguments": ("lists", lambda r: first(r, of("stop", kind=2)).update(hc_args=[0, 1, 0])),
    "an exit's place": ("lists", lambda r: first(r, of("stop", kind=2)).update(index=92)),
    "an exit past the list": ("lists", lambda r: first(r, of("stop", kind=2)).update(index=140)),
    "an exit's PSTATE": ("lists", lambda r: first(r, of("stop", kind=2)).update(pstate="0x600003c9")),
    "an exit that was none": ("lists", lambda r: r.remove(first(r, of("stop", kind=2)))),
    "an exit told twice, for another": (
        "lists",
        lambda r: [x for x in r if of("stop", kind=2)(x)][1].update(first(r, of("stop", kind=2))),
    ),
    "an errno of KVM_RUN": ("lists", lambda r: first(r, of("stop", kind=3)).update(run_errno=4)),
    "calls where nothing ran": (
        "lists",
        lambda r: r.insert(r.index(first(r, of("stop", kind=3))) + 1, first(r, answered)),
    ),
    "a capability": ("vcpu", lambda r: r[0].update({"KVM_CAP_ARM_EL2(240)": [0, 0]})),
    "the errno of an init": ("vcpu", lambda r: first(r, of("init", features="0x86")).update(errno=2)),
    "PSTATE at reset": ("vcpu", lambda r: first(r, of("reset_state")).update(pstate="0x3c5")),
    "no HCR_EL2": ("vcpu", lambda r: first(r, of("reset_state")).update(hcr_el2_errno=2)),
    "a firmware register": (
        "vcpu",
        lambda r: first(r, of("fw_default"))["regs"].update({"0x6030000000160000": [0, "0x0"]}),
    ),
    "one more firmware register": ("vcpu", lambda r: first(r, of("fw_default"))["regs"].update({EXTRA: [0, "0x0"]})),
    "a listed register's value": ("vcpu", lambda r: listed(r, "0x6030000000160002").__setitem__(1, "0x9")),
    "a register that cannot be read": ("vcpu", lambda r: first(r, of("reg_list"))["regs"][0].__setitem__(2, 2)),
    "a list's length": ("vcpu", lambda r: first(r, of("reg_list")).update(n=301)),
    "a bitmap's limit": ("vcpu", lambda r: first(r, of("bitmap", n=2)).update(supported="0x7")),
    "a PSCI version": ("vcpu", lambda r: first(r, of("psci_version", val="0x10004")).update(errno=0)),
    "a workaround's read-back": ("vcpu", lambda r: first(r, of("workaround")).update(rb="0x0")),
    "a key of a vCPU": ("vcpu", lambda r: first(r, of("workaround")).update(more=1)),
    "who is on": ("power", lambda r: first(r, of("power", kind=4, id="0x84000002")).update(mp=[0, 5])),
    "the level a vCPU starts at": ("power", lambda r: first(r, CPU_ON)["cpu1"].update(pstate="0x3c5")),
    "what a started vCPU reads": ("power", lambda r: first(r, CPU_ON)["cpu1"].update(currentel="0x4")),
    "x0 of a started vCPU": ("power", lambda r: first(r, CPU_ON)["cpu1"].update(x0="0x0")),
    "a vCPU that did not start": ("power", lambda r: first(r, CPU_ON).pop("cpu1")),
    "an event": ("power", lambda r: first(r, of("power", kind=2)).update(sev_type=3)),
    "a power call that vEL2 takes": (
        "power",
        lambda r: first(r, of("power", c="hvc0"))["to_vEL2"].update(esr="0x0"),
    ),
}


@pytest.mark.parametrize("what", NESTED_CHANGES)
def test_a_changed_recording_of_a_guest_with_el2_no_longer_matches(what: str, host: Path) -> None:
    part, change = NESTED_CHANGES[what]
    tally = replayed(host, "nested", change, part)
    assert tally.differences
    assert not tally.unjudged
    assert tally.n_record - tally.n_match <= 5


def call(func_id: str, conduit: str, protected: int) -> Callable[[dict[str, Any]], Any]:
    return lambda r: (r.get("id"), r.get("c"), r.get("protected")) == (func_id, conduit, protected)


PROTECTED_CHANGES: dict[str, Change] = {
    "a VM type": lambda r: first(r, of("create", type="0x80000000")).update(errno=22),
    "a type that is none": lambda r: first(r, of("create", type="0x40000000")).update(errno=0),
    "a capability": lambda r: first(r, of("caps", type="0x80000000"))["caps"].update({"216": 1}),
    "one capability less": lambda r: first(r, of("caps", type="0x80000000"))["caps"].pop("203"),
    "a filter": lambda r: first(r, of("caps", type="0x80000000")).update(has_filter_errno=0),
    "an insert": lambda r: first(r, of("vm", protected=1)).update(filter_errno=0),
    "an ordinary VM's insert": lambda r: first(r, of("vm", protected=0)).update(filter_errno=22),
    "an init": lambda r: first(r, of("vm", protected=1)).update(init_errno=22),
    "a firmware register": lambda r: first(r, of("fw_default"))["regs"].update({"0x6030000000160000": [0, "0x0"]}),
    "a bitmap": lambda r: first(r, of("bitmap", n=1)).update(rb="0x1"),
    "a PSCI version": lambda r: first(r, of("psci")).update(set_10000_errno=22),
    "a list's length": lambda r: [x for x in r if of("reg_list")(x)][2].update(n=258),
    "the features": lambda r: first(r, call("0x86000000", "hvc0", 1)).update(x=["0x1f", "0x0", "0x0", "0x0"]),
    "the features by SMC": lambda r: first(r, call("0x86000000", "smc0", 1)).update(x=["0x1d", "0x0", "0x0", "0x0"]),
    "the granule": lambda r: first(r, call("0xc6000002", "hvc0", 1))["x"].__setitem__(0, "0x10000"),
    "a share": lambda r: first(r, call("0xc6000003", "hvc0", 1))["x"].__setitem__(0, "0xfffffffffffffffd"),
    "an ordinary VM's share": lambda r: first(r, call("0xc6000003", "hvc0", 0))["x"].__setitem__(0, "0x0"),
    "whose call it is": lambda r: first(r, call("0x84000000", "hvc0", 1)).update(protected=0),
    "a conduit": lambda r: first(r, call("0x84000000", "hvc0", 1)).update(c="smc0"),
    "how many calls": lambda r: first(r, of("end")).update(calls=32),
}


@pytest.mark.parametrize("what", PROTECTED_CHANGES)
def test_a_changed_recording_of_protected_vms_no_longer_matches(what: str, host: Path) -> None:
    tally = replayed(host, "protected", PROTECTED_CHANGES[what])
    assert tally.differences
    assert not tally.unjudged
    assert tally.n_record - tally.n_match <= 2


def test_nothing_is_changed_and_all_of_it_matches(host: Path) -> None:
    for kind, folder in (("nested", NESTED), ("protected", PROTECTED)):
        n_record = len(read(host / folder.name, kind))
        tally = replayed(host, kind, lambda records: None)
        assert (tally.n_match, tally.n_record, tally.differences) == (n_record, n_record, [])


MALFORMED: dict[str, tuple[str, Change, str]] = {
    "a list without a header": ("nested", lambda r: r.remove(first(r, of("calls"))), "a list of calls must come first"),
    "a word": ("nested", lambda r: first(r, answered).update(id="12"), "id is '12': it must be written"),
    "a 65-bit word": ("nested", lambda r: first(r, answered)["x"].__setitem__(0, "0x1" + "0" * 16), "a word of x is"),
    "a conduit": ("nested", lambda r: first(r, answered).update(c="hvc2"), "conduit c is 'hvc2'"),
    "a lost key": ("nested", lambda r: first(r, of("calls")).pop("mode"), "it lacks 'mode'"),
    "a GIC": ("nested", lambda r: first(r, of("calls")).update(vgic=2), "vgic is 2"),
    "a level of a power call": ("nested", lambda r: first(r, of("power")).update(el=3), "el is 3"),
    "features": ("nested", lambda r: first(r, of("init")).update(features="0x100000000"), "features is"),
    "no VM": ("protected", lambda r: r.remove(first(r, of("vm"))), "the line that creates the VM must come first"),
    "a kind of VM": ("protected", lambda r: first(r, of("vm")).update(protected=2), "protected is 2"),
    "a bitmap": ("protected", lambda r: first(r, of("bitmap")).update(n=4), "n is 4"),
    "no ordinary VM": ("protected", lambda r: r.remove(first(r, of("caps"))), "of an ordinary VM must come first"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_record_that_is_none_is_named_with_its_line(what: str, host: Path) -> None:
    kind, change, says = MALFORMED[what]
    with pytest.raises(RecordingError, match=rf"{kind}\.jsonl\.xz:\d+: not a record of this kind: ") as error:
        replayed(host, kind, change)
    assert says in str(error.value)


def test_the_line_of_a_call_is_named_though_its_list_was_read_to_the_end(host: Path) -> None:
    place = 0

    def change(records: Records) -> None:
        nonlocal place
        place = records.index(first(records, answered)) + 1
        records[place - 1].update(a=[1])

    with pytest.raises(RecordingError, match=r"nested\.jsonl\.xz:(\d+): .* must hold 3 register words") as error:
        replayed(host, "nested", change)
    assert f":{place}: " in str(error.value)


@pytest.mark.parametrize(
    ("kind", "change", "n", "says"),
    [
        ("nested", lambda r: r.append({"t": "from_the_future", "errno": 0}), 1, "from_the_future"),
        ("nested", lambda r: r.append({"id": "0x0", "y": 1}), 1, "of type None"),
        ("nested", lambda r: first(r, of("calls")).update(mode="vEL2, NV=1"), 142, "modes called 'vEL2, NV=1'"),
        ("nested", lambda r: first(r, of("calls")).update(mode="vEL0, TSC=1"), 142, "modes called 'vEL0"),
        ("nested", lambda r: first(r, of("calls")).update(cfg="filter: DENY 0x1+1, SHRUG 0x2"), 142, "SHRUG"),
        ("protected", lambda r: r.append({"t": "hypercall", "nr": "0x1"}), 1, "hypercall"),
        (
            "protected",
            lambda r: r.insert(0, {"t": "create", "type": "0x28", "errno": 0}),
            1,
            "an IPA size of their own",
        ),
    ],
)
def test_what_has_no_rule_is_counted_as_not_judged(kind: str, change: Change, n: int, says: str, host: Path) -> None:
    tally = replayed(host, kind, change)
    assert not tally.differences
    ((reason, counted),) = tally.unjudged.items()
    assert says in reason
    assert (counted, tally.n_record - tally.n_match) == (n, n)


def test_a_host_that_would_have_refused_such_guests_differs_and_stops_nothing(host: Path) -> None:
    folder = host / NESTED.name
    edit_meta(folder, cmdline="console=ttyAMA0")
    assert host_of(open_recording(folder)).kvm_arm_mode == "default"
    tally = replayed(host, "nested", lambda records: None)
    assert tally.n_record == len(read(folder, "nested"))
    assert tally.n_match == 1 + 34, "features that no host takes, and E2H0 alone, are treated alike in every mode"
    edit_meta(host / PROTECTED.name, cmdline="kvm-arm.mode=nested")
    tally = replayed(host, "protected", lambda records: None)
    assert tally.n_record == 163
    assert tally.n_match == 3 + 42 + 37, "ordinary VMs are there in every mode"


def test_the_fleet_is_asked_too(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One verdict and one register of the fleet's that differ are told, each where it does."""
    verdicts, answers = pairs.verdicts, pairs.answers

    def other_verdicts(*arguments: Any) -> Any:
        told = verdicts(*arguments).copy()
        told[-1] ^= 1
        return told

    def other_answers(*arguments: Any) -> Any:
        told = answers(*arguments).copy()
        told[-1, 3] ^= 1
        return told

    n_power = sum(map(of("power"), read(host / NESTED.name, "nested")))
    for name, other, says in (("verdicts", other_verdicts, "vectorized"), ("answers", other_answers, "x: reference")):
        with monkeypatch.context() as patched:
            patched.setattr(pairs, name, other)
            for kind, n_list in (("nested", 3 + n_power), ("protected", 4 * 33)):
                tally = replayed(host, kind, lambda records: None)
                assert tally.n_record - tally.n_match == n_list
                assert all(says in difference for difference in tally.differences)


def test_a_vcpu_that_the_fleet_has_in_another_state_is_told(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "switch", lambda *arguments: None)
    tally = replayed(host, "nested", lambda records: None, part="power")
    n_switched = sum(record["mp"] != [0, 5] for record in read(host / NESTED.name, "nested"))
    assert n_switched == tally.n_record - tally.n_match > 5
    assert all("mp_state: reference" in difference for difference in tally.differences)


@pytest.mark.parametrize(
    ("cmdline", "mode"),
    [
        ("console=ttyAMA0 kvm-arm.mode=nested", "nested"),
        ("kvm-arm.mode=nested kvm-arm.mode=protected panic=-1", "protected"),
        ("kvm_arm.mode=nvhe", "nvhe"),
        ("kvm-arm.mode=odd", "default"),
        ("xkvm-arm.mode=nested", "default"),
        ("", "default"),
    ],
)
def test_the_mode_of_a_host_is_on_its_command_line(cmdline: str, mode: str) -> None:
    assert kvm_arm_mode({"cmdline": cmdline}) == mode


def test_a_folder_without_meta_json_is_read_where_its_name_tells_as_much(host: Path, tmp_path: Path) -> None:
    named = tmp_path / "7.3.4-mode-protected"
    named.mkdir()
    shutil.copy(host / PROTECTED.name / "protected.jsonl.xz", named)
    for path in (named, tmp_path):
        result = verify(path)
        assert (result.n_match, result.ok) == (163, True)
        assert f"note: 1 {NAME_ALONE}" in str(result)
    compact([named], tmp_path / "copy")
    assert verify(tmp_path / "copy").ok
    for name in ("7.3.4", "7.3.4-mode-odd", "mode-protected", "9-mode-protected"):
        other = Path(shutil.copytree(named, tmp_path / "others" / name))
        with pytest.raises(RecordingError, match=r"holds no recording|meta\.json"):
            verify(other)


def test_a_host_that_made_no_vcpu_tells_no_levels_and_needs_none() -> None:
    recording = open_recording(RECORDINGS / "linux-6.12.118-max-nested")
    assert workaround_levels(recording) == (2, 0, 0)
    assert workaround_levels(open_recording(NESTED)) == (2, 0, 2)
