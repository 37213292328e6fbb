"""Cost profiles that a probe measured: quartiles, what is wrong with one, and those of emulated hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.costs import EMULATED, NESTED_HVC_NS
from fastsmc.latency import simulate
from fastsmc.scenario import Scenario
from fastsmc.scenario.profiles import load_profile
from tests.support.command import fastsmc
from tests.support.measured_profiles import FIGURES, SIGN, written
from tests.support.places import ROOT

SCENARIO = ROOT / "examples" / "trng_to_vmm.toml"


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return written(tmp_path / "real.toml")


@pytest.fixture
def emulated(tmp_path: Path) -> Path:
    return written(tmp_path / "emulated.toml", emulated_by=f'["{SIGN}"]')


def test_quartiles_and_samples_are_read_and_told(real: Path) -> None:
    profile = load_profile(real)
    assert str(profile.trap_ns) == "250 ns (measured)"
    assert profile.trap_ns.source == "timed; 125 to 500 ns in the middle half of 25 samples"
    assert profile.set_one_reg_ns is not None
    assert [one.value for one in profile.set_one_reg_ns] == [350, 700, 1400]
    assert profile.figures()["get_one_reg_ns"].value == 400
    assert smc.load_profile("neoverse-n1").get_one_reg_ns is None
    assert "get_one_reg_ns" not in smc.load_profile("neoverse-n1").figures()


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        (
            "trap_ns",
            'value = nan\nunit = "ns"\nkind = "measured"\nsource = "s"',
            "trap_ns.value: it is nan: it must be",
        ),
        ("trap_ns", 'value = -1\nunit = "ns"\nkind = "measured"\nsource = "s"', "trap_ns.value: it is -1: it must be"),
        (
            "set_one_reg_ns",
            'value = 5\nlow = 6\nunit = "ns"\nkind = "measured"\nsource = "s"',
            "set_one_reg_ns: low, value and high are 6, 5 and 5: they must ascend",
        ),
        (
            "trap_ns",
            'value = 5\nhigh = inf\nunit = "ns"\nkind = "measured"\nsource = "s"',
            "trap_ns.high: it is inf: it must be a finite number",
        ),
        (
            "trap_ns",
            'value = 5\nsamples = 0\nunit = "ns"\nkind = "measured"\nsource = "s"',
            "trap_ns.samples: it is 0: it must be a whole number",
        ),
        (
            "trap_ns",
            'value = 5\nmedian = 5\nunit = "ns"\nkind = "measured"\nsource = "s"',
            "trap_ns.median: no such key",
        ),
    ],
)
def test_a_bad_figure_is_told_in_a_sentence(name: str, lines: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", **{name: lines})
    with pytest.raises(InputError) as caught:
        load_profile(path)
    assert words in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith(f"{path}:")


@pytest.mark.parametrize("signs", ['"QEMU"', "[1]", '[""]', "true"])
def test_signs_of_emulation_are_a_list_of_texts(signs: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"emulated_by: it is .*: it must be a list of texts, empty for a real host$"):
        load_profile(written(tmp_path / "p.toml", emulated_by=signs))


def test_a_host_profile_is_no_cost_profile_and_the_way_to_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text('{"schema": "fastsmc-host-profile"}')
    with pytest.raises(InputError, match=r"host\.json --cost-profile FILE\.toml` makes one, if it measured$") as caught:
        load_profile(path)
    assert "\n" not in str(caught.value)


# -- emulated hosts --------------------------------------------------------------------------------------------------


def test_a_profile_of_an_emulated_host_is_refused_unless_forced(emulated: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_profile(emulated)
    assert str(caught.value) == (
        f"{emulated}: {EMULATED} ({SIGN}): measure a real host, or force it (--force, force=True) to try things out"
    )
    profile = load_profile(emulated, force=True)
    assert profile.title == f"a host ({EMULATED})"
    assert {one.kind for one in profile.figures().values()} == {"assumed"}
    assert profile.trap_ns.value == 250
    assert profile.nested_hvc_ns == NESTED_HVC_NS  # which was never measured
    told = [one for name, one in profile.figures().items() if name in FIGURES]
    assert all(one.source.startswith(EMULATED) for one in told)


def test_force_changes_nothing_of_a_real_host(real: Path) -> None:
    assert load_profile(real, force=True) == load_profile(real)


def asks(path: Path, folder: Path) -> Path:
    """The scenario with the profile in its own file."""
    text = SCENARIO.read_text("utf-8")
    found = folder / "scenario.toml"
    found.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("profile =")))
    found.write_text(f'profile = "{path}"\n' + found.read_text())
    return found


def test_a_simulation_of_one_is_refused_or_marked(emulated: Path, tmp_path: Path) -> None:
    for give in (
        lambda: simulate(SCENARIO, calls=5, profile=str(emulated)),
        lambda: simulate(asks(emulated, tmp_path), calls=5),
        lambda: Scenario.load(asks(emulated, tmp_path)),
    ):
        with pytest.raises(InputError, match=EMULATED) as caught:
            give()
        assert "\n" not in str(caught.value)
    for done in (
        simulate(SCENARIO, calls=5, profile=str(emulated), force=True),
        simulate(asks(emulated, tmp_path), calls=5, force=True),
    ):
        assert EMULATED in str(done)
        assert EMULATED in done.as_dict()["profile"]["title"]
        assert any(EMULATED in text for text in done.as_dict()["assumed"])
    with pytest.raises(InputError, match="is loaded: give seed, calls, profile and force to"):
        simulate(Scenario.load(SCENARIO), force=True)


def test_a_simulation_of_a_real_one_rests_on_what_was_measured(real: Path) -> None:
    done = simulate(SCENARIO, calls=5, profile=str(real))
    assert EMULATED not in json.dumps(done.as_dict())
    used = {one["name"]: one for one in done.as_dict()["profile"]["figures"]}
    assert used["trap_ns"]["value"] == 250
    assert used["trap_ns"]["kind"] == "measured"


def test_one_is_shown_and_marked(emulated: Path, real: Path) -> None:
    for path, is_marked in ((emulated, True), (real, False)):
        done = fastsmc("simulate", "--show-profile", path)
        assert done.returncode == 0
        assert (EMULATED in done.stdout) == is_marked
        assert "set_one_reg_ns" in done.stdout


def test_a_sweep_over_one_is_refused(emulated: Path) -> None:
    done = fastsmc(
        "sweep", SCENARIO, "--over", f"profile=neoverse-n1,{emulated}", "--over", "calls=2", "--workers", "1"
    )
    assert done.returncode == 3
    assert EMULATED in done.stderr
