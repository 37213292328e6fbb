"""Records of guests with EL2 and of protected VMs, beside those of real hosts."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from errno import EAGAIN, EMFILE, ENODEV, ENOENT, ENXIO
from pathlib import Path
from typing import Any

import pytest

import fastsmc
from fastsmc.facts.smccc import Verdict
from fastsmc.probing import recorder, standalone
from fastsmc.reference.state import Outcome
from tests.support.fake_guest_el2 import FakeEl2Kvm, fake_protected, recorded
from tests.support.fake_kvm import CREATE_VCPU
from tests.support.guest_core import HCR_EL2, PC, Event, GuestCore

NESTED = ["linux-7.3.4-max-nested", "linux-6.18.15-max-nested"]
HOSTS = [*NESTED, "linux-6.12.118-max-nested", "linux-7.3.4-max-mode-default"]
FREE = {"0xc4000053": {3}, "0x86000001": {0, 1, 2, 3}}
"""Words of an answer that no two times have alike, by function: TRNG_RND64 of 64 bits; PTP's clock and counter."""


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """VMs that the recorder leaves open are given back."""
    yield
    recorder.LEFT_OPEN.clear()


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls in place of 35, of VMs that were given nothing; two power calls."""
    monkeypatch.setattr(recorder, "EL2_CALLS", recorder.EL2_CALLS[:2])
    monkeypatch.setattr(recorder, "EL2_GIVEN", recorder.EL2_GIVEN[:1])
    monkeypatch.setattr(recorder, "EL2_POWER", recorder.EL2_POWER[:2])


def lines(kvm: FakeEl2Kvm, section: str) -> list[str]:
    """The records of a section."""
    with standalone.opened_kvm(kvm) as opened:
        host = recorder.Recorder(opened)
        (told,) = (list(give(host)) for give in recorder.SECTIONS[section].values())
    assert all(line.endswith("}\n") for line in told)
    return [line.removesuffix("\n") for line in told]


def fixed(line: str) -> Any:
    """A record without what differs from one time to the next."""
    record = json.loads(line)
    free = FREE.get(record.get("id"), set()) if "to_vEL2" not in record else set()
    if "x" in record and record["x"][0] != "0xffffffffffffffff":
        record["x"] = [value for n, value in enumerate(record["x"]) if n not in free]
    return list(record.items())


def assert_alike(told: list[str], seen: list[str]) -> None:
    """Line by line, as text wherever that does not differ from one time to the next."""
    assert len(told) == len(seen)
    for mine, theirs in zip(told, seen, strict=True):
        assert mine == theirs or fixed(mine) == fixed(theirs)


@pytest.mark.parametrize("name", HOSTS)
def test_guests_with_el2_are_recorded_as_they_were(name: str) -> None:
    kvm = FakeEl2Kvm(name)
    told = lines(kvm, "nested")
    assert_alike(told, recorded(name, "nested"))
    left = [one for guest in recorder.LEFT_OPEN for one in (guest.vm, *guest.vcpus)]
    assert set(kvm.open_fds) == {one.fd for one in left}, "other VMs are closed, and the GIC's descriptor"
    assert all(kvm.open_fds[guest.vcpus[0].fd]["vm"].has_el2 for guest in recorder.LEFT_OPEN)


def test_protected_vms_are_recorded_as_they_were() -> None:
    kvm = fake_protected()
    told, seen = lines(kvm, "protected"), recorded("linux-7.3.4-max-mode-protected", "protected")
    assert_alike(told, seen)
    assert kvm.open_fds == {}


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_without_protected_vms_has_no_such_file(name: str) -> None:
    assert lines(FakeEl2Kvm(name), "protected") == []


@pytest.mark.usefixtures("_few")
def test_what_is_recorded_is_verified(tmp_path: Path) -> None:
    """The whole way: two files and what the host is, which the model agrees with."""
    for name, kvm in (("nested", FakeEl2Kvm(NESTED[0])), ("protected", fake_protected())):
        folder = tmp_path / f"linux-7.3.4-max-{name}"
        recorder.record(str(folder), kvm, only=("nested", "protected"))
        files = {"nested": {"nested"}, "protected": {"nested", "protected"}}[name]
        assert {path.name for path in folder.iterdir()} == {"meta.json", *(f"{one}.jsonl.xz" for one in files)}
        told = fastsmc.verify([folder])
        assert told.n_match == told.n_record > 0


@pytest.mark.usefixtures("_few")
def test_a_host_without_a_gic_says_so_and_does_not_run() -> None:
    kvm = FakeEl2Kvm(NESTED[0])
    kvm.has_gic_device = False
    told = [json.loads(line) for line in lines(kvm, "nested")]
    (stop,) = {json.dumps(one) for one in told if one.get("t") == "stop"}
    assert json.loads(stop) == {
        **{"t": "stop", "index": 0, "kind": 3, "id": "0x84000000", "c": "hvc0", "run_errno": EAGAIN},
        **{"pc_off": 0, "pstate": "0x3c9", "x0": "0x0"},
    }
    assert not any("x" in one for one in told)
    n_gic = sum(one.get("vgic", 0) for one in told) + sum(one.get("t") == "power" for one in told)
    assert [one["errno"] for one in told if one.get("t") == "vgic"] == [ENODEV] * n_gic
    powers = [one for one in told if one.get("t") == "power"]
    assert {(one["kind"], one["run_errno"], one["done"], *one["mp"]) for one in powers} == {(3, EAGAIN, 0, 0, 5)}


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize(
    ("step", "added"), [((0, 2), 1000), ((0, 3), 2000), ((4, 0), 3000), ((3, 0), None), ((9, 0), None)]
)
def test_each_step_of_a_gic_that_fails(step: tuple[int, int], added: int | None) -> None:
    """Those without which it can be done are done without: older kernels lack them."""
    kvm = FakeEl2Kvm(NESTED[0])
    kvm.gic_fails[step] = ENXIO
    told = lines(kvm, "nested")
    codes = {json.loads(line)["errno"] for line in told if line.startswith('{"t":"vgic"')}
    assert codes == (set() if added is None else {added + ENXIO})
    assert sum(line.startswith('{"t":"end"') for line in told) == (16 if added is None else 0)


@pytest.mark.usefixtures("_few")
def test_a_gic_is_made_as_the_document_says() -> None:
    kvm = FakeEl2Kvm(NESTED[0])
    lines(kvm, "nested")
    steps = [(0, 2, 0x8000000), (0, 3, 0x80A0000), (3, 0, 96), (9, 0, 25), (4, 0, 0)]
    assert kvm.gic_steps == steps * (16 + 16)


@pytest.mark.usefixtures("_few")
def test_a_guest_that_leaves_in_another_way_is_told_and_left() -> None:
    kvm = FakeEl2Kvm(NESTED[0])
    kvm.run_results = [(6, struct.pack("=QQ", 0x10000008, 0x96000044))]
    told, seen = lines(kvm, "nested"), lines(FakeEl2Kvm(NESTED[0]), "nested")
    place = next(n for n, line in enumerate(told) if line.startswith('{"t":"calls"'))
    stop = json.loads(told[place + 1])
    assert (stop["t"], stop["kind"], stop["guest_exc_esr"]) == ("stop", 1, "0x96000044")
    assert told[place + 2].startswith('{"t":"calls"')
    assert told[place + 2 :] == seen[place + 1 + 1 + 8 :], "no call of that list, and all of what follows"


@pytest.mark.usefixtures("_few")
def test_the_bits_of_hcr_el2_are_those_of_the_mode() -> None:
    """What the guest wrote; nothing where HCR_EL2 is to be left as it was."""
    kvm = FakeEl2Kvm(NESTED[0])
    modes = [json.loads(line)["mode"] for line in lines(kvm, "nested") if line.startswith('{"t":"calls"')]
    guests = [guest for guest in recorder.LEFT_OPEN if isinstance(guest, recorder.El2Guest)]
    written = [kvm.open_fds[guest.vcpus[0].fd]["core"].get(HCR_EL2) for guest in guests[: len(modes)]]
    bits = {"TSC=1": 1 << 19, "TGE=1": 1 << 27, "HCD=1": 1 << 29}
    for mode, value in zip(modes[:8], written[:8], strict=True):
        own = sum(bit for name, bit in bits.items() if name in mode)
        assert value == (None if "untouched" in mode else 1 << 34 | 1 << 31 | own), "E2H is as it read it"
    assert written[8:10] == [None, None], "without a GIC nothing runs"


@pytest.mark.usefixtures("_few")
def test_an_exception_to_the_guests_own_el1_is_told_too() -> None:
    """No kernel does so; here HVC is undefined at EL1 and at EL2."""

    class Undefined(FakeEl2Kvm):
        def _answered(self, of: dict[str, Any], core: GuestCore, event: Event) -> Outcome:
            if event.kind != "hvc":
                return super()._answered(of, core, event)
            core.take(core.level, 0x2000000, 0x200, of["core"][PC])
            return Outcome(Verdict.TO_VEL2, (0, 0, 0, 0))

    told = [json.loads(line) for line in lines(Undefined(NESTED[0]), "nested")]
    taken = [one for one in told if one.get("c") == "hvc0" and "x" in one]
    assert {one["el"] for one in taken} == {1, 2}
    for one in taken:
        assert one["x"][0] == one["id"]
        assert one.keys() >= {f"to_vEL{one['el']}"}
        where = one[f"to_vEL{one['el']}"]
        assert where == {"vector": "0x200", "esr": "0x2000000", "elr_off": 120} | {
            key: value for key, value in where.items() if key == "spsr" and one["el"] == 2
        }
    powers = [one for one in told if one.get("t") == "power" and one["c"] == "hvc0"]
    assert {json.dumps(one[f"to_vEL{one['el']}"]) for one in powers} == {'{"vector": "0x200", "esr": "0x2000000"}'}


@pytest.mark.usefixtures("_few")
def test_a_guest_that_aborts_tells_where_and_ends() -> None:
    class Aborting(FakeEl2Kvm):
        def _answered(self, of: dict[str, Any], core: GuestCore, event: Event) -> Outcome:
            core.take(core.level, 0x96000044, 0x200, of["core"][PC])
            return Outcome(Verdict.TO_VEL2, (0, 0, 0, 0))

    told = [json.loads(line) for line in lines(Aborting(NESTED[0]), "nested")]
    stops = [one for one in told if one.get("t") == "stop" and one["kind"] != 3]
    assert {(one["index"], one["kind"], one["guest_exc_esr"]) for one in stops} == {(0, 1, "0x96000044")}
    calls = [one for one in told if "x" in one]
    assert len(calls) == len(stops) == 16, "one call of each list, which was taken and never came back"
    assert all(one[f"to_vEL{one['el']}"]["esr"] == "0x96000044" for one in calls)
    assert {one["done"] for one in told if one.get("t") == "power"} == {0}


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize(("n_busy", "n_more"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_a_power_call_on_a_slow_host_is_made_again(n_busy: int, n_more: int) -> None:
    """On a VM of its own, with more time; what was not over after the third is told as blocked."""
    usual = lines(FakeEl2Kvm(NESTED[0]), "nested")
    place = next(n for n, line in enumerate(usual) if line.startswith('{"t":"power"'))
    n_open = len(recorder.LEFT_OPEN)
    kvm = FakeEl2Kvm(NESTED[0])
    with standalone.opened_kvm(kvm) as opened:
        give = recorder._nested(recorder.Recorder(opened))
        told = [next(give).removesuffix("\n") for _ in range(place)]
        kvm.n_busy = n_busy
        told += [line.removesuffix("\n") for line in give]
    assert len(recorder.LEFT_OPEN) == 2 * n_open + n_more
    is_blocked = json.loads(told[place])["kind"] == 4
    assert is_blocked == (n_busy > n_more)
    assert told == usual or is_blocked
    assert told[place + 1 :] == usual[place + 1 :]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (ENOENT, '"run_errno":2'),
        ((17, b""), '"exit":17'),
        ((6, struct.pack("=QQ", 0x10000008, 7)), '"guest_exc_esr":"0x7"'),
    ],
)
def test_a_protected_guest_that_leaves_in_another_way(result: Any, told: str) -> None:
    kvm = fake_protected()
    kvm.run_results = [None] * 8 + [result]
    seen = lines(kvm, "protected")
    (stop,) = (line for line in seen if line.startswith('{"t":"stop"'))
    assert stop == f'{{"t":"stop","call":2,{told}}}'
    assert sum(line.startswith('{"t":"end"') for line in seen) == 3
    assert kvm.open_fds == {}


@pytest.mark.parametrize("n_made", [0, 7, 30])
def test_a_host_that_runs_out_of_vcpus(n_made: int) -> None:
    kvm = FakeEl2Kvm(NESTED[0])
    kvm.fails[CREATE_VCPU], kvm.after = EMFILE, n_made
    with pytest.raises(standalone.ProbeError, match="KVM_CREATE_VCPU failed with EMFILE"):
        lines(kvm, "nested")
    left = [one for guest in recorder.LEFT_OPEN for one in (guest.vm, *guest.vcpus)]
    assert set(kvm.open_fds) <= {one.fd for one in left}
