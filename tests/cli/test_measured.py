"""From a host that is measured to the commands that rest on it: the probe, its cost profile, and who reads it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import fastsmc as smc
from fastsmc.facts.costs import EMULATED
from fastsmc.facts.packaged import SAMPLES
from fastsmc.probing import standalone
from tests.support.command import fastsmc
from tests.support.measured_profiles import SIGN, written
from tests.support.places import ROOT
from tests.support.timed_kvm import CALL_NS, PSCI, UNKNOWN, timed

SCENARIO = ROOT / "examples" / "trng_to_vmm.toml"
ASKED = {
    "simulate": ("simulate", SCENARIO, "--calls", "5"),
    "downtime": ("migrate", "downtime", "--vcpus", "64", "--release", "6.18"),
    "downtimes": ("migrate", "downtime", "--vcpus", "8,64", "--release", "6.18"),
    "largest-shape": ("plan", "largest-shape", "--registers", "6.18"),
    "migration-table": (
        *("plan", "migration-table", "--registers", "6.18", "--vcpus", "8"),
        *("--memory-gib", "8", "--dirty-mib-per-s", "9"),
    ),
    "filter-cost": ("plan", "filter-cost", "--ranges", "0,100", "--no-measure"),
}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is a host whose costs are known; few samples are enough."""
    monkeypatch.setattr(standalone, "System", timed)
    monkeypatch.setattr(standalone, "N_SAMPLE", 2)
    monkeypatch.setattr(standalone, "CALLS", tuple(one for one in standalone.CALLS if one[3] < 100))


def test_a_host_is_measured_and_its_figures_change_what_is_computed(host: None, tmp_path: Path) -> None:
    done = fastsmc("probe", "--measure", "--cost-profile", "host.toml", "-o", "host.json", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    jsonschema.validate(told, smc.schema("probe").as_dict())
    del told["costs"]["vms"][0]["save"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, smc.schema("probe").as_dict())
    again = fastsmc("probe", "host.json", "--cost-profile", "again.toml", "--quiet", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.toml").read_bytes() == (tmp_path / "host.toml").read_bytes()

    profile = smc.load_profile(tmp_path / "host.toml")
    assert profile.trap_ns.value == CALL_NS[UNKNOWN, 0]
    assert profile.trap_ns.value + profile.handled_ns.value == CALL_NS[PSCI, 0]
    assert profile.get_one_reg_ns is not None
    for name, words in ASKED.items():
        assumed, measured = fastsmc(*words, "--json"), fastsmc(*words, "--json", "--profile", tmp_path / "host.toml")
        assert (assumed.returncode, measured.returncode) == (0, 0), (name, measured.stderr)
        assert assumed.stdout != measured.stdout
        assert EMULATED not in measured.stdout
    downtime = json.loads(fastsmc(*ASKED["downtime"], "--json", "--profile", tmp_path / "host.toml").stdout)
    step = next(one for one in downtime["steps"] if one["name"] == "GETs, registers again")
    assert step["ms"]["mid"] == pytest.approx(step["ioctls"] * profile.get_one_reg_ns.mid.value / 1e6)
    assert "(measured: save of " in step["source"]


@pytest.mark.parametrize("name", ASKED)
def test_figures_of_an_emulated_host_are_refused_or_marked(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "p.toml", emulated_by=f'["{SIGN}"]')
    done = fastsmc(*ASKED[name], "--profile", path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"fastsmc: {path}: {EMULATED} ({SIGN}): measure a real host, or force it (--force, force=True) to try things "
        "out\n"
    )
    for form in ([], ["--json"]):
        forced = fastsmc(*ASKED[name], "--profile", path, "--force", *form)
        assert forced.returncode == 0, forced.stderr
        assert EMULATED in " ".join(forced.stdout.split())


def test_a_host_profile_is_not_measured_again_and_not_made_up(tmp_path: Path) -> None:
    again = fastsmc("probe", SAMPLES["host.json.xz"], "--measure", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert (
        "a host profile cannot be measured: run the probe with --measure on that host, or give no file" in again.stderr
    )
    made_up = fastsmc("probe", SAMPLES["host.json.xz"], "--cost-profile", "x.toml", cwd=tmp_path)
    assert (made_up.returncode, made_up.stdout) == (3, "")
    assert made_up.stderr.endswith("nothing was measured on this host: probe it with --measure\n")
    assert made_up.stderr.count("\n") == 1
    for words in (["--cost-profile", "x.toml"], ["--record", "folder", "--measure"]):
        assert fastsmc("probe", *words, cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda costs: costs["overhead"].pop("ioctl"), "costs, overhead lacks 'ioctl': is the file whole?"),
        (lambda costs: costs["calls"][0]["ns"].update(median=float("nan")), "NaN is not JSON"),
        (lambda costs: costs["calls"][0]["ns"].update(median=1e300), "it must be a finite number of ns"),
        (lambda costs: costs["calls"][0]["ns"].update(samples=1), "a whole number from 2 on"),
        (lambda costs: costs["vms"][0]["load"].update(ioctls=0), "a whole number from 1 on"),
        (lambda costs: costs.update(more=1), "has an entry 'more', which no host profile of this version has"),
        (lambda costs: costs["registers"][0].update(ioctl="put"), "it must be get or set"),
    ],
)
def test_a_damaged_measurement_is_told_in_a_sentence(change, said: str, host: None, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    content = dict(smc.probe(measure=True).as_dict())
    change(content["costs"])
    (tmp_path / "host.json").write_text(json.dumps(content))
    done = fastsmc("probe", "host.json", "--cost-profile", "x.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.toml").exists()
