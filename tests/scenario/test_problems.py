"""What is said of bad scenarios: every problem at once, each with its line and what would be right."""

from __future__ import annotations

import contextlib
import copy
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.scenario import Scenario
from tests.support.examples import examples
from tests.support.places import ROOT
from tests.support.scenarios import CLOSED, TRACE, of, problems

DOCS = ROOT / "docs"

BAD = """seed = -1
cals = 100
profile = "neoverse-n2"
[profile_overrides]
round_trip = 0
trap_ns = nan
[host]
cores = 0
[[vms]]
count = 0
release = "9.9"
features = ["psci2"]
psci = 1.1
bitmaps = { STD_BMP = 0x1 }
filter = [
  { base = "TRNG_VERSON", count = 4, action = "FWD_TO_USER" },
  { base = 0x86000001, cont = 1, action = "DNY" },
]
workload = "mixx"
vmm = { lock = "vm", workers = 3 }
service = { law = "exponental", mean_us = -5.0 }
[workloads.mix]
kind = "closed"
think = { law = "exponential", mean_us = 20.0, mean_ms = 1 }
mix = { TRNG_RND64 = 0.2, PTP = 0.7 }
[workloads.open]
kind = "open"
arrivals = { law = "poisson", rate_hz = inf }
mix = [
  { call = "PTP", share = 0.5 },
  { call = 0x86000001, share = 0.5 },
  { call = "SMCCC_VERSION", share = 0.5, conduit = "smcc", x4 = 1 },
]
[workloads.storm]
kind = "script"
shape = "boot-strom"
[workloads.none]
kind = "clsd"
"""
SAID = """\
1: seed: it is -1: it must be a whole number in 0..0x7fffffffffffffff
2: cals: no such key: did you mean calls?
3: profile: no profile is called 'neoverse-n2': did you mean neoverse-n1
5: profile_overrides.round_trip: no such key: did you mean round_trip_ns
6: profile_overrides.trap_ns: it is nan: it must be a finite number of ns, 0 or more
8: host.cores: it is 0: it must be a whole number in 1..
9: vms[0].vcpus: it is missing: it must be a whole number in 1..
10: vms[0].count: it is 0: it must be a whole number in 1..
11: vms[0].release: release 9.9 is outside 5.10 to 7.3
12: vms[0].features[0]: it is 'psci2': did you mean psci02?
13: vms[0].psci: it is 1.1: it must be a PSCI version as text
14: vms[0].bitmaps.STD_BMP: no such key: did you mean STD_BMAP
16: vms[0].filter[0].base: no function is called 'TRNG_VERSON': did you mean TRNG_VERSION
17: vms[0].filter[1].cont: no such key: did you mean count?
17: vms[0].filter[1].action: it is 'DNY': did you mean DENY?
19: vms[0].workload: it is 'mixx': did you mean mix?
20: vms[0].vmm.workers: lock is "vm": leave it out
21: vms[0].service.law: it is 'exponental': did you mean exponential?
21: vms[0].service.mean_us: it is -5.0: it must be a finite number of us, 0 or more
24: workloads.mix.think: mean_us and mean_ms are both given: give one of
25: workloads.mix.mix: shares add up to 0.9: they must add up to 1
28: workloads.open.arrivals.rate_hz: it is inf: it must be a finite number of calls per second, above 0
31: workloads.open.mix[1]: 0x86000001 is there already, as VENDOR_HYP_PTP: give it once
32: workloads.open.mix[2].x4: no such key
32: workloads.open.mix[2].conduit: it is 'smcc': did you mean smc?
36: workloads.storm.shape: no shape is called 'boot-strom': did you mean boot-storm?
38: workloads.none.kind: it is 'clsd': did you mean closed?""".splitlines()


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(BAD, tmp_path)
    assert len(found) == len(SAID)
    for text, start in zip(sorted(found), sorted(SAID), strict=True):
        assert text.startswith(start)
    numbers = [int(text.partition(":")[0]) for text in found]
    assert numbers == sorted(numbers)


KVM_REFUSES = """[[vms]]
vcpus = 4
release = "6.12"
psci = "1.3"
bitmaps = { STD_BMAP = 0x10, VENDOR_HYP_BMAP_2 = 0 }
filter = [
  { base = 0x84000000, count = 4, action = "DENY" },
  { base = 0x84000002, action = "DENY" },
  { base = 0x80000002, action = "DENY" },
  { base = 0x84000010, count = 0, action = "DENY" },
  { base = 0xffffffff, count = 2, action = "DENY" },
]
workload = "w"
[workloads.w]
kind = "closed"
think = { law = "deterministic", mean_us = 0 }
mix = { PTP = 1 }
"""


def test_what_kvm_refuses_is_refused_with_its_errno(tmp_path: Path) -> None:
    found = problems(KVM_REFUSES, tmp_path)
    # Errnos as KVM_SET_ONE_REG and KVM_ARM_VM_SMCCC_FILTER return them; see tests/recordings.
    assert [(int(text.split(":")[0]), text.split(": ")[1], text[-8:]) for text in found] == [
        (4, "vms[0].psci", " EINVAL)"),
        (5, "vms[0].bitmaps.STD_BMAP", " EINVAL)"),
        (5, "vms[0].bitmaps.VENDOR_HYP_BMAP_2", " ENOENT)"),
        (8, "vms[0].filter[1]", " EEXIST)"),
        (9, "vms[0].filter[2]", " EEXIST)"),
        (10, "vms[0].filter[3]", " EINVAL)"),
        (11, "vms[0].filter[4]", " EINVAL)"),
    ]
    assert not any("VM 0" in text for text in found)


def test_a_filter_before_6_4(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vms\[0\]\.filter\[0\]: .*6\.1 has no SMCCC filter.*EINVAL"):
        of(release="6.1", filter=[{"base": "PTP", "action": "DENY"}])


@pytest.mark.parametrize(
    "rate", [0, -1.0, 1e-300, 10**400, -(10**400), math.inf, -math.inf, math.nan, True, "fast", None]
)
def test_rates_that_are_none(rate: object) -> None:
    with pytest.raises(InputError, match=r"workloads\.w\.arrivals\.rate_hz: .*(above 0|1e-06 or more)"):
        of({"kind": "open", "arrivals": {"law": "poisson", "rate_hz": rate}, "mix": {"PTP": 1.0}})


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (CLOSED | {"mix": {}}, r"mix: shares add up to 0: they must add up to 1"),
        (CLOSED | {"mix": {"PTP": 1 + 2e-9}}, "shares add up to 1.000000002"),
        (CLOSED | {"mix": {"PTP": 1.5, "TRNG_RND64": -0.5}}, r"mix\.TRNG_RND64: it is -0.5"),
        (CLOSED | {"mix": {"VERSION": 1.0}}, "did you mean SMCCC_VERSION or PSCI_VERSION or TRNG_VERSION"),
        (CLOSED | {"mix": {0x1_0000_0000: 1.0}}, "or its id in 0..0xffffffff"),
        (CLOSED | {"mix": "PTP"}, "mix: it is 'PTP': it must be a table"),
        (CLOSED | {"arrivals": {}}, r"arrivals: no such key"),
        ({"kind": "closed", "mix": {"PTP": 1.0}}, "think: it is missing: it must be a table"),
        ({"kind": "script"}, "what it calls is missing: give shape"),
        ({"kind": "script", "shape": "ptp-poll", "trace": "x"}, "shape and trace are both given"),
        ({"kind": "script", "shape": "boot-storm", "polls": 3}, "polls: no such key"),
        ({"kind": "script", "shape": "boot-storm", "scale": 0}, "scale: it is 0"),
        ({"kind": "script", "shape": "ptp-poll", "period_ms": 0}, "period_ms: it is 0: .*above 0"),
        ({"kind": "script", "trace": "not-there.txt"}, r"trace: not-there.txt: cannot be read \(No such file"),
        (
            {"kind": "open", "arrivals": {"law": "onoff", "rate_hz": 1, "on_ms": 1}, "mix": {"PTP": 1}},
            "off_us is missing",
        ),
        ({"kind": "open", "arrivals": {"law": "trace", "file": str(TRACE)}, "mix": {"PTP": 1}}, "mix: the trace says"),
        ({"kind": "open", "arrivals": {"law": "uniform", "rate_hz": 1}, "mix": {"PTP": 1}}, "law: it is 'uniform'"),
    ],
)
def test_bad_workloads(workload: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        of(workload)


@pytest.mark.parametrize(
    ("vms", "message"),
    [
        ([], "vms: it is \\[\\]: add at least one"),
        ({"a": 1}, "add at least one"),
        ([{"vcpus": 1, "workload": "w", "name": "a"}] * 2, "another group is called 'a'"),
        ([{"vcpus": 1 << 16, "workload": "w", "count": 1 << 17}], "vCPUs in all: they must be 4294967295 or fewer"),
        ([{"vcpus": 65537, "workload": "w"}], "vcpus: it is 65537: it must be a whole number in 1..65536"),
        ([{"vcpus": 1.5, "workload": "w"}], "vcpus: it is 1.5: it must be a whole number"),
        ([{"vcpus": 1, "workload": "w", "vmm": {"lock": "workers"}}], "workers: it is missing"),
        ([{"vcpus": 1, "workload": "w", "features": ["el1_32bit", "sve", "x"]}], r"features\[2\]: it is 'x'"),
        ([{"vcpus": 1, "workload": "w", "filter": {"base": 1}}], "filter: .*it must be a list of tables"),
    ],
)
def test_bad_groups(vms: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Scenario.of({"vms": vms, "workloads": {"w": CLOSED}})


def test_a_trace_out_of_order_is_named_with_its_line(tmp_path: Path) -> None:
    lines = TRACE.read_text("utf-8").splitlines()
    rows = [i for i, line in enumerate(lines) if "kvm_hvc_arm64: HVC" in line]
    lines[rows[3]], lines[rows[2]] = lines[rows[2]], lines[rows[3]]
    (tmp_path / "t.txt").write_text("\n".join(lines), "utf-8")
    text = """[[vms]]
vcpus = 2
workload = "w"
[workloads.w]
kind = "script"
trace = "t.txt"
"""
    [found] = problems(text, tmp_path)
    assert re.match(
        rf"6: workloads\.w\.trace: .*t\.txt:{rows[3] + 1}: thread \d+ calls at .* on line {rows[2] + 1} ", found
    )


def test_a_trace_of_more_threads_than_vcpus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"vms\[0\].workload: .*2 threads call in it, and a VM of the scenario has 1"):
        of({"kind": "script", "trace": str(TRACE)}, vcpus=1)


# -- anything at all -----------------------------------------------------------------------------------------------

WHOLE = tomllib.loads(re.findall(r"```toml\n(.*?)```", (DOCS / "scenarios.md").read_text("utf-8"), re.DOTALL)[0])
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["vm", "PTP", "1.1"]),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=8), some, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a mapping."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, child in inner for found in places(child, (*path, key))]


@given(path=st.sampled_from(places(WHOLE)), value=junk)
@examples(200)
def test_any_value_anywhere_is_taken_or_refused_in_words(path: tuple[Any, ...], value: Any) -> None:
    table = copy.deepcopy(WHOLE)
    *most, last = path
    inner = table
    for key in most:
        inner = inner[key]
    inner[last] = value
    with contextlib.suppress(InputError):
        Scenario.of(table)
