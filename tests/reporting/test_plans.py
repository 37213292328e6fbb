"""Figures of plans: what is drawn is what table and cube hold, and saved plans draw alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.plan import Inventory, Plan
from fastsmc.reporting.style import to_svg
from fastsmc.results.tables import Table
from tests.support.plans import a_plan
from tests.support.questions import HOSTS, VMS

NBSP = "\N{NO-BREAK SPACE}"


def title(figure: Figure) -> str:
    return figure.get_suptitle().replace("\n", " ").replace(NBSP, " ")


def tag(figure: Figure) -> str:
    return next(text.get_text() for text in figure.texts if text.get_gid() == "tag")


def lines(figure: Figure, panel: int = 0) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in figure.axes[panel].lines}


def widths(figure: Figure, panel: int) -> list[float]:
    return [bar.get_width() for bar in figure.axes[panel].patches]  # type: ignore[attr-defined]


def inventory() -> Inventory:
    return Inventory.of(hosts=HOSTS, vms=VMS)


# -- largest shape ---------------------------------------------------------------------------------------------


def test_vcpus_against_budgets_have_a_line_and_a_band() -> None:
    plan = smc.plan.largest_shape(registers="7.3", link="25G", downtime_ms=[100, 200, 300])
    figure = plan.figure()
    high, mid, low = plan.cube.values["n_vcpu"].values[0, 0].T  # type: ignore[union-attr]
    assert lines(figure)["at the middle figures"].tolist() == [[100, mid[0]], [200, mid[1]], [300, mid[2]]]
    band = {tuple(point) for point in figure.axes[0].collections[0].get_paths()[0].vertices.tolist()}
    assert {(100, high[0]), (100, low[0]), (300, high[2]), (300, low[2])} <= band
    assert title(figure) == (
        f"{mid.min()} to {mid.max()} vCPUs fit, at the middle figures, over 3 cells; "
        f"{low.min()} to {low.max()} with all figures high"
    )
    assert tag(figure) == "modelled, assumed"


def test_one_cell_has_its_numbers_in_the_title_and_links_are_points() -> None:
    one = smc.plan.largest_shape(registers="7.3", link="25G").figure()
    assert title(one).startswith("394 vCPUs of linux-7.3")
    assert title(one).endswith("fit 300 ms over 25 Gbit/s (191 with all figures high, 748 with all low)")
    plan = smc.plan.largest_shape(registers="7.3", link=["1G", "25G"])
    mids = plan.table["n_vcpu_mid"]
    (points,) = (
        line for line in plan.figure().axes[0].lines if line.get_marker() == "o" and len(line.get_xdata()) == 2
    )
    assert np.asarray(points.get_ydata()).tolist() == mids.tolist()


def test_of_many_combinations_some_are_drawn_and_that_is_told() -> None:
    plan = smc.plan.largest_shape(
        registers=[100, 150, 200, 250],
        link=["1G", "10G", "25G"],
        downtime_ms=[50, 300],
        ioctl_ns=[(1, 2, 3), (4, 5, 6)],
    )
    figure = plan.figure()
    assert "; 7 of 24 combinations are drawn" in figure.axes[0].get_xlabel()
    assert "100 registers per vCPU, 1 Gbit/s, 1/2/3 ns an ioctl" in lines(figure)


# -- migration table -------------------------------------------------------------------------------------------


def test_cells_are_times_and_never_is_told() -> None:
    plan = smc.plan.migration_table(registers="6.18", n_vcpu=64, memory_gib=64, dirty_mib_per_s=200)
    figure = plan.figure()
    ax = figure.axes[0]
    mid = plan.cube.values["total_s"].values[..., 1]  # type: ignore[union-attr]
    assert np.ma.filled(ax.collections[0].get_array(), np.nan) == pytest.approx(mid, nan_ok=True)
    texts = [text.get_text() for text in ax.texts]
    assert texts.count("never") == np.isnan(mid).sum() == 4
    cells = [row[name] for row in plan.table.rows() for name in row if name != "link"]
    assert sum(text.endswith(" *") for text in texts) == sum(cell.endswith(" *") for cell in cells) > 0
    assert title(figure) == "Precopy converges in 12 of 16 cells, the fastest in 5.64 s over 100 Gbit/s within 300 ms"


def test_where_nothing_converges_the_figure_says_so() -> None:
    plan = smc.plan.migration_table(registers="6.18", n_vcpu=64, memory_gib=64, dirty_mib_per_s=20_000, link=["1G"])
    assert title(plan.figure()) == "Precopy converges in none of 4 cells at the middle figures"


# -- filter cost -----------------------------------------------------------------------------------------------


def filter_plan(simulator_ns: list[float] | None = None) -> Plan:
    from dataclasses import replace

    from fastsmc.results.tables import Column

    plan = smc.plan.filter_cost(n_range=[100, 0, 10], measure=False)
    if simulator_ns is None:
        return plan
    more = {
        "simulator_ns": Column.of(simulator_ns, "measured"),
        "simulator_ratio": Column.of([1.5, 1, 1.2], "measured"),
    }
    return replace(plan, table=Table(plan.table.meaning, {**plan.table.columns, **more}))


def test_what_is_modelled_and_what_is_measured_stand_apart() -> None:
    figure = filter_plan([3.0, 1.0, 2.0]).figure()
    kvm, simulator = figure.axes
    assert np.asarray(kvm.lines[0].get_xydata()).tolist() == [[0, 292], [10, 312], [100, 312]]
    assert np.asarray(simulator.lines[0].get_xydata()).tolist() == [[0, 1], [10, 2], [100, 3]]
    assert "(modelled, assumed)" in kvm.get_title(loc="left")
    assert "(measured)" in simulator.get_title(loc="left")
    assert title(figure).startswith("A filter of 100 ranges adds 20 ns to KVM's 292 ns a call (modelled, assumed)")
    assert title(figure).endswith("this simulator takes 1.50x its own time (measured)")


def test_without_a_measurement_nothing_is_marked_measured() -> None:
    figure = filter_plan().figure()
    assert len(figure.axes) == 1
    assert tag(figure) == "modelled, assumed"
    assert "measured" not in title(figure)


# -- fleets ----------------------------------------------------------------------------------------------------


def test_a_drain_is_drawn_by_its_percentiles_against_the_limits() -> None:
    plan = smc.plan.evacuate(inventory(), hosts=["h0", "h1"], within_s=900, replicas=20, link=smc.Link(10))
    figure = plan.figure()
    cube = plan.cube
    assert cube is not None
    for panel, (name, limit) in enumerate((("drain_s", 15), ("downtime_ms", 300))):
        curve, marks, line = figure.axes[panel].lines
        values = cube.values[name].values / (1 if panel else 60)
        assert np.asarray(curve.get_xdata()) == pytest.approx(values)
        assert np.asarray(curve.get_ydata()).tolist() == list(range(101))
        assert np.asarray(marks.get_xdata()) == pytest.approx(values[[50, 90, 99]])
        assert list(line.get_xdata()) == [limit, limit]  # type: ignore[arg-type]
    p50 = cube.values["drain_s"].values[50] / 60
    assert f"h0, h1 are empty after {p50:.3g} min (p50)" in title(figure)
    assert title(figure).endswith("within the limit of 15 min")


def test_a_drain_in_which_nothing_moves_has_no_figure() -> None:
    empty = Inventory.of(hosts=HOSTS, vms={name: values[1:4] for name, values in VMS.items()})
    plan = smc.plan.evacuate(empty, hosts=["h4"], within_s=90, replicas=2)
    with pytest.raises(InputError, match="nothing to draw"):
        plan.figure()


def test_waves_are_bars_of_hosts_and_of_vms() -> None:
    plan = smc.plan.upgrade(inventory(), to="6.18", vmm="qemu:10.1")
    figure = plan.figure()
    heights = [[bar.get_height() for bar in ax.patches] for ax in figure.axes]  # type: ignore[attr-defined]
    assert heights[0] == plan.table["hosts"].tolist()
    assert heights[1] == [*plan.table["moved"], *plan.table["stopped"], *plan.table["unknown"]]
    n = {name: int(plan.table[name].sum()) for name in ("hosts", "moved")}
    assert title(figure).startswith(
        f"{n['hosts']} hosts reach 6.18 in {plan.table.n_row} waves: {n['moved']} live move"
    )


def test_many_waves_share_bars() -> None:
    from dataclasses import replace

    from fastsmc.results.tables import Column

    plan = smc.plan.upgrade(inventory(), to="6.18", vmm="qemu:10.1")
    columns = {
        name: Column.of(np.arange(1, 1001), "modelled") for name in ("wave", "hosts", "moved", "stopped", "unknown")
    }
    figure = replace(plan, table=Table("a wave", columns)).figure()
    heights = [bar.get_height() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert len(heights) == 40
    assert sum(heights) == 500_500
    assert heights[0] == sum(range(1, 26))
    assert figure.axes[0].get_xlabel() == "wave, 25 in a bar"


def test_a_baseline_draws_what_is_shared_and_what_is_lost() -> None:
    plan = smc.plan.baseline(inventory())
    figure, table = plan.figure(), plan.table
    pools = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert sorted(pools) == ["a", "b"]
    states = [["yes"], ["no"], [word for word in set(table["in_common"].tolist()) if word not in ("yes", "no")]]
    counted = [
        int(((table["pool"] == pool) & np.isin(table["in_common"], words)).sum()) for words in states for pool in pools
    ]
    assert [n for n in widths(figure, 0) if n] == [n for n in counted if n]
    losing = np.sort(table["n_vm_losing"] + table["n_vm_perhaps"])[::-1]
    n = min(12, int((losing > 0).sum()))
    shown = np.reshape(widths(figure, 1), (-1, n)).sum(axis=0)
    assert shown.tolist() == losing[:n].tolist()


def test_a_baseline_of_hosts_that_are_alike_says_that_nothing_is_lost() -> None:
    hosts = {"name": ["a", "b"], "kernel": ["6.18.15"] * 2}
    plan = smc.plan.baseline(Inventory.of(hosts=hosts, vms={"name": ["v"], "host": ["a"], "vcpus": [4]}))
    figure = plan.figure()
    assert title(figure).startswith("Pinned to what all hosts of its pool have, no VM is known to lose anything")


# -- any plan --------------------------------------------------------------------------------------------------


def test_a_plan_that_was_loaded_draws_the_same(tmp_path: Path) -> None:
    for plan in (
        smc.plan.largest_shape(registers="7.3", link=["10G", "25G"]),
        smc.plan.evacuate(inventory(), hosts="each", within_s=90, replicas=5),
    ):
        plan.save(tmp_path / "p.json")
        first, again = (to_svg(one.figure(), "x") for one in (plan, Plan.load(tmp_path / "p.json")))
        assert first == again
        assert first.startswith("<svg")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"question": "problems"}, "there is no figure of problems: there is one of baseline, evacuate"),
        ({"question": "largest_shape"}, "has no cube of registers, link, downtime_ms, figure"),
        ({"question": "migration_table", "cube": None}, "has no cube of link, downtime_ms, figure"),
    ],
)
def test_what_cannot_be_drawn_is_told(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        a_plan(**changed).figure()
