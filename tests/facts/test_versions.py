"""Which releases and stable updates there were, and what is said of those that there were not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.facts.changes import CHANGES
from fastsmc.facts.register_sets import register_set, register_sets
from fastsmc.facts.releases import release
from fastsmc.facts.vendors import VENDORS, kernel
from fastsmc.facts.versions import (
    ENDED,
    LAST_MINOR,
    NEWEST,
    NEWEST_UPDATE,
    OLDEST,
    near_release,
    split_version,
    stable_note,
)


def known_series() -> list[tuple[int, int]]:
    """Every series from the oldest known to the newest, by the last minor of each major."""
    found = [(major, minor) for major in (5, 6, 7) for minor in range(LAST_MINOR.get(major, NEWEST[1]) + 1)]
    return [series for series in found if OLDEST <= series <= NEWEST]


def test_the_newest_update_of_every_series_is_known_or_its_last() -> None:
    ended = {series: last for series, last in ENDED.items() if series >= OLDEST}
    assert sorted({*NEWEST_UPDATE, *ended}) == known_series()
    assert not NEWEST_UPDATE.keys() & ENDED.keys()
    assert [release(f"{major}.{minor}.{last}").notes for (major, minor), last in ended.items()] == [()] * len(ended)


def test_no_recorded_kernel_and_no_fact_is_newer_than_the_newest_update() -> None:
    newest = NEWEST_UPDATE | ENDED
    for found in register_sets():
        major, minor, update = map(int, found.release.split("."))
        assert update <= newest[major, minor]
        assert release(found.release).notes == ()
    for change in CHANGES:
        assert all(update <= newest[series] for series, update in change.backports.items())


def test_every_change_and_vendor_has_a_source() -> None:
    assert all(len(change.source) > 10 for change in CHANGES)
    assert all(len(row.source) > 10 and row.shape for row in VENDORS)
    assert all(len(change.source) > 10 for row in VENDORS for change in row.changes)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("6.12.119", "6.12.118"),
        ("6.12.999", "6.12.118"),
        ("7.3.5", "7.3.4"),
        ("6.19.99", "6.19.14"),
    ],
)
def test_an_update_newer_than_any_known_is_judged_as_that_and_says_so(name: str, known: str) -> None:
    rules, last = release(name), release(known)
    series = known.rpartition(".")[0]
    ended = ", and its series has ended: perhaps it never existed" if series == "6.19" else ""
    assert rules.notes == (
        f"newer than {known}, the newest update of {series} that is known: judged as that one{ended}",
    )
    assert rules.fw_registers == last.fw_registers
    assert rules.uncertain == last.uncertain


@pytest.mark.parametrize("name", ["5.11.23", "5.11.99", "5.19.18", "6.2.17", "6.8.99", "6.16.13", "v6.17.14"])
def test_an_update_after_the_last_of_a_series_never_existed(name: str) -> None:
    series = name.rpartition(".")[0].removeprefix("v")
    last = f"{series}.{ENDED[release(series).series]}"
    with pytest.raises(InputError, match=rf"never existed: {last} was the last .* did you mean {last}\?"):
        release(name)
    assert "newer than" in " ".join(release(f"{name}-mine").notes), "others number as they like"


@pytest.mark.parametrize(
    ("name", "what"), [("7.4", "newer"), ("9.1", "newer"), ("7.4.1-1-pve", "newer"), ("4.14", "older")]
)
def test_a_release_outside_those_known_is_refused_for_what_it_is(name: str, what: str) -> None:
    with pytest.raises(
        InputError, match=rf"is outside 5\.10 to 7\.3, the releases fastsmc knows; it is {what} than any"
    ):
        release(name)


def test_a_release_candidate_is_older_than_every_update() -> None:
    assert stable_note((7, 3, 0)) == ()
    assert release("7.3-rc7").stable == 0
    assert release("6.12-rc1").filter_empty_at_0_errno == release("6.12.0").filter_empty_at_0_errno


@pytest.mark.parametrize("name", ["6." + "9" * 5000, "6.12." + "1" * 5000, "6" + ".12" * 999, "v" * 100_000])
def test_giant_numbers_are_refused_in_a_short_sentence(name: str) -> None:
    with pytest.raises(InputError, match="is not a Linux version") as error:
        release(name)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("name", ["5.14.0-570.el9.aarch64", "5.11.0-49-generic", "6.2.0-1018-aws", "5.11.99-mine"])
def test_a_vendors_third_number_is_not_held_against_the_last_update(name: str) -> None:
    assert release(name).vendor


def test_an_update_of_an_old_series_is_refused_for_both() -> None:
    with pytest.raises(InputError, match=r"5\.4\.303 is outside .* older .*; nor did it exist: 5\.4\.302 was the last"):
        release("5.4.303")
    with pytest.raises(InputError, match=r"older than any of them$"):
        release("5.4.302")


@pytest.mark.parametrize("name", ["v6.12.107", "V6.12.107", " 6.12.107 ", " v6.12.107"])
def test_blanks_and_a_v_are_no_part_of_a_release(name: str) -> None:
    rules = release(name)
    assert (rules.version, rules.is_mainline, rules.notes) == ((6, 12, 107), True, ())


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("6,12", "6.12"),
        ("6,12,107", "6.12.107"),
        ("6.12.", "6.12"),
        ("6..12", "6.12"),
        ("6_12", "6.12"),
        ("6-12", "6.12"),
        ("6 12", "6.12"),
        ("06.12", "6.12"),
        ("612", "6.12"),
        ("6.12.x", "6.12"),
        ("Linux 6.12.107", "6.12.107"),
        ("kernel-5.14.0-570.el9.aarch64", "5.14.0-570.el9.aarch64"),
        ("vmlinuz-6.12.107+deb13-arm64", "6.12.107+deb13-arm64"),
        ("linux-image-6.1.0-50-arm64", "6.1.0-50-arm64"),
        ("newest", ""),
        ("6", ""),
        ("", ""),
    ],
)
def test_what_is_no_version_gets_the_one_in_it(text: str, near: str) -> None:
    assert near_release(text) == near
    with pytest.raises(InputError, match="is not a Linux version") as error:
        release(text)
    assert str(error.value).endswith(f"; did you mean {near}?" if near else "'6.12.107'")


@given(st.text(max_size=200))
def test_a_near_release_is_a_version(text: str) -> None:
    near = near_release(text)
    assert not near or split_version(near)


@pytest.mark.parametrize("tail", ["x", "1", "1.", "a-", "+deb", "_", ".el", ".el9", "-1.deb1", "-1-", ".p1.v1"])
def test_giant_suffixes_cost_little(tail: str) -> None:
    assert kernel("6.12.3-" + tail * 50_000).version == (6, 12, 3)


@pytest.mark.parametrize("name", ["v6.12", "V6.12", " v6.12.107 "])
def test_a_recorded_list_is_found_by_a_tags_name_too(name: str) -> None:
    assert register_set(name).release == "6.12.107"
