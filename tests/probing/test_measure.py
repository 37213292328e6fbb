"""What the probe measures, against a KVM whose costs are known: medians and differences give them back exactly."""

from __future__ import annotations

import errno
import json
import os
import re
import termios
from itertools import pairwise
from pathlib import Path
from tomllib import loads as load_text
from typing import Any

import numpy as np
import pytest

from fastsmc.facts.smccc import Verdict
from fastsmc.probing import standalone
from fastsmc.probing.profile import profile_of
from fastsmc.probing.shape import COSTS, check_shape
from fastsmc.scenario.profiles import filter_levels, load_profile
from tests.support import fake_kvm, timed_kvm
from tests.support.fake_kvm import HOSTS, FakeKvm
from tests.support.timed_kvm import CALL_NS, DENIED, FAST, FORWARDED, PSCI, STORE, UNKNOWN, timed

WITHOUT_FILTER = next(name for name in HOSTS if name.startswith("linux-6.1."))
ERRNOS = [errno.EPERM, errno.EINTR, errno.EIO, errno.ENOMEM, errno.EFAULT, errno.EBUSY, errno.EINVAL, errno.EMFILE]


@pytest.fixture(scope="module")
def probed() -> dict[str, dict[str, Any]]:
    """Profiles of two hosts, by name."""
    return {name: standalone.probe(FakeKvm(name)) for name in (timed_kvm.HOST, WITHOUT_FILTER)}


@pytest.fixture(scope="module")
def measured(probed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {**probed[timed_kvm.HOST], "costs": standalone.measure(probed[timed_kvm.HOST], timed())}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples and no long filter, where it is not costs that are looked at."""
    monkeypatch.setattr(standalone, "N_SAMPLE", 2)
    monkeypatch.setattr(standalone, "N_EACH", 3)
    monkeypatch.setattr(standalone, "CALLS", tuple(one for one in standalone.CALLS if one[3] < 100))


def thin(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile with a register of each class, and a few more."""
    one = max(profile["register_sets"], key=lambda one: int(one["init"], 16))
    kept = dict([*one["registers"].items()][::17])
    return {**profile, "register_sets": [{**one, "registers": kept}]}


def exact(ns: float, samples: int) -> dict[str, Any]:
    return {"median": ns, "q1": ns, "q3": ns, "samples": samples}


# -- what is given is found ----------------------------------------------------------------------------------------


def test_calls_cost_what_they_cost(measured: dict[str, Any]) -> None:
    """In one run, 2n of them less n; those that leave the guest with Python's ioctl and KVM_RUN around them."""
    found = {(one["call"], int(one["id"], 16), one["ranges"]): one["ns"] for one in measured["costs"]["calls"]}
    around = 300 + 100 + 5000
    assert found == {
        ("not supported", UNKNOWN, 0): exact(CALL_NS[UNKNOWN, 0], 25),
        ("answered", PSCI, 0): exact(CALL_NS[PSCI, 0], 25),
        ("fast path", FAST, 0): exact(CALL_NS[FAST, 0], 25),
        ("denied", 0xC2000000, 1): exact(CALL_NS[DENIED] + 7, 25),
        ("forwarded", 0xC2000000, 1): exact(CALL_NS[FORWARDED] + around, 25),
        ("store", UNKNOWN, 0): exact(CALL_NS[STORE] + around, 25),
        **{("answered", PSCI, n): exact(CALL_NS[PSCI, 0] + 7 * filter_levels(n), 25) for n in (1, 10, 100, 1000)},
    }


def test_what_is_not_kvm_is_measured_apart(measured: dict[str, Any]) -> None:
    found = measured["costs"]["overhead"]
    assert {name: one["median"] for name, one in found.items()} == {
        "function": 40,
        "system_call": 140,
        "ioctl": 400,
        "ioctl_with_struct": 460,
    }
    assert standalone.python_share(measured["costs"]) == (300, 360)


def test_registers_by_kind_cold_and_warm(measured: dict[str, Any]) -> None:
    """Kinds by the fields of an id (Linux Documentation/virt/kvm/api.rst, KVM_GET_ONE_REG); the cost is by register."""
    ids = [int(reg, 16) for reg in measured["register_sets"][-1]["registers"]]
    by_kind: dict[str, list[int]] = {}
    for reg in ids:
        op0, op1, crn, crm = reg >> 14 & 3, reg >> 11 & 7, reg >> 7 & 15, reg >> 3 & 15
        kind = {0x10: "core", 0x11: "cache", 0x14: "firmware", 0x15: "sve", 0x16: "bitmap"}.get(reg >> 16 & 0xFFF)
        if kind is None:
            pmu = (op0, op1, crn) == (3, 3, 9) or ((op0, op1, crn) == (3, 3, 14) and crm >= 8)
            timer = (op0, op1, crn) == (3, 3, 14) and crm < 8
            kind = "pmu" if pmu else "timer" if timer else "id" if (op0, op1, crn) == (3, 0, 0) else "system"
        by_kind.setdefault(kind, []).append(reg)
    assert {"core", "id", "system", "timer", "pmu", "firmware", "bitmap"} <= by_kind.keys()
    found = {(one["kind"], one["ioctl"], one["state"]): one for one in measured["costs"]["registers"]}
    assert found.keys() == {
        (kind, how, state) for kind in by_kind for how in ("get", "set") for state in ("cold", "warm")
    }
    for (kind, how, state), one in found.items():
        each = [timed_kvm.reg_ns(how == "set", reg, state == "cold") for reg in by_kind[kind]]
        assert one["registers"] == len(each)
        assert one["ns"] == exact(pytest.approx(sum(each) / len(each) + 460, abs=0.01), 25 if state == "cold" else 50)


def test_save_and_load_of_so_many_vcpus(measured: dict[str, Any]) -> None:
    ids = [int(reg, 16) for reg in measured["register_sets"][-1]["registers"]]
    rows = measured["costs"]["vms"]
    assert [one["vcpus"] for one in rows] == [1, 2, 4, 8]
    assert measured["costs"]["cut"] == ["save and load of 16 vCPUs and more: EMFILE"]
    for one in rows:
        for way in ("save", "load"):
            ns = sum(timed_kvm.reg_ns(way == "load", reg, True) + 460 for reg in ids)
            assert one[way] == {"ioctls": len(ids), "all": ns * one["vcpus"], "ns": exact(ns, 8)}


def test_the_cost_profile_has_what_was_given(measured: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    path.write_text(standalone.cost_profile(measured))
    profile = load_profile(path)
    ids = [int(reg, 16) for reg in measured["register_sets"][-1]["registers"]]
    for name, is_set in (("get_one_reg_ns", False), ("set_one_reg_ns", True)):
        mean = sum(timed_kvm.reg_ns(is_set, reg, True) for reg in ids) / len(ids)
        assert [one.value for one in getattr(profile, name)] == pytest.approx([mean + 100] * 3, abs=0.01)
    for n_range in (0, 1, 1000):
        added = 7 * filter_levels(n_range)
        for verdict, ns in {
            Verdict.NOT_SUPPORTED: CALL_NS[UNKNOWN, 0] + added,
            Verdict.HANDLED: CALL_NS[PSCI, 0] + added,
            Verdict.FAST_PATH: CALL_NS[FAST, 0],
            Verdict.FORWARDED: CALL_NS[FORWARDED] + 5000 + 100 + added,
        }.items():
            assert profile.kernel_ns(verdict, n_range=n_range) == pytest.approx(ns, abs=0.01)
    kinds = {name: figure.kind for name, figure in profile.figures().items()}
    assert kinds.pop("vmm_service_ns") == kinds.pop("nested_hvc_ns") == "assumed"
    assert set(kinds.values()) == {"measured", "derived"}
    assert "8 samples" in profile.figures()["get_one_reg_ns"].source
    assert profile.emulated_by == ()


def test_the_spread_is_that_of_the_samples() -> None:
    draw = np.random.default_rng(1)
    for n in (2, 3, 8, 25, 26):
        samples = draw.exponential(300, n)
        low, mid, high = np.percentile(samples, [25, 50, 75]).round(2)
        assert standalone._spread(samples.tolist()) == {"median": mid, "q1": low, "q3": high, "samples": n}


def test_the_first_sample_is_not_counted_and_the_time_is_kept() -> None:
    """What happens but once, a page that is mapped or a CPU that wakes up, is in the first."""
    kvm = timed()

    def once() -> float:
        kvm.ns += 1e8
        return next(samples)

    samples = iter([9000.0, *[20.0] * 99])
    assert standalone._sampled(kvm, 100.0, once, 2) == exact(10.0, 25)
    samples = iter([9000.0, *[20.0] * 99])
    begin = kvm.seconds()
    assert standalone._sampled(kvm, 1.0, once) == exact(20.0, 9)
    assert kvm.seconds() - begin == pytest.approx(1.0)
    samples = iter([9000.0, *[20.0] * 99])
    assert standalone._sampled(kvm, 0.0, once) == exact(20.0, 2)


def test_a_noisy_host_has_its_quartiles(probed: dict[str, dict[str, Any]]) -> None:
    """Every second sample of a get takes twice as long."""
    kvm = timed()
    kvm.most_vcpus = 1
    count = iter(range(1 << 30))
    kvm.reg_ns = lambda is_set, reg, is_first: 1000.0 * (1 + next(count) // 333 % 2)
    one = standalone.measure(probed[timed_kvm.HOST], kvm)["vms"][0]["save"]
    assert one["ns"]["q1"] < one["ns"]["median"] < one["ns"]["q3"]


def test_levels_of_a_filters_tree_are_those_of_the_model() -> None:
    assert {n: filter_levels(n) for n in standalone.TREE_LEVELS} == standalone.TREE_LEVELS


def test_the_guest_that_is_timed_is_what_its_comments_say() -> None:
    """Words made of their fields (Arm ARM C6.2): ORR, HVC, SUBS, B.cond, STR and B."""
    to_begin, to_store = 0x54000001 | (-12 // 4 & 0x7FFFF) << 5, 0x14000000 | (-4 // 4 & 0x3FFFFFF)
    words = [0xAA0003E0 | 19 << 16, 0xD4000002, 0xF1000000 | 1 << 10 | 20 << 5 | 20, to_begin]
    words += [0xF9000000 | 21 << 5 | 20, to_store]
    assert [word for word, _ in standalone.LOOP] == words
    assert len(standalone.LOOP_CODE) == len(standalone.GUEST_CODE)


# -- hosts that lack something, or are slow --------------------------------------------------------------------------


def test_a_host_without_a_filter(probed: dict[str, dict[str, Any]], few: None, tmp_path: Path) -> None:
    """A store to MMIO takes the place of a forwarded call, and the filter's figure stays assumed."""
    kvm = timed(WITHOUT_FILTER)
    costs = standalone.measure(probed[WITHOUT_FILTER], kvm)
    assert [one["call"] for one in costs["calls"]] == ["not supported", "answered", "fast path", "store"]
    assert costs["cut"][0] == "denied, forwarded, and filters of any ranges: this KVM has no SMCCC filter"
    path = tmp_path / "host.toml"
    path.write_text(standalone.cost_profile({**probed[WITHOUT_FILTER], "costs": costs}))
    with pytest.raises(Exception, match="emulated host"):
        load_profile(path)  # the recorded host is QEMU's max, and says so
    profile = load_profile(path, force=True)
    assert profile.round_trip_ns.value == CALL_NS[STORE] + 5000 + 100
    assert "KVM_RUNs that store ends" in profile.round_trip_ns.source
    assert str(profile.filter_ns) == "10 ns (assumed)"
    assert profile.filter_ns.source == "this host did not tell it"


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM, errno.EINVAL])
def test_fewer_vcpus_than_512_are_told(code: int, probed: dict[str, dict[str, Any]], few: None) -> None:
    kvm = timed()
    kvm.most_vcpus, kvm.beyond = 100, code
    costs = standalone.measure(thin(probed[timed_kvm.HOST]), kvm)
    assert [one["vcpus"] for one in costs["vms"]] == [1, 2, 4, 8, 16, 32, 64]
    assert costs["cut"] == [f"save and load of 128 vCPUs and more: {errno.errorcode[code]}"]
    assert kvm.open_fds == {}


def test_512_vcpus_where_the_host_allows_them(probed: dict[str, dict[str, Any]], few: None) -> None:
    kvm = timed()
    kvm.most_vcpus = 512
    costs = standalone.measure(thin(probed[timed_kvm.HOST]), kvm)
    assert [one["vcpus"] for one in costs["vms"]] == [1 << power for power in range(10)]
    assert costs["vms"][-1]["save"]["ns"]["samples"] == 512
    assert costs["cut"] == []


@pytest.mark.parametrize("slower", [10, 1000])
def test_a_slow_host_is_cut_short_and_says_where(slower: int, probed: dict[str, dict[str, Any]]) -> None:
    """Ten times slower than an emulated one, and a thousand times slower than a real one: under a minute."""
    kvm = timed()
    kvm.most_vcpus = 512
    kvm.own_ns, kvm.way_ns, kvm.run_ns = 300.0 * slower, 100.0 * slower, 5000.0 * slower
    kvm.call_ns = {key: ns * slower for key, ns in CALL_NS.items()}
    kvm.reg_ns = lambda is_set, reg, is_first: 500.0 * slower
    costs = standalone.measure(probed[timed_kvm.HOST], kvm)
    assert costs["seconds"] < 50
    assert costs["cut"] or slower == 10
    assert all("vCPUs and more: beyond 20 s" in text for text in costs["cut"])
    for one, other in pairwise(costs["vms"]):
        assert other["vcpus"] == 2 * one["vcpus"]
    check_shape(costs, COSTS, "costs")


def test_less_time_is_kept_too_where_the_probe_itself_took_long(probed: dict[str, dict[str, Any]]) -> None:
    kvm = timed()
    kvm.most_vcpus = 512
    kvm.own_ns, kvm.reg_ns = 30_000.0, lambda is_set, reg, is_first: 50_000.0
    costs = standalone.measure(probed[timed_kvm.HOST], kvm, left=12)
    assert costs["seconds"] < 12
    assert costs["cut"] == ["save and load of 32 vCPUs and more: beyond 4 s"]


def test_what_pythons_own_share_hides_is_not_told(probed: dict[str, dict[str, Any]], few: None) -> None:
    kvm = timed()
    kvm.way_ns = 0.0
    kvm.reg_ns = lambda is_set, reg, is_first: 50.0 * is_set
    costs = standalone.measure(probed[timed_kvm.HOST], kvm)
    text = standalone.cost_profile({**probed[timed_kvm.HOST], "costs": costs})
    assert "get_one_reg_ns" not in text
    assert "[set_one_reg_ns]\nvalue = 50.00" in text


def test_registers_that_cannot_be_set_are_not_timed(probed: dict[str, dict[str, Any]], few: None) -> None:
    kvm = timed()
    refused = [int(reg, 16) for reg in probed[timed_kvm.HOST]["register_sets"][-1]["registers"]][10:30]
    kvm.unset = dict.fromkeys(refused, errno.EINVAL)
    one = standalone.measure(probed[timed_kvm.HOST], kvm)["vms"][-1]
    assert one["save"]["ioctls"] - one["load"]["ioctls"] == len(refused)


NOT_ASKED = (fake_kvm.GET_REG_LIST, fake_kvm.FINALIZE, fake_kvm.CREATE_DEVICE)
"""Ioctls of a probe that a measurement does not make on a host without SVE."""
REQUESTS = [*fake_kvm.REQUESTS, fake_kvm.CHECK_EXTENSION, fake_kvm.SET_DEVICE_ATTR, *timed_kvm.REQUESTS]


@pytest.mark.parametrize("after", [0, 1, 40])
@pytest.mark.parametrize("request_number", REQUESTS)
def test_whatever_fails_is_told_in_a_sentence(
    request_number: int, after: int, probed: dict[str, dict[str, Any]], few: None
) -> None:
    """And leaves nothing open: the measurement ends with a sentence, or has one in place of what it lacks."""
    profile = thin(probed[timed_kvm.HOST])
    for code in ERRNOS:
        kvm = timed()
        kvm.most_vcpus = 3
        kvm.fails[request_number], kvm.after = code, after
        said, costs = "", None
        try:
            costs = standalone.measure(profile, kvm)
        except standalone.ProbeError as error:
            said = str(error)
        if costs is not None:
            check_shape(json.loads(json.dumps(costs)), COSTS, "costs")
            assert load_text(standalone.cost_profile({**profile, "costs": costs}))["title"]
            said = "; ".join(text for text in costs["cut"] if not text.endswith("more: EMFILE"))
        assert "\n" not in said
        assert said or after or request_number in NOT_ASKED or code == errno.EMFILE
        assert kvm.open_fds == {}


def test_a_guest_that_stops_otherwise_is_told_and_the_rest_is_measured(
    probed: dict[str, dict[str, Any]], few: None
) -> None:
    kvm = timed()
    kvm.stops_at = FAST
    costs = standalone.measure(probed[timed_kvm.HOST], kvm)
    assert "fast path" not in {one["call"] for one in costs["calls"]}
    assert "fast path with 0 ranges of a filter: a guest that made 64 calls of 0x80008000 stopped" in costs["cut"][0]
    assert "assumed" in standalone.cost_profile({**probed[timed_kvm.HOST], "costs": costs}).split("[fast_path_ns]")[1]


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_both_files(few: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host, costs = tmp_path / "host.json", tmp_path / "host.toml"
    kvm = timed()
    assert standalone.main(["--measure", "-o", str(host), "--cost-profile", str(costs)], kvm) == 0
    words = capsys.readouterr().out
    assert re.search(r"^not supported +306\.0 ns \(306\.0 to 306\.0, 2 samples\), 0x4b000000$", words, re.MULTILINE)
    assert "300 ns of each KVM_RUN above, 360 ns of each get and set" in words
    profile = profile_of(json.loads(host.read_text()), str(host))
    assert profile.cost_profile() == costs.read_text()
    assert {one.name for one in tmp_path.iterdir()} == {"host.json", "host.toml"}
    assert kvm.open_fds == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--cost-profile", "x"], "--cost-profile needs --measure"), (["--record", "x", "--measure"], "are two runs")],
)
def test_options_that_do_not_go_together(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        standalone.main(words, timed())
    assert end.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_that_fails_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kvm = timed()
    kvm.fails[fake_kvm.PREFERRED_TARGET], kvm.after = errno.EIO, 12
    out = [tmp_path / "host.json", tmp_path / "host.toml"]
    assert standalone.main(["--measure", "-o", str(out[0]), "--cost-profile", str(out[1])], kvm) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_time_is_taken_around_what_is_called() -> None:
    """Of a real descriptor: an ioctl that asks a pipe, and an error that stays one."""
    system, called = standalone.System(), []
    assert system.timed_calls(lambda: called.append(1), 3) > 0
    assert len(called) == 3
    reading, writing = os.pipe()
    room = bytearray(4)
    try:
        os.write(writing, b"12345")
        assert system.timed(reading, termios.FIONREAD, [room, room]) > 0
        assert room[0] == 5
        with pytest.raises(OSError, match="ioctl"):
            system.timed(reading, fake_kvm.CREATE_VM, [0])
    finally:
        os.close(reading)
        os.close(writing)
    before = system.nanoseconds()
    assert system.nanoseconds() >= before
