"""The journal of a sweep: one SQLite file that has the design and every cell that is done or failed.

Only the process that sweeps writes it, and it commits whole cells: a kill leaves those that were committed, and others
may read it meanwhile. A cell is keyed by its number, so one that is computed twice does no harm. Nothing in it is
code, and nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from fastsmc.checks import escaped, near_file, shown
from fastsmc.errors import InputError, ResultFileError
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.record import Outcome

_APPLICATION = 0x66_73_77_70
"""SQLite's application_id of our journals: "fswp"."""
_TABLES = {
    "cells": "CREATE TABLE cells (cell INTEGER PRIMARY KEY, is_done INTEGER NOT NULL, content BLOB NOT NULL)",
    "design": "CREATE TABLE design (part TEXT PRIMARY KEY, json TEXT NOT NULL)",
}
_MOST_BYTES = 256 << 20
"""Of one value: a trace of 64 MiB takes less, packed."""
_WAIT_S = 10.0
_SUM = 4
"""Bytes of the checksum behind a cell's content, over design, cell and content."""


class Journal:
    """An open journal. One without a path lives in memory.

    Attributes:
        design: what it is the journal of.
    """

    def __init__(self, database: sqlite3.Connection, design: Design, path: Path | None, held: socket.socket | None):
        self.design, self.path = design, path
        self._database, self._held = database, held
        self._begin = zlib.crc32(json.dumps(sorted(design.parts.items())).encode())

    @classmethod
    def to_write(cls, path: str | os.PathLike[str] | None, design: Design) -> Journal:
        """A new journal of a design, or the one that is there to go on with.

        Raises:
            InputError: the file is no journal, another sweep's, or another process writes it.
            ResultFileError: it cannot be written.
        """
        if path is None:
            database = sqlite3.connect(":memory:", check_same_thread=False)
            _fill(database, design)
            return cls(database, design, None, None)
        file = Path(path)
        with _told(file):
            _require_a_folder(file)
            is_new = not file.exists() or not file.stat().st_size
            database = _connected(file, "rwc")
            held = None
            try:
                held = _held(file)
                _checked(database, file, may_be_new=True)
                has_tables = _has_tables(database)
                if has_tables:
                    _require_same(_parts(database), design, file)
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                if not has_tables:
                    _fill(database, design)
                _check_cells(database, design, file)
            except BaseException:
                database.close()
                if held is not None:
                    held.close()
                if is_new and held is not None:
                    for end in ("", "-wal", "-shm"):
                        file.with_name(file.name + end).unlink(missing_ok=True)
                raise
        return cls(database, design, file, held)

    @classmethod
    def to_read(cls, path: str | os.PathLike[str]) -> Journal:
        """The journal in a file, which another process may be writing.

        Raises:
            ResultFileError: there is none, or it is damaged.
        """
        file = Path(path)
        if not file.is_file():
            msg = f"{file}: there is no such file{near_file(file)}; a journal is what sweep wrote with to"
            raise ResultFileError(msg)
        with _told(file):
            database = _connected(file, "rw" if os.access(file, os.W_OK) else "ro")
            try:
                _checked(database, file, may_be_new=False)
                parts = _parts(database)
                design = Design.from_parts(parts)
                _check_cells(database, design, file)
            except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
                database.close()
                msg = f"{file}: damaged: its design is none ({shown(str(error))}): sweep again, to another file"
                raise ResultFileError(msg) from error
            except BaseException:
                database.close()
                raise
        return cls(database, design, file, None)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Writes cells and commits them together.

        Raises:
            ResultFileError: the disk is full, or the file cannot be written; what was committed before stays.
        """
        rows = [
            (one.cell, one.is_done, one.content + self._sum(one.cell, one.is_done, one.content)) for one in outcomes
        ]
        with _told(self.path), self._database:
            self._database.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?, ?)", rows)

    def cells(self, *, done: bool) -> list[int]:
        """The numbers of the cells that are done, or of those that failed, ascending."""
        with _told(self.path):
            rows = self._database.execute("SELECT cell FROM cells WHERE is_done = ? ORDER BY cell", (done,))
            return [int(cell) for (cell,) in rows]

    def contents(self, *, done: bool) -> Iterator[tuple[int, bytes]]:
        """Number and content of the cells that are done, or of those that failed, ascending.

        Raises:
            ResultFileError: a cell's content is not what was written for that cell of that sweep.
        """
        with _told(self.path):
            rows = self._database.execute("SELECT cell, content FROM cells WHERE is_done = ? ORDER BY cell", (done,))
            for cell, content in rows:
                told = bytes(content[:-_SUM])
                if content[-_SUM:] != self._sum(cell, done, told):
                    msg = f"{self.path}: damaged: cell {cell} is not what was written: sweep again, to another file"
                    raise ResultFileError(msg)
                yield int(cell), told

    def _sum(self, cell: int, is_done: bool, content: bytes) -> bytes:
        """What stands behind a cell's content. SQLite itself sees no damage within a value."""
        return zlib.crc32(content, zlib.crc32(f"{cell} {int(is_done)}".encode(), self._begin)).to_bytes(_SUM, "little")

    def close(self) -> None:
        """Ends the writing or reading; what was written is one file then, if nobody else reads it."""
        with suppress(sqlite3.Error):
            if self._held is not None:
                self._database.execute("PRAGMA journal_mode=DELETE")
        self._database.close()
        if self._held is not None:
            self._held.close()


@contextmanager
def _told(path: Path | None) -> Iterator[None]:
    """Makes sentences of what SQLite or the system says."""
    where = path or "the journal in memory"
    try:
        yield
    except sqlite3.DatabaseError as error:
        told = escaped(" ".join(str(error).split()))
        if isinstance(error, sqlite3.OperationalError) and not told.startswith("Could not decode"):
            needs = "a journal needs room, and a folder of this machine that can be written; its cells stay"
            msg = f"{where}: {told}; {needs}"
        else:
            msg = f"{where}: {told}: it is no journal of a sweep, or a damaged one: give another file"
        raise ResultFileError(msg) from error
    except OSError as error:
        msg = f"{where}: {error.strerror or error}; a journal needs a file that can be written"
        raise ResultFileError(msg) from error


def _require_a_folder(file: Path) -> None:
    if file.is_dir():
        msg = f"{file}: it is a folder: give a file for the journal"
        raise InputError(msg)
    if not file.parent.is_dir():
        msg = f"{file}: the folder {file.parent} is not there{near_file(file.parent)}: make it, or give another"
        raise InputError(msg)


def _connected(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fspath(file.absolute()))}?mode={mode}"
    database = sqlite3.connect(uri, uri=True, timeout=_WAIT_S, check_same_thread=False)
    database.execute("PRAGMA trusted_schema=OFF")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    return database


def _held(file: Path) -> socket.socket:
    """A name that only one process of this machine has, and that the kernel drops however the process ends.

    It is none in any folder: whoever closes a file of SQLite's a second time would take its locks away.
    """
    found = file.stat()
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0fastsmc-sweep-{found.st_dev}-{found.st_ino}")
    except OSError as error:
        held.close()
        msg = f"{file}: another process is writing this journal: wait until it ends, or give another file"
        raise InputError(msg) from error
    return held


def _has_tables(database: sqlite3.Connection) -> bool:
    return bool(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _checked(database: sqlite3.Connection, file: Path, *, may_be_new: bool) -> None:
    """Refuses a database that is not ours, or that has more in it than ours have, such as triggers."""
    found = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())
    application = database.execute("PRAGMA application_id").fetchone()[0]
    if not found and may_be_new:
        return
    if application != _APPLICATION or found != _TABLES:
        msg = f"{file}: it is no journal of a sweep: give another file"
        raise ResultFileError(msg)


def _check_cells(database: sqlite3.Connection, design: Design, file: Path) -> None:
    """Refuses a journal with cells that its sweep does not have, or whose values are of other types."""
    last = int(design.grid.cells[-1])
    strange = "typeof(cell) != 'integer' OR cell < 0 OR cell > ?"
    untyped = "is_done NOT IN (0, 1) OR typeof(is_done) != 'integer' OR typeof(content) != 'blob'"
    if database.execute(f"SELECT count(*) FROM cells WHERE {strange} OR {untyped}", (last,)).fetchone()[0]:
        msg = f"{file}: damaged: it has cells that its sweep does not have: sweep again, to another file"
        raise ResultFileError(msg)


def _fill(database: sqlite3.Connection, design: Design) -> None:
    """Tables and design in one transaction: a kill leaves a journal or an empty file."""
    with closing(database.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(f"PRAGMA application_id = {_APPLICATION}")
        for table in _TABLES.values():
            cursor.execute(table)
        cursor.executemany("INSERT INTO design VALUES (?, ?)", design.parts.items())
        cursor.execute("COMMIT")


def _parts(database: sqlite3.Connection) -> dict[str, str]:
    return {str(part): str(text) for part, text in database.execute("SELECT part, json FROM design")}


def _require_same(found: dict[str, str], design: Design, file: Path) -> None:
    """Says in what a journal's sweep differs from the one that is to go on."""
    ours = design.parts
    unlike = [part for part in ours if found.get(part) != ours[part]]
    if unlike:
        first = unlike[0]
        msg = (
            f"{file}: the journal is of another sweep, with other {' and other '.join(unlike)}: {first} is"
            f" {shown(found.get(first, ''))} there and {shown(ours[first])} here; give another file, or what the"
            " journal was begun with"
        )
        raise InputError(msg)
