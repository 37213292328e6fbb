"""`fastsmc plan baseline` and `filter-cost`: exit codes, files, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fastsmc.cli.app import app
from fastsmc.cli.plan.app import app as plan
from fastsmc.errors import InputError
from fastsmc.plan import Plan
from tests.support.places import TESTS

FLEET = TESTS / "plan" / "fleet"


def baseline(folder: Path, kernels: list[str], features: str, *more: str) -> list[str]:
    hosts, vms = folder / "hosts.csv", folder / "vms.csv"
    hosts.write_text("name,kernel,pool\n" + "".join(f"h{i},{kernel},p{i // 2}\n" for i, kernel in enumerate(kernels)))
    vms.write_text(f"name,host,vcpus,features\na,h0,4,{features}\n")
    return ["plan", "baseline", "--hosts", str(hosts), "--vms", str(vms), *more]


@pytest.mark.parametrize(
    ("kernels", "features", "code"),
    [
        (["6.18.15", "6.12.107"], "psci02", 0),
        (["6.18.15", "6.12.107"], "psci02+el2", 4),
        (["6.18.15", "homemade"], "psci02", 5),
        (["6.18.15", ""], "psci02", 5),
    ],
)
def test_the_exit_code_says_whether_vms_keep_what_they_use(
    tmp_path: Path, kernels: list[str], features: str, code: int
) -> None:
    assert CliRunner().invoke(app, baseline(tmp_path, kernels, features)).exit_code == code


def test_every_question_takes_the_same_options_of_output() -> None:
    commands: Any = typer.main.get_command(plan)
    takes = {
        name: {word for parameter in command.params for word in parameter.opts}
        for name, command in commands.commands.items()
        if name != "problems"  # which answers with no plan
    }
    assert len(takes) >= 5
    common = {"--json", "--csv", "--markdown", "--out", "-o", "--quiet", "-q"}
    assert {name: common - words for name, words in takes.items()} == {name: set() for name in takes}


def test_one_pool_is_asked_about_and_the_plan_is_saved(tmp_path: Path) -> None:
    asked = baseline(tmp_path, ["6.18.15", "6.12.107", "homemade"], "", "--pool", "p0", "-o", str(tmp_path / "p.json"))
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert {row["pool"] for row in told["rows"]} == {"p0"}
    assert Plan.load(tmp_path / "p.json").as_dict() == told


def test_a_pool_or_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, baseline(tmp_path, ["6.18.15"], "", "--pool", "p7"))
    assert done.exit_code == 2
    assert done.stderr.startswith("fastsmc: --pool is 'p7': it must be one of p0")
    done = CliRunner().invoke(app, ["plan", "baseline", "--hosts", "none.csv", "--vms", str(FLEET / "pool-vms.csv")])
    assert isinstance(done.exception, InputError)
    assert "none.csv" in str(done.exception)


def test_a_filters_cost_is_printed_for_the_ranges_that_are_asked_about() -> None:
    done = CliRunner().invoke(app, ["plan", "filter-cost", "--ranges", "0,6-8,126", "--no-measure", "--csv"])
    assert done.exit_code == 0
    assert [line.split(",")[:2] for line in done.stdout.splitlines()[1:]] == [
        ["0", "0"], ["6", "2"], ["7", "2"], ["8", "2"], ["126", "3"],
    ]  # fmt: skip
    done = CliRunner().invoke(app, ["plan", "filter-cost", "--ranges", "some"])
    assert done.exit_code == 2
    assert "--ranges 'some': give whole numbers" in done.stderr


def test_the_largest_shape_of_several_lists_links_and_budgets_has_a_row_each() -> None:
    asked = [
        "plan",
        "largest-shape",
        "--registers",
        "182,6.18+pmu",
        "--line-rate",
        "10G, 25G",
        "--downtime-ms",
        "30,300",
    ]
    done = CliRunner().invoke(app, [*asked, "--csv"])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1 + 2 * 2 * 2
    assert CliRunner().invoke(app, [*asked[:-1], "0.001", "-q"]).exit_code == 4


def test_a_migration_that_never_ends_is_missed() -> None:
    asked = ["plan", "migration-table", "--registers", "6.18", "--vcpus", "8", "--memory-gib", "16"]
    assert CliRunner().invoke(app, [*asked, "--dirty-mib-per-s", "10"]).exit_code == 0
    assert CliRunner().invoke(app, [*asked, "--dirty-mib-per-s", "900000"]).exit_code == 4


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            ["largest-shape", "--registers", "6.18", "--downtime-ms", "a,3"],
            "--downtime-ms 'a,3': give numbers joined by",
        ),
        (
            ["largest-shape", "--registers", "6.18", "--line-rate", "10G,,"],
            "--line-rate '10G,,': give rates joined by commas",
        ),
        (["largest-shape", "--registers", "6.99"], "6.99"),
        (["largest-shape", "--registers", "6.18", "--vmm", "crosvm"], "crosvm"),
    ],
)
def test_what_cannot_be_asked_about_shapes_is_one_sentence(asked: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["plan", *asked])
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr.splitlines()[0]


def test_a_table_of_migrations_is_of_one_vm() -> None:
    asked = ["plan", "migration-table", "--registers", "6.18,7.3", "--vcpus", "1", "--memory-gib", "1"]
    done = CliRunner().invoke(app, [*asked, "--dirty-mib-per-s", "1"])
    assert done.exit_code == 2
    assert "a table is of one VM" in done.stderr
