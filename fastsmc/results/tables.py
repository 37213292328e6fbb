"""What was found out: named tables of labelled columns, with where they come from, in one JSON file.

The file, schema 1:

    {"schema": 1,
     "provenance": {"fastsmc": "0.1.0", ..., "seed": 1, "inputs": {...}},
     "tables": {NAME: {"meaning": TEXT, "columns": {NAME: {"kind": KIND, "meaning": TEXT, "values": [...]}}}}}

All columns of a table are equally long; values are numbers, booleans or text, one type per column. A column's name
carries its unit (`payload_bytes`, `dispatch_ns`), its kind says how its values came about (see KINDS).
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.errors import InputError, ResultFileError

SCHEMA = 1
T = TypeVar("T")

Kind = Literal["measured", "recorded", "modelled", "assumed", "input"]
KINDS: dict[Kind, str] = {
    "measured": "by a clock or a count on this machine, in this run",
    "recorded": "from a real system, earlier",
    "modelled": "computed from rules, closed forms or recorded counts",
    "assumed": "modelled from a figure that nobody has published",
    "input": "chosen for this run",
}
"""How the values of a column came about."""

_TYPES = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64, "U": np.str_}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column: values and what they are.

    Attributes:
        values: bool, int64, float64 or str, 1-D, read-only.
        kind: of KINDS; "" only where the values are text or booleans.
    """

    values: NDArray[Any]
    kind: Kind | Literal[""] = ""
    meaning: str = ""

    @classmethod
    def of(cls, values: ArrayLike, kind: Kind | Literal[""] = "", meaning: str = "") -> Column:
        """A checked column.

        Raises:
            InputError: no values, not one-dimensional, not finite, of mixed or other types, or a kind that is missing
                or unknown.

        >>> Column.of([8, 16], "modelled", "payload").values
        array([ 8, 16])
        """
        array = np.asarray(values)
        if array.ndim != 1 or not array.size or array.dtype.kind not in _TYPES:
            msg = f"a column of {array.dtype}{list(array.shape)}: it must hold numbers, booleans or text, at least one"
            raise InputError(msg)
        if array.dtype.kind == "U" and any(not isinstance(value, str) for value in cast(Any, values)):
            msg = "a column of text and numbers mixed: it must hold one type"
            raise InputError(msg)
        is_finite = array.dtype.kind != "f" or bool(np.isfinite(array).all())
        if not is_finite or (array.dtype.kind == "u" and int(array.max()) > np.iinfo(np.int64).max):
            msg = "a column holds a number that is not finite or does not fit 64 bits with a sign"
            raise InputError(msg)
        if kind not in KINDS and (kind or array.dtype.kind not in "bU"):
            msg = f"kind {kind!r}: a column of numbers is one of {', '.join(KINDS)}"
            raise InputError(msg)
        array = array.astype(_TYPES[array.dtype.kind])
        array.flags.writeable = False
        return cls(array, kind, meaning)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Equally long columns by name, and what a row is."""

    meaning: str
    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        lengths = {name: len(column.values) for name, column in self.columns.items()}
        if len(set(lengths.values())) != 1:
            msg = f"columns of a table must be equally long and at least one; got {lengths}"
            raise InputError(msg)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Values of a column; ResultFileError if there is none of that name."""
        if name not in self.columns:
            msg = f"no column {name!r} in a table of {', '.join(self.columns)}"
            raise ResultFileError(msg)
        return self.columns[name].values

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())).values)

    @property
    def kinds(self) -> dict[str, str]:
        """Kind by column."""
        return {name: column.kind for name, column in self.columns.items()}

    def where(self, **equals: object) -> Table:
        """The rows whose columns equal the given values; ResultFileError if there is none."""
        keep = np.ones(len(self), np.bool_)
        for name, value in equals.items():
            keep &= self[name] == value
        if not keep.any():
            msg = f"no row with {equals} in a table of {', '.join(self.columns)}"
            raise ResultFileError(msg)
        chosen = {name: Column(c.values[keep], c.kind, c.meaning) for name, c in self.columns.items()}
        return Table(self.meaning, chosen)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict of plain Python values."""
        for row in zip(*(column.values.tolist() for column in self.columns.values()), strict=True):
            yield dict(zip(self.columns, row, strict=True))


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a run can be repeated from. No host name and no paths."""

    fastsmc: str
    python: str
    numpy: str
    numba: str
    cpu: str
    n_core: int
    kernel: str
    date_utc: str
    seed: int
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Results: tables by name, and their provenance."""

    tables: Mapping[str, Table]
    provenance: Provenance

    def __getitem__(self, name: str) -> Table:
        """A table; ResultFileError if this run has none of that name."""
        if name not in self.tables:
            msg = f"the run has no table {name!r}; it has {', '.join(self.tables)}"
            raise ResultFileError(msg)
        return self.tables[name]


def provenance(*, seed: int, inputs: dict[str, Any]) -> Provenance:
    """Versions and machine of this process, now. Imports neither Numba nor fastsmc."""
    return Provenance(
        fastsmc=_version("fastsmc"),
        python=platform.python_version(),
        numpy=np.__version__,
        numba=_version("numba"),
        cpu=_cpu_model(),
        n_core=os.cpu_count() or 0,
        kernel=platform.release(),
        date_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seed=seed,
        inputs=inputs,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model name of the first CPU; the architecture where the kernel prints none, as on arm64."""
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()


def to_json(run: Run) -> str:
    """The file's text, a line per column, so that a diff of two files shows which column changed."""
    tables = []
    for name, table in run.tables.items():
        columns = [
            f"{json.dumps(key)}: "
            + json.dumps({"kind": c.kind, "meaning": c.meaning, "values": c.values.tolist()}, allow_nan=False)
            for key, c in table.columns.items()
        ]
        head = f'{json.dumps(name)}: {{"meaning": {json.dumps(table.meaning)}, "columns": {{\n'
        tables.append(head + ",\n".join(columns) + "}}")
    head = f'{{"schema": {SCHEMA},\n"provenance": {json.dumps(asdict(run.provenance))},\n"tables": {{\n'
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
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        msg = f"{path}: {error.strerror or error}; expected a result file (data.json)"
        raise ResultFileError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path}: not JSON, or cut short ({error}); save or copy the run again"
        raise ResultFileError(msg) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA or type(schema) is not int:
        msg = f"{path}: schema {schema!r}, this version of fastsmc reads {SCHEMA}"
        raise ResultFileError(msg)
    try:
        tables = {name: _table(name, table) for name, table in _item(content, "tables", dict, "the file").items()}
        return Run(tables, _provenance(_item(content, "provenance", dict, "the file")))
    except InputError as error:
        msg = f"{path}: damaged: {error}"
        raise ResultFileError(msg) from error


def _item(parent: object, key: str, kind: type[T], where: str) -> T:
    """A member of a JSON object that has the type it should have."""
    if not isinstance(parent, dict) or key not in parent:
        msg = f"{where}: {key!r} is missing"
        raise InputError(msg)
    value = parent[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        msg = f"{where}: {key!r} is {type(value).__name__} where {kind.__name__} is needed"
        raise InputError(msg)
    return value


def _provenance(given: dict[str, Any]) -> Provenance:
    kinds = {"n_core": int, "seed": int, "inputs": dict}
    names = [field.name for field in fields(Provenance)]
    if unknown := sorted(given.keys() - set(names)):
        msg = f"provenance: there is no {', '.join(map(repr, unknown))}"
        raise InputError(msg)
    return Provenance(**{name: _item(given, name, kinds.get(name, str), "provenance") for name in names})


def _table(name: str, table: object) -> Table:
    if not re.fullmatch("[A-Za-z0-9_]+", name):
        msg = f"table {name[:40]!r}: a name is made of letters, digits and _, as it names a file of the report"
        raise InputError(msg)
    columns = {}
    for key, column in _item(table, "columns", dict, f"table {name}").items():
        where = f"table {name}, column {key}"
        values, kind = _item(column, "values", list, where), _item(column, "kind", str, where)
        if len({bool if isinstance(value, bool) else object for value in values}) > 1:
            msg = f"{where}: booleans mixed with other values"
            raise InputError(msg)
        try:
            columns[key] = Column.of(values, cast(Any, kind), _item(column, "meaning", str, where))
        except (InputError, ValueError, OverflowError) as error:
            msg = f"{where}: {error}"
            raise InputError(msg) from error
    try:
        return Table(_item(table, "meaning", str, f"table {name}"), columns)
    except InputError as error:
        msg = f"table {name}: {error}"
        raise InputError(msg) from error


def to_csv(table: Table) -> str:
    """The table as CSV: a header, then a row per line; numbers in full precision, booleans as true and false.

    >>> to_csv(Table("", {"n_vcpu": Column.of([1, 2], "input"), "is_hypothetical": Column.of([False, True])}))
    'n_vcpu,is_hypothetical\\n1,false\\n2,true\\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows():
        writer.writerow(str(value).lower() if isinstance(value, bool) else value for value in row.values())
    return out.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files of a folder, made if missing, or none: each under a temporary name there, then all renamed.

    A link stays one, and what it points to is replaced. A device or a pipe is written to: renamed over, /dev/null would
    be a file from then on.

    Raises:
        ResultFileError: the folder cannot be made, or a file not be written.
    """
    temporary: dict[Path, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            target = folder / name
            if target.exists() and not (target.is_file() or target.is_dir()):
                target.write_bytes(content)
                continue
            target = target.resolve()
            temporary[target] = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            temporary[target].write_bytes(content)
        for target, path in temporary.items():
            path.replace(target)
    except OSError as error:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        msg = f"{folder}: {error.strerror or error}; results need a folder that can be written"
        raise ResultFileError(msg) from error
