"""The list of broken rules (tools/mutants.py) fits the code, and each meets the tests of its room first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.places import ROOT, TESTS
from tools.mutants import MUTANTS
from tools.mutate import ANYWHERE, LAST_NAMED, WIDE, WIDE_FILES, Stage, stages, stages_here

STEER_WIDE = (
    *("fastsmc/kernels.py", "jit/level.py", "dispatcher/decide.py", "fleet/rows.py", "fleet/bit_rows.py"),
    "calls/grouped.py",
)


def test_every_mutant_applies_once() -> None:
    out_of_date = []
    for mutant in MUTANTS:
        path = ROOT / mutant.path
        n = path.read_text("utf-8").count(mutant.old) if path.is_file() else 0
        if n != 1 or mutant.old == mutant.new:
            out_of_date.append(f"{mutant}: its text is there {n} times")
    assert out_of_date == []


def test_no_mutant_is_listed_twice() -> None:
    assert len({mutant.key for mutant in MUTANTS}) == len(MUTANTS)


def test_a_mutant_whose_text_is_gone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"holds .* 0 times: mend the list of mutants"):
        MUTANTS[0].applied("")


@pytest.mark.parametrize("path", sorted({mutant.path for mutant in MUTANTS}))
def test_a_mutant_meets_the_tests_of_its_room_first_and_then_all_others(path: str) -> None:
    own, *rest = stages(path)
    others = [file for files in rest for file in files]
    assert own
    assert len(set(others)) == len(others)
    assert not set(own) & set(others)
    not_run = {path.relative_to(ROOT).as_posix() for path in TESTS.rglob("test_*.py")} - {*own, *others}
    folders = {Path(name).parent.name for name in not_run}  # whose tests compile afresh, or read the text
    assert folders == ({"whole"} if path.startswith("fastsmc/jit/") else {"jit", "whole"})


@pytest.mark.parametrize("path", sorted({mutant.path for mutant in MUTANTS}))
def test_a_mutant_of_a_wide_kernel_meets_it_on_any_cpu(path: str) -> None:
    by_itself = stages_here(path, has_wide=True)
    assert [list(stage.files) for stage in by_itself] == stages(path)
    assert not any(stage.is_wide for stage in by_itself)
    by_loops = stages_here(path, has_wide=False)
    wide = next((stage for stage in by_loops if stage.is_wide), Stage(()))
    assert set(wide.files) in ({*WIDE_FILES}, set())
    if WIDE.match(path):
        assert by_loops == [wide]
    else:
        assert [stage for stage in by_loops if stage != wide] == by_itself
    assert (wide in by_loops) == (WIDE.match(path) is not None or path.endswith(STEER_WIDE))


def test_what_runs_the_wide_kernels_by_loops_is_there() -> None:
    assert all((ROOT / name).is_file() for name in WIDE_FILES)
    assert (ROOT / ANYWHERE[1].replace(".", "/")).with_suffix(".py").is_file()


def test_files_of_like_names_come_first() -> None:
    assert stages("fastsmc/migrate/qemu/size.py")[0][0] == "tests/migrate/test_qemu_size.py"
    assert stages("fastsmc/vm.py")[0] == ["tests/test_vm.py"]
    assert "tests/dispatcher/test_wide.py" in stages("fastsmc/fleet/rows.py")[0]
    (wide,) = stages_here("fastsmc/dispatcher/kernels/blocks.py", has_wide=False)
    assert wide.files[0] == "tests/calls/test_grouped.py"  # the tests of dispatcher give it no blocks


@pytest.mark.parametrize(
    ("printed", "test"),
    [
        (
            "tests/fleet/test_filters.py::test_c[1 2] PASSED [ 1%]\ntests/fleet/test_filters.py::test_d[x] ",
            "tests/fleet/test_filters.py::test_d",
        ),
        (
            "tests/test_vm.py::test_c FAILED [ 1%]\nFAILED tests/test_vm.py::test_c - tests/test_checks.py",
            "tests/test_vm.py::test_c",
        ),
        ("collecting ... \nERROR tests/test_vm.py - ImportError", "tests/test_vm.py"),
        ('tests/test_vm.py::test_c Timeout (0:02:30)!\n  File "tests/conftest.py", line 3', "tests/test_vm.py::test_c"),
    ],
)
def test_what_ended_the_tests_is_the_last_one_named(printed: str, test: str) -> None:
    assert LAST_NAMED.findall(printed)[-1] == test
