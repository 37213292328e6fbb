"""The figure of a simulation: what is drawn is what the histograms hold."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.packaged import SAMPLES
from fastsmc.reporting.distributions import Calls, picture, tail
from fastsmc.results.histogram import RELATIVE_ERROR, Histogram

WAITING, SERVICE = np.array([0.0] * 50 + [700.0, 40_000.0]), np.array([300.0] * 50 + [300.0, 5000.0])


def calls(name: str = "g", waiting: np.ndarray = WAITING, service: np.ndarray = SERVICE) -> Calls:
    return Calls(name, *map(Histogram.of, (waiting, service, waiting + service)))


def test_the_tail_has_the_share_of_times_that_are_as_long_or_longer() -> None:
    times = np.random.default_rng(1).lognormal(7, 2, 500)
    x, y = tail(Histogram.of(times))
    assert np.all(np.diff(x) >= 0)
    assert np.all(np.diff(y) <= 0)
    assert y == pytest.approx([(times >= one).mean() for one in x])
    assert (x[-1], y[-1]) == (times.max(), 1 / 500)


def test_one_group_has_a_line_each_for_response_waiting_and_service() -> None:
    one = calls()
    figure = picture([one], [one], tag="modelled")
    ax, means = figure.axes
    for name, times in (("response", one.response), ("waiting", one.waiting), ("service", one.service)):
        (line,) = (line for line in ax.lines if line.get_label() == name)
        assert np.asarray(line.get_xydata()) == pytest.approx(np.stack(tail(times), axis=1))
    widths = [bar.get_width() for bar in means.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([SERVICE.mean(), WAITING.mean()])
    (point,) = (line for line in ax.lines if line.get_gid() == "p99")
    assert point.get_xydata() == pytest.approx(np.array([[45_000, 0.01]]), rel=RELATIVE_ERROR)


def test_the_title_tells_the_99th_percentile_and_what_waiting_is_of_it() -> None:
    figure = picture([calls()], [calls()], tag="modelled", is_partial=True)
    title = figure.get_suptitle().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")
    told = re.fullmatch(
        r"PARTIAL: p99 response of 52 calls is ([\d.]+) µs; waiting is (\d+) % of all response time", title
    )
    assert told
    assert float(told[1]) == pytest.approx(45, rel=RELATIVE_ERROR)
    assert int(told[2]) == round(100 * WAITING.sum() / (WAITING + SERVICE).sum())
    assert "no call waits" in picture([calls(waiting=0 * WAITING)], [calls()], tag="").get_suptitle().replace("\n", " ")


def test_several_groups_have_a_line_and_a_bar_each_and_all_calls_one_line() -> None:
    groups = [calls(f"g{k}", WAITING * k) for k in range(3)]
    ax, means = picture(groups, [], tag="modelled").axes
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.lines}
    together = Histogram.merged(one.response for one in groups)
    for name, times in (*((one.name, one.response) for one in groups), ("all", together)):
        assert lines[name] == pytest.approx(np.stack(tail(times), axis=1))
    assert [label.get_text() for label in means.get_yticklabels()] == ["g0", "g1", "g2"]


def test_of_many_groups_the_rest_is_one() -> None:
    groups = [calls(f"g{k}", np.tile(WAITING, 20 - k), np.tile(SERVICE, 20 - k)) for k in range(12)]
    _, means = picture(groups, [], tag="modelled").axes
    names = [label.get_text() for label in means.get_yticklabels()]
    assert names == ["g0", "g1", "g2", "g3", "g4", "7 others"]


def test_where_no_call_was_counted_there_is_no_figure() -> None:
    none = calls(waiting=np.zeros(0), service=np.zeros(0))
    with pytest.raises(InputError, match="nothing to draw"):
        picture([none], [none], tag="modelled")


def test_a_simulation_draws_its_own_times() -> None:
    done = smc.simulate(SAMPLES["entropy.toml"], calls=20, threads=1)
    figure = done.figure()
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in figure.axes[0].lines}
    for name in ("to-vmm", "in-kernel"):
        assert lines[name] == pytest.approx(np.stack(tail(done[name].times.response), axis=1))
    assert [text.get_text() for text in figure.texts if text.get_gid() == "tag"] == ["modelled, assumed"]
