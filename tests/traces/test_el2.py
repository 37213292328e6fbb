"""Traces of guests that have EL2 themselves: which of their calls KVM answered, against a recording that has both.

The recording made the same calls in a guest with EL2, at both of its levels, and in an ordinary one. Beside the trace
it has what became of each. SMCs of either guest, and calls that the fast path answers, left no line.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.calls.vel2 import EL2_COMMAND
from fastsmc.errors import TraceError
from fastsmc.traces.text import parse_trace
from tests.support.command import fastsmc
from tests.support.places import TESTS
from tests.traces.test_exits import CALL, event

TRACE = TESTS / "recordings" / "guest-traces" / "6.18-el2.ftrace.txt"
CALLS = TRACE.with_name("6.18-el2.calls.jsonl")
NESTED = "kvm_inject_nested_exception: SYNC: esr_el2 0x{:x} elr_el2: 0x40 spsr_el2: 0x000003c9 (M: EL2h) hcr_el2: 0"
HVC_ESR, SMC_ESR = 0x5A000000, 0x5E000000


def parts() -> dict[str, str]:
    """The lines of each part of the trace, by the kind of guest that its marker names."""
    lines = TRACE.read_text().splitlines(keepends=True)
    marks = [-1, *(at for at, line in enumerate(lines) if "tracing_mark_write" in line)]
    return {lines[end].split("after ")[1].strip(): "".join(lines[begin + 1 : end]) for begin, end in pairwise(marks)}


def made() -> dict[str, list[list[object]]]:
    """What became of each call, by the kind of guest."""
    return {row["vcpu"]: row["calls"] for row in map(json.loads, CALLS.read_text().splitlines())}


@pytest.mark.parametrize("guest", ["vEL2", "vEL1"])
def test_calls_of_a_guest_with_el2_went_where_the_recording_says(guest: str) -> None:
    read = parse_trace(parts()[guest], el2=True)
    to_vel2 = {int(str(what), 16) for what, conduit, _, is_passed_on in made()[guest] if is_passed_on}
    by_kvm = {int(str(what), 16) for what, conduit, _, is_passed_on in made()[guest] if not is_passed_on}
    assert by_kvm >= to_vel2  # KVM answered the same functions by SMC, and none of that is in the trace
    assert {int(row["func_id"], 16): row["to_vel2"] for row in read.rows()} == dict.fromkeys(to_vel2, 1)
    assert read.n_to_vel2 == len(read) == 5


def test_the_lines_of_an_ordinary_guest_look_the_same() -> None:
    lines = parts()
    assert list(lines) == ["vEL2", "ordinary", "vEL1"]
    ordinary, nested = parse_trace(lines["ordinary"]), parse_trace(lines["vEL2"])
    assert ordinary.by_service() == nested.by_service()
    assert (ordinary.n_to_vel2, nested.n_to_vel2) == (None, None)  # nobody said what guest it was
    assert [row["to_vel2"] for row in nested.rows()] == [None] * 5


def test_the_fast_path_answers_the_workarounds_and_nothing_else() -> None:
    ids = {int(str(what), 16) for what, conduit, *rest in made()["vEL2"] if conduit == "hvc0" and not rest[1]}
    assert ids == {0x80008000, 0x80007FFF, 0x80003FFF}
    lines = [CALL.replace("84000000", f"{func_id:x}") for func_id in (*sorted(ids), 0x80000000, 0x80008001)]
    read = parse_trace([*lines, CALL.replace("imm: 0x0", "imm: 0x1")], el2=True)
    assert {int(row["func_id"], 16): row["to_vel2"] for row in read.rows()} == {
        **dict.fromkeys(ids, 0), 0x80000000: 1, 0x80008001: 1, 0x84000000: 1
    }  # fmt: skip
    assert read.answer.endswith("KVM answered 3: 3 went to the guest's own EL2")


def test_all_that_is_told_says_so() -> None:
    read = smc.trace(TRACE, el2=True)
    assert read.answer.endswith("; KVM answered none: all went to the guest's own EL2")
    told = read.as_dict()
    assert (told["el2"], told["to_vel2"], told["calls"]) == (True, 15, 15)
    assert read.table()["to_vel2"].tolist() == [3] * 5
    assert "to vEL2" in str(read)
    assert EL2_COMMAND in str(read)
    plain = smc.trace(TRACE)
    assert (plain.as_dict()["el2"], plain.as_dict()["to_vel2"]) == (False, None)
    assert "to_vel2" not in plain.table().columns
    assert "EL2" not in str(plain)


def test_counts_are_told_alike(tmp_path: Path) -> None:
    path = tmp_path / "counts.txt"
    path.write_text("@[0x84000000]: 5\n@[0x80008000]: 2\n")
    counts, plain = (smc.trace(path, el2=el2) for el2 in (True, False))
    assert counts.answer.endswith("; KVM answered 2: 5 went to the guest's own EL2")
    assert [row["to_vel2"] for row in counts.as_dict()["rows"]] == [5, 0]
    assert counts.table()["to_vel2"].tolist() == [5, 0]
    assert EL2_COMMAND in str(counts)
    assert (plain.as_dict()["to_vel2"], plain.n_to_vel2, "to_vel2" in plain.table().columns) == (None, None, False)


def test_exceptions_to_the_guest_are_counted_where_they_were_traced() -> None:
    read = parse_trace([CALL, *(event(NESTED.format(esr)) for esr in (HVC_ESR, HVC_ESR | 0x42, SMC_ESR, 0x92000007))])
    assert read.exits == {"vEL2 HVC64": 2, "vEL2 SMC64": 1}
    assert "2 HVCs were passed on to a guest's own EL2" in str(read)
    assert "--el2" in str(read)
    fields = "kvm_inject_nested_exception: vcpu=0x1 esr_el2=0x5a000000 type=0 spsr_el2=0x3c9"
    assert parse_trace([CALL, event(fields)], el2=True).exits == {"vEL2 HVC64": 1}
    assert parse_trace([CALL, event("kvm_inject_nested_exception: SYNC: esr_el2")]).exits == {}


def test_smcs_that_kvm_answers_are_told_from_those_that_it_passed_on() -> None:
    smc_exit = event("kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0x40")
    told = str(parse_trace([CALL, smc_exit, event(NESTED.format(SMC_ESR)), smc_exit], el2=True))
    assert "2 SMC exits besides" in told  # what was passed on is no exit of its own


def test_a_trace_of_smcs_alone_says_what_to_record_of_such_a_guest() -> None:
    lines = [event("kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0x40")]
    with pytest.raises(TraceError) as caught:
        parse_trace(lines, el2=True)
    assert EL2_COMMAND in str(caught.value)
    with pytest.raises(TraceError) as caught:
        parse_trace(lines)
    assert EL2_COMMAND not in str(caught.value)


def test_what_the_command_of_bpftrace_prints_is_read(tmp_path: Path) -> None:
    """Its keys are x0 in decimal, 64 bits without sign."""
    path = tmp_path / "counts.txt"
    path.write_text(f"Attaching 1 probe...\n@[{0x84000000}]: 3\n@[{0xFFFF_FFFF_C4000053}]: 2\n")
    counts = smc.trace(path)
    assert [(row["function"], row["calls"]) for row in counts.as_dict()["rows"]] == [
        ("PSCI_VERSION", 3), ("TRNG_RND64", 2)
    ]  # fmt: skip


def test_the_command_has_the_option_and_its_help_says_what_to_record() -> None:
    assert "all went to the guest's own EL2" in fastsmc("trace", TRACE, "--el2", "--quiet").stdout
    told = " ".join(fastsmc("trace", "--help").stdout.split())
    assert "--el2" in told
    assert "kvm_smccc_call_handler" in told
