"""The figure of a trace: bars are counts by function, cells are counts in a part of the time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts.packaged import SAMPLES
from fastsmc.reporting.called import picture
from fastsmc.traces.text import trace

CALLS = [("PSCI", "PSCI_VERSION", 3), ("TRNG", "TRNG_RND64", 7), ("ARCH", "SMCCC_VERSION", 1)]


def test_bars_are_counts_most_calls_first() -> None:
    figure = picture(CALLS)
    (ax,) = figure.axes
    assert [bar.get_width() for bar in ax.patches] == [7, 3, 1]  # type: ignore[attr-defined]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["TRNG_RND64", "PSCI_VERSION", "SMCCC_VERSION (ARCH)"]
    assert figure.get_suptitle().replace("\N{NO-BREAK SPACE}", " ") == "TRNG_RND64 is 64 % of 11 calls"


def test_what_a_trace_lacks_stands_in_the_title() -> None:
    assert picture(CALLS, missing=", 5 events lost").get_suptitle().endswith("of 11 calls, 5 events lost")


def test_of_many_functions_the_rest_is_one_bar() -> None:
    many = [("S", f"f{k}", 100 - k) for k in range(20)]
    (ax,) = picture(many).axes
    heights = [bar.get_width() for bar in ax.patches]  # type: ignore[attr-defined]
    assert heights == [*range(100, 87, -1), sum(range(81, 88))]
    assert ax.get_yticklabels()[-1].get_text() == "7 other functions"


def test_cells_count_calls_of_a_function_in_a_part_of_the_time() -> None:
    rng = np.random.default_rng(2)
    function, seconds = rng.integers(0, 20, 3000), 5 + rng.uniform(0, 2, 3000)
    n = np.bincount(function, minlength=20)
    figure = picture([("S", f"f{k}", int(n[k])) for k in range(20)], seconds=seconds, function=function)
    bars, when = figure.axes[:2]
    cells = np.ma.filled(when.collections[0].get_array(), 0)
    assert cells.sum(axis=1).tolist() == [bar.get_width() for bar in bars.patches]  # type: ignore[attr-defined]
    since = seconds - seconds.min()
    expected = Counter(min(int(one / since.max() * 48), 47) for one in since.tolist())
    assert cells.sum(axis=0).tolist() == [expected[k] for k in range(48)]


def test_no_call_has_no_figure() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        picture([])


def test_a_trace_and_counts_draw_what_their_tables_have() -> None:
    read = trace(SAMPLES["boot.ftrace.txt"])
    bars, when, _ = read.figure().axes
    widths = [bar.get_width() for bar in bars.patches]  # type: ignore[attr-defined]
    assert widths[0] == read.table()["calls"][0]
    assert sum(widths) == len(read) == np.ma.filled(when.collections[0].get_array(), 0).sum()
