"""Releases as ranges of rules, against the published timeline."""

from __future__ import annotations

from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.facts import releases
from fastsmc.facts.changes import CHANGES, Change
from fastsmc.facts.releases import Host, release
from fastsmc.facts.versions import parse_version


@pytest.mark.parametrize(
    ("name", "n_register", "psci", "n_answers"),
    [
        # (release, firmware registers, default PSCI, of WORKAROUND_1..3, PV_TIME, TRNG, VENDOR_HYP): the timeline
        # of the kernel's own history, not this package's tables.
        ("5.10", 4, 0x10000, 4),  # WORKAROUND_3 came by a stable update
        ("5.10.50", 3, 0x10000, 3),
        ("5.11", 3, 0x10000, 3),
        ("5.12", 3, 0x10000, 4),
        ("5.13", 3, 0x10000, 5),
        ("5.17", 4, 0x10000, 6),
        ("5.18", 4, 0x10001, 6),
        ("5.19", 7, 0x10001, 6),
        ("6.12", 7, 0x10001, 6),
        ("6.13", 7, 0x10003, 6),
        ("6.14", 7, 0x10003, 6),
        ("6.15", 8, 0x10003, 6),
        ("7.3", 8, 0x10003, 6),
    ],
)
def test_registers_psci_and_services_by_release(name: str, n_register: int, psci: int, n_answers: int) -> None:
    rules = release(name)
    assert len(rules.fw_registers) == n_register
    assert rules.psci_versions[-1] == psci
    assert len(rules.answers) == n_answers


def test_the_filter_and_smc_came_together_in_6_4() -> None:
    assert [(release(n).has_filter, release(n).serves_smc) for n in ("6.3", "6.4")] == [(False, False), (True, True)]


@pytest.mark.parametrize(
    ("between", "recorded"), [("6.17", "6.16"), ("6.19", "6.18.15"), ("7.0", "6.18.15"), ("7.0", "7.1")]
)
def test_releases_between_recorded_ones_answer_calls_like_a_neighbour(between: str, recorded: str) -> None:
    about_ids = {f for f in release(between).__dataclass_fields__ if f.endswith("id_fields")} | {
        "uncertain",
        "version",
        "notes",
        "doubts",
    }
    fields = [f for f in release(between).__dataclass_fields__ if f != "name" and f not in about_ids]
    assert [getattr(release(between), f) for f in fields] == [getattr(release(recorded), f) for f in fields]


def test_a_change_known_only_by_its_bracket_is_marked_between_the_brackets() -> None:
    assert release("5.10").uncertain == ()
    assert release("5.15").uncertain == ("a32_refuses_all_smc64",)
    assert release("5.18").uncertain == ()
    assert release("6.1").uncertain == ()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.12", (6, 12, None)),
        ("v6.12.107", (6, 12, 107)),
        ("6.16.12+deb13-cloud-arm64", (6, 16, 12)),
        ("6.17.0-5-generic", (6, 17, None)),
        ("7.0-rc3", (7, 0, 0)),
        ("5.15.0-rc3", (5, 15, 0)),
        ("5.10~rc1", (5, 10, 0)),
        ("6.17.0-rc3+", (6, 17, 0)),
        ("6.12.107-rc1", (6, 12, 107)),
        (" 6.12\n", (6, 12, None)),
    ],
)
def test_version_texts(text: str, version: tuple[int, int, int | None]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text", ["", "6", "linux-6.1", "6.x", "5.9", "8.0", "6.017", "7.03", "\uff16.12", 6.12, None, ["6.12"]]
)
def test_other_texts_are_refused_with_what_would_be_right(text: object) -> None:
    with pytest.raises(InputError, match=r"write it as|5\.10 to 7\.3"):
        release(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["5.10-rc1", "5.15-rc3", "5.15.0-rc3"])
def test_a_release_candidate_has_no_backports(name: str) -> None:
    assert "WORKAROUND_3" not in release(name).answers
    assert release(" 6.12\n") is release("6.12")


@pytest.mark.parametrize(
    ("name", "series", "stable"),
    [
        ("6.12.118", (6, 12), 118),
        ("6.12", (6, 12), None),
        ("7.3", (7, 3), None),
        ("7.3.0", (7, 3), 0),
        ("6.1.0-56-cloud-arm64", (6, 1), None),
        ("v6.12.107", (6, 12), 107),
    ],
)
def test_a_host_keeps_the_stable_number_it_was_asked_for(name: str, series: Any, stable: int | None) -> None:
    rules = Host.of(name).release
    assert (rules.name, rules.series, rules.stable) == (name, series, stable)


def test_the_stable_number_decides_and_without_one_it_is_the_newest() -> None:
    spectre = next(change for change in CHANGES if "SMCCC_ARCH_WORKAROUND_3" in change.adds.get("fw_registers", ()))
    backported = list(spectre.backports.items())
    assert ((5, 15), 28) in backported
    for (major, minor), first in backported:
        fourth = "SMCCC_ARCH_WORKAROUND_3"
        assert fourth not in release(f"{major}.{minor}.{first - 1}").fw_registers
        assert fourth in release(f"{major}.{minor}.{first}").fw_registers
        assert fourth in release(f"{major}.{minor}").fw_registers
    assert "SMCCC_ARCH_WORKAROUND_3" not in release("5.14").fw_registers


def test_a_stable_update_between_two_brackets_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Change(
        (7, 3), "a test", sets={"n_vcpu_feature": 12}, backports={(6, 12): 112}, stable_after={(6, 12): 107, (6, 6): 9}
    )
    monkeypatch.setattr(releases, "CHANGES", (*CHANGES, change))
    releases._release.cache_clear()
    try:
        rows = {name: release(name) for name in ("6.12.107", "6.12.108", "6.12.112", "6.12", "6.6.9", "6.6", "6.7")}
    finally:
        releases._release.cache_clear()
    assert [row.n_vcpu_feature for row in rows.values()] == [7, 7, 12, 12, 7, 7, 7]
    doubted = [name for name, row in rows.items() if "n_vcpu_feature" in row.uncertain]
    assert doubted == ["6.12.108", "6.6"]


@pytest.mark.parametrize("levels", [(9, 9, 9), (3, 0, 0), (0, 4, 0), (-1, 0, 0), (1,), (1.0, 0, 0), None, (True, 0, 0)])
def test_only_levels_that_exist_make_a_host(levels: Any) -> None:
    with pytest.raises(InputError, match=r"level.*of SMCCC_ARCH_WORKAROUND"):
        Host.of("6.12", workaround=levels)


def test_a_host_has_rules_not_a_name() -> None:
    with pytest.raises(InputError, match=r"Host\.of\(name\)"):
        Host("6.12")  # type: ignore[arg-type]
    assert Host.of("6.12", workaround=(2, 3, 2)).workaround == (2, 3, 2)


def test_hosts_and_releases_are_shown_in_a_line_and_told_in_a_few() -> None:
    host = Host.of("6.12.118", workaround=(2, 3, 2), is_arch_counter_clocksource=False)
    assert repr(host) == "Host('6.12.118', Release('6.12.118'), workaround=(2, 3, 2))"
    assert str(host).startswith("Linux 6.12.118, SMCCC_ARCH_WORKAROUND_1 to _3 at levels 2, 3, 2; its clock")
    told = str(release("5.15")).splitlines()
    assert told[0] == "Linux 5.15"
    assert told[2].split(maxsplit=2)[2] == "0.1, 0.2, 1.0"
    assert told[-2].split() == ["uncertain", "a32_refuses_all_smc64"]
    assert (
        told[-1]
        .split(maxsplit=1)[1]
        .startswith("SMC64 calls of AArch32 callers: changed after 5.10 and by 5.18 (32-bit rule")
    )
    assert len(repr(Host.of("6.12" + "-x" * 500, host_name="y" * 500))) <= 200


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("6.81", "release '6.81' never existed: 6.19 was the last 6.x; did you mean 6.18?"),
        ("6.99", "release '6.99' never existed: 6.19 was the last 6.x; did you mean 6.19?"),
        ("5.99", "release '5.99' never existed: 5.19 was the last 5.x; did you mean 5.19?"),
        ("6.20", "release '6.20' never existed: 6.19 was the last 6.x; did you mean 6.19?"),
        ("5.20.1", "release '5.20.1' never existed: 5.19 was the last 5.x; did you mean 5.19?"),
        ("4.21", "release '4.21' never existed: 4.20 was the last 4.x"),
    ],
)
def test_a_release_that_never_existed_is_refused_with_a_near_one(name: str, told: str) -> None:
    for asked in (release, Host.of):
        with pytest.raises(InputError) as error:
            asked(name)
        assert str(error.value) == told


def test_a_release_that_existed_and_is_not_known_is_no_slip() -> None:
    for name in ("4.19", "5.9", "7.4"):
        with pytest.raises(InputError, match=r"is outside 5\.10 to 7\.3"):
            release(name)


def test_a_host_has_no_vcpu_features() -> None:
    with pytest.raises(
        InputError, match=r"release '6.12\+pmu' names vCPU features \(pmu\), which a VM has and no host"
    ):
        Host.of("6.12+pmu")
    assert Host.of("6.16.12+deb13-cloud-arm64").release.stable == 12


def test_facts_that_have_a_commit_are_dated_by_it() -> None:
    """Linux e10ecb4d6c07 (5.15) and d495f942f40a (5.18), neither in stable updates of older series."""
    assert [release(name).mpidr_masks_extra_bits for name in ("5.14", "5.15", "6.0")] == [True, False, False]
    assert [release(name).has_event_data for name in ("5.17", "5.18", "6.0")] == [False, True, True]
