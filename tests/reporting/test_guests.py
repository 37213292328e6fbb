"""The report's table of the kinds of guest: a cell for each kind and level, and none of it needed by older runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fastsmc import reporting, scaling
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Verdict
from fastsmc.reporting import guests, sections
from fastsmc.results.runs import Run, provenance


def alone(release: str = "") -> Run:
    """A run that has nothing but this table."""
    return Run({"guests": scaling.guests(release=release)}, provenance(seed=1, inputs={}))


def test_each_kind_and_level_has_a_column_and_each_function_a_row() -> None:
    told = guests.note(alone())
    kinds = ["ordinary", "with EL2, vEL2", "with EL2, vEL1", "with EL2, vEL1 with TSC", "protected"]
    assert told.header == ("function", *(f"{kind} (modelled)" for kind in kinds))
    assert len(told.rows) == 10
    cells = {row[0]: row[1:] for row in told.rows}
    ours = "to its own EL2"
    assert cells["VENDOR_HYP_PTP"] == ("handled", f"{ours} / handled", f"{ours} / handled", ours, "handled")
    assert cells["SMCCC_ARCH_WORKAROUND_1"][0] == "answered at EL2 / denied"
    assert cells["SMCCC_ARCH_WORKAROUND_1"][3] == f"answered at EL2 / {ours}"
    assert cells["VENDOR_HYP_HYP_MEMINFO"] == (
        "denied", f"{ours} / denied", f"{ours} / denied", ours, "answered at EL2 / denied"
    )  # fmt: skip
    assert cells["0xc600ffff"][4] == "denied"


@pytest.mark.parametrize(
    ("release", "says"),
    [
        ("", "a guest with EL2 takes 9 of 10 HVCs itself, and a protected VM gets 2 of 10 answered at EL2 instead"),
        ("6.18", "On Linux 6.18 a guest with EL2 takes 9 of 10 HVCs itself"),
        ("6.12", "On Linux 6.12 there are ordinary guests only"),
    ],
)
def test_the_title_counts_what_differs(release: str, says: str) -> None:
    title = guests.note(alone(release)).title
    assert title.endswith(says)
    assert ("protected" in title) == (release == "")


def test_every_verdict_has_a_word() -> None:
    assert guests._WORDS.keys() == {one.name for one in Verdict}


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(InputError):
        scaling.guests(release="9.9.9-none")


def test_the_section_is_on_the_page_and_in_the_mail(run: Run, tmp_path: Path) -> None:
    assert sections.report(run)[-1].name == "guests"
    page = reporting.write(run, tmp_path)
    assert 'id="guests"' in page.read_text("utf-8")
    assert guests.note(run).title in (tmp_path / "report.md").read_text("utf-8")
    assert (tmp_path / "guests.csv").is_file()


def test_a_run_of_an_earlier_version_is_drawn_without_it(run: Run, tmp_path: Path) -> None:
    older = replace(run, tables={name: table for name, table in run.tables.items() if name != "guests"})
    assert "guests" not in {part.name for part in sections.report(older)}
    assert 'id="guests"' not in reporting.write(older, tmp_path).read_text("utf-8")
