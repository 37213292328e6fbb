"""Scenarios: what the documented file means, and what is said of bad ones."""

from __future__ import annotations

import math
import re
import tomllib
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import KvmError
from fastsmc.facts.smccc import Conduit, FilterAction, Verdict
from fastsmc.latency.verdicts import verdicts_of
from fastsmc.scenario import Law, OnOff, Scenario, VmGroup, Workload, fleet_of
from tests.support.places import ROOT
from tests.support.scenarios import CLOSED, TRACE, of

DOC = (ROOT / "docs" / "scenarios.md").read_text("utf-8")


# -- good ones -----------------------------------------------------------------------------------------------------


@pytest.fixture(name="documented")
def documented_scenario(tmp_path: Path) -> Scenario:
    path = tmp_path / "doc.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL)[0], "utf-8")
    return Scenario.load(path)


def test_the_documented_file_means_what_it_says(documented: Scenario) -> None:
    assert (documented.name, documented.seed, documented.calls, documented.warmup) == ("doc", 1, 100, 20)
    assert not documented.seed_is_default
    assert documented.profile.vmm_service_ns.value == 3000
    assert documented.profile.vmm_service_ns.kind == "assumed"
    assert documented.profile.vmm_service_ns.source.endswith("doc.toml")
    assert documented.host is not None
    assert (documented.host.cores, documented.host.slice_ns.value) == (64, 3e6)
    web, booting = documented.groups
    assert documented.n_vcpu == 256 * 4 + 64
    assert (web.name, web.count, web.vcpus, web.release) == ("web", 256, 4, "6.18")
    assert (web.features, web.psci, web.bitmaps) == (0x4, 0x10001, (("STD_BMAP", 1),))
    assert [(r.base, r.nr_functions, r.action) for r in web.filter] == [
        (0x84000050, 4, FilterAction.FWD_TO_USER),
        (0xC4000053, 1, FilterAction.FWD_TO_USER),
        (0x86000001, 1, FilterAction.DENY),
    ]
    told = verdicts_of(web)
    assert told == (Verdict.FORWARDED, Verdict.DENIED), "TRNG_RND64 is not among the four ids from TRNG_VERSION on"
    assert (web.lock, web.workers, web.service) == ("vm", 1, Law("exponential", 5000.0))
    assert web.workload.gap == Law("exponential", 20_000.0)
    assert [(e.func_id, e.share) for e in web.workload.mix] == [(0xC4000053, 0.2), (0x86000001, 0.8)]
    assert (booting.release, booting.service) == ("7.3", Law("deterministic", 3000.0))
    assert booting.service_is_from_profile
    assert booting.workload.script is not None
    assert booting.workload.script.n_vcpu == 64
    assert documented.source_text.startswith("seed = 1")


def test_the_documented_burst_has_its_long_run_rate() -> None:
    text = re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL)[0]
    workload = of(tomllib.loads(text)["workloads"]["bursts"]).workload
    assert workload.onoff == OnOff(10e6, 90e6)
    assert workload.gap is not None
    # 1000 calls/s overall in a tenth of the time: 10000 calls/s while on.
    assert workload.gap.mean_ns == pytest.approx(1e5)
    assert workload.rate_hz == pytest.approx(1000.0)
    assert workload.mix[1].conduit == Conduit.SMC
    assert workload.mix[1].x1 == 64


def test_what_is_left_out_has_its_default() -> None:
    scenario = Scenario.of({"vms": [{"vcpus": 1, "workload": "w"}], "workloads": {"w": CLOSED}})
    assert (scenario.seed, scenario.calls, scenario.warmup, scenario.seed_is_default) == (1, 100, 20, True)
    assert scenario.profile.name == "neoverse-n1"
    assert scenario.host is None
    group = scenario.groups[0]
    assert (group.count, group.release, group.features, group.psci, group.lock) == (1, "7.3", 4, 0, "vm")
    assert '"vcpus": 1' in scenario.source_text


@pytest.mark.parametrize(
    ("vmm", "workers"), [({"lock": "vm"}, 1), ({"lock": "workers", "workers": 3}, 3), ({"lock": "none"}, 4)]
)
def test_the_vmm_has_as_many_threads_as_its_lock_lets_work(vmm: dict[str, Any], workers: int) -> None:
    group = of(vmm=vmm)
    assert (group.lock, group.workers) == (vmm["lock"], workers)


@pytest.mark.parametrize(("vcpus", "is_hypothetical"), [(512, False), (513, True)])
def test_more_than_512_vcpus_are_said_to_be_hypothetical(vcpus: int, is_hypothetical: bool) -> None:
    assert of(vcpus=vcpus).is_hypothetical is is_hypothetical


@pytest.mark.parametrize(("law", "kind"), [("poisson", "exponential"), ("deterministic", "deterministic")])
def test_open_arrivals_have_a_mean_gap(law: str, kind: str) -> None:
    workload = of({"kind": "open", "arrivals": {"law": law, "rate_hz": 250.0}, "mix": {"PTP": 1.0}}).workload
    assert workload.gap == Law(kind, 4e6)  # type: ignore[arg-type]
    assert workload.rate_hz == 250.0


@pytest.mark.parametrize(("unit", "ns"), [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)])
def test_spans_in_any_unit(unit: str, ns: float) -> None:
    assert of(service={"law": "deterministic", f"mean_{unit}": 2.5}).service == Law("deterministic", 2.5 * ns)


@pytest.mark.parametrize("name", ["VENDOR_HYP_PTP", "ptp", "PTP", "0x86000001", "2248146945"])
def test_a_function_by_name_end_of_name_or_id(name: str) -> None:
    assert of(CLOSED | {"mix": {name: 1.0}}).workload.mix[0].func_id == 0x86000001


def test_a_share_of_nothing_is_never_called() -> None:
    assert [e.name for e in of(CLOSED | {"mix": {"PTP": 0.0, "TRNG_RND64": 1.0}}).workload.mix] == ["TRNG_RND64"]


def test_ten_tenths_are_one() -> None:
    mix = {hex(0x84000000 + i): 0.1 for i in range(10)}
    assert reduce(add, mix.values()) != 1  # in floats; sum() rounds once, from Python 3.12 on
    assert len(of(CLOSED | {"mix": mix}).workload.mix) == 10
    thirds = dict.fromkeys(("PTP", "TRNG_RND64", "PV_TIME_ST"), 0.3333333333)  # 1e-10 short
    assert len(of(CLOSED | {"mix": thirds}).workload.mix) == 3


# -- verdicts ------------------------------------------------------------------------------------------------------


def test_verdicts_come_from_the_real_dispatch_path() -> None:
    mix = [
        {"call": "TRNG_RND64", "share": 0.1},
        {"call": "TRNG_RND32", "share": 0.1},
        {"call": "PTP", "share": 0.1},
        {"call": "SMCCC_VERSION", "share": 0.1},
        {"call": "SMCCC_ARCH_WORKAROUND_1", "share": 0.1},
        {"call": "SMCCC_ARCH_WORKAROUND_1", "share": 0.1, "conduit": "smc"},
        {"call": "SMCCC_VERSION", "share": 0.1, "conduit": "smc_imm"},
        {"call": "PSCI_SYSTEM_OFF", "share": 0.1},
        {"call": 0xC6000001, "share": 0.1},
        {"call": "PV_TIME_ST", "share": 0.1},
    ]
    ranges = [{"base": 0x84000053, "action": "DENY"}, {"base": "PTP", "count": 1, "action": "FWD_TO_USER"}]
    group = of(CLOSED | {"mix": mix}, filter=ranges, bitmaps={"STD_HYP_BMAP": 0})
    # As KVM does: docs of the filter, the bitmaps and the fast path; see tests/recordings.
    assert [verdict.name for verdict in verdicts_of(group)] == [
        "HANDLED", "DENIED", "FORWARDED", "HANDLED", "FAST_PATH", "DENIED", "SMC_REFUSED", "EXIT", "DENIED", "DENIED",
    ]  # fmt: skip


def test_verdicts_look_at_arguments_where_kvm_does() -> None:
    mix = [{"call": "PSCI_SYSTEM_RESET2", "share": 0.5, "x1": x1} for x1 in (0, 1)]
    assert verdicts_of(of(CLOSED | {"mix": mix})) == (Verdict.EXIT, Verdict.HANDLED)


def test_a_pinned_psci_version_is_what_the_guest_meets() -> None:
    assert fleet_of(of(psci="0.2")).effective_psci_version().tolist() == [2]


def test_fleet_of_refuses_what_kvm_refuses() -> None:
    group = of()
    bad = VmGroup(
        **{name: getattr(group, name) for name in group.__dataclass_fields__} | {"bitmaps": (("STD_BMAP", 2),)}
    )
    with pytest.raises(KvmError, match="EINVAL"):
        fleet_of(bad)


# -- scripts and traces --------------------------------------------------------------------------------------------


def test_a_trace_is_replayed_at_its_own_times_scaled() -> None:
    arrivals = {"law": "trace", "file": TRACE.name, "scale": 0.5}
    workload = of({"kind": "open", "arrivals": arrivals}, folder=TRACE.parent).workload
    found = re.findall(r"-(\d+) .* (\d+\.\d+): kvm_hvc_arm64: .*r0: 0x0*([0-9a-f]+),", TRACE.read_text("utf-8"))
    script = workload.script
    assert script is not None
    assert workload.gap is None
    start = float(found[0][1])
    for thread, pid in enumerate(dict.fromkeys(row[0] for row in found)):
        mine = [(float(time) - start, int(func_id, 16)) for row_pid, time, func_id in found if row_pid == pid]
        steps = slice(script.first_step[thread], script.first_step[thread + 1])
        assert script.func_id[steps].tolist() == [func_id for _, func_id in mine]
        np.testing.assert_allclose(script.at_ns[steps], [time * 0.5e9 for time, _ in mine], atol=1)
    assert [workload.mix[entry].func_id for entry in workload.step_entry] == script.func_id.tolist()
    assert math.fsum(entry.share for entry in workload.mix) == pytest.approx(1)
    assert any("0.5" in text for text in script.assumed)


def test_options_of_a_shape() -> None:
    workload = of(
        {"kind": "script", "shape": "ptp-poll", "period_ms": 20, "polls": 3, "callers": "every-vcpu"}
    ).workload
    assert workload.script is not None
    assert workload.script.at_ns.tolist() == [0, 20e6, 40e6] * 4
    assert [entry.func_id for entry in workload.mix] == [0x86000001]


def test_a_profile_is_found_from_the_scenario_file(tmp_path: Path) -> None:
    doc = (ROOT / "docs" / "profiles.md").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(re.findall(r"```toml\n(.*?)```", doc, re.DOTALL)[0], "utf-8")
    table = {"vms": [{"vcpus": 1, "workload": "w"}], "workloads": {"w": CLOSED}, "profile": "mine.toml"}
    assert Scenario.of(table, folder=tmp_path).profile.trap_ns.value == 300


def test_a_slice_nobody_gave_is_assumed_with_its_source() -> None:
    table = {"vms": [{"vcpus": 1, "workload": "w"}], "workloads": {"w": CLOSED}, "host": {"cores": 2}}
    host = Scenario.of(table).host
    assert host is not None
    assert (host.slice_ns.value, host.slice_ns.kind) == (3e6, "assumed")
    assert "sched_base_slice" in host.slice_ns.source


def test_open_and_closed_are_what_they_say() -> None:
    assert isinstance(of().workload, Workload)
    assert of().workload.rate_hz is None
