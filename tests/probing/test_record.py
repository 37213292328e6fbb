"""The recorder: on the KVM that tests have in place of a host it gives the lines of the recordings of real kernels."""

from __future__ import annotations

import json
import lzma
import struct
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fastsmc.probing import recorder, standalone
from fastsmc.probing.recorder import Calls, Config, Recorder
from fastsmc.probing.standalone import PSCI_0_2, Guest
from tests.support import fake_guest
from tests.support.fake_guest import FakeGuestKvm
from tests.support.fake_kvm import RECORDINGS

FREE = {0x84000053, 0xC4000053, 0x86000001, 0xC6000001}
"""TRNG_RND and PTP, whose answers are random or of the time."""
CLOCKS = {"0x603000000013df01", "0x603000000013df1a"}
"""Registers that count time."""


def comparable(line: str) -> Any:
    """A record without what two recordings of one host differ in."""
    record = json.loads(line)
    for key in {"x", "r"} & set(record):
        if int(record["id"], 16) & 0xFFFFFFFF in FREE and int(record[key][0], 16) < 1 << 31:
            record[key] = "free"
    if "regs" in record:
        record["regs"] = [[reg, reg in CLOCKS or value, code] for reg, value, code in record["regs"]]
    return record


@cache
def recorded(host: str, kind: str) -> list[str]:
    path = RECORDINGS / host / f"{kind}.jsonl.xz"
    return lzma.open(path, "rt").read().splitlines() if path.exists() else []


def asked_of(host: str = "linux-7.3.4-max") -> Recorder:
    return Recorder(standalone.opened_kvm(FakeGuestKvm(host)))


def missing(lines: Iterable[str], wanted: Iterable[str]) -> list[Any]:
    """What of the wanted lines does not come in their order: the first of them."""
    left: Iterator[Any] = map(comparable, lines)
    return [one for one in map(comparable, wanted) if one not in left][:1]


@pytest.mark.parametrize(
    ("host", "sections"),
    [
        ("linux-7.3.4-max", "reglist setreg random danger filter fuzz misc"),
        ("linux-6.1.192-max", "calls setreg danger filter misc"),
        ("linux-5.10.218-max", "setreg danger filter a32 fuzz misc"),
        ("linux-6.12.107-n1", "reglist setreg"),
    ],
)
def test_lines_are_those_of_the_recordings(host: str, sections: str) -> None:
    asked = asked_of(host)
    for section in sections.split():
        for kind, lines in recorder.SECTIONS[section].items():
            got, wanted = list(lines(asked)), recorded(host, kind)
            assert bool(got) == bool(wanted), kind
            assert missing(got, wanted) == [], kind


def test_a_sweep_lists_what_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [0, 1, 0x50, 0x51, 0xFF01, 0x8000]
    monkeypatch.setattr(recorder, "NUMBERS", numbers)
    got = [comparable(line) for line in recorder._sweep(asked_of("linux-6.1.192-max"))]
    wanted = [comparable(line) for line in recorded("linux-6.1.192-max", "sweep")]
    few = [one for one in wanted if "id" in one and int(one["id"], 16) & 0xFFFF in numbers]
    assert [one for one in got if "id" in one] == few
    assert few
    assert got[0] == wanted[0]
    danger = {one for one in recorder.DANGER if one & 0xFFFF in numbers}
    summaries = [one for one in got if one.get("summary")]
    assert [one["calls"] for one in summaries] == [4 * 64 * len(numbers) - len(danger)] * 4


def test_a_host_without_aarch32_has_no_such_records() -> None:
    assert list(recorder._a32(asked_of("linux-6.12.107-n1"))) == []


def test_numbers_are_those_of_the_kernel() -> None:
    """The fake has them written out."""
    ours = [standalone.KVM_GET_VCPU_MMAP_SIZE, standalone.KVM_SET_USER_MEMORY_REGION, standalone.KVM_GET_DEVICE_ATTR]
    assert ours == [fake_guest.VCPU_MMAP_SIZE, fake_guest.MEMORY_REGION, fake_guest.GET_DEVICE_ATTR]
    ours = [standalone.KVM_GET_MP_STATE, standalone.KVM_SET_MP_STATE, standalone.KVM_ENABLE_CAP, standalone.KVM_RUN]
    assert ours == [fake_guest.GET_MP_STATE, fake_guest.SET_MP_STATE, fake_guest.ENABLE_CAP, fake_guest.RUN]


# -- how a guest stops -----------------------------------------------------------------------------------------------

CALLS = ((0x84000000, 0, 0, 0, 0), (0x80000000, 0, 0, 0, 1), (0x80000000, 0, 0, 0, 0))


def made(kvm: FakeGuestKvm, calls: Iterable[tuple[int, ...]] = CALLS) -> list[dict[str, Any]]:
    """Records of a few calls."""
    with Guest(standalone.opened_kvm(kvm), PSCI_0_2, 2) as guest:
        lines = [json.loads(line) for line in recorder._made(guest, "few", Calls(calls))]
    assert kvm.alarms[-1] == 0
    return lines


def test_calls_are_told_one_by_one() -> None:
    first, second, third, last = made(FakeGuestKvm())
    assert (first["id"], first["c"], first["x"][0]) == ("0x84000000", "hvc0", "0x10003")
    assert (second["c"], third["x"]) == ("smc0", ["0x10001", "0x0", "0x0", "0x0"])
    assert last == {"cfg": "few", "summary": True, "calls": 3, "not_supported": 0, "other": 3}


def test_a_signal_that_is_not_the_timers_changes_nothing() -> None:
    kvm = FakeGuestKvm()
    kvm.n_interrupt = 3
    assert made(kvm) == made(FakeGuestKvm())
    kvm.run_results = [4, (10, b"")]  # EINTR, and KVM_EXIT_INTR
    assert made(kvm) == made(FakeGuestKvm())


@pytest.mark.parametrize(("n_busy", "is_given_up"), [(1, False), (20, False), (21, True), (22, True)])
def test_a_guest_that_runs_is_given_its_time_again(n_busy: int, is_given_up: bool) -> None:
    kvm = FakeGuestKvm()
    with Guest(standalone.opened_kvm(kvm)) as guest:
        guest.start(0)
        kvm.n_busy = n_busy
        stop = guest.run(1000)
    assert stop.kind == (standalone.TIMEOUT if is_given_up else standalone.END)
    assert kvm.alarms[-1] == 0


def test_a_dangerous_call_is_made_again_where_the_host_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh VM, with more time, and not by going on: a vCPU that waits would go on too."""
    call = (0x84000002, 0, 0, 0)
    monkeypatch.setattr(recorder, "_dangers", lambda: [call])
    kvm = FakeGuestKvm()
    host, kvm.n_busy = Recorder(standalone.opened_kvm(kvm)), 2
    first, *_ = map(json.loads, recorder._danger(host))
    assert (first["kind"], first["pc_off"], first["mp"]) == (4, 52, [5, 5])
    assert [one for one in kvm.alarms if one][:4] == [250, 1000, 4000, 250]


def test_a_call_that_blocks_ends_its_list() -> None:
    stop, first, aborted, last = made(FakeGuestKvm(), [CALLS[0], (0x84000002, 0, 0, 0, 0), CALLS[1]])
    assert (stop["blocked"], stop["id"], stop["pc_off"]) == (True, "0x84000002", 52)
    assert (first["id"], aborted) == ("0x84000000", {"cfg": "few", "aborted_at": 0})
    assert (last["calls"], last["other"]) == (3, 1)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (14, {"run_errno": 14}),
        ((17, b""), {"exit": 17}),
        ((6, struct.pack("=Q", 0x12340000)), {"exit": 6}),
        ((24, struct.pack("=IIQ", 3, 1, 7)), {"exit": 24, "sev_type": 3, "sev_ndata": 1, "sev_data0": "0x7"}),
    ],
)
def test_an_end_that_nobody_goes_on_from_is_told(result: Any, told: dict[str, Any]) -> None:
    kvm = FakeGuestKvm()
    kvm.run_results = [result]
    stop, aborted, last = made(kvm)
    assert told.items() <= stop.items()
    assert (aborted["aborted_at"], last["other"]) == (0, 0)


def test_an_exception_of_the_guest_is_told_and_passed() -> None:
    kvm = FakeGuestKvm()
    kvm.run_results = [(6, struct.pack("=QQ", fake_guest.MMIO + 8, 0x2000000))]
    stop, *rest, last = made(kvm)
    assert (stop["id"], stop["guest_exc_esr"]) == ("0x84000000", "0x2000000")
    assert [one["c"] for one in rest] == ["smc0", "hvc0"]
    assert last["other"] == 2


def test_a_call_that_is_forwarded_goes_on() -> None:
    kvm = FakeGuestKvm()
    host = Recorder(standalone.opened_kvm(kvm))
    config = Config("few", ranges=((0x84000000, 1, 2),))
    _, stop, first, *_ = map(json.loads, recorder._listed_calls(host, [config], Calls(CALLS)))
    assert (stop["exit"], stop["hc_nr"], stop["pc_off"]) == (3, "0x84000000", 52)
    assert first["x"] == ["0x84000000", "0x0", "0x0", "0x0"]


def test_more_calls_than_the_table_holds() -> None:
    kvm = FakeGuestKvm()
    with Guest(standalone.opened_kvm(kvm), size=standalone.TABLE + 10 * 160) as guest:
        lines = [json.loads(line) for line in recorder._made(guest, "many", Calls(CALLS * 8))]
    assert [one["id"] for one in lines[:-1]] == [f"{call[0]:#x}" for call in CALLS * 8]
    assert lines[-1]["other"] == 24


def test_a_pending_store_is_completed_or_left() -> None:
    for completes, offset in ((True, 116), (False, 112)):
        with Guest(standalone.opened_kvm(FakeGuestKvm())) as guest:
            guest.start(0)
            assert guest.run(1000, completes=completes).kind == standalone.END
            assert guest.vcpus[0].get(standalone.PC)[1] - standalone.GUEST == offset


def test_a_vcpu_that_is_refused_is_told() -> None:
    kvm = FakeGuestKvm("linux-6.12.107-n1")
    with Guest(standalone.opened_kvm(kvm), PSCI_0_2 | standalone.SVE, 2) as guest:
        assert (guest.init_errno, len(guest.vcpus)) == (22, 1)
        told = json.loads(recorder._set_up(guest, Config("few")))
    assert told == {"cfg": "few", "setup_error": 22}


def test_sequences_of_random_numbers_are_repeatable() -> None:
    """Marsaglia 2003: state 1 becomes 1 + 2^13, shifted and mixed; here by its definition, bit by bit."""
    state, give = 12345, recorder._random(12345, 16)
    for _ in range(100):
        for shift in (13, -7, 17):
            state ^= (state << shift if shift > 0 else state >> -shift) % (1 << 64)
        assert give() == (state >> 16) % (1 << 32)


def test_files_by_name(tmp_path: Path) -> None:
    recorder._written(tmp_path / "none", [])
    recorder._written(tmp_path / "some.xz", [b"one", b"two"])
    assert [one.name for one in tmp_path.iterdir()] == ["some.xz"]
    assert lzma.decompress((tmp_path / "some.xz").read_bytes()) == b"onetwo"
