"""Sweeps of planner's questions against the same questions asked one at a time."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.limits import Limits
from fastsmc.plan.result import Plan
from fastsmc.sweeping import asking
from fastsmc.sweeping.answers import MEASURES
from fastsmc.sweeping.cell import Prepared
from fastsmc.sweeping.design import Design, design_of
from fastsmc.sweeping.result import Sweep
from tests.support.command import fastsmc
from tests.support.places import ROOT
from tests.support.processes import cluster, descendants, kill
from tests.support.questions import HOSTS, VMS, csv, files, numbers

TABLES: dict[str, Any] = {"hosts": HOSTS, "vms": VMS}
DRAIN: dict[str, Any] = {
    "question": "evacuate", **TABLES, "drain": ["h0", "h1"], "within_s": 60, "replicas": 20, "link": "5G", "seed": 7,
}  # fmt: skip
UPGRADE: dict[str, Any] = {"question": "upgrade", **TABLES, "to": "6.18"}
MOVING: dict[str, Any] = {"registers": "6.18", "n_vcpu": 64, "memory_gib": 64, "dirty_mib_per_s": 200}


def inventory() -> Inventory:
    return Inventory.of(**TABLES)


def evacuate(**more: Any) -> Plan:
    given: dict[str, Any] = {"hosts": ["h0", "h1"], "within_s": 60, "replicas": 20, "link": smc.Link(5), "seed": 7}
    return smc.plan.evacuate(inventory(), **given | more)


CASES: list[tuple[dict[str, Any], dict[str, list[Any]], Callable[..., Plan]]] = [
    (
        DRAIN,
        {"limits.outbound": [1, 4], "within_s": [5, 60.5]},
        lambda outbound, within: evacuate(
            limits=Limits.preset("kubevirt-1.6").having(outbound=outbound), within_s=within
        ),
    ),
    (
        DRAIN | {"limits": "hco-1.19"},
        {"limits.preset": ["none", "hco-1.19"], "link.gbit_per_s": ["1G", 5], "drain": ["each", ["h4"]]},
        lambda preset, rate, hosts: evacuate(
            limits=Limits() if preset == "none" else Limits.preset(preset), link=smc.Link(rate), hosts=hosts
        ),
    ),
    (
        DRAIN | {"link": {"gbit_per_s": 5, "rtt_us": "80us"}, "drain": "each"},
        {"link.rtt_us": [0, 1000.0], "downtime_ms": [20, 300]},
        lambda rtt, downtime: evacuate(link=smc.Link(5, rtt), downtime_ms=downtime, hosts="each"),
    ),
    (DRAIN, {"limits": ["none", {"cluster": 1}]}, lambda limits: evacuate(
        limits=Limits() if limits == "none" else Limits.preset("kubevirt-1.6").having(cluster=1)
    )),
    (
        UPGRADE,
        {"hosts_at_once": [1, 3], "vmm": ["qemu:10.1", "qemu:11.1"], "to_vmm": ["", "qemu:11.1"]},
        lambda n, vmm, to_vmm: smc.plan.upgrade(inventory(), to="6.18", hosts_at_once=n, vmm=vmm, to_vmm=to_vmm),
    ),
    (UPGRADE, {"to": ["6.12", "6.18"]}, lambda to: smc.plan.upgrade(inventory(), to=to)),
    ({"question": "baseline", **TABLES}, {"pool": ["a", "b", None]},
     lambda pool: smc.plan.baseline(inventory(), pool=pool)),
    (
        {"question": "largest_shape", "registers": "7.3", "link": ["1G", "25G"]},
        {"downtime_ms": [1, 300, [100, 50]], "link[0].gbit_per_s": ["10G", 100], "ioctl_ns": [None, 500]},
        lambda downtime, rate, ns: smc.plan.largest_shape(
            registers="7.3", link=[smc.Link(rate), smc.Link(25)], downtime_ms=downtime, ioctl_ns=ns
        ),
    ),
    (
        {"question": "migration_table", **MOVING},
        {"link": ["1G", ["1G", "10G"]], "downtime_ms": [1, [30, 300]]},
        lambda link, downtime: smc.plan.migration_table(**MOVING, link=link, downtime_ms=downtime),
    ),
    (
        {"question": "filter_cost", "n_range": [3, 100, 20]},
        {"profile": ["neoverse-n1", "x-gene-2016"], "n_range[1]": [5, 1000]},
        lambda profile, n: smc.plan.filter_cost(n_range=[3, n, 20], profile=profile, measure=False),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("table", "over", "ask"), CASES)
def test_each_cell_is_what_the_question_finds(
    table: dict[str, Any], over: dict[str, list[Any]], ask: Callable[..., Plan]
) -> None:
    with smc.sweep(table, over=over, run_on=1) as done:
        told = done.as_dict()
        assert (done.done, told["question"]) == (int(np.prod([*map(len, over.values())])), table["question"])
        data = done.dataset
        for cell, values in zip(told["results"], itertools.product(*over.values()), strict=True):
            plan = ask(*values)
            assert cell["answer"] == plan.answer
            expected = numbers(plan)
            assert list(expected) == told["measures"] == list(MEASURES[table["question"]])
            for name, value in expected.items():
                assert cell[name] == pytest.approx(value, rel=1e-12) or (cell[name] is None and np.isnan(value)), name
                there = data[name].sel(cell["at"])
                assert there.equals(there.copy(data=np.nan if cell[name] is None else cell[name]))
            assert str(data.answer.sel(cell["at"]).item()) == plan.answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files(tmp_path)
    drain = 'question = "evacuate"\nhosts = "hosts.csv"\nvms = "vms.csv"\ndrain = "each"\nwithin_s = 60\nreplicas = 5\n'
    (tmp_path / "drain.toml").write_text(f"{drain}seed = 7\n[link]\ngbit_per_s = 5\n")
    (tmp_path / "upgrade.toml").write_text('question = "upgrade"\nhosts = "hosts.csv"\nvms = "vms.csv"\nto = "6.18"\n')
    return tmp_path


DRAINS = {"within_s": [5, 60], "limits.outbound": [1, 2, 4]}


@pytest.fixture
def here(folder: Path) -> Iterator[Sweep]:
    with smc.sweep(folder / "drain.toml", over=DRAINS, repeats=3, run_on=1) as done:
        assert done.done == 18
        yield done


def test_files_go_with_the_design_and_a_pool_finds_the_same_bytes(here: Sweep, folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "j.db"
    with smc.sweep(folder / "drain.toml", over=DRAINS, repeats=3, run_on=2, to=to) as pooled:
        assert pooled.to_json() == here.to_json()
        pooled.to_netcdf(tmp_path / "pooled.nc")
        here.to_netcdf(tmp_path / "here.nc")
        assert (tmp_path / "pooled.nc").read_bytes() == (tmp_path / "here.nc").read_bytes()
    for name in ("hosts.csv", "vms.csv", "drain.toml"):
        (folder / name).unlink()
    with smc.open_sweep(to) as opened:
        assert opened.to_json() == here.to_json()
        assert set(opened.design.files) == {"hosts.csv", "vms.csv"}
    again = Design.from_parts(opened.design.parts)
    assert again.as_json() == opened.design.as_json()


def test_what_was_stopped_goes_on_without_its_files_to_the_same_bytes(here: Sweep, folder: Path) -> None:
    def stop(_step: str, n_done: int, _total: int) -> None:
        if n_done == 7:
            raise KeyboardInterrupt

    to = folder / "j.db"
    with pytest.raises(KeyboardInterrupt):
        smc.sweep(folder / "drain.toml", over=DRAINS, repeats=3, to=to, run_on=1, progress=stop)
    for name in ("hosts.csv", "vms.csv", "drain.toml"):
        (folder / name).unlink()
    with smc.open_sweep(to).resume(run_on=1) as again:
        assert (again.reused, again.computed) == (7, 11)
        assert again.to_json() == here.to_json()


def test_a_worker_that_is_killed_is_replaced_and_its_cells_are_computed(folder: Path) -> None:
    gone: list[int] = []

    def progress(_step: str, n_done: int, _total: int) -> None:
        if n_done and not gone:
            gone.append(descendants(os.getpid())[0])
            kill(gone[0])

    over = {"within_s": list(range(1, 31))}
    with (
        smc.sweep(folder / "drain.toml", over=over, run_on=2, progress=progress) as killed,
        smc.sweep(folder / "drain.toml", over=over, run_on=1) as done,
    ):
        assert len(gone) == 1
        assert killed.to_json() == done.to_json()


@pytest.mark.soak("a Dask cluster, whose tasks do not know what a cell is; make test has a pool")
def test_a_cluster_finds_the_same_bytes(here: Sweep, folder: Path) -> None:
    over = [text for path, values in DRAINS.items() for text in ("--over", f"{path}={','.join(map(str, values))}")]
    with cluster(folder) as running:
        done = fastsmc(
            "sweep", "drain.toml", *over, "--repeats", "3", "--scheduler", running.address, "--json", cwd=folder
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == here.to_json() + "\n"


def test_repeats_are_other_seeds_the_same_at_each_point(here: Sweep) -> None:
    seeds = here.as_dict()["seeds"]
    assert seeds[0] == 7
    assert len(set(seeds)) == 3
    for at, (within, repeat) in enumerate(itertools.product(DRAINS["within_s"], range(3))):
        plan = evacuate(
            hosts="each", within_s=within, replicas=5, seed=seeds[repeat],
            limits=Limits.preset("kubevirt-1.6").having(outbound=1),
        )  # fmt: skip
        where = {"within_s": within, "limits.outbound": 1, "repeat": repeat}
        assert str(here.dataset.answer.sel(where).item()) == plan.answer, at


def test_an_inventory_in_memory_is_the_same_cells(folder: Path) -> None:
    over = {"hosts_at_once": [1, 2]}
    inv = Inventory.read(hosts=folder / "hosts.csv", vms=folder / "vms.csv")
    given = {"question": "upgrade", "inventory": inv, "to": "6.18"}
    with smc.sweep(folder / "upgrade.toml", over=over, run_on=1) as read, smc.sweep(given, over=over, run_on=1) as held:
        assert held.as_dict()["results"] == read.as_dict()["results"]


@pytest.mark.parametrize("seed", range(3))
def test_an_inventory_as_files_comes_back_as_it_was(seed: int, tmp_path: Path) -> None:
    from fastsmc.sweeping.inventories import files_of

    inv = Inventory.like("azure-2017", n_host=30, seed=seed, kernels={"6.12": 0.5, '6.18"a,b': 0.5})
    if seed == 0:  # columns that nobody told, of each type
        inv = Inventory.of(hosts={"name": HOSTS["name"]}, vms={name: VMS[name] for name in ("name", "host", "vcpus")})
    paths = {}
    for what, (name, content) in zip(("hosts", "vms"), files_of(inv).items(), strict=True):
        paths[what] = tmp_path / name
        paths[what].write_bytes(content)
    again = Inventory.read(**paths)
    for own, other in ((inv.hosts, again.hosts), (inv.vms, again.vms)):
        assert list(own) == list(other)
        for name, values in own.items():
            assert values.tolist() == other[name].tolist() or (np.isnan(values) == np.isnan(other[name])).all(), name


def test_a_cell_that_fails_is_kept_and_names_files_as_the_question_does(folder: Path) -> None:
    """Only the whole inventory shows it, not the hosts alone, which are asked about before anything runs."""
    (folder / "odd.csv").write_text(csv(VMS | {"features": ["psci02"] * 7 + ["64k"]}))
    table = {"question": "baseline", **TABLES, "hosts": str(folder / "hosts.csv"), "vms": str(folder / "vms.csv")}
    over = {"vms": [str(folder / "odd.csv"), str(folder / "vms.csv")], "pool": ["a", "b"]}
    with smc.sweep(table, over=over, run_on=1) as found:
        assert (found.done, len(found.failed), found.left) == (2, 2, 0)
        assert [one.coordinates["vms"] for one in found.failed] == [over["vms"][0]] * 2
        assert found.failed[0].error.startswith("odd.csv line 9, 'v7': vCPU feature '64k' is not one of")
        assert found.as_dict()["failed"][0].keys() == {"at", "error"}
        assert found.dataset.state.values.ravel().tolist() == [2, 2, 1, 1]
        assert found.dataset.answer.values.ravel().tolist()[:2] == ["", ""]


def test_no_file_is_opened_that_the_design_does_not_hold(folder: Path) -> None:
    """A journal that somebody else wrote may name any."""
    table = {"question": "baseline", "hosts": str(folder / "hosts.csv"), "vms": str(folder / "vms.csv")}
    parts = design_of(table, {}).parts
    stripped = Design.from_parts(parts | {"files": "{}"})
    told = Prepared(stripped).outcome(0)
    assert not told.is_done
    assert told.content.decode().endswith(": the sweep has no such file: sweep again")


def test_what_a_sweep_says_begins_with_its_answer(folder: Path) -> None:
    with smc.sweep(folder / "upgrade.toml", over={"hosts_at_once": [1, 5]}, run_on=1) as done:
        codes = [one["exit_code"] for one in done.as_dict()["results"]]
        assert codes == [4, 4]
        lines = str(done).splitlines()
        assert lines[0] == done.answer == done.as_dict()["answer"]
        first, second = (one["n_wave"] for one in done.as_dict()["results"])
        ends = f"n_wave goes from {second:g} at hosts_at_once=5 to {first:g} at hosts_at_once=1"
        assert lines[0] == f"2 of 2 cells are done, 2 not met; {ends}"
        assert lines[1] == "upgrade: 2 cells (2 of hosts_at_once), modelled"
        assert any(line.startswith("n_host ") and line.endswith(" is always 6") for line in lines)
        assert repr(done) == "<Sweep of upgrade: 2 cells, 2 done, 0 failed, 0 left (modelled)>"
        assert not {"seed", "seeds", "relative_error"} & done.as_dict().keys()
        assert "seed" not in done.dataset.coords


def test_kinds_are_those_of_the_plan_or_weaker(folder: Path) -> None:
    """A number that rests on what nobody has published is never called modelled."""
    with smc.sweep(DRAIN, over={"within_s": [60]}, run_on=1) as done:
        table = done.table()
        kinds = [table.kinds[name] for name in ("drain_p90_s", "n_stay", "seed")]
        assert kinds == ["assumed", "modelled", "input"]
        assert done.dataset.attrs["kind"] == done.as_dict()["kind"] == "assumed"
        assert done.dataset.drain_p90_s.attrs["units"] == "s"
    assert all(one.kind in ("modelled", "assumed") for its in MEASURES.values() for one in its.values())


def test_a_number_that_an_answer_does_not_have_is_unknown_everywhere(folder: Path) -> None:
    table = {"question": "migration_table", **MOVING, "link": "1G"}
    with smc.sweep(table, over={"downtime_ms": [1]}, run_on=1) as done:
        assert done.as_dict()["results"][0]["total_s"] is None
        assert np.isnan(done.dataset.total_s.values).all()
        assert np.isnan(done.table()["total_s"]).all()
        assert any(line.split() == ["total_s", "is", "known", "of", "no", "cell"] for line in str(done).splitlines())
        assert done.answer == "1 of 1 cell is done, 1 not met; converging_share is always 0"


def test_where_no_vm_leaves_there_is_no_downtime() -> None:
    hosts, vms = {"name": ["a", "b"]}, {"name": ["v"], "host": ["a"], "vcpus": [1], "moves": ["no"]}
    table = DRAIN | {"hosts": hosts, "vms": vms, "drain": ["a"]}
    with smc.sweep(table, over={"within_s": [60]}, run_on=1) as done:
        cell = done.as_dict()["results"][0]
    plan = smc.plan.evacuate(Inventory.of(hosts=hosts, vms=vms), hosts=["a"], within_s=60, replicas=20, seed=7)
    assert (cell["n_leave"], cell["n_stay"], cell["n_host_late"]) == (0, 1, 1)
    assert cell["downtime_p50_ms"] is cell["downtime_p99_ms"] is cell["over_share"] is None
    assert cell["exit_code"] == plan.exit_code == 4


def test_a_command_prints_what_the_function_returns(folder: Path) -> None:
    over = ("--over", "hosts_at_once=1,5", "--over", "to='6.12','6.18'", "--workers", "1")
    typed = fastsmc("sweep", "upgrade.toml", *over, "--json", cwd=folder)
    assert (typed.returncode, typed.stderr) == (0, "")
    with smc.sweep(folder / "upgrade.toml", over={"hosts_at_once": [1, 5], "to": ["6.12", "6.18"]}, run_on=1) as done:
        assert typed.stdout == done.to_json() + "\n"
    table = fastsmc("sweep", "upgrade.toml", *over, "--measure", "n_stop", "--csv", "--to", "j.db", cwd=folder)
    head, first, *_ = table.stdout.splitlines()
    assert head == "hosts_at_once,to,repeat,n_stop,answer"
    cell = json.loads(typed.stdout)["results"][0]
    assert first.startswith(f"1,6.12,0,{cell['n_stop']},")
    assert cell["answer"] in first.replace('""', '"')


@pytest.mark.parametrize(
    ("table", "over", "more", "told"),
    [
        ({"question": "upgrde"}, {}, {}, "did you mean upgrade?"),
        ({"question": 3}, {}, {}, "must be one of baseline, evacuate, filter_cost"),
        ({"question": "problems", **TABLES}, {}, {}, "must be one of baseline, evacuate"),
        (UPGRADE | {"host_at_once": 1}, {}, {}, "did you mean hosts_at_once?"),
        (UPGRADE, {"host_at_once": [1]}, {}, "did you mean hosts_at_once?"),
        (UPGRADE, {"inventory": [1]}, {}, "key is 'inventory'"),
        (UPGRADE | {"inventory": inventory()}, {}, {}, "upgrade is given inventory and hosts: give one of them"),
        (UPGRADE, {"question": ["upgrade"]}, {}, "it is the same in all cells"),
        (UPGRADE, {"hosts_at_once": [1, 0]}, {}, "hosts_at_once is 0"),
        (UPGRADE, {"hosts_at_once": [1, "x"]}, {}, "it must be a number"),
        (UPGRADE, {"to": [6.18]}, {}, "upgrade: to is 6.18: it must be text; in TOML"),
        (UPGRADE, {"to": ["6.99"]}, {}, "6.99"),
        (UPGRADE, {"method": ["greedy", "optimal"]}, {}, "a cell would not be the same twice"),
        (UPGRADE | {"hosts": "not-there.csv"}, {}, {}, "not-there.csv: cannot be read (No such file"),
        (UPGRADE | {"hosts": 3}, {}, {}, "hosts: give the path of a file"),
        ({"question": "upgrade", **TABLES}, {}, {}, "upgrade needs to: give it in its table, or vary it"),
        ({"question": "upgrade", "to": "6.18"}, {}, {}, "upgrade needs hosts and vms"),
        (UPGRADE, {"hosts_at_once": [1]}, {"repeats": 2}, "repeats is 2: upgrade draws no random numbers"),
        (UPGRADE, {"hosts_at_once": [1]}, {"seed": 2}, "seed is 2: upgrade draws no random numbers"),
        (UPGRADE, {"hosts_at_once": [1]}, {"measure": ["n_waves"]}, "did you mean n_wave?"),
        (UPGRADE, {"hosts_at_once": [1]}, {"measure": ["drain_p50_s"]}, "measure of upgrade"),
        (UPGRADE, {"hosts_at_once": [1]}, {"measure": []}, "give at least one name"),
        (UPGRADE, {"hosts_at_once": [1]}, {"measure": "n_wave"}, "give a list of names"),
        (DRAIN, {"drain": ["h0", "h99"]}, {}, "the inventory has no host 'h99'"),
        (DRAIN, {"limits.outbond": [1]}, {}, "no limit is called 'outbond'"),
        (DRAIN, {"limits": ["kubevirt"]}, {}, "there are kubevirt"),
        (DRAIN, {"limits": [3]}, {}, "give the name of a preset, or a table of limits"),
        (DRAIN, {"link": ["25"]}, {}, "line rate '25': give it as 10Gb/s"),
        (DRAIN, {"link.rate": [25]}, {}, "a table of gbit_per_s and rtt_us"),
        (DRAIN, {"replicas": [0]}, {}, "replicas is 0"),
        (DRAIN, {"replicas": [100_001]}, {}, "replicas is 100001"),
        (DRAIN, {"seed": [1, 2]}, {}, "repeats draw seeds of their own"),
        (DRAIN | {"seed": -1}, {}, {}, "seed is -1"),
        ({"question": "baseline", **TABLES}, {"pool": ["a", "c"]}, {}, "c"),
        ({"question": "filter_cost", "measure": False}, {}, {}, "keeps nothing that a clock measures"),
        ({"question": "largest_shape", "registers": "7.3", "link": "25G", "has_sve": 1}, {}, {}, "true or false"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(
    table: dict[str, Any], over: dict[str, Any], more: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        smc.sweep(table, over=over, to=tmp_path / "j.db", run_on=1, **more)
    assert told in str(refused.value)
    assert not (tmp_path / "j.db").exists()


def test_the_page_names_every_measure() -> None:
    """What it prints is compared in tests/whole/test_pages_run.py."""
    page = (ROOT / "docs" / "sweeps.md").read_text("utf-8")
    names = {name for its in MEASURES.values() for name in its}
    assert [name for name in names if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ("hco-1.19", Limits.preset("hco-1.19")),
        ("none", Limits()),
        ({"preset": "hco-1.19"}, Limits.preset("hco-1.19")),
        ({"preset": "hco-1.19", "outbound": 7}, Limits.preset("hco-1.19").having(outbound=7)),
        ({"outbound": 7}, Limits.preset("kubevirt-1.6").having(outbound=7)),
        ({"preset": "none", "cluster": 3}, Limits(cluster=3)),
    ],
)
def test_limits_are_a_preset_with_some_changed(given: object, limits: Limits) -> None:
    table = DRAIN | {"limits": given}
    assert asking.arguments("evacuate", table)["limits"] == limits
    assert asking.arguments("evacuate", asking.with_tables(table))["limits"] == limits
