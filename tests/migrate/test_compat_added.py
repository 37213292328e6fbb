"""A kernel that is not there yet, "7.3+2fw": what its new registers do to each VMM's moves."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.migrate.growth.carriers import CARRIERS, Carrier, Family


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda one: str(one.vmm))
@pytest.mark.parametrize("n_new", [1, 3])
def test_each_vmm_does_what_add_registers_says_of_it(carrier: Carrier, n_new: int) -> None:
    """The two know nothing of each other: one judges every register, the other has a sentence per VMM."""
    fails = Family.BITMAP in carrier.keeps and carrier.new_to_old.startswith("fails")
    found = smc.migrate.check(f"7.3+{n_new}fw", "7.3", vmm=carrier.vmm)
    assert (found.forward.outlook.value == "fails") is fails
    assert len(found.forward.failing) == (n_new if fails else 0)
    assert found.backward.outlook.value == "restores"


def test_only_the_new_ones_come_on_top() -> None:
    before, after = smc.migrate.check("7.3", "6.1"), smc.migrate.check("7.3+2fw", "6.1")
    names = {fate.reg for fate in before.forward.failing}
    assert {fate.reg for fate in after.forward.failing} - names == {0x6030000000160004, 0x6030000000160005}
    assert after.source.n_register == before.source.n_register + 2
    assert "2 firmware registers assumed that no kernel has" in after.source.notes[-1]


def test_both_sides_may_have_them_and_features_stand_on_either_side() -> None:
    found = smc.migrate.check("6.18+pmu+2fw", "6.18+2fw+pmu")
    assert found.forward.failing == found.backward.failing == ()
    assert found.source.features == found.dest.features == "psci02+pmu"


@pytest.mark.parametrize("text", ["7.3+0fw", "7.3+1025fw", "7.3+1fw+2fw"])
def test_how_many_is_said_once(text: str) -> None:
    with pytest.raises(InputError, match=r"\+1fw to \+1024fw"):
        smc.migrate.check(text, "6.1")


def test_a_file_of_such_a_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    smc.samples(tmp_path)
    (tmp_path / "vm6.18.bin.xz").rename(tmp_path / "vm+2fw")
    assert smc.migrate.check("vm+2fw", "6.18").source.n_register == 331
