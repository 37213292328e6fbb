"""The words that name a side: hosts and releases as people type them, and what a near miss is told."""

from __future__ import annotations

import pytest

from fastsmc.errors import InputError
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import SideBasis


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("linux-6.12.107-maxx", "linux-6.12.107-max"),
        ("linux-6.12.107", "linux-6.12.107-max"),
        ("linux-6.12-max", "linux-6.12.107-max"),
        ("linux-5.10.218-mac", "linux-5.10.218-max"),
        ("Linux-6.12.107-nax+pmu", "linux-6.12.107-max"),
        ("linux-7.3.4-n2", "linux-7.3.4-n1"),
        ("linux-7.3.1", "linux-7.3.4-max"),
        ("linux-6.6-max", "the release 6.6, of which no host was recorded"),
        ("6,12", "6.12"),
        ("linux 6.12.107", "6.12.107"),
        ("kernel-5.14.0-570.el9.aarch64", "5.14.0-570.el9.aarch64"),
        ("612", "6.12"),
    ],
)
def test_a_near_miss_of_a_host_or_release_gets_the_near_one(word: str, meant: str) -> None:
    for sides in ((word, "6.12"), ("6.12", word)):
        with pytest.raises(InputError) as error:
            check(*sides)
        assert str(error.value).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("word", ["v6.12", "V6.12", " 6.12 ", "Linux-6.12.107-max", "LINUX-6.12.107-MAX"])
def test_what_is_meant_without_doubt_is_taken(word: str) -> None:
    found = check(word, "6.12")
    assert found.source.basis is SideBasis.RECORDED
    assert found.forward.ok


def test_a_hosts_name_without_linux_is_a_custom_kernel_and_says_so() -> None:
    notes = check("6.12.107-max", "6.12").source.notes
    assert "not the recorded host linux-6.12.107-max, which is written so" in notes
    assert not any("recorded host" in note for note in check("6.12.107-mine", "6.12").source.notes)
