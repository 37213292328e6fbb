"""An id in ordinary guests, guests with EL2 and protected VMs: against the recorded rules, written out here."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.explanation import explain
from fastsmc.explanation.guests import LEVELS, is_for_protected
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import Conduit, Level
from fastsmc.reference.vm import Vm
from tests.support.command import fastsmc
from tests.support.strategies import RELEASES, func_ids

WORKAROUNDS = {0x80008000, 0x80007FFF, 0x80003FFF}
OF_PKVM = {0x86000000: "0x1d", 0xC6000002: "0x1000", 0xC6000003: None, 0xC6000004: None}
Key = tuple[str, str, str]


def rows(func_id: int | str, name: str = "7.3") -> dict[Key, tuple[str, str | None]]:
    """Verdict and x0 by guest, level and conduit."""
    told = explain(func_id, release=name)
    return {
        (row["guest"], row["level"], row["conduit"]): (row["verdict"], row["x0"])
        for row in told.guests
        if row["release"] == name
    }


@given(func_ids)
def test_a_guest_with_el2_gets_by_smc_what_an_ordinary_one_gets_and_takes_its_hvcs_itself(func_id: int) -> None:
    found = rows(func_id)
    for level in ("vEL2", "vEL1"):
        assert found["with EL2", level, "smc"] == found["ordinary", "EL1", "smc"]
    for level in ("vEL2", "vEL1", "vEL1 with TSC"):
        is_fast = func_id in WORKAROUNDS
        assert found["with EL2", level, "hvc"][0] == ("FAST_PATH" if is_fast else "TO_VEL2")
    assert found["with EL2", "vEL1 with TSC", "smc"] == ("TO_VEL2", hex(func_id))  # registers are kept


@given(func_ids | st.sampled_from(sorted(OF_PKVM)))
def test_a_protected_vm_has_four_answers_of_its_own(func_id: int) -> None:
    found = rows(func_id)
    assert found["protected", "EL1", "smc"] == found["ordinary", "EL1", "smc"]
    own = found["protected", "EL1", "hvc"]
    if func_id in OF_PKVM:
        assert own == ("FAST_PATH", OF_PKVM[func_id])
    else:
        assert own == found["ordinary", "EL1", "hvc"]


@given(func_ids, st.sampled_from([*RELEASES, "6.16", "6.18", "7.2"]))
def test_every_row_is_the_references(func_id: int, name: str) -> None:
    levels = {text: level for level, text in LEVELS.items()}
    modes = {"ordinary": ("default", 0x4), "with EL2": ("nested", 0x84), "protected": ("protected", 0x4)}
    for (guest, level, conduit), (verdict, _) in rows(func_id, name).items():
        mode, features = modes[guest]
        vm = Vm(Host(release(name), kvm_arm_mode=mode), features=features, is_protected=guest == "protected")
        found = vm.call(0, func_id, conduit=Conduit[conduit.upper()], level=levels[level])
        assert found.verdict.name == verdict


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("6.12", {"ordinary"}),
        ("6.15", {"ordinary"}),
        ("6.16", {"ordinary", "with EL2"}),
        ("7.2", {"ordinary", "with EL2"}),
        ("7.3", {"ordinary", "with EL2", "protected"}),
    ],
)
def test_a_release_has_the_kinds_that_it_runs(name: str, kinds: set[str]) -> None:
    assert {guest for guest, _, _ in rows("PTP", name)} == kinds
    shown = dict(explain("PTP", release=name).lines)
    for kind in ("with EL2", "protected"):
        assert shown[f"{kind} {name}"].startswith("no such guest: KVM_") == (kind not in kinds)


def test_a_vendors_kernel_may_have_them_all_the_same() -> None:
    shown = dict(explain("PTP", release="6.12.0-39.el10.aarch64").lines)
    for kind in ("with EL2", "protected"):
        assert shown[f"{kind} 6.12.0-39.el10.aarch64"].startswith(
            "not known: RHEL 10 may have changes of later releases"
        )


def test_levels_are_those_of_the_guest() -> None:
    assert {(guest, level) for guest, level, _ in rows("PTP")} == {
        ("ordinary", "EL1"), ("with EL2", "vEL2"), ("with EL2", "vEL1"), ("with EL2", "vEL1 with TSC"),
        ("protected", "EL1"),
    }  # fmt: skip
    assert set(LEVELS) < set(Level)


@pytest.mark.parametrize(
    ("what", "with_el2", "protected"),
    [
        ("PTP", "HVC to the guest's own EL2, SMC handled; of vEL1 with TSC to the guest's own EL2", "handled"),
        (
            "SMCCC_ARCH_WORKAROUND_1",
            "HVC answered at the real EL2 (x0 = 0), SMC denied (x0 = -1); of vEL1 with TSC to the guest's own EL2",
            "HVC answered at EL2 (x0 = 0), SMC denied (x0 = -1)",
        ),
        (
            "VENDOR_HYP_FEATURES",
            "HVC to the guest's own EL2, SMC handled; of vEL1 with TSC to the guest's own EL2",
            "HVC answered at EL2 (x0 = 0x1d), SMC handled",
        ),
        (
            0xC6000003,
            "HVC to the guest's own EL2, SMC denied (x0 = -1); of vEL1 with TSC to the guest's own EL2",
            "HVC answered at EL2 (x0 depends on memory), SMC denied (x0 = -1)",
        ),
    ],
)
def test_the_text_says_it_side_by_side(what: int | str, with_el2: str, protected: str) -> None:
    labels = [label for label, _ in explain(what).lines]
    at = labels.index("default 7.3")
    assert labels[at : at + 3] == ["default 7.3", "with EL2 7.3", "protected 7.3"]
    assert [text for _, text in explain(what).lines][at + 1 : at + 3] == [with_el2, protected]


def test_what_pkvm_answers_is_told_by_release() -> None:
    since = dict(explain(0xC6000002).lines)["since"]
    assert since == "no release from 5.10 to 7.3 answers it to an ordinary guest; 7.3 to protected VMs"
    assert "protected" not in dict(explain(0xC6000005).lines)["since"]
    assert "protected" not in dict(explain("VENDOR_HYP_FEATURES").lines)["since"]
    answered = {i for i in (*WORKAROUNDS, *OF_PKVM, 0x84000000) if is_for_protected(i, release("7.3"))}
    assert answered == set(OF_PKVM)
    assert not any(is_for_protected(i, release("7.2")) for i in OF_PKVM)


def test_no_value_is_told_where_there_is_none() -> None:
    assert rows("PTP")["ordinary", "EL1", "hvc"] == ("HANDLED", None)  # the clock
    assert rows("PSCI_SYSTEM_OFF")["ordinary", "EL1", "hvc"] == ("EXIT", None)
    assert rows("SMCCC_VERSION")["ordinary", "EL1", "hvc"] == ("HANDLED", "0x10001")


def test_registers_have_no_such_rows_and_json_has_them() -> None:
    assert explain("STD_BMAP").guests == ()
    told = json.loads(fastsmc("explain", "PTP", "--json").stdout)
    assert len(told[0]["guests"]) == 10
    assert told[0]["guests"][0] == {
        "release": "7.3", "guest": "ordinary", "level": "EL1", "conduit": "hvc", "verdict": "HANDLED", "x0": None
    }  # fmt: skip
