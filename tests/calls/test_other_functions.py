"""Functions that KVM does not answer, where calls are counted and asked for: by name, and under their family."""

from __future__ import annotations

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.calls.workload import mix
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Verdict
from fastsmc.scenario.names import function_id, function_name
from fastsmc.scenario.problems import Problems
from fastsmc.traces.text import parse_trace

LINE = "vcpu-9 [001] .... 1.000001: kvm_hvc_arm64: HVC at 0x40000000 (r0: 0x{:016x}, imm: 0x0)\n"


def test_a_trace_names_what_a_guest_asks_of_firmware() -> None:
    asked = [0x84000063, 0xC4000190, 0xBF00FF01, 0xC6000020, 0x82000505, 0x84000000, 0xFFFFFFFF84000063]
    table = parse_trace("".join(LINE.format(r0) for r0 in asked)).by_service()
    assert table == {
        ("FF-A", "FFA_VERSION"): 2,
        ("RSI", "RSI_VERSION"): 1,
        ("QUERIES", "TRUSTED_OS_CALL_UID"): 1,
        ("PKVM", "0xc6000020"): 1,
        ("UNKNOWN", "0x82000505"): 1,
        ("PSCI", "PSCI_VERSION"): 1,
    }


def test_a_mix_and_a_scenario_take_those_names_too() -> None:
    calls = mix({"FFA_VERSION": 1, "rsi-version": 2, 0xC40002E0: 1, "PTP": 1}, n_call=400, n_vcpu=1, seed=3)
    assert {*calls.func_id.tolist()} == {0x84000063, 0xC4000190, 0xC40002E0, 0x86000001}
    problems = Problems("file")
    assert function_id("LFA_VERSION", (), problems) == 0xC40002E0
    assert function_id("MEM_SHARE", (), problems) == 0xC6000003, "KVM's own name comes first"
    assert function_name(0xC40002E0) == "LFA_VERSION"
    with pytest.raises(InputError, match="did you mean TRNG_VERSION"):
        mix({"TRNG_VERSON": 1}, n_call=1, n_vcpu=1, seed=1)


def test_a_name_changes_no_verdict() -> None:
    calls = mix({"FFA_VERSION": 1, "SOC_ID64": 1, "PSCI_CLEAN_INV_MEMREGION64": 1}, n_call=300, n_vcpu=1, seed=3)
    verdict = smc.dispatch(smc.Fleet.uniform(n_vm=1, n_vcpu=1, host="7.3"), calls).verdict
    allowed = calls.func_id == 0xC4000016
    assert (verdict[allowed] == Verdict.NOT_SUPPORTED).all()
    assert (verdict[~allowed] == Verdict.DENIED).all()
    assert np.unique(calls.func_id).size == 3
