"""Journals damaged by bytes and by rows: what is read is what was written, or one sentence says that it is damaged."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import ResultFileError
from tests.support.damaged import damaged
from tests.support.questions import HOSTS, VMS
from tests.support.sweeps import OVER, TABLE

N_QUICK, N_SOAK = 100, 10_000
WORDS = (bytes(1), bytes(16), bytes(512), b"\xff" * 8)


DRAIN = {"question": "evacuate", "hosts": HOSTS, "vms": VMS, "drain": "each", "within_s": 60, "replicas": 2}
SUBJECTS = {"scenario": (TABLE, OVER), "question": (DRAIN, {"within_s": [5, 60], "limits.outbound": [1, 2, 4]})}


@pytest.fixture(scope="module", params=list(SUBJECTS))
def whole(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> bytes:
    """A journal of which every cell is done."""
    path = tmp_path_factory.mktemp("journal") / "whole.db"
    table, over = SUBJECTS[request.param]
    with smc.sweep(table, over=over, seed=1, to=path, run_on=1):
        pass
    return path.read_bytes()


def rewritten(path: Path, draw: random.Random) -> None:
    """A row changed by SQL, as a well-formed database may be wrong."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = draw.choice(tables)
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        value = draw.choice(
            (None, -1, 1 << 40, 0.5, "", "wrong", "9" * 400, b"", b"\xff" * 9, '{"a": 1}', "[]", "\x1b[31m")
        )
        rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table}")]
        try:
            database.execute(
                f"UPDATE {table} SET {draw.choice(columns)} = ? WHERE rowid = ?", (value, draw.choice(rows or [1]))
            )
            database.commit()
        except sqlite3.Error:  # the table's own constraint refuses it
            return


def asked(path: Path) -> str:
    """All that a journal is asked for; empty where it is refused."""
    try:
        with smc.open_sweep(path) as found:
            told = str(found) + repr(found)
            assert found.done + len(found.failed) + found.left == 6
            return told + found.to_json() + json.dumps(found.as_dict(), allow_nan=False)
    except ResultFileError as error:
        refused = str(error)
    assert refused.isprintable()
    assert len(refused) < 2000
    return ""


def run(whole: bytes, n: int, seed: int, path: Path) -> int:
    """Asks n damaged journals; how many were read all the same. What is read is what was written, to the letter."""
    path.write_bytes(whole)
    draw, n_read, right = random.Random(seed), 0, asked(path)
    for _ in range(n):
        for rest in path.parent.glob(f"{path.name}*"):
            rest.unlink()
        if draw.random() < 0.6:
            path.write_bytes(damaged(whole, draw, WORDS))
        else:
            path.write_bytes(whole)
            rewritten(path, draw)
        told = asked(path)
        assert told in ("", right)
        n_read += bool(told)
    return n_read


def test_some_damaged_journals(whole: bytes, memory_folder: Path) -> None:
    assert 0 < run(whole, N_QUICK, 1, memory_folder / "j.db") < N_QUICK


@pytest.mark.soak(f"{N_SOAK:,} damaged journals; make test tries {N_QUICK}")
def test_damaged_journals(whole: bytes, memory_folder: Path) -> None:
    assert 0 < run(whole, N_SOAK, 2, memory_folder / "j.db") < N_SOAK
