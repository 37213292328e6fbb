"""Keywords of questions that are swept: whatever one is given is taken, or refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.sweeping import asking
from fastsmc.sweeping.design import design_of
from tests.sweeping.test_questions import CASES, UPGRADE

ODD: list[Any] = [
    None, True, -1, 0, 1.5, 1e300, 10**30, "", "x", "6.18", [], {}, [1], ["x"], [[1, 2, 3], [1, 2]], {"a": 1}, [None],
    {"gbit_per_s": -1}, {"gbit_per_s": 1, "rtt_us": "x"}, {"preset": 3}, {"outbound": "x"}, {"name": "x"}, "each",
    {"name": [None]}, {"name": ["a"], "host": ["a"], "vcpus": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("question", asking.QUESTIONS)
def test_whatever_a_keyword_is_given_is_taken_or_a_sentence(question: str) -> None:
    base = next(table for table, _, _ in CASES if table["question"] == question)
    n_refused = 0
    for key in asking.keywords(question):
        for value in ODD:
            try:
                design_of({**base, key: value}, {})
            except InputError:
                n_refused += 1
    assert n_refused > 5 * len(asking.keywords(question))


def test_every_keyword_of_a_question_is_known_to_be_a_number_or_is_read_otherwise() -> None:
    """A keyword that a function gets anew fails here until it is said how its values are read."""
    plain = {
        "hosts", "vms", "within_s", "replicas", "seed", "miss_share", "hosts_at_once", "per_tenant_at_once",
        "spare_hosts", "vcpus_per_core", "limit", "n_vcpu", "memory_gib", "dirty_mib_per_s", "hot_set_mib", "hot_set_s",
    }  # fmt: skip
    every = {key for question in asking.QUESTIONS for key in asking.keywords(question)}
    assert every == plain | set(asking.READERS)


def test_a_question_has_no_histograms() -> None:
    with smc.sweep(UPGRADE, over={"hosts_at_once": [1]}, run_on=1) as done:
        for asked in (lambda: done.quantile(0.5), done.histogram):
            with pytest.raises(InputError, match="cells of a question keep no histograms"):
                asked()
