"""What a trace says of what a guest with EL2 needs: nothing, as the calls that need something are not in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.calls.counts import Counts
from fastsmc.errors import InputError, RegisterError, UnknownError
from fastsmc.facts.smccc import FUNCTION_BY_ID, Verdict
from fastsmc.traces.text import parse_trace
from tests.support.command import fastsmc
from tests.support.places import TESTS
from tests.traces.test_el2 import HVC_ESR, NESTED, parts
from tests.traces.test_exits import CALL, event

TRACE = TESTS / "recordings" / "guest-traces" / "6.18-el2.ftrace.txt"
WORKAROUNDS = {0x80008000, 0x80007FFF, 0x80003FFF}


def test_nothing_is_said_of_what_the_guest_needs() -> None:
    used = smc.services(TRACE, el2=True)
    assert used.least is None
    assert used.exit_code == 5
    assert used.bits == used.shown == {}
    assert used.answer.startswith("what this guest needs is not known")
    assert {row.verdict for row in used.rows} == {Verdict.TO_VEL2}
    assert {row.gate for row in used.rows} == {""}
    told = used.as_dict()
    assert (told["least"], told["bits"], told["el2"]) == (None, {}, True)
    text = " ".join(str(used).split())
    assert "bits used" not in text
    assert "the least under which" not in text
    assert "kvm_smccc_call_handler" in text


def test_the_same_lines_of_an_ordinary_guest_say_what_it_needs() -> None:
    used = smc.services(parse_trace(parts()["ordinary"]), release="6.18")
    assert used.least is not None
    assert dict(used.least.bitmaps)["STD_BMAP"] == 1  # TRNG was called
    assert (used.exit_code, used.has_el2) == (0, False)
    assert smc.services(parse_trace(parts()["ordinary"]), release="5.10").exit_code == 0


def test_a_policy_takes_nothing_from_its_hvcs_and_an_unknown_number_of_its_smcs() -> None:
    used = smc.services(TRACE, el2=True, bitmaps={"STD_BMAP": 0}, deny=["ptp"])
    assert {row.under for row in used.rows} == {Verdict.TO_VEL2}
    assert used.as_dict()["policy"]["calls_changed"] is None
    assert used.numbers()["calls_changed"] == used.numbers()["functions_lost"] == [None]
    assert used.numbers()["functions_unanswered"] == [None]
    assert used.numbers()["calls"] == [15]
    assert any("whether it changes its SMCs is not known" in note for note in used.notes)
    assert used.exit_code == 5


def test_a_policy_that_kvm_refuses_is_refused_all_the_same() -> None:
    with pytest.raises(RegisterError):
        smc.services(TRACE, el2=True, bitmaps={"STD_BMAP": 2})


def test_only_the_workarounds_are_answered() -> None:
    ids = [*FUNCTION_BY_ID, 0x1234, 0xFFFF_FFFF]
    counts = Counts("made", "made", np.array(ids, np.uint32), np.ones(len(ids), np.int64))
    found = {row.func_id: row.verdict for row in smc.services(counts, el2=True).rows}
    assert found == {i: Verdict.FAST_PATH if i in WORKAROUNDS else Verdict.TO_VEL2 for i in ids}


def test_a_trace_that_was_read_as_one_of_such_a_guest_stays_one() -> None:
    assert smc.services(smc.trace(TRACE, el2=True)).least is None


@pytest.mark.parametrize("release", ["5.10", "6.15"])
def test_a_release_without_such_guests_is_refused(release: str) -> None:
    with pytest.raises(InputError, match=r"has no guests with EL2: name 6\.16 or later"):
        smc.services(TRACE, release=release, el2=True)
    assert smc.services(TRACE, release="6.16", el2=True).exit_code == 5


def test_a_vendors_kernel_that_may_have_such_guests_is_not_judged() -> None:
    with pytest.raises(UnknownError, match=r"is not known: RHEL 10 may have changes of later releases"):
        smc.services(TRACE, release="6.12.0-39.el10.aarch64", el2=True)


def test_a_trace_that_shows_such_a_guest_is_not_taken_for_an_ordinary_one() -> None:
    seen = parse_trace([CALL, event(NESTED.format(HVC_ESR)), CALL])
    with pytest.raises(UnknownError, match=r"KVM passed 1 of its HVCs on to a guest's own EL2"):
        smc.services(seen)
    assert smc.services(seen, el2=True).exit_code == 5
    smcs = parse_trace([CALL, event(NESTED.format(0x5E000000))])  # of an SMC, which no line here is
    assert smc.services(smcs).exit_code == 0


def test_what_besides_was_recorded_is_told() -> None:
    smc_exit = event("kvm_exit: TRAP: HSR_EC: 0x0017 (SMC64), PC: 0x40")
    to_vmm = event("kvm_userspace_exit: reason KVM_EXIT_HYPERCALL (3)")
    lost = "CPU:0 [LOST 4 EVENTS]"
    notes = smc.services(parse_trace([CALL, smc_exit, smc_exit, to_vmm, lost]), el2=True).notes
    assert notes[0].startswith("2 SMC exits: what KVM answers is among them")
    assert notes[1].startswith("1 KVM_EXIT_HYPERCALL: SMCs that a filter forwarded")
    assert notes[2].startswith("4 events are missing")


def test_the_command_ends_with_5_and_prints_all_the_same(tmp_path: Path) -> None:
    done = fastsmc("services", TRACE, "--el2", "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["least"] is None
    done = fastsmc("services", TRACE, "--el2", "--quiet", "--fail-if", "functions_lost > 0")
    assert done.returncode == 5
    path = tmp_path / "t.txt"
    path.write_text(f"{CALL}\n{event(NESTED.format(HVC_ESR))}\n")
    done = fastsmc("services", path)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("conduit", "verdict"), [("hvc", Verdict.TO_VEL2), ("smc", Verdict.HANDLED)])
def test_a_mix_of_calls_has_verdicts_of_such_a_guest(conduit: str, verdict: Verdict) -> None:
    found = smc.dispatch(["PTP", "TRNG_RND64"], release="6.18", features="psci02+el2", conduit=conduit)
    assert [row.verdict for row in found.rows] == [verdict] * 2
    n_to_vel2 = 2 * (conduit == "hvc")
    assert found.counts == {"answered": 2 - n_to_vel2, "to_vmm": 0, "refused": 0, "to_vel2": n_to_vel2}
    assert found.numbers()["to_vel2_percent"] == [50.0 * n_to_vel2]
    assert ("to the guest's own EL2 (100 % of calls)" in found.answer) == bool(n_to_vel2)
    assert ("an exception to the guest's own EL2" in str(found)) == bool(n_to_vel2)
    assert [row.x[0] for row in found.rows][:1] == [0x86000001 if n_to_vel2 else 0]  # registers are kept


def test_a_mix_on_a_release_without_such_guests_is_refused() -> None:
    with pytest.raises(InputError, match=r"knows bits in 0x7f \(ENOENT\)"):
        smc.dispatch(["PTP"], release="6.12", features="psci02+el2")
