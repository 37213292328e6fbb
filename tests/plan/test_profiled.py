"""Downtimes and plans that rest on what a probe measured of its host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.facts.costs import EMULATED, IOCTL_NS
from fastsmc.scenario.profiles import Profile, load_profile
from tests.support.measured_profiles import SIGN, written


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return written(tmp_path / "real.toml")


@pytest.fixture
def emulated(tmp_path: Path) -> Path:
    return written(tmp_path / "emulated.toml", emulated_by=f'["{SIGN}"]')


REGISTER_STEPS = {
    "GETs, all state": (200, 400, 800),
    "GETs, registers again": (200, 400, 800),
    "SETs, registers": (350, 700, 1400),
    "SETs, all state again": (350, 700, 1400),
}


def test_a_downtime_rests_on_what_was_measured(real: Path) -> None:
    """Steps of registers are ioctls by what one costs; all others are as they were."""
    without = {step.name: step for step in smc.migrate.downtime("6.18", n_vcpu=64, link="25G").steps}
    found = smc.migrate.downtime("6.18", n_vcpu=64, link="25G", profile=real)
    for step in found.steps:
        if step.name in REGISTER_STEPS:
            assert list(step.ms) == pytest.approx([step.ioctls * ns / 1e6 for ns in REGISTER_STEPS[step.name]])
            assert step.kind == "modelled"
            assert "ns per ioctl (measured: timed; " in step.source
        else:
            assert step == without[step.name]
    assert {step.kind for name, step in without.items() if name in REGISTER_STEPS} == {"assumed"}
    assert "note: profile real: a host" in str(found)
    assert EMULATED not in str(found)


def test_a_downtime_of_an_emulated_host_is_refused_or_marked(emulated: Path) -> None:
    with pytest.raises(InputError, match=EMULATED):
        smc.migrate.downtime("6.18", n_vcpu=64, link="25G", profile=emulated)
    found = smc.migrate.downtime("6.18", n_vcpu=64, link="25G", profile=load_profile(emulated, force=True))
    kinds = {step.name: step.kind for step in found.steps}
    assert {kinds[name] for name in REGISTER_STEPS} == {"assumed"}
    assert f"a host ({EMULATED})" in str(found)
    assert any(EMULATED in note for note in found.as_dict()["notes"])


def test_what_a_profile_does_not_tell_stays_assumed() -> None:
    found = smc.migrate.downtime("6.18", n_vcpu=64, link="25G", profile="neoverse-n1")
    assert found.steps == smc.migrate.downtime("6.18", n_vcpu=64, link="25G").steps
    assert "profile neoverse-n1 does not tell get_one_reg_ns, which stays assumed" in found.notes


@pytest.mark.parametrize(
    "ask",
    [
        lambda **given: smc.migrate.downtime(182, n_vcpu=8, link="10G", **given),
        lambda **given: smc.plan.largest_shape(registers=182, link="10G", **given),
    ],
)
def test_two_costs_of_an_ioctl_are_refused(ask, real: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="profile and ioctl_ns both say what an ioctl costs: give one of them"):
        ask(profile=real, ioctl_ns=300)


def of_ns(profile: Profile, ns: float) -> Profile:
    """The profile with every ioctl of a register at one cost."""
    return replace(
        profile,
        **dict.fromkeys(
            ("get_one_reg_ns", "set_one_reg_ns"), type(IOCTL_NS)(*(replace(profile.trap_ns, value=ns),) * 3)
        ),
    )


@pytest.mark.parametrize("ns", [150.0, 900.0, 7000.0])
def test_the_largest_shape_is_where_the_downtime_leaves_the_budget(ns: float, real: Path) -> None:
    profile = of_ns(load_profile(real), ns)
    plan = smc.plan.largest_shape(registers=["6.18", "7.3+pmu"], link=["10G", "25G"], profile=profile)
    for i, registers in enumerate(("6.18", "7.3+pmu")):
        for k, link in enumerate(("10G", "25G")):
            low, mid, high = (int(n) for n in plan.cube.values["n_vcpu"].values[i, k, 0])
            assert low >= mid >= high
            fits, over = (smc.migrate.downtime(registers, n_vcpu=n, link=link, profile=profile) for n in (mid, mid + 1))
            assert fits.total_ms.mid <= 300 < over.total_ms.mid
    assert any("get_one_reg_ns" in text and "measured" in text for text in plan.assumptions)
    assert not any(text.startswith("the cost of one ioctl:") for text in plan.assumptions)
    assert "of the interrupt controller" in plan.weakest.figure


@pytest.mark.parametrize("ns", [150.0, 900.0])
def test_a_budget_that_is_just_reached(ns: float, real: Path) -> None:
    """Where rounding could decide, the downtimes do, and these are of the profile too."""
    profile = of_ns(load_profile(real), ns)
    for n_vcpu in (7, 64):
        budget = smc.migrate.downtime("6.18", n_vcpu=n_vcpu, link="10G", profile=profile).total_ms.mid
        for less, n_fit in ((0, n_vcpu), (1e-11, n_vcpu - 1)):
            plan = smc.plan.largest_shape(
                registers="6.18", link="10G", profile=profile, downtime_ms=budget * (1 - less)
            )
            assert plan.cube.values["n_vcpu"].values.ravel()[1] == n_fit


def test_a_table_of_migrations_has_the_downtime_of_its_profile(real: Path) -> None:
    given = {"registers": "6.18", "n_vcpu": 64, "memory_gib": 64, "dirty_mib_per_s": 200, "link": ["10G"]}
    plans = [
        smc.plan.migration_table(**given, ioctl_ns=one) for one in (load_profile(real), of_ns(load_profile(real), 4000))
    ]
    cheap, dear = (plan.cube.values["stopped_ms"].values[0, 3, 1] for plan in plans)
    assert dear != cheap
    assert any("a host" in text for text in plans[0].assumptions)


def test_what_a_filter_costs_by_a_measured_profile(real: Path, emulated: Path) -> None:
    plan = smc.plan.filter_cost(n_range=[0, 100], profile=real, measure=False)
    assert plan.table["kvm_handled_ns"].tolist() == [262.0, 270.0]
    with pytest.raises(InputError, match=EMULATED):
        smc.plan.filter_cost(n_range=[0, 100], profile=emulated, measure=False)
