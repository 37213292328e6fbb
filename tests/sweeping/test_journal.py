"""The journal: whole cells or none, one writer, readers meanwhile, and what is none of ours."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import InputError, ResultFileError
from fastsmc.sweeping.design import design_of
from fastsmc.sweeping.journal import Journal
from fastsmc.sweeping.record import Outcome
from tests.support.places import ROOT, names
from tests.support.sweeps import OVER, TABLE

DESIGN = design_of(TABLE, OVER)
CELLS = [Outcome(0, True, b"a"), Outcome(1, False, b"wrong")]


def begun(path: Path) -> Path:
    with closing(Journal.to_write(path, DESIGN)) as journal:
        journal.add(CELLS)
    return path


def test_cells_come_back_and_a_second_result_takes_the_place_of_the_first(tmp_path: Path) -> None:
    with closing(Journal.to_write(begun(tmp_path / "j.db"), DESIGN)) as journal:
        assert (journal.cells(done=True), journal.cells(done=False)) == ([0], [1])
        journal.add([Outcome(1, True, b"right")])
        assert list(journal.contents(done=True)) == [(0, b"a"), (1, b"right")]
        assert journal.cells(done=False) == []


def test_a_journal_that_is_closed_is_one_file(tmp_path: Path) -> None:
    begun(tmp_path / "j.db")
    assert names(tmp_path) == ["j.db"]


def test_others_read_while_one_writes(tmp_path: Path) -> None:
    with closing(Journal.to_write(tmp_path / "j.db", DESIGN)) as writing:
        with smc.open_sweep(tmp_path / "j.db") as found:
            assert (found.done, found.left) == (0, 6)
        writing.add(CELLS)
        with smc.open_sweep(tmp_path / "j.db") as found:
            assert (found.done, len(found.failed), found.left) == (1, 1, 4)


def test_two_do_not_write_one_journal(tmp_path: Path) -> None:
    with (
        closing(Journal.to_write(tmp_path / "j.db", DESIGN)),
        pytest.raises(InputError, match="another process is writ"),
    ):
        Journal.to_write(tmp_path / "j.db", DESIGN)
    Journal.to_write(tmp_path / "j.db", DESIGN).close()


@pytest.mark.parametrize(
    ("design", "told"),
    [
        (design_of(TABLE, OVER, seed=4), "with other seed: seed is '3' there and '4' here"),
        (design_of(TABLE | {"calls": 6}, OVER), "with other scenario"),
        (design_of(TABLE, OVER, repeats=2, measure=["calls"]), "with other repeats and other measures"),
    ],
)
def test_a_journal_of_another_sweep_says_what_differs_and_stays(tmp_path: Path, design: object, told: str) -> None:
    path = begun(tmp_path / "j.db")
    before = path.read_bytes()
    with pytest.raises(InputError) as refused:
        Journal.to_write(path, design)  # type: ignore[arg-type]
    assert told in str(refused.value)
    assert path.read_bytes() == before


def test_a_journal_that_other_sources_began_is_not_gone_on_with(tmp_path: Path) -> None:
    path = begun(tmp_path / "j.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE design SET json = '\"0\"' WHERE part = 'sources of fastsmc'")
    with smc.open_sweep(path) as found, pytest.raises(InputError, match="with other sources of fastsmc"):
        found.resume(run_on=1)


@pytest.mark.parametrize("content", [b"seed = 1\n" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_journal_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(content)
    for refuse in (lambda: Journal.to_write(path, DESIGN), lambda: smc.open_sweep(path)):
        with pytest.raises(ResultFileError, match="no journal of a sweep"):
            refuse()
    assert path.read_bytes() == content
    assert names(tmp_path) == ["j.db"]


def test_a_database_with_more_in_it_than_a_journal_has_is_refused(tmp_path: Path) -> None:
    path = begun(tmp_path / "j.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TRIGGER t AFTER INSERT ON cells BEGIN DELETE FROM design; END")
    with pytest.raises(ResultFileError, match="it is no journal of a sweep"):
        Journal.to_write(path, DESIGN)


@pytest.mark.parametrize("part", ["scenario", "grid", "points", "repeats", "measures"])
@pytest.mark.parametrize("json", ["null", "[", '{"a": 1}', "[[1]]"])
def test_a_design_that_is_none_is_said_to_be_damaged(tmp_path: Path, part: str, json: str) -> None:
    path = begun(tmp_path / "j.db")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE design SET json = ? WHERE part = ?", (json, part))
    with pytest.raises(ResultFileError, match="damaged: its design is none"):
        smc.open_sweep(path)


def test_places_where_no_journal_can_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        Journal.to_write(tmp_path, DESIGN)
    with pytest.raises(InputError, match=r"the folder .* is not there"):
        Journal.to_write(tmp_path / "no" / "j.db", DESIGN)
    begun(tmp_path / "storm.db")
    with pytest.raises(ResultFileError, match=r"did you mean .*storm\.db"):
        smc.open_sweep(tmp_path / "strom.db")


FULL = """
import resource, signal, sys
from pathlib import Path
from fastsmc.errors import ResultFileError
from fastsmc.sweeping.journal import Journal
from fastsmc.sweeping.record import Outcome
from tests.sweeping.test_journal import DESIGN
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.to_write(sys.argv[1], DESIGN)
journal.add([Outcome(0, True, b"a")])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    journal.add([Outcome(1, True, bytes(500_000))])
except ResultFileError as error:
    print(error)
"""


def test_a_full_disk_is_a_sentence_and_what_was_committed_stays(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    path = tmp_path / "j.db"
    run = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.startswith(f"{path}: ")
    assert "needs room" in run.stdout
    with closing(Journal.to_read(path)) as journal:
        assert list(journal.contents(done=True)) == [(0, b"a")]


def test_a_file_that_a_kill_left_empty_is_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "j.db").touch()
    with closing(Journal.to_read(begun(tmp_path / "j.db"))) as journal:
        assert journal.cells(done=True) == [0]
