"""Cost profiles: packaged figures against a table typed by hand, sums against the words of docs/profiles.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.smccc import Verdict
from fastsmc.scenario.profiles import FIGURES, Profile, filter_levels, load_profile, profiles
from tests.support.places import ROOT

DOC = ROOT / "docs" / "profiles.md"

# kvm-unit-tests micro-bench in ns as posted on the kvm list: hvc, mmio_read_user.
POSTED = {
    "neoverse-n1": (292, 1609),
    "neoverse-n1-bhb": (317, 1704),
    "ampere-altra-6.12": (306, 1683),
    "unnamed-100mhz": (408, 2306),
    "unnamed-50mhz-slow": (4530, 20177),
}


def own_profile() -> str:
    return re.findall(r"```toml\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)[0]


def test_the_named_machines_are_there() -> None:
    assert set(profiles()) == {*POSTED, "x-gene-2016"}


@pytest.mark.parametrize("name", POSTED)
def test_posted_figures_are_taken_over(name: str) -> None:
    profile = load_profile(name)
    assert (profile.trap_ns.value, profile.round_trip_ns.value) == POSTED[name]
    assert (profile.trap_ns.kind, profile.round_trip_ns.kind) == ("read", "read")


def test_bhb_mitigation_costs_what_the_mail_says() -> None:
    ratio = load_profile("neoverse-n1-bhb").trap_ns.value / load_profile("neoverse-n1").trap_ns.value
    assert ratio == pytest.approx(1.0856, abs=0.0005)


def test_x_gene_is_cycles_from_memory_at_2_4_ghz() -> None:
    profile = load_profile("x-gene-2016")
    assert profile.trap_ns.value == pytest.approx(6500 / 2.4, abs=0.5)
    assert profile.fast_path_ns.value == pytest.approx(376 / 2.4, abs=0.5)
    assert {figure.kind for figure in profile.figures().values()} == {"assumed"}


@pytest.mark.parametrize("name", profiles())
def test_every_figure_has_a_source_and_what_nobody_published_is_assumed(name: str) -> None:
    profile = load_profile(name)
    for figure in profile.figures().values():
        assert figure.source
        assert figure.unit == "ns"
    for figure in (profile.handled_ns, profile.fast_path_ns, profile.filter_ns, profile.vmm_service_ns):
        assert figure.kind == "assumed"


def test_the_doc_s_table_is_that_of_the_files() -> None:
    rows = re.findall(r"^\| `([\w.-]+)` \|.*\| (\d+) ns \| (\d+) ns \|$", DOC.read_text("utf-8"), re.MULTILINE)
    assert {name: (int(hvc), int(trip)) for name, hvc, trip in rows} == POSTED


def example(tmp_path: Path) -> Profile:
    """trap 300, handled 40, fast path 20, filter 10 a level, round trip 1500, VMM 5000."""
    path = tmp_path / "mine.toml"
    path.write_text(own_profile(), "utf-8")
    return load_profile(path)


def test_the_doc_s_own_profile_loads_and_adds_up(tmp_path: Path) -> None:
    profile = example(tmp_path)
    assert profile.name == "mine"
    got = {verdict: (profile.kernel_ns(verdict), profile.kernel_ns(verdict, n_range=1)) for verdict in Verdict}
    assert got == {
        Verdict.HANDLED: (340, 350),
        Verdict.DENIED: (300, 310),
        Verdict.NOT_SUPPORTED: (300, 310),
        Verdict.FORWARDED: (1500, 1510),
        Verdict.EXIT: (1500, 1510),
        Verdict.FAST_PATH: (20, 20),
        Verdict.SMC_REFUSED: (300, 300),
        Verdict.TO_VEL2: (1000, 1000),  # which the file does not say
    }


def test_the_weakest_figure_is_the_largest_assumed_one(tmp_path: Path) -> None:
    profile = example(tmp_path)
    assert profile.weakest[0] == "vmm_service_ns"
    assert profile.weakest_of(["trap_ns", "handled_ns"])[0] == "handled_ns"
    assert profile.weakest_of(["trap_ns", "denied_ns"])[0] == "denied_ns"  # derived is weaker than measured
    assert "vmm_service_ns 5000 ns (assumed): a guess" in str(profile)


@pytest.mark.parametrize(("n_range", "levels"), [(0, 0), (1, 1), (5, 1), (6, 2), (125, 2), (126, 3)])
def test_a_filter_s_tree_has_16_slots_a_node(n_range: int, levels: int) -> None:
    # Each range and the gap before it, two reserved ranges, one gap at the end: 5 -> 15 slots, 6 -> 17; 125 -> 255.
    assert filter_levels(n_range) == levels


def test_overrides_are_assumed_and_leave_the_rest() -> None:
    base = load_profile("neoverse-n1")
    profile = base.with_overrides({"round_trip_ns": 0}, source="scenario x.toml")
    assert profile.kernel_ns(Verdict.FORWARDED) == 0
    assert (profile.round_trip_ns.kind, profile.round_trip_ns.source) == ("assumed", "scenario x.toml")
    assert profile.trap_ns == base.trap_ns
    with pytest.raises(InputError, match="round_trip: no such key: did you mean round_trip_ns"):
        base.with_overrides({"round_trip": 0}, source="x")


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = own_profile().replace("value = 300", "value = -1").replace('kind = "derived"', 'kind = "dervied"')
    text = text.replace("[filter_ns]", "[fliter_ns]").replace('title = "My host, Linux 6.18"\n', "")
    path = tmp_path / "bad.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as refused:
        load_profile(path)
    lines = str(refused.value).splitlines()
    found = [line.split(": ", 1)[1] for line in lines[1:]]
    assert lines[0] == f"5 problems in {path}:"
    assert sorted(found) == [
        "denied_ns.kind: it is 'dervied': did you mean derived?",
        "filter_ns: it is missing: add [filter_ns] with value, unit, kind, source",
        "fliter_ns: no such key: did you mean filter_ns?",
        "title: it is missing: it must be text",
        "trap_ns.value: it is -1: it must be a finite number of ns, 0 or more",
    ]
    numbered = text.splitlines()
    places = [re.match(r".*bad\.toml:(\d+): ([\w.]+)", line) for line in lines[1:]]
    at = {place[2]: numbered[int(place[1]) - 1] for place in places if place}
    assert at["trap_ns.value"] == "value = -1"
    assert at["denied_ns.kind"] == 'kind = "dervied"'
    assert at["fliter_ns"] == "[fliter_ns]"


@pytest.mark.parametrize(
    ("name", "message"),
    [("neoverse-n2", "did you mean neoverse-n1"), ("none/there.toml", "No such file"), ("", "no profile is called ''")],
)
def test_a_profile_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_profile(name)


@pytest.mark.parametrize(("data", "message"), [(b"a = \n", r"mine.toml:1: .*must be TOML"), (b"\xff", "not UTF-8")])
def test_a_file_that_is_no_toml(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        load_profile(path)


def test_figures_are_the_fields_that_end_in_ns() -> None:
    assert FIGURES == (
        "trap_ns", "denied_ns", "handled_ns", "fast_path_ns", "filter_ns", "round_trip_ns", "vmm_service_ns",
        "nested_hvc_ns",
    )  # fmt: skip


def test_a_name_too_long_for_a_file_is_no_profile() -> None:
    with pytest.raises(InputError, match="no profile is called"):
        load_profile("x" * 5000)
