"""The study's part of the report: figures, notes and paragraphs that follow the tables."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastsmc import reporting as report
from fastsmc import scaling
from fastsmc.errors import ResultFileError
from fastsmc.reporting import study
from fastsmc.results.files import load, save
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import count, duration, percent, significant
from tests.support.shared import made_once
from tests.support.study_sizes import LOAD, MORE, NOTES, STUDY

REPORTS = Path(scaling.__file__).parents[2] / "reports" / "scaling" / "data.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The committed run with a small study."""
    if not REPORTS.is_file():
        pytest.skip("the committed report is not in source distributions")

    def measured(folder: Path) -> None:
        old = load(REPORTS)
        small = scaling.study(sizes=STUDY, seed=2)
        save(replace(old, tables={**without_study(old).tables, **small}), folder / "data.json")

    return load(made_once(tmp_path_factory, "study-run", measured) / "data.json")


def without_study(run: Run) -> Run:
    return replace(run, tables={name: t for name, t in run.tables.items() if not name.startswith("study")})


def paragraphs(run: Run) -> dict[str, str]:
    pictures = [*study.pictures(run), *study.details(run)]
    texts = {one.name: one.takeaway for one in pictures} | {one.name: one.text for one in study.notes(run)}
    return {name: text.replace("\N{NO-BREAK SPACE}", " ") for name, text in texts.items()}


def changed(run: Run, table: str, column: str, value: object, **where: object) -> Run:
    """The run with a column's values replaced in the rows that match."""
    old = run[table].columns[column]
    keep = np.ones(run[table].n_row, np.bool_)
    for key, wanted in where.items():
        keep &= run[table][key] == wanted
    assert keep.any()
    values = old.values.copy()
    values[keep] = value
    columns = {**run[table].columns, column: Column.of(values, old.kind, old.meaning)}
    return replace(run, tables={**run.tables, table: Table(run[table].meaning, columns)})


@pytest.mark.usefixtures("undrawn")
def test_the_pages_have_the_study_with_a_paragraph_a_figure(run: Run, tmp_path: Path) -> None:
    report.write(run, tmp_path)
    for page, names, pictures in (
        ("index.html", LOAD, study.pictures(run)),
        ("load.html", (*MORE, *NOTES), study.details(run)),
    ):
        text = re.sub(r"&#39;", "'", (tmp_path / page).read_text("utf-8"))
        assert text.count('<p class="takeaway">') == len(pictures)
        for name in names:
            assert f'id="title-{name}"' in text
        for picture in pictures:
            assert picture.takeaway in text
            assert picture.caption in text
            assert (tmp_path / f"{picture.name}.svg").is_file()
    assert all(note.text in text for note in study.notes(run))
    assert study.basis(run) in text


def test_profile_and_weakest_figure_are_named_once_and_every_figure_says_assumed(run: Run) -> None:
    for text in (study.basis(run), " ".join(study.intro(run))):
        assert "neoverse-n1" in text
        assert "vmm_service_ns" in text
        assert "assumed" in text
    assert "5 us is a scenario" in " ".join(study.intro(run))
    for picture in (*study.pictures(run), *study.details(run)):
        assert picture.tag == "modelled, from assumed figures"
    for text in paragraphs(run).values():
        assert "neoverse-n1" not in text


def row(run: Run, table: str, **where: object) -> dict[str, float]:
    return next(run[table].where(**where).rows())


def test_the_numbers_told_are_those_of_the_tables(run: Run) -> None:
    lock = row(run, "study_vcpus", n_vcpu=512, lock="vm")
    near = row(run, "study_vcpus", n_vcpu=16, lock="vm")
    share = row(run, "study_share", n_vcpu=512, share=1.0)
    one, free = row(run, "study_lock", n_vcpu=1024, n_thread=1), row(run, "study_lock", n_vcpu=1024, lock="none")
    wide = row(run, "study_filter", n_vcpu=64, n_range=100)
    boot = row(run, "study_boot", n_vcpu=512, shape="boot-storm", forwarded="PSCI_CPU_ON64")
    seed = row(run, "study_boot", n_vcpu=512, shape="trng-reseed", forwarded="TRNG_RND64")
    knees = run["study_knees"]
    apart = np.abs(knees["simulated_vcpus"] / knees["knee_vcpus"] - 1)[knees["simulated_vcpus"] > 0].max(initial=0)
    told = {
        "load-vcpus": (
            f"{count(1e9 / 5000)} forwarded calls a second",
            f"{significant(lock['knee_vcpus'])} vCPUs ask for that",
            f"at 16 vCPUs the lock is held {percent(near['utilisation'])}",
            f"{significant(near['p99_ns'] / near['alone_ns'], 2)} times a lone call",
            f"at 512 vCPUs half of the calls take {duration(lock['p50_ns'])}",
        ),
        "load-share": (
            f"{significant(1e9 / 5000 / 512)} a second from each of 512",
            f"With 100 % forwarded p50 is {duration(share['p50_ns'])}",
            duration(512 * 5000),
        ),
        "load-knee": (f"within {percent(float(apart))} of it", "2 % is the most that a lock bears with 512 vCPUs"),
        "load-lock": (
            f"need {significant(1024 / one['knee_vcpus'])} threads",
            f"with one {duration(one['p99_ns'])} and {significant(one['throughput_hz'] / 1e6)} million",
            f"with a thread per vCPU {duration(free['p99_ns'])} and {significant(free['throughput_hz'] / 1e6)} million",
        ),
        "load-filter": (
            "100 of them are 2 levels, 20 ns (assumed)",
            "takes 312 ns instead of 292 ns",
            f"{duration(wide['waiting_ns'])} with 64 vCPUs",
        ),
        "load-boot": (
            f"511 forwarded CPU_ON of 512 vCPUs add {duration(boot['added_ns'])}",
            f"the last waits {duration(seed['most_waiting_ns'])} under one lock",
            "no call waited for the lock",
        ),
    }
    texts = paragraphs(run)
    for name, phrases in told.items():
        for phrase in phrases:
            assert phrase.replace("\N{NO-BREAK SPACE}", " ") in texts[name], (name, phrase)


@pytest.mark.parametrize(
    ("name", "table", "column", "value", "where", "told"),
    [
        ("load-vcpus", "study_vcpus", "most_forwarded_hz", 123_456.0, {"lock": "vm"}, "serves 123,456 forwarded"),
        ("load-vcpus", "study_vcpus", "p50_ns", 7.77e6, {"n_vcpu": 512, "lock": "vm"}, "take 7.77 ms or longer"),
        ("load-share", "study_share", "p50_ns", 7.77e6, {"n_vcpu": 512, "share": 1.0}, "p50 is 7.77 ms"),
        ("load-knee", "study_knees", "knee_vcpus", 777.0, {"share": 0.02}, "knee at 777"),
        ("load-lock", "study_lock", "p99_ns", 7.77e6, {"n_vcpu": 64, "lock": "none"}, "per vCPU 7.77 ms"),
        ("load-filter", "study_filter", "in_kernel_ns", 777.0, {"n_range": 100}, "takes 777 ns instead"),
        ("load-boot", "study_boot", "most_waiting_ns", 7.77e6, {"n_vcpu": 512}, "for the lock was 7.77 ms"),
    ],
)
def test_paragraphs_follow_the_data(
    run: Run, name: str, table: str, column: str, value: float, where: dict[str, object], told: str
) -> None:
    assert told not in paragraphs(run)[name]
    assert told in paragraphs(changed(run, table, column, value, **where))[name]


def test_the_largest_vm_is_told_of_and_said_to_be_hypothetical(run: Run) -> None:
    table = changed(run, "study_vcpus", "p50_ns", 7.77e6, n_vcpu=1024, lock="vm")
    title = study.pictures(table)[0].title.replace("\N{NO-BREAK SPACE}", " ")
    assert title.endswith("at 512 vCPUs, 7.77 ms at a hypothetical 1024")


@pytest.mark.parametrize("table", ["study", "study_vcpus", "study_boot"])
def test_a_run_with_half_a_study_is_refused(run: Run, tmp_path: Path, table: str) -> None:
    less = replace(run, tables={name: t for name, t in run.tables.items() if name != table})
    with pytest.raises(ResultFileError, match=f"no table '{table}'"):
        report.write(less, tmp_path)
