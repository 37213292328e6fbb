"""Fields of ID registers, explained by release."""

from __future__ import annotations

import re

import pytest

from fastsmc.errors import InputError
from fastsmc.explanation import explain
from fastsmc.facts.registers import sysreg

PFR0 = sysreg(3, 0, 0, 4, 0)


@pytest.mark.parametrize(
    ("text", "release", "accepts"),
    [
        ("ID_AA64PFR0_EL1.CSV2", "6.18", "a lower one"),
        ("ID_AA64PFR0_EL1.CSV3", "6.18", "a lower one"),
        ("id_aa64pfr0_el1.sve", "6.18", "no other value than its own"),
        ("SYS_ID_AA64PFR0_EL1.MPAM", "6.12", "the hardware's, which is then ignored; nothing else"),
        ("ID_AA64PFR0_EL1.MPAM", "6.12.5", "no other value than its own"),
        ("ID_AA64PFR0_EL1.EL0", "6.14", "a lower one"),
        ("ID_AA64PFR0_EL1.EL0", "6.15", "a lower one but 0"),
        ("ID_AA64MMFR0_EL1.ASIDBits", "6.12.6", "a lower one"),
        ("ID_AA64MMFR0_EL1.ASIDBits", "6.12.7", "no other value than its own"),
        ("ID_AA64PFR0_EL1.RAS", "6.1", "no other value than its own"),
    ],
)
def test_a_field_is_explained_by_release(text: str, release: str, accepts: str) -> None:
    """As `facts.id_changes` has it, each row with its source."""
    lines = dict(explain(text, release=release).lines)
    assert lines[f"accepts {release}"] == accepts
    assert text.rpartition(".")[2].upper() == lines["field"].partition(",")[0].upper()


def test_a_field_is_explained_with_its_register() -> None:
    found = explain("ID_AA64PFR0_EL1.CSV2")
    assert (found.kind, found.id, found.name) == ("register", PFR0, "ID_AA64PFR0_EL1")
    assert dict(found.lines)["field"] == "CSV2, bits 59:56"
    assert "6.7 a lower one; 6.13 no other value" in dict(explain("ID_AA64MMFR0_EL1.ASIDBits").lines)["by release"]
    assert "no rule of it is known" in dict(explain("ID_AA64PFR0_EL1.RME").lines)["accepts"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ID_AA64PFR0_EL1.CSV4", "no field called 'CSV4'; did you mean CSV3?"),
        ("ID_AA64PFR0_EL1.zzz", "there are EL0, EL1"),
        ("TCR2_EL1.PIE", "no function or register is called"),
        ("ID_AA64PFR0_EL1.", "did you mean ID_AA64PFR0_EL1"),
    ],
)
def test_fields_that_do_not_exist_are_asked_back(text: str, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        explain(text)


def test_qemus_other_word_for_a_bitmap_is_a_register() -> None:
    assert explain("fw feature reg 3").id == explain("fw feat reg 3").id == 0x6030000000160003
