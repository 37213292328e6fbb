"""Runs as files: one JSON file that can be read back, and files that are there complete or not at all.

The JSON file, schema 1:

    {"schema": 1,
     "provenance": {"fastsmc": "0.1.0", ..., "seed": 1, "inputs": {...}},
     "tables": {NAME: {"meaning": TEXT, "columns": {NAME: {"kind": KIND, "meaning": TEXT, "values": [...]}}}}}

A table is what `export.to_json` writes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.disk.staged import staged
from fastsmc.errors import InputError, ResultFileError
from fastsmc.files import strict_json
from fastsmc.files.limits import RESULT
from fastsmc.files.packed import Refused
from fastsmc.results import export
from fastsmc.results.runs import Provenance, Run
from fastsmc.results.tables import Column, Table

SCHEMA = 1
_MOST_LETTERS = 1 << 24
"""Of a column's texts, each taken as long as the longest."""
T = TypeVar("T")


def to_json(run: Run) -> str:
    """The file's text, a line per column, so that a diff of two files shows which column changed."""
    tables = [f"{json.dumps(name)}: {export.to_json(table)}" for name, table in run.tables.items()]
    of = json.dumps(asdict(run.provenance), allow_nan=False)
    head = f'{{"schema": {SCHEMA},\n"provenance": {of},\n"tables": {{\n'
    return head + ",\n".join(tables) + "}}\n"


def save(run: Run, path: str | os.PathLike[str]) -> None:
    """Write the run as JSON; the file is there complete or not at all.

    Raises:
        ResultFileError: the file cannot be written.
    """
    target = Path(path)
    write_files(target.parent, {target.name: to_json(run).encode()})


def load(path: str | os.PathLike[str]) -> Run:
    """Read a saved run.

    Raises:
        ResultFileError: missing, unreadable, not JSON, damaged, or of another schema.
    """
    try:
        content = strict_json.read(path, RESULT)
    except Refused as error:
        remedy = (
            "expected a result file (data.json)" if "cannot be read" in str(error) else "save or copy the run again"
        )
        msg = f"{path}: {error}; {remedy}"
        raise ResultFileError(msg) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA or type(schema) is not int:
        msg = f"{path}: schema {shown(schema)}, this version of fastsmc reads {SCHEMA}"
        raise ResultFileError(msg)
    try:
        tables = {name: table_of(name, table) for name, table in item(content, "tables", dict, "the file").items()}
        return Run(tables, provenance_of(item(content, "provenance", dict, "the file")))
    except InputError as error:
        msg = f"{path}: damaged: {error}"
        raise ResultFileError(msg) from error


def item(parent: object, key: str, kind: type[T], where: str) -> T:
    """A member of a JSON object that has the type it should have.

    Raises:
        InputError: it is missing, or has another.
    """
    if not isinstance(parent, dict) or key not in parent:
        msg = f"{where}: {key!r} is missing"
        raise InputError(msg)
    value = parent[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        msg = f"{where}: {key!r} is {type(value).__name__} where {kind.__name__} is needed"
        raise InputError(msg)
    return value


def provenance_of(given: dict[str, Any]) -> Provenance:
    """The provenance of a file.

    Raises:
        InputError: something is missing, of another type, or unknown.
    """
    kinds = {"n_core": int, "seed": int, "inputs": dict}
    names = [field.name for field in fields(Provenance)]
    if unknown := sorted(given.keys() - set(names)):
        msg = f"provenance: there is no {', '.join(map(shown, unknown[:3]))}"
        raise InputError(msg)
    return Provenance(**{name: item(given, name, kinds.get(name, str), "provenance") for name in names})


def table_of(name: str, table: object) -> Table:
    """The table of a file.

    Raises:
        InputError: no table, with what is wrong and where.
    """
    if not re.fullmatch("[A-Za-z0-9_]+", name):
        msg = f"table {shown(name)}: a name is made of letters, digits and _, as it names a file of the report"
        raise InputError(msg)
    columns = {}
    for key, column in item(table, "columns", dict, f"table {name}").items():
        where = f"table {name}, column {key if key.isidentifier() else shown(key)}"
        values, kind = item(column, "values", list, where), item(column, "kind", str, where)
        if len({bool if isinstance(value, bool) else object for value in values}) > 1:
            msg = f"{where}: booleans mixed with other values"
            raise InputError(msg)
        _check_texts(where, values)
        try:
            given = values if values else _empty(where, column)
            unknown = "unknown" in column and item(column, "unknown", bool, where)
            columns[key] = Column.of(given, cast(Any, kind), item(column, "meaning", str, where), unknown=unknown)
        except (InputError, ValueError, OverflowError) as error:
            msg = f"{where}: {error}"
            raise InputError(msg) from error
    try:
        return Table(item(table, "meaning", str, f"table {name}"), columns)
    except InputError as error:
        msg = f"table {name}: {error}"
        raise InputError(msg) from error


def _empty(where: str, column: object) -> NDArray[Any]:
    """No values, of the type that the file names."""
    name = item(column, "type", str, where)
    if name not in export.TYPES:
        msg = f"{where}: type {shown(name)}; it must be one of {', '.join(export.TYPES)}"
        raise InputError(msg)
    return np.zeros(0, name)


def _check_texts(where: str, values: list[Any]) -> None:
    """NumPy gives each text of a column the room of the longest, and drops the zeros at its end."""
    texts = [value for value in values if isinstance(value, str)]
    if any("\0" in text for text in texts):
        msg = f"{where}: a text holds a zero byte, which no text of ours does"
        raise InputError(msg)
    longest = max(map(len, texts), default=0)
    if longest * len(values) > _MOST_LETTERS:
        msg = f"{where}: {len(values)} texts, one of {longest} letters, are more than a column may hold"
        raise InputError(msg)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files of a folder, made if missing, or none; `disk.staged` says how.

    A link stays one, and what it points to is replaced. A device or a pipe is written to.

    Raises:
        ResultFileError: the folder cannot be made, or a file not be written.
    """
    try:
        with staged() as writing:
            writing.folder(folder, files)
    except OSError as error:
        msg = f"{folder}: {error.strerror or error}; results need a folder that can be written"
        raise ResultFileError(msg) from error


def write_each(files: Mapping[Path, bytes]) -> None:
    """Write files that lie in any folders, all of them or none.

    Raises:
        ResultFileError: one of them cannot be written.
    """
    try:
        with staged() as writing:
            for path, content in files.items():
                writing.file(path, content)
    except OSError as error:
        msg = f"{', '.join(map(str, files))}: {error.strerror or error}; results need a folder that can be written"
        raise ResultFileError(msg) from error
