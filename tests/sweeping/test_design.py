"""A design holds all that a cell needs, and is refused where no cell of a value could be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsmc.errors import InputError
from fastsmc.scenario import Scenario
from fastsmc.sweeping.cell import Prepared
from fastsmc.sweeping.design import Design, design_of
from fastsmc.sweeping.record import unpacked
from tests.support.scenarios import TRACE
from tests.support.sweeps import OVER, TABLE, TOML


def test_a_design_goes_through_json() -> None:
    design = design_of(TABLE, OVER, where="vms[0].vcpus < 3", repeats=2, measure=["calls", "web.response_p99_ns"])
    again = Design.from_parts(design.parts)
    assert again.as_json() == design.as_json()
    assert again.grid.cells.tolist() == design.grid.cells.tolist()
    assert [again.cell_table(cell) for cell in range(8)] == [design.cell_table(cell) for cell in range(8)]


def test_two_designs_that_differ_in_anything_have_two_names() -> None:
    designs = [
        design_of(TABLE, OVER),
        design_of(TABLE | {"calls": 6}, OVER),
        design_of(TABLE, {**OVER, "vms[0].vcpus": [1, 2]}),
        design_of(TABLE, dict(reversed(OVER.items()))),
        design_of(TABLE, OVER, where="vms[0].vcpus < 3"),
        design_of(TABLE, OVER, repeats=2),
        design_of(TABLE, OVER, seed=4),
        design_of(TABLE, OVER, measure=["calls"]),
    ]
    assert len({design.digest for design in designs}) == len(designs)
    assert design_of(TABLE, OVER).digest == designs[0].digest


def test_a_file_and_its_table_are_the_same_cells(tmp_path: Path) -> None:
    (tmp_path / "storm.toml").write_text(TOML)
    from_file = design_of(tmp_path / "storm.toml", OVER)
    assert (from_file.name, from_file.table) == ("storm", TABLE)
    assert Prepared(from_file).outcome(3) == Prepared(design_of(TABLE, OVER)).outcome(3)


def test_files_are_read_once_and_go_with_the_design(tmp_path: Path) -> None:
    own = Path(Scenario.of(TABLE).profile.name + ".toml")
    from fastsmc.facts.packaged import packaged

    profile = (packaged("profiles") / own).read_text("utf-8")
    (tmp_path / "slow.toml").write_text(profile.replace("value = 292", "value = 29200"))
    (tmp_path / "a.txt").write_bytes(TRACE.read_bytes())
    script = {"kind": "script", "trace": "a.txt"}
    opened = {"kind": "open", "arrivals": {"law": "trace", "file": "a.txt", "scale": 2.0}}
    table = {"profile": "slow.toml", "vms": [{"vcpus": 8, "workload": "s"}], "workloads": {"s": script, "o": opened}}
    folder = tmp_path / "scenario.toml"
    folder.write_text(
        'profile = "slow.toml"\n[[vms]]\nvcpus = 8\nworkload = "s"\n[workloads.s]\nkind = "script"\ntrace = "a.txt"\n'
        '[workloads.o]\nkind = "open"\narrivals = { law = "trace", file = "a.txt", scale = 2.0 }\n'
    )
    design = design_of(folder, {"vms[0].workload": ["s", "o"], "profile": ["slow.toml", "neoverse-n1"]})
    assert set(design.files) == {"slow.toml", "a.txt"}
    expected = [Scenario.load(folder), Scenario.of(table | {"vms": [{"vcpus": 8, "workload": "o"}]}, folder=tmp_path)]
    from fastsmc.latency import simulate

    means = [simulate(scenario).times.response.mean_ns for scenario in expected]
    for path in (tmp_path / "slow.toml", tmp_path / "a.txt", folder):
        path.unlink()
    ready = Prepared(Design.from_parts(design.parts))
    n = len(design.measures)
    at = design.measures.index("response_mean_ns")
    assert [unpacked(ready.outcome(cell).content, n).values[at] for cell in (0, 2)] == means
    slow, quick = (unpacked(ready.outcome(cell).content, n).values[at] for cell in (0, 1))
    assert slow > 10 * quick


def test_a_cell_that_only_a_combination_breaks_says_so_and_names_files_as_the_scenario_does(tmp_path: Path) -> None:
    """A trace of two threads in a VM of one vCPU: both values are good elsewhere."""
    (tmp_path / "a.txt").write_bytes(TRACE.read_bytes())
    (tmp_path / "s.toml").write_text(TOML + '[workloads.s]\nkind = "script"\ntrace = "a.txt"\n')
    design = design_of(tmp_path / "s.toml", {"vms[0].vcpus": [1, 64], "vms[0].workload": ["s", "w"]})
    outcomes = [Prepared(design).outcome(cell) for cell in range(4)]
    assert [outcome.is_done for outcome in outcomes] == [False, True, True, True]
    told = "s: vms[0].workload: a.txt: 2 threads call in it, and a VM of the scenario has 1 vCPUs: give it as many"
    assert outcomes[0].content.decode() == told


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"vms[0].vcpu": [1]}, "vms[0].vcpu: no such key: did you mean vcpus?"),
        ({"vms[0].vmm.lok": [1]}, "vms[0].vmm.lok: no such key: did you mean lock?"),
        ({"vms[0].vcpus": [1, 2, -1]}, "vms[0].vcpus: it is -1"),
        ({"vms[0].vcpus": [-1, 1], "calls": [1, 2]}, "vms[0].vcpus: it is -1"),
        ({"vms[0].vmm.lock": ["vm", "nome"]}, "did you mean none?"),
        ({"profile": ["neoverse-n1", "neoverse-n2"]}, "did you mean neoverse-n1"),
        ({"profile": ["not-there.toml"]}, "not-there.toml: cannot be read (No such file"),
    ],
)
def test_a_value_that_no_cell_can_have_is_refused_before_anything_runs(
    over: dict[str, list[object]], told: str
) -> None:
    with pytest.raises(InputError) as refused:
        design_of(TABLE, over)
    assert told in str(refused.value)


@pytest.mark.parametrize("scenario", [3, None, Scenario.of(TABLE)])
def test_what_is_no_scenario_is_refused(scenario: object) -> None:
    with pytest.raises(InputError, match="give the path of its file, or its table"):
        design_of(scenario, OVER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        ("calls", "give a list of names"),
        ([], "give at least one name"),
        (["calls", "calls"], "none twice"),
        (["call"], "did you mean calls?"),
        (["response_p98_ns"], "must be one of"),
        (["wep.calls"], "did you mean web?"),
        ([3], "must be one of"),
    ],
)
def test_what_is_no_measure_is_refused(measure: object, told: str) -> None:
    with pytest.raises(InputError) as refused:
        design_of(TABLE, OVER, measure=measure)
    assert told in str(refused.value)
