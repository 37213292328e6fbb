"""Shapes against the recording they are cut from, read here by a plain regular expression."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fastsmc
from fastsmc.errors import InputError, TraceError
from fastsmc.scenario.scripts import Script, ScriptStep, script_of
from fastsmc.scenario.shapes import PTP_PERIOD_MS, SHAPES, Options, shape
from fastsmc.scenario.trace_scripts import script_of_trace
from fastsmc.traces.text import parse_trace
from fastsmc.traces.text import timed_trace as read_trace
from tests.support.places import TESTS

RECORDING = Path(fastsmc.__file__).parent / "data" / "linux-7.3-guest-boot.ftrace.txt"
GUESTS = TESTS / "recordings" / "guest-traces"
LINE = re.compile(r"-(\d+) +\[\d+\] \S+ +(\d+\.\d{6}): kvm_hvc_arm64: HVC at 0x\w+ \(r0: 0x0*(\w+),")

# include/uapi/linux/psci.h and include/linux/arm-smccc.h.
CPU_ON64, CPU_OFF, SYSTEM_OFF, ARCH_FEATURES = 0xC4000003, 0x84000002, 0x84000008, 0x80000001
PV_TIME_FEATURES, PV_TIME_ST, RND64, PTP = 0xC5000020, 0xC5000021, 0xC4000053, 0x86000001


def recorded(path: Path = RECORDING) -> list[tuple[int, float, int]]:
    """(thread, microseconds since the first call, function id) of each call."""
    found = [(int(pid), float(s), int(r0, 16)) for pid, s, r0 in LINE.findall(path.read_text("utf-8"))]
    return [(pid, round((s - found[0][1]) * 1e6), func_id) for pid, s, func_id in found]


def calls(script: Script, vcpu: int) -> list[tuple[float, int]]:
    """(microseconds, function id) of one vCPU."""
    steps = slice(script.first_step[vcpu], script.first_step[vcpu + 1])
    us = (script.at_ns[steps] / 1e3).round().tolist()
    return list(zip(us, script.func_id[steps].tolist(), strict=True))


def ended(script: Script, call_ns: float) -> np.ndarray:
    """When each step ends if every call takes call_ns and each step waits for the one it names: one after another."""
    end = np.full(len(script), np.nan)
    while np.isnan(end).any():
        for step in np.flatnonzero(np.isnan(end)):
            before = 0.0 if script.after[step] < 0 else end[script.after[step]]
            end[step] = before + script.wait_ns[step] + call_ns
    return end


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n_vcpu", [1, 2, 3, 64, 1024])
def test_times_ascend_and_every_chain_starts_at_the_vm_s_start(name: str, n_vcpu: int) -> None:
    script = shape(name, n_vcpu)
    assert script.n_vcpu == n_vcpu
    assert script.first_step[-1] == len(script) > 0
    assert (script.gap_ns >= 0).all()
    assert (script.wait_ns >= 0).all()
    seen = script.after.copy()
    for _ in range(len(script)):
        if (seen < 0).all():
            break
        seen = np.where(seen >= 0, script.after[seen], -1)
    assert (seen < 0).all()


@pytest.mark.parametrize("name", SHAPES)
def test_without_time_in_calls_waiting_and_own_gaps_tell_the_same_times(name: str) -> None:
    script = shape(name, 5)
    np.testing.assert_allclose(ended(script, 0.0), script.at_ns, rtol=1e-12)
    for vcpu in range(5):
        steps = slice(script.first_step[vcpu], script.first_step[vcpu + 1])
        np.testing.assert_allclose(np.cumsum(script.gap_ns[steps]), script.at_ns[steps], rtol=1e-12)


def test_a_storm_of_two_is_the_recorded_bring_up() -> None:
    rows = recorded()
    first, second = dict.fromkeys(pid for pid, *_ in rows)
    # Up to where the vCPUs that are up begin to work.
    on = next(i for i, row in enumerate(rows) if row[2] == CPU_ON64)
    end = next(i for i, row in enumerate(rows) if i > on and row[2] in (RND64, PTP))
    script = shape("boot-storm", 2)
    for vcpu, pid in enumerate([first, second]):
        assert calls(script, vcpu) == [(us, func_id) for row_pid, us, func_id in rows[:end] if row_pid == pid]


def test_a_storm_of_many_brings_vcpus_up_one_by_one_and_then_all_ask_at_once() -> None:
    script = shape("boot-storm", 100)
    own = [calls(script, vcpu) for vcpu in range(100)]
    assert [func_id for _, func_id in own[0]].count(CPU_ON64) == 99
    assert all([func_id for _, func_id in mine] == [PV_TIME_ST, ARCH_FEATURES] for mine in own[1:])
    ends = ended(script, 1000.0)
    on = np.flatnonzero(script.func_id == CPU_ON64)
    st = script.first_step[1:-1]
    # vCPU k is started by the k-th CPU_ON, and the next CPU_ON follows its PV_TIME_ST, also when calls take time.
    assert script.after[st].tolist() == on.tolist()
    assert (ends[on[1:]] - 1000.0 == ends[st[:-1]]).all()
    last = ends[st[-1]]
    asked = np.flatnonzero((script.func_id == ARCH_FEATURES) & (script.at_ns > script.at_ns[st[-1]]))
    assert len(asked) == 100
    assert (ends[asked] > last).all()
    assert len(set(ends[asked[1:]])) == 1
    assert len(script.assumed) == 3


def test_one_vcpu_boots_alone() -> None:
    script = shape("boot-storm", 1)
    assert CPU_ON64 not in script.func_id
    assert len(script) == 22


@pytest.mark.parametrize("name", ["6.1-6.1", "tools-6.1"])
def test_other_recorded_guests_come_up_in_the_same_order(name: str) -> None:
    """Both vCPUs ask about mitigations after the second one's PV_TIME_ST: what the storm's end rests on."""
    rows = recorded(GUESTS / f"{name}.ftrace.txt")
    on = next(i for i, row in enumerate(rows) if row[2] == CPU_ON64)
    first = rows[on][0]
    after = [(pid == first, func_id) for pid, _, func_id in rows[on + 1 : on + 4]]
    assert after[0] == (False, PV_TIME_ST)
    assert sorted(after[1:]) == [(False, ARCH_FEATURES), (True, ARCH_FEATURES)]


def test_steal_time_is_asked_for_as_recorded() -> None:
    rows = recorded()
    asked = next(i for i, row in enumerate(rows) if row[2] == PV_TIME_FEATURES)
    start = rows[asked - 1][1]
    script = shape("pv-time-bring-up", 3)
    assert calls(script, 0) == [(us - start, func_id) for _, us, func_id in rows[asked - 1 : asked + 2]]
    assert script.func_id[:3].tolist() == [ARCH_FEATURES, PV_TIME_FEATURES, PV_TIME_ST]
    second = next(us for pid, us, func_id in rows if func_id == PV_TIME_ST and pid != rows[0][0])
    on = next(us for _, us, func_id in rows if func_id == CPU_ON64)
    assert calls(script, 1) == [(second - start, PV_TIME_ST)]
    assert calls(script, 2) == [(second - start + second - on, PV_TIME_ST)]


def test_reseeding_has_the_recorded_reads() -> None:
    reads = [us for _, us, func_id in recorded() if func_id == RND64]
    script = shape("trng-reseed", 4)
    assert calls(script, 0) == [(us - reads[0], RND64) for us in reads]
    assert [calls(script, vcpu) for vcpu in (1, 2, 3)] == [[], [], []]


def test_ptp_is_polled_once_a_second_by_default() -> None:
    script = shape("ptp-poll", 2)
    assert PTP_PERIOD_MS.kind == "read"
    assert set(np.diff(script.at_ns)) == {1e9}
    assert set(script.func_id) == {PTP}
    assert calls(script, 1) == []
    assert any("phc2sys" in text for text in script.assumed)


def test_every_vcpu_may_do_what_one_did() -> None:
    script = shape("trng-reseed", 3, Options(every_vcpu=True))
    assert calls(script, 2) == calls(script, 0) == calls(shape("trng-reseed", 1), 0)
    assert any("every vCPU" in text for text in script.assumed)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_says_where_it_comes_from(name: str) -> None:
    assert RECORDING.name in shape(name, 8).source
    assert shape(name, 8).assumed


@pytest.mark.parametrize(
    ("name", "n_vcpu", "message"), [("boot-strom", 1, "did you mean boot-storm"), ("ptp-poll", 0, "1 or more")]
)
def test_shapes_that_are_none(name: str, n_vcpu: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shape(name, n_vcpu)


# -- traces as scripts ---------------------------------------------------------------------------------------------


def test_a_recorded_guest_as_a_script() -> None:
    script = script_of_trace(read_trace(RECORDING), n_vcpu=2)
    rows = recorded()
    for vcpu, pid in enumerate(dict.fromkeys(pid for pid, *_ in rows)):
        assert calls(script, vcpu) == [(us, func_id) for row_pid, us, func_id in rows if row_pid == pid]
    # The second vCPU starts after each CPU_ON, four times; all else follows the vCPU's own last call.
    first_step = script.first_step.tolist()
    own = np.arange(-1, len(script) - 1)
    others = [step for step in range(len(script)) if script.after[step] != own[step] and step not in first_step[:1]]
    assert [int(script.func_id[script.after[step]]) for step in others] == [CPU_ON64] * 4
    assert [step == first_step[1] or script.func_id[step - 1] == CPU_OFF for step in others] == [True] * 4
    assert script.func_id[script.first_step[1] - 1] == SYSTEM_OFF


def test_vcpus_beyond_the_threads_call_as_the_secondaries() -> None:
    script = script_of_trace(read_trace(RECORDING), n_vcpu=4)
    assert calls(script, 3) == calls(script, 2) == calls(script, 1) != calls(script, 0)
    assert any("vCPUs from 2 on" in text for text in script.assumed)


def event(pid: int, seconds: float, r0: int) -> str:
    return f"x-{pid} [000] .... {seconds:.6f}: kvm_hvc_arm64: HVC at 0x1 (r0: 0x{r0:x}, imm: 0x0)"


def test_threads_may_be_mixed_in_the_file_but_each_must_be_in_order() -> None:
    mixed = parse_trace([event(1, 5.0, PTP), event(2, 4.0, RND64), event(1, 6.0, RND64)])
    script = script_of_trace(mixed, n_vcpu=2)
    assert calls(script, 0) == [(0, RND64)]  # thread 2 calls first
    assert calls(script, 1) == [(1e6, PTP), (2e6, RND64)]
    back = parse_trace(["# note", event(1, 5.0, PTP), event(2, 4.0, RND64), event(1, 4.5, RND64)], name="b.txt")
    with pytest.raises(TraceError, match=r"b\.txt:4: thread 1 calls at 4\.5\d* s, but on line 2 it called at 5\.0"):
        script_of_trace(back, n_vcpu=2)


@pytest.mark.parametrize(
    ("notice", "says"),
    [
        ("CPU:0 [LOST EVENTS]", "an unknown number of events"),
        ("CPU:0 [LOST 1 EVENTS]", "1 event"),
        ("Processed 9 events and lost 4 chunks!", "an unknown number of events"),
    ],
)
def test_a_script_says_what_its_trace_lacks(notice: str, says: str) -> None:
    script = script_of_trace(parse_trace([event(1, 5.0, PTP), notice]), n_vcpu=1)
    assert f"the guest called nothing else, though the trace lacks {says}" in script.assumed
    assert not any("lacks" in text for text in script_of_trace(read_trace(RECORDING), n_vcpu=2).assumed)


def test_scaled_times_and_a_scale_that_is_none() -> None:
    script = script_of([[ScriptStep(10, PTP), ScriptStep(30, PTP)]], name="n", source="s")
    assert script.scaled(0.5).at_ns.tolist() == [5, 15]
    assert script.scaled(0.5).assumed == ("all times are multiplied by 0.5",)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="scale"):
            script.scaled(scale)
