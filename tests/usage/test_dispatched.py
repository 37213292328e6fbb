"""Verdicts of one's own mix: against recordings' rules as they are known, and each rule by taking it away."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import KvmError
from fastsmc.facts.packaged import GUEST_BOOT_TRACE
from fastsmc.facts.smccc import FUNCTIONS, Verdict
from fastsmc.usage import DecidedCall
from fastsmc.usage.mixed import Call, calls_of

RELEASES = ("5.10", "6.1", "6.4", "6.12", "7.3")
EVERY = [function.func_id for function in FUNCTIONS] + [0x8600_0063, 0xC300_0001]
POLICIES = (
    {},
    {"bitmaps": {"STD_BMAP": 0}},
    {"deny": ["ptp", "0xc4000000+32"], "forward": ["0x84000050-0x84000053"]},
    {"psci_version": "1.0"},
    {"features": "none"},
    {"features": "el1_32bit"},
    {"conduit": "smc"},
)


def decided(policy: dict[str, object], release: str) -> dict[int, object]:
    """Rows by id; none where KVM of the release refuses the policy."""
    try:
        return {row.func_id: row for row in smc.dispatch(EVERY, release=release, **policy).rows}  # type: ignore[call-overload]
    except KvmError:
        return {}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_a_rule_is_what_settles_the_call(policy: dict[str, object], release: str) -> None:
    """The reference and the tables agree, or `dispatch` raises; here each rule is taken away, and verdicts change."""
    rows = decided(policy, release)
    for func_id, row in rows.items():
        assert isinstance(row, DecidedCall)
        if found := re.search(r"^(\w+) bit (\d+) .* is (set|clear)", row.rule):
            name, bit = found[1], int(found[2])
            word = smc.Fleet.uniform(n_vm=1, n_vcpu=1, host=release).get_one_reg(smc.register(name))[0]
            words = policy.get("bitmaps", {})
            now = int(words.get(name, word)) if isinstance(words, dict) else 0  # type: ignore[arg-type]
            assert bool(now >> bit & 1) == (found[3] == "set")
            other = {**policy, "bitmaps": {**words, name: now ^ 1 << bit}} if isinstance(words, dict) else policy
            changed = decided(other, release).get(func_id)
            if changed is not None:  # a bit that the release lacks cannot be set
                assert (changed.verdict is Verdict.DENIED) != (row.verdict is Verdict.DENIED)  # type: ignore[attr-defined]
        elif row.rule.startswith("filter"):
            without = decided({**policy, "deny": [], "forward": []}, release)[func_id]
            assert row.verdict is (Verdict.FORWARDED if "FWD_TO_USER" in row.rule else Verdict.DENIED)
            assert without.rule != row.rule  # type: ignore[attr-defined]
        elif "needs PSCI" in row.rule or "fixes other ids" in row.rule or "feature psci02" in row.rule:
            assert row.verdict is Verdict.NOT_SUPPORTED


def test_what_is_refused_for_a_psci_version_is_answered_with_it() -> None:
    row = smc.dispatch(["PSCI_SYSTEM_OFF2"], release="7.3", psci_version="1.0").rows[0]
    assert "the guest has PSCI 1.0; it needs PSCI 1.3" in row.rule
    assert smc.dispatch(["PSCI_SYSTEM_OFF2"], release="7.3").rows[0].verdict is not Verdict.NOT_SUPPORTED
    suspend = smc.dispatch(["PSCI_SYSTEM_SUSPEND"]).rows[0]
    assert suspend.rule == "always allowed, and the VMM has not enabled KVM_CAP_ARM_SYSTEM_SUSPEND"
    assert smc.dispatch(["PSCI_0_1_CPU_ON"], features="none").rows[0].verdict is Verdict.HANDLED


@pytest.mark.parametrize(
    ("call", "x", "free0"),
    [
        ("PSCI_VERSION", "0x10003", False),
        ("SMCCC_VERSION", "0x10001", False),
        ("PSCI_FEATURES(PSCI_CPU_ON64)", "0x0", False),
        ("PSCI_FEATURES(0x84000005)", "-1", False),
        ("SMCCC_ARCH_FEATURES", "-1", False),
        ("PTP", "varies", True),
        ("0x86000063", "-1", False),
        ("PSCI_SYSTEM_RESET", "-6", False),
    ],
)
def test_x0_is_that_of_recorded_kernels(call: str, x: str, free0: bool) -> None:
    """The values are those of docs and recordings: SMCCC 1.1, PSCI 1.3, NOT_SUPPORTED, INTERNAL_FAILURE."""
    row = smc.dispatch([call], release="7.3").rows[0]
    assert (row.x0, bool(row.free[0])) == (x, free0)


def test_shares_are_of_weights_and_the_answer_adds_up() -> None:
    found = smc.dispatch({"TRNG_RND64": 3, 0x8600_0001: 1}, forward=["ptp"], bitmaps={"STD_BMAP": 0})
    assert [row.share for row in found.rows] == [0.75, 0.25]
    assert found.counts == {"answered": 0, "to_vmm": 1, "refused": 1, "to_vel2": 0}
    assert found.shares == {"answered": 0.0, "to_vmm": 25.0, "refused": 75.0, "to_vel2": 0}
    assert found.answer == (
        "Linux 7.3, 2 functions: 1 to the VMM (25 % of calls), 1 answered NOT_SUPPORTED (-1) (75 % of calls)"
    )
    assert found.rows[1].as_dict()["exit"] == {"reason": "KVM_EXIT_HYPERCALL", "nr": "0x86000001", "flags": "0x0"}
    assert found.numbers()["denied_percent"] == [75.0]
    assert found.numbers()["to_vmm_functions"] == [1]


def test_the_mix_of_a_trace_is_what_services_counts() -> None:
    used, found = smc.services(GUEST_BOOT_TRACE), smc.dispatch(trace=GUEST_BOOT_TRACE)
    assert {row.func_id: round(row.share * used.n_call) for row in found.rows} == {
        row.func_id: row.n_call for row in used.rows
    }
    assert {row.func_id: row.verdict for row in found.rows} == {row.func_id: row.verdict for row in used.rows}
    assert smc.dispatch(trace=smc.trace(GUEST_BOOT_TRACE)).as_dict() == found.as_dict()


def test_a_fleet_is_dispatched_as_before() -> None:
    fleet, calls = smc.Fleet.uniform(n_vm=2, n_vcpu=2), smc.Calls.one_each(0x8400_0053, n_vcpu=4)
    assert smc.dispatch(fleet, calls, by="vm").by_vm.tolist()[0][Verdict.HANDLED] == 2
    with pytest.raises(smc.FastsmcError, match="by is 'x'"):
        smc.dispatch(fleet, calls, by="x")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        (["ptp=2", "PTP"], [Call(0x8600_0001, (0, 0, 0), 3.0)]),
        (["PSCI_FEATURES(0x84000003, 1)=0.5"], [Call(0x8400_000A, (0x8400_0003, 1, 0), 0.5)]),
        (["PSCI_FEATURES(PSCI_CPU_ON)"], [Call(0x8400_000A, (0x8400_0003, 0, 0), 1.0)]),
        ([" 0x86000001 = 2 "], [Call(0x8600_0001, (0, 0, 0), 2.0)]),
        ("PTP", [Call(0x8600_0001, (0, 0, 0), 1.0)]),
        ({"PTP": 0, 0xC400_0053: 1}, [Call(0x8600_0001, weight=0.0), Call(0xC400_0053)]),
    ],
)
def test_a_mix_as_people_write_it(mix: object, expected: list[Call]) -> None:
    assert calls_of(mix) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ([], "no call to dispatch"),
        ({"PTP": 0}, "no call to dispatch"),
        (["PTP=x"], "weight 'x' is no number"),
        (["PTP=-1"], "give a finite number from 0 up"),
        (["PTP=inf"], "give a finite number from 0 up"),
        (["PTP=nan"], "give a finite number from 0 up"),
        (["PTP(1,2,3,4)"], "has 4 arguments"),
        (["PTP((1)"], "is no call of a mix"),
        (["PTPP"], "no function is called 'PTPP'"),
        ([1 << 32], "function id"),
        (["PTP(0x10000000000000000)"], "argument"),
        ({"PTP=2": 1}, "is no call of a mix"),
        ({"PTP": "2"}, "give a finite number"),
    ],
)
def test_what_is_no_mix_is_one_sentence(mix: object, said: str) -> None:
    with pytest.raises(smc.FastsmcError, match=re.escape(said)) as caught:
        smc.dispatch(mix)  # type: ignore[call-overload]
    assert "\n" not in str(caught.value)


def test_text_json_and_table_say_the_same(tmp_path: Path) -> None:
    found = smc.dispatch(["TRNG_RND64=3", "PTP"], release="5.15.0-125-generic")
    told = found.as_dict()
    json.dumps(told, allow_nan=False)
    assert str(found).splitlines()[0] == found.answer == told["answer"]
    assert found.table()["verdict"].tolist() == [row["verdict"] for row in told["rows"]]
    doubtful = smc.dispatch([0x8000_3FFF], release="5.15.0-125-generic")
    assert "not certain" in str(doubtful)
    assert doubtful.rows[0].as_dict()["doubts"]
