"""What a guest used, against the reference: the least policy answers all of it, and every bit and hole is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.counts import Counts
from fastsmc.calls.trace import Trace
from fastsmc.errors import FilterError, InputError, RegisterError
from fastsmc.facts.registers import FW_BY_NAME
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTION_BY_ID, RESERVED_RANGES, FilterAction, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.vm import Vm
from fastsmc.results.layout import laid_out_for
from fastsmc.traces.text import parse_trace
from fastsmc.traces.text import trace as read_trace
from fastsmc.usage import Policy, Used, services
from tests.support.command import fastsmc
from tests.support.places import TESTS
from tests.support.strategies import RELEASES, func_ids

GUESTS = TESTS / "recordings" / "guest-traces"
BOOT = GUESTS / "7.3-7.3.ftrace.txt"


def reference(used: Used, policy: Policy) -> dict[int, Verdict]:
    """What the reference says of each function that was called, under a policy."""
    host = Host(release(used.release))
    verdicts = {}
    for row in used.rows:
        vm = Vm(host, n_vcpu=1)  # one each: a call may turn the vCPU off
        if policy.psci_version is not None:
            assert vm.set_one_reg(0, FW_BY_NAME["PSCI_VERSION"].reg, policy.psci_version) == 0
        for name, word in policy.bitmaps:
            assert vm.set_one_reg(0, FW_BY_NAME[name].reg, word) == 0
        for one in policy.ranges:
            assert vm.insert_filter(one.base, one.nr_functions, int(one.action)) == 0
        verdicts[row.func_id] = vm.call(0, row.func_id).verdict
    return verdicts


def default(used: Used) -> dict[int, Verdict]:
    return {row.func_id: row.verdict for row in used.rows}


def flowing(used: Used) -> str:
    """What is printed, without its line ends."""
    return " ".join(str(used).split())


def counts_of(ids: list[int]) -> Counts:
    return Counts("x", "made", np.array(ids, np.uint32), np.ones(len(ids), np.int64))


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("guest", ["5.10-5.10.ftrace.txt", "6.1-6.1.ftrace.txt", "7.3-7.3.ftrace.txt"])
def test_the_least_policy_changes_no_verdict_of_the_reference(guest: str, name: str) -> None:
    used = services(GUESTS / guest, release=name)
    assert reference(used, Policy()) == default(used)
    assert reference(used, used.least) == default(used)
    assert reference(used, Policy(used.least.bitmaps)) == default(used)
    assert reference(used, Policy(ranges=used.least.ranges)) == default(used)


@given(st.lists(func_ids, min_size=1, max_size=12, unique=True), st.sampled_from(RELEASES))
def test_the_least_policy_answers_any_calls(ids: list[int], name: str) -> None:
    used = services(counts_of(ids), release=name)
    assert used.n_call == len(ids)
    assert reference(used, used.least) == default(used)


def test_every_bit_of_the_least_bitmaps_is_needed() -> None:
    used = services(BOOT)
    n_bit = 0
    for place, (name, word) in enumerate(used.least.bitmaps):
        for bit in range(word.bit_length()):
            fewer = list(used.least.bitmaps)
            fewer[place] = name, word & ~(1 << bit)
            n_bit += 1
            assert reference(used, Policy(tuple(fewer))) != default(used), (name, bit)
    assert n_bit == 4


def test_the_least_filter_denies_every_id_that_was_not_called() -> None:
    used = services(BOOT)
    assert all(one.action == FilterAction.DENY for one in used.least.ranges)
    n_reserved = sum(last - first + 1 for first, last in RESERVED_RANGES)
    called = {i for i in default(used) if not any(first <= i <= last for first, last in RESERVED_RANGES)}
    assert sum(one.nr_functions for one in used.least.ranges) == (1 << 32) - n_reserved - len(called)
    covered = [i for i in FUNCTION_BY_ID if any(one.base <= i <= one.last for one in used.least.ranges)]
    assert set(covered).isdisjoint(default(used))
    assert len(covered) > 30


@pytest.mark.parametrize(
    ("bitmaps", "psci", "deny", "forward", "changed"),
    [
        ({"STD_BMAP": 0}, None, [], [], {"TRNG_RND64", "TRNG_VERSION"}),
        ({"std-bmap": 1}, None, [], [], set()),
        ({}, "0.2", [], [], {"PSCI_FEATURES"}),
        ({}, None, ["ptp", 0xC400_0003], [], {"VENDOR_HYP_PTP", "PSCI_CPU_ON64"}),
        ({}, None, [], ["0xc5000020-0xc5000021"], {"PV_TIME_ST", "PV_TIME_FEATURES"}),
        ({}, None, [], ["TRNG_VERSION+0x100"], {"TRNG_VERSION"}),
    ],
)
def test_what_a_policy_changes_is_what_the_reference_says(
    bitmaps: dict[str, int], psci: str | None, deny: list[str | int], forward: list[str | int], changed: set[str]
) -> None:
    used = services(BOOT, release="6.18", bitmaps=bitmaps, psci_version=psci, deny=deny, forward=forward)
    assert used.policy is not None
    under = reference(used, used.policy)
    assert {row.func_id: row.under for row in used.rows} == under
    assert {row.function for row in used.changed} == changed
    assert used.as_dict()["policy"]["calls_changed"] == sum(row.n_call for row in used.changed)
    for row in used.changed:
        assert row.loss, row.function
        calls = f"{row.n_call} call{'s' * (row.n_call != 1)}"
        assert f"{row.function}, {calls}: {row.verdict.name} -> {under[row.func_id].name}" in flowing(used)


def test_counts_and_calls_of_one_guest_used_the_same() -> None:
    trace = read_trace(BOOT)
    assert isinstance(trace, Trace)
    ids, n = np.unique(trace.func_id, return_counts=True)
    counted = services(Counts("x", "made", ids, n.astype(np.int64)), release="6.12")
    called = services(trace, release="6.12")
    assert {row.func_id: row.n_call for row in counted.rows} == {row.func_id: row.n_call for row in called.rows}
    assert counted.least == called.least
    assert counted.n_call == len(trace)


def test_what_an_older_release_does_not_answer_is_said() -> None:
    used = services(BOOT, release="5.10")
    assert {row.function for row in used.unanswered} == {
        "VENDOR_HYP_PTP", "VENDOR_HYP_CALL_UID", "VENDOR_HYP_FEATURES", "TRNG_VERSION", "TRNG_RND64"
    }  # fmt: skip
    assert "VENDOR_HYP_PTP is not answered, 41 calls; no clock of the host" in flowing(used)
    assert "VENDOR_HYP_FEATURES is not answered, 1 call; " in flowing(used)
    assert used.least == Policy()
    assert "has no SMCCC filter" in str(used)
    assert "has no bitmaps" in str(used)


CALL = "  CPU 0/KVM-71 [000] ...1. 2.478778: kvm_hvc_arm64: HVC at 0x40 (r0: 0x{:08x}, imm: 0x42)"
SMC = "  CPU 0/KVM-71 [000] d..1. 2.478790: kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0x10"


def test_what_the_trace_does_not_show_is_said() -> None:
    lines = [CALL.format(0x8600_0000), SMC, SMC, "CPU:0 [LOST 3 EVENTS]", CALL.format(0x8400_0000)[:-3]]
    used = services(parse_trace(lines, lenient=True))
    notes = "\n".join(used.notes)
    assert "2 SMC exits: their functions are not recorded, and the filter holds for SMCs too" in notes
    assert "4 events are missing" in notes
    assert "VENDOR_HYP_FEATURES would show less, as it answers from VENDOR_HYP_BMAP;" in notes


def test_a_narrower_bitmap_does_show_less() -> None:
    """What the note about VENDOR_HYP_FEATURES rests on."""
    vm = Vm(Host(release("7.3")), n_vcpu=1)
    before = vm.call(0, 0x8600_0000).x[0]
    assert vm.set_one_reg(0, FW_BY_NAME["VENDOR_HYP_BMAP"].reg, 1) == 0
    assert vm.call(0, 0x8600_0000).x[0] != before


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"bitmaps": {"STD_BMP": 0}}, InputError, "did you mean STD_BMAP"),
        ({"bitmaps": {"PSCI_VERSION": 0}}, InputError, "it must be one of STD_BMAP"),
        ({"bitmaps": {"STD_BMAP": "1"}}, InputError, "must be a whole number"),
        ({"bitmaps": {"STD_BMAP": 2}}, RegisterError, "EINVAL"),
        ({"psci_version": "1.4"}, InputError, "it must be one of 0.2, 1.0"),
        ({"psci_version": "1.3", "release": "6.12"}, RegisterError, "EINVAL"),
        ({"deny": ["vendor_hyp_ptpp"]}, InputError, "did you mean VENDOR_HYP_PTP"),
        ({"deny": ["0x84000010-0x84000000"]}, InputError, "falls"),
        ({"deny": [1 << 32]}, InputError, "whole number"),
        ({"deny": ["0x80000000"]}, FilterError, "reserved for Arm"),
        ({"deny": ["ptp"], "forward": ["ptp"]}, FilterError, "EEXIST"),
        ({"deny": ["ptp"], "release": "6.1"}, FilterError, "no SMCCC filter"),
        ({"release": "6.81"}, InputError, "6.81"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(asked: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        services(BOOT, **asked)  # type: ignore[arg-type]


def test_the_policy_asked_about_is_told_as_it_was_given() -> None:
    used = services(BOOT, bitmaps={"STD_BMAP": 0}, psci_version=0x10000, deny=[0x8600_0001])
    assert used.policy == Policy((("STD_BMAP", 0),), 0x10000, (FilterRange(0x8600_0001, 1, FilterAction.DENY),))
    assert str(used.policy) == "STD_BMAP 0x0, PSCI 1.0, DENY 0x86000001+1"
    assert used.as_dict()["policy"]["filter"] == [{"base": "0x86000001", "functions": 1, "action": "DENY"}]


def test_the_command_takes_a_word_as_name_and_number(tmp_path: Path) -> None:
    done = fastsmc("services", BOOT, "--release", "6.12", "--bitmap", "STD_BMAP=0x0", "--deny", "PTP")
    assert done.returncode == 0
    assert "57 of 91 calls get another verdict" in " ".join(done.stdout.split())
    for wrong in ("STD_BMAP", "STD_BMAP=", "STD_BMAP=x"):
        done = fastsmc("services", BOOT, "--bitmap", wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "such as STD_BMAP=0x1" in done.stderr
    path = tmp_path / "map.txt"
    path.write_text("@[0xc4000053]: 12\n")
    assert "12 calls of 1 function in 1 service (recorded)" in fastsmc("services", path).stdout


ODD = [0xFFFF_FFFF, 0xC600_0100, 0x8600_1234, 0x1, 0x8400_0099]
"""Ids that KVM knows nothing of: it denies them by itself, unless a filter forwards them."""


@pytest.mark.parametrize("name", ["6.6", "6.12", "7.3"])
def test_no_range_of_the_least_filter_has_an_id_that_was_called(name: str) -> None:
    ids = [*ODD, *FUNCTION_BY_ID]
    used = services(counts_of(ids), release=name)
    assert {Verdict.DENIED, Verdict.HANDLED} <= {row.verdict for row in used.rows}
    assert not [i for i in ids for one in used.least.ranges if one.base <= i <= one.last]
    assert reference(used, used.least) == reference(used, Policy()) == default(used)


EXIT = "  CPU 0/KVM-71 [000] d..1. 2.478777: kvm_exit: TRAP: HSR_EC: 0x0016 (HVC64), PC: 0x40"
TO_VMM = "  CPU 0/KVM-71 [000] d..1. 2.478790: kvm_userspace_exit: reason KVM_EXIT_HYPERCALL (3)"


def call(func_id: int, *, forwarded: bool = False) -> list[str]:
    return [EXIT, CALL.format(func_id), *[TO_VMM] * forwarded]


def as_forwarded(used: Used, func_ids: set[int]) -> Policy:
    """The filter that the recorded VM had."""
    return Policy(ranges=tuple(FilterRange(i, 1, FilterAction.FWD_TO_USER) for i in func_ids))


@pytest.mark.parametrize("name", ["6.6", "6.12", "7.3"])
def test_what_the_vmm_answered_it_answers_under_the_least_policy(name: str) -> None:
    forwarded = {0xC600_0100, 0xC400_0053, 0x8400_0003}
    plain = [0x8400_0000, 0x8600_0001, 0x8600_1234]
    lines = [line for i in sorted(forwarded) for line in call(i, forwarded=True)]
    lines += [line for i in plain for line in call(i)]
    trace = parse_trace(lines + lines)
    assert trace.forwarded == dict.fromkeys(sorted(forwarded), 2)
    used = services(trace, release=name, bitmaps={"STD_BMAP": 0}, deny=[0xC600_0100])
    assert {row.func_id for row in used.rows if row.verdict is Verdict.FORWARDED} == forwarded
    assert reference(used, as_forwarded(used, forwarded)) == default(used)
    assert reference(used, used.least) == default(used)
    assert {one.base for one in used.least.ranges if one.action is FilterAction.FWD_TO_USER} == forwarded
    assert used.bits["STD_BMAP"] == 0  # the VMM has the TRNG
    assert [(row.func_id, row.under) for row in used.changed] == [(0xC600_0100, Verdict.DENIED)]
    assert "6 KVM_EXIT_HYPERCALL after" in "\n".join(used.notes)
    assert "FWD_TO_USER 3 ranges, which the VMM answers" in flowing(used)
    assert used.as_dict()["least"]["verdicts_changed"] == 0


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([*call(ODD[1], forwarded=True), *call(ODD[1])], "of calls that the trace does not name"),
        ([*call(ODD[1]), SMC, TO_VMM], "of calls that the trace does not name"),
        ([*call(ODD[1]), TO_VMM.replace("-71", "-72")], "of calls that the trace does not name"),
        ([*call(0x8000_0000, forwarded=True), *call(ODD[1])], "of calls that the trace does not name"),
        ([CALL.format(ODD[1]), TO_VMM], "record kvm_exit too, which tells calls by HVC from those by SMC"),
    ],
)
def test_an_exit_that_belongs_to_no_call_for_certain_changes_no_verdict(lines: list[str], says: str) -> None:
    used = services(parse_trace(lines), release="6.12")
    assert all(row.verdict is not Verdict.FORWARDED for row in used.rows)
    assert not [one for one in used.least.ranges if one.base <= ODD[1] <= one.last]
    assert any(note.startswith("1 KVM_EXIT_HYPERCALL of") and says in note for note in used.notes)


def test_what_kvm_denies_may_have_gone_to_the_vmm_where_no_exit_was_recorded() -> None:
    says = "0x86001234 (1 call): KVM by itself denies it, and whether the VMM answered instead shows only in"
    assert any(note.startswith(says) for note in services(parse_trace([CALL.format(0x8600_1234)])).notes)
    told = services(parse_trace([*call(0x8600_1234), *call(ODD[1], forwarded=True)])).notes
    assert not any("KVM by itself denies" in note for note in told)


def test_a_release_without_a_filter_forwards_nothing() -> None:
    used = services(parse_trace(call(ODD[1], forwarded=True)), release="5.10")
    assert used.least == Policy()
    assert used.rows[0].verdict is not Verdict.FORWARDED
    assert any("1 KVM_EXIT_HYPERCALL of" in note for note in used.notes)


LONG = [0xC000_0006, 0xC600_0066, 0x8600_0041, 0xC400_0014, 0xC400_0147, 0xC400_0053, 0x8600_0000, *ODD]


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("guest", ["5.10-5.10.ftrace.txt", "6.1-6.1.ftrace.txt", "7.3-7.3.ftrace.txt", "long", "one"])
def test_what_is_printed_fits_a_terminal(guest: str, name: str) -> None:
    if guest == "long":
        seen = Counts("x" * 200, "made", np.array(LONG, np.uint32), np.arange(1, len(LONG) + 1) * 10**15, n_lost=10**17)
    else:
        seen = counts_of([0x8600_0041]) if guest == "one" else read_trace(GUESTS / guest)  # type: ignore[assignment]
    asked = {"deny": [0xC500_0020, "ptp"], "forward": ["0x84000050-0x84000060"]} if release(name).has_filter else {}
    found = services(seen, release=name, **asked)  # type: ignore[arg-type]
    for columns in (60, 80, 140):
        with laid_out_for(columns):
            lines = str(found).splitlines()
        assert max(map(len, lines)) <= columns
        assert not [line for line in lines if line != line.rstrip()]


def test_no_name_is_shortened() -> None:
    seen = Counts("x", "made", np.array(LONG, np.uint32), np.arange(1, len(LONG) + 1) * 100)
    found = services(seen, release="5.10")
    with laid_out_for(80):
        lines = str(found).splitlines()
    for row in found.rows:  # a name of more than 32 letters goes on below
        assert any(row.function[:32] in line for line in lines), row.function


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@[0xc4000053]: 12\n@[0x84000000 3\n", "an unknown number of calls are missing"),
        ("@[0xc4000053]: 12\n@[0x84000000] 3\n", "3 calls are missing"),
        ("@[0xc4000053]: 12\n@[0x84000000] 1\n", "1 call is missing"),
        ("@[0xc4000053]: 12\n@[0x84000000] 3\n@[0x84\n", "at least 3 calls are missing"),
        ("@[0xc4000053]: 12\nLost 4 events\n", "4 calls are missing"),
        (
            '{"type": "map", "data": {"@": {"0xc4000053": 12}}}\n{"type":"lost_events", "count":4}\n',
            "4 calls are missing",
        ),
        ("@total: 12\n@[0xc4000053]: 12\n", "left out, for it does not count by function id: @total"),
        (f"{CALL.format(0x8400_0000)}\nCPU:0 [LOST EVENTS]\n", "an unknown number of events are missing"),
        (f"{CALL.format(0x8400_0000)}\nCPU:0 [LOST EVENTS]\nCPU:1 [LOST 2 EVENTS]\n", "at least 2 events are missing"),
        (f"{CALL.format(0x8400_0000)}\ngibberish\n", "1 line was skipped, the first at line 2"),
    ],
)
def test_what_is_missing_is_told_as_far_as_it_is_known(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    assert any(note.startswith(says) for note in services(tmp_path / "t.txt", lenient=True).notes)
