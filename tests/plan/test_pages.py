"""The worked cases of docs/planning print what the pages say."""

from __future__ import annotations

import fastsmc as smc
from tests.support.places import ROOT

PAGES = ROOT / "docs" / "planning"


def missing(page: str, lines: list[str]) -> list[str]:
    """Lines that a page does not have, each as an indented block has it."""
    there = {line.strip() for line in (PAGES / page).read_text("utf-8").splitlines()}
    return [line for line in lines if line.strip() not in there]


def test_the_largest_shape_is_as_its_page_says() -> None:
    plan = smc.plan.largest_shape(registers="7.3", link="25G", downtime_ms=300)
    lines = str(plan).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("bottleneck"))
    assert missing("largest-shape.md", [lines[0], *lines[first : first + 5]]) == []
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
