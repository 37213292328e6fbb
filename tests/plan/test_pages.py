"""The worked cases of docs/planning print what the pages say."""

from __future__ import annotations

import fastsmc as smc
from tests.support.places import ROOT

PAGES = ROOT / "docs" / "planning"


def missing(page: str, lines: list[str]) -> list[str]:
    """Lines that a page does not have, each as an indented block has it."""
    there = {line.strip() for line in (PAGES / page).read_text("utf-8").splitlines()}
    return [line for line in lines if line.strip() not in there]


def prose(page: str) -> str:
    """A page as one line, without marks of quotes."""
    return " ".join((PAGES / page).read_text("utf-8").replace("\n> ", " ").split())


def test_the_baselines_are_as_their_page_says() -> None:
    fleet = ROOT / "tests" / "plan" / "fleet"
    inventory = smc.plan.Inventory.read(hosts=fleet / "pool-hosts.csv", vms=fleet / "pool-vms.csv")
    plan = smc.plan.baseline(inventory)
    assert plan.answer in prose("baseline.md")
    *names, last = plan.bottleneck.partition("all others have ")[2].removesuffix(" in common").split(", ")
    assert f"{', '.join(names)} and {last} in common" in prose("baseline.md")
    kernels = inventory.hosts["kernel"].astype("U32")
    kernels[kernels == "5.10.218"] = "5.14.0-570.el9.aarch64"
    rhel = smc.plan.Inventory.of(hosts=dict(inventory.hosts) | {"kernel": kernels}, vms=inventory.vms)
    assert smc.plan.baseline(rhel).answer in prose("baseline.md")


def test_what_a_filter_costs_is_as_its_page_says() -> None:
    plan = smc.plan.filter_cost(n_range=[0, 1, 5, 6, 125, 126, 1000], measure=False)
    told = {tuple(row.values())[:3] for row in plan.table.rows()}
    assert told == {(0, 0, 292), (1, 1, 302), (5, 1, 302), (6, 2, 312), (125, 2, 312), (126, 3, 322), (1000, 3, 322)}
    ranges = ("0 (no filter)", "1 to 5", "6 to 125", "126 to 1000")
    rows = [f"| {n} | {level} | {292 + 10 * level} ns |" for level, n in enumerate(ranges)]
    assert missing("filter-cost.md", rows) == []


def test_the_largest_shape_is_as_its_page_says() -> None:
    plan = smc.plan.largest_shape(registers="7.3", link="25G", downtime_ms=300)
    lines = str(plan).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("bottleneck"))
    assert plan.answer in prose("largest-shape.md")
    assert missing("largest-shape.md", lines[first : first + 5]) == []
    grid = smc.plan.largest_shape(registers=["6.12+pmu", "7.3"], link=["1G", "10G", "100G"], downtime_ms=300)
    assert missing("largest-shape.md", str(grid.table).splitlines()[:9]) == []
    assert smc.plan.largest_shape(registers="7.3", link="25G", downtime_ms=1).exit_code == 5


def test_the_table_of_migrations_is_as_its_page_says() -> None:
    plan = smc.plan.migration_table(
        registers="6.18", n_vcpu=64, memory_gib=256, dirty_mib_per_s=400, hot_set_mib=1024, hot_set_s=5
    )
    lines = str(plan.table).splitlines()
    assert missing("migration-table.md", lines[-5:]) == []
    assert plan.cube is not None
    values = plan.cube.values
    assert values["n_round"].values[1, :, 1].tolist() == [18, 11, 9, 7]
    assert round(float(values["qemu_limit_ms"].values[1, 2, 1]), -1) == 250
