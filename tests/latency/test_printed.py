"""What a simulation looks like in a terminal and in a notebook."""

from __future__ import annotations

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.latency import Simulation
from tests.support.places import TESTS

EXAMPLE = TESTS.parent / "examples" / "trng_to_vmm.toml"


@pytest.fixture(scope="module")
def done() -> Simulation:
    return smc.simulate(EXAMPLE, calls=20)


def test_reprs_are_short_and_hold_no_arrays(done: Simulation) -> None:
    group, run = done.groups[0], done.run()
    parts = (group.kinds[0], group.times, group.times.waiting, done.scenario, done.scenario.profile)
    for thing in (done, group, *parts, run, run["calls"], run["calls"].columns["call"]):
        assert 0 < len(repr(thing)) <= 200
        assert "array(" not in repr(thing)


def test_text_wraps_sentences_only_if_it_is_told_a_width(done: Simulation) -> None:
    assert str(done) == done.text()
    assert max(map(len, done.text(90).splitlines())) <= 90 < max(map(len, str(done).splitlines()))


def test_what_a_file_says_can_be_replaced_only_where_it_is_loaded() -> None:
    loaded = smc.Scenario.load(EXAMPLE, seed=5, calls=20)
    assert smc.simulate(EXAMPLE, seed=5, calls=20).as_dict() == smc.simulate(loaded).as_dict()
    with pytest.raises(InputError, match=r"scenario 'trng_to_vmm' is loaded: give seed, calls, profile and force to"):
        smc.simulate(loaded, seed=6)


@pytest.mark.parametrize("threads", [0, True, 2.0, 1 << 17])
def test_threads_are_a_whole_number_from_1(threads: int) -> None:
    with pytest.raises(InputError, match=r"^threads is (0|True|2\.0|131072): it must be a whole number in 1\.\.65536$"):
        smc.simulate(EXAMPLE, threads=threads)
