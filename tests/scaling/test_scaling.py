"""The main job at small sizes: every number against one computed another way. Times are looked at, never judged."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fastsmc import migrate, scaling
from fastsmc.calls.trace import Trace
from fastsmc.errors import InputError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTIONS
from fastsmc.reference.vm import Vm
from fastsmc.results.files import load, save
from fastsmc.results.runs import Run
from fastsmc.scaling import axes, payload
from fastsmc.traces.text import traced_calls as read_trace

TRACE = Path(scaling.__file__).parents[1] / "data" / "linux-7.3-guest-boot.ftrace.txt"
SMALL = scaling.Sizes(
    shapes=((2, 3), (1, 513)),
    n_batch=40,
    replays=6,
    repeats=3,
    n_call=500,
    vcpus=(1, 64, 128),
    vms=(1, 2, 8),
    vms_vcpus=16,
    grid=(1, 4, 1024),
    encodes=1,
    set_vcpus=(1, 512, 1024),
    fleet=scaling.FleetSizes(n_host=10, hosts_at_once=2),
    study=scaling.StudySizes(
        n_vm=2,
        n_forwarded=200,
        most_call=400,
        warmup=1,
        vcpus=(1, 16),
        shares=(0.0, 1.0),
        share_vcpus=(1, 64),
        lock_workers=(1, 4),
        lock_vcpus=(16,),
        ranges=(0, 1),
        range_vcpus=(16,),
        boot_vcpus=(1, 3),
    ),
)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return read_trace(TRACE)


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def run(trace: Trace, steps: list[tuple[str, int, int]]) -> Run:
    return scaling.run(trace, sizes=SMALL, seed=5, progress=lambda *step: steps.append(step))


def recorded_ids() -> Counter[int]:
    """Function ids of the trace file, by a search of its text."""
    return Counter(int(found, 16) for found in re.findall(r"r0: 0x[0-9a-f]{8}([0-9a-f]{8})", TRACE.read_text("utf-8")))


def verdict_of_reference(func_id: int) -> str:
    return Vm(Host.of("7.3")).call(0, func_id).verdict.name


def test_the_trace_is_counted_by_function(run: Run) -> None:
    table = run["trace"]
    assert dict(zip((int(i, 16) for i in table["func_id"]), table["calls"].tolist(), strict=True)) == recorded_ids()
    names = {f"0x{f.func_id:08x}": (f.service.name, f.name) for f in FUNCTIONS}
    for row in table.rows():
        assert (row["service"], row["function"]) == names[row["func_id"]]
    assert table.kinds["calls"] == "recorded"


def test_verdicts_are_those_of_the_reference(run: Run) -> None:
    assert [verdict_of_reference(int(i, 16)) for i in run["trace"]["func_id"]] == run["trace"]["verdict"].tolist()
    expected: Counter[tuple[str, str]] = Counter()
    service = {f.func_id: f.service.name for f in FUNCTIONS}
    for func_id, n_call in recorded_ids().items():
        expected[service[func_id], verdict_of_reference(func_id)] += n_call
    for shape, n_vcpu in (("2 x 3", 6), ("1 x 513", 513)):
        rows = run["verdicts"].where(shape=shape)
        found = {(row["service"], row["verdict"]): row["calls"] for row in rows.rows()}
        assert found == {key: n_call * n_vcpu for key, n_call in expected.items()}


def test_shapes_are_replayed_and_flagged(run: Run) -> None:
    table = run["replay"]
    assert table["n_vcpu"].tolist() == [6, 513]
    assert table["is_hypothetical"].tolist() == [False, True]
    assert table["n_call"].tolist() == [recorded_ids().total() * n for n in (6, 513)]
    assert (table["n_batch"] == 40).all()
    assert np.allclose(table["calls_per_s"] * table["dispatch_ns"], 1e9)
    ordered = [table[f"batch_{name}_ns"] for name in ("p50", "p99", "p99_9", "max")]
    assert (np.diff(ordered, axis=0) >= 0).all()
    assert (ordered[0] > 0).all()


@pytest.mark.parametrize("name", ["dispatch_by_vcpu", "dispatch_by_vm"])
def test_every_pattern_and_filter_is_timed(run: Run, name: str) -> None:
    table = run[name]
    cells = [("real trace", 0), ("random known ids", 0), *(("random 32-bit ids", n) for n in (0, 32, 500))]
    fleets = [(1, 1), (1, 64), (2, 128)] if name.endswith("vcpu") else [(1, 16), (2, 16), (8, 16)]
    expected = {(*fleet, *cell) for fleet in fleets for cell in cells}
    found = list(zip(*(table[key].tolist() for key in ("n_vm", "n_vcpu", "pattern", "n_range")), strict=True))
    assert len(found) == len(expected)
    assert set(found) == expected
    assert (table["n_call"] == 500).all()
    assert (table["n_policy"] == (1 if name.endswith("vcpu") else table["n_vm"])).all()
    for low, high in (("dispatch_p25_ns", "dispatch_ns"), ("dispatch_ns", "dispatch_p75_ns")):
        assert (table[low] <= table[high]).all()
    assert not table["is_hypothetical"].any()


def test_calls_of_the_trace_go_round_the_vcpus(trace: Trace) -> None:
    calls = axes.calls_of("real trace", trace, n_vcpu=4, n_call=1000, seed=1)
    expected = [(v, int(func_id)) for func_id in trace.func_id for v in range(4)]
    made = list(zip(calls.vcpu.tolist(), calls.func_id.tolist(), strict=True))
    assert made == (expected * 3)[:1000]


def test_random_calls_depend_on_the_seed_only(trace: Trace) -> None:
    def drawn(pattern: str, seed: int) -> list[int]:
        calls = axes.calls_of(pattern, trace, n_vcpu=4, n_call=1000, seed=seed)
        assert set(calls.vcpu.tolist()) == {0, 1, 2, 3}
        return calls.func_id.tolist()

    for pattern in ("random known ids", "random 32-bit ids"):
        assert drawn(pattern, 1) == drawn(pattern, 1) != drawn(pattern, 2)
    assert set(drawn("random known ids", 1)) == {f.func_id for f in FUNCTIONS}
    assert np.mean(drawn("random 32-bit ids", 1)) == pytest.approx(1 << 31, rel=0.05)


def test_distinct_fleet_has_a_policy_per_vm() -> None:
    fleet = axes.distinct_fleet(1024, 1)
    fleet.check()
    columns = (fleet.psci_version, fleet.has_system_suspend, fleet.features, *fleet.fw_bmap.T)
    assert len(set(zip(*(column.tolist() for column in columns), strict=True))) == 1024
    assert len(fleet.tables()[0].filter_of_policy) == 1024


def test_more_vms_than_policies_are_refused(trace: Trace) -> None:
    with pytest.raises(InputError, match=r"1281 VMs with distinct policies: Linux 7\.3 has 1280 combinations"):
        axes.distinct_fleet(1281, 1)
    with pytest.raises(InputError, match="16 vCPUs cannot be shared out evenly among 3 VMs"):
        axes.dispatch_by_vm(trace, (3,), n_vcpu=16, n_call=10)
    with pytest.raises(InputError, match="65 vCPUs are no whole number of VMs"):
        axes.dispatch_by_vcpu(trace, (65,), n_call=10)


@pytest.mark.parametrize("n_range", [0, 1, 32, 500])
def test_deny_ranges_cover_half_of_the_ids(n_range: int) -> None:
    spans = sorted((r.base, r.base + r.nr_functions) for r in axes.deny_ranges(n_range))
    assert len(spans) == n_range
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    covered = sum(end - start for start, end in spans)
    assert covered == pytest.approx((1 << 31) if n_range else 0, rel=1e-5)


def test_the_grid_is_written_as_long_as_arithmetic_says(run: Run) -> None:
    table = run["payload"]
    assert table.n_row == 3 * 3 * 4
    for row in table.rows():
        n_reg, n_vcpu, once = row["n_reg"], row["n_vcpu"], "once" in row["codec"]
        word = 16 if row["codec"].startswith("id+") else 8
        n_byte = word * n_reg * (1 if once else n_vcpu)
        assert row["payload_bytes"] == row["encoded_bytes"] == n_byte
        # QEMU: 77 per vCPU, and every register twice; minimal: every register once.
        reads = n_reg * (1 if once else n_vcpu)
        assert row["save_ioctls"] == row["load_ioctls"] == 77 * n_vcpu + 2 * reads
        assert row["least_save_ioctls"] == reads
        assert row["is_hypothetical"] == (n_vcpu > 512)
    assert table["is_round_trip_exact"].all()
    assert table.kinds["payload_bytes"] == "modelled"
    assert table.kinds["encoded_bytes"] == "measured"


def test_the_origin_is_8_mib_and_8_kb(run: Run) -> None:
    points = {(row["n_reg"], row["n_vcpu"], row["codec"]): row["encoded_bytes"] for row in run["origin"].rows() if row}
    assert points[1024, 1024, "values"] == 8 << 20
    assert points[1024, 1024, "id+value"] == 16 << 20
    assert points[10, 100, "values"] == 8000
    assert points[10, 100, "values, VM-global once"] == 80


def test_a_bit_lost_on_the_way_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = payload.decode

    def careless(*args: object, **kwargs: object) -> object:
        back = real(*args, **kwargs)  # type: ignore[arg-type]
        back[-1, -1] ^= np.uint64(1)
        return back

    monkeypatch.setattr(payload, "decode", careless)
    assert not scaling.payload_grid([(3, 2)], encodes=1)["is_round_trip_exact"].any()


def test_sets_cost_what_arithmetic_says(run: Run) -> None:
    sets = {row["register_set"]: row for row in run["sets"].rows()}
    assert sets["Linux 7.3"] | {"n_reg": 257, "n_cpreg": 182, "n_firmware": 8, "n_global": 70} == sets["Linux 7.3"]
    assert sets["Linux 5.10"]["n_firmware"] == 4
    assert run["sets"].kinds["n_cpreg"] == "recorded"
    for row in run["set_cost"].rows():
        found, n_vcpu = sets[row["register_set"]], row["n_vcpu"]
        once = "once" in row["codec"]
        sent = found["n_cpreg"] * n_vcpu - (found["n_global"] * (n_vcpu - 1) if once else 0)
        assert row["payload_bytes"] == sent * (16 if row["codec"].startswith("id+") else 8)
        core = 94 if "sve" in found["features"] else 77
        assert row["save_ioctls"] == row["load_ioctls"] == core * n_vcpu + 2 * sent
        for end, us in (("low", 0.2), ("mid", 0.5), ("high", 1.0)):
            assert row[f"save_{end}_ms"] == pytest.approx(row["save_ioctls"] * us / 1000)
            assert row[f"load_{end}_ms"] == pytest.approx(row["load_ioctls"] * us / 1000)
        assert row["is_hypothetical"] == (n_vcpu > 512)
    kinds = run["set_cost"].kinds
    assert {kinds[f"{way}_{end}_ms"] for way in ("save", "load") for end in ("low", "mid", "high")} == {"assumed"}


def test_todays_save_at_512_vcpus_is_225792_ioctls(run: Run) -> None:
    row = run["set_cost"].where(register_set="Linux 7.3", codec="id+value", n_vcpu=512)
    assert row["save_ioctls"].tolist() == [225_792]


def test_every_number_is_labelled_and_every_limit_has_a_source(run: Run) -> None:
    for table in run.tables.values():
        for name, column in table.columns.items():
            assert column.kind or column.values.dtype.kind in "bU", name
            if name.endswith(("_ns", "_ms")):
                assert column.kind in ("measured", "assumed"), name
    assert all(run["limits"]["source"])
    assert run["limits"].where(limit="KVM vCPUs per VM")["value"].tolist() == [512]


def test_moves_are_judged_as_migrate_check_does(run: Run) -> None:
    """Single checks, which take the release and its features as text, against the matrix."""
    table = run["moves"]
    assert table.n_row == 4 * 49
    for row in list(table.rows())[::13]:
        found = migrate.check(
            row["source"], row["dest"], vmm=row["vmm"], source_features=row["features"], dest_features=row["features"]
        ).forward
        assert (row["outlook"], row["n_failing"]) == (found.outlook.value, len(found.failing)), row
        assert [name for name in row["failing"].split(";") if name] == [fate.name for fate in found.failing]


def test_every_reported_failure_fails_and_names_what_helps(run: Run) -> None:
    table = run["failures"]
    assert table["outlook"].tolist() == ["fails"] * 4
    assert [row["n_failing"] for row in table.rows()] == [2, 3, 74, 0]
    assert "Invalid value 236 expecting positive value <= 162" in table["error"][2]  # as it was reported
    for column in ("error", "remedy", "reported", "stopped_by"):
        assert all(table[column]), column


def test_the_downtimes_steps_add_up_to_what_migrate_downtime_says(run: Run) -> None:
    table, told = run["downtime"], migrate.downtime("7.3", n_vcpu=512, link="10Gb/s").as_dict()
    for end in ("low", "mid", "high"):
        assert table[f"{end}_ms"].sum() == pytest.approx(told["total_ms"][end])
    assert table["ioctls"].sum() == sum(step["ioctls"] for step in told["steps"])
    assert set(table["n_reg"].tolist()) == {182}


def test_a_fleets_upgrade_moves_or_stops_every_vm(run: Run) -> None:
    totals, waves = run["upgrade"], run["upgrade_waves"]
    assert totals["vmm"].tolist() == ["qemu:10.1", "qemu:11.1"]
    assert totals["hosts"].tolist() == [10, 10]
    for row in totals.rows():
        own = waves.where(vmm=row["vmm"])
        assert own["moved"].sum() == row["moved"]
        assert row["moved"] + row["stopped"] + row["unknown"] >= row["n_vm"]  # a VM may move twice
    had, newer = totals.rows()
    assert had["stopped"] > 0 == newer["stopped"]
    assert had["failing"] == "TCR2_EL1;PIRE0_EL1;PIR_EL1"
    assert "hosts.vmm" in run["upgrade_assumed"]["what"].tolist()


def test_progress_reaches_the_end_of_every_step(run: Run, steps: list[tuple[str, int, int]]) -> None:
    last = {step: (done, total) for step, done, total in steps}
    assert list(last) == [
        "trace",
        "replay",
        "dispatch by vCPUs",
        "dispatch by VMs",
        "payload",
        "register sets",
        "moves",
        "fleet's upgrade",
        "calls under load",
    ]
    assert all(done == total for done, total in last.values())


def test_a_run_is_saved_whole_and_says_what_it_was_made_of(run: Run, tmp_path: Path) -> None:
    save(run, tmp_path / "data.json")
    back = load(tmp_path / "data.json")
    assert back.provenance.seed == 5
    assert back.provenance.inputs["trace"] == TRACE.name
    assert back.provenance.inputs["sizes"]["n_batch"] == 40
    assert {n: t.n_row for n, t in back.tables.items()} == {n: t.n_row for n, t in run.tables.items()}


def test_what_is_not_measured_is_the_same_each_time(run: Run, trace: Trace) -> None:
    again = scaling.run(trace, sizes=SMALL, seed=5)
    for name, table in run.tables.items():
        for key, column in table.columns.items():
            if column.kind != "measured":
                assert again[name][key].tolist() == column.values.tolist(), (name, key)
