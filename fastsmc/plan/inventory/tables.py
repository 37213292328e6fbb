"""One table of an inventory, hosts or VMs, from CSV, Parquet or any mapping of columns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.files.csv_text import Strings, blocks, names_of
from fastsmc.files.limits import INVENTORY
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source, name_of, opened
from fastsmc.plan.inventory.columns import TABLES, Columns, Spec, check_names, check_size, columns_of, completed
from fastsmc.plan.inventory.typed import Unread, typed

MOST_UNREAD = 10_000
"""Fields that hold no value of their column, of which each is told; of a file with more it is said that there are."""


class Told(NamedTuple):
    """A table as it was told.

    Attributes:
        columns: all columns of hosts or of VMs.
        file: the name of the file, or "hosts" or "vms".
        lines: int64[n]: in which line of the file each row begins; None where it has none.
        unread: the fields that hold no value of their column, which stand as unknown.
        folder: where files that it names are looked for, if they are named without one.
    """

    columns: Columns
    file: str
    lines: NDArray[np.int64] | None = None
    unread: tuple[Unread, ...] = ()
    folder: str = ""

    def place(self, row: int) -> str:
        """A row as a message names it."""
        return f"{self.file} row {row}" if self.lines is None else f"{self.file} line {self.lines[row]}"


def told(given: Any, what: str) -> Told:
    """A table from a path, or from a mapping of columns.

    Args:
        what: "hosts" or "vms".

    Raises:
        InputError: a file that cannot be read; columns that are none of the table.
    """
    if isinstance(given, Told):
        return given
    if not isinstance(given, str | os.PathLike):
        return Told(columns_of(given, TABLES[what], what), what)
    file, folder = name_of(given), str(Path(given).parent)
    try:
        with opened(given, INVENTORY) as source:
            if source.head.startswith(b"PAR1"):
                from fastsmc.plan.inventory.parquet import columns_of_parquet

                return Told(columns_of_parquet(source, TABLES[what], file), file, folder=folder)
            return _csv(source, TABLES[what], file)._replace(folder=folder)
    except Refused as error:
        msg = f"{file}: {error}"
        raise InputError(msg) from error


def _csv(source: Source, specs: Mapping[str, Spec], file: str) -> Told:
    its_blocks = blocks(source)
    header = next(its_blocks, None)
    if header is None:
        msg = f"{file} is empty: it needs a line with the names of its columns, {', '.join(specs)}"
        raise InputError(msg)
    names = _names(names_of(header), specs, file)
    parts: list[list[NDArray[Any]]] = [[] for _ in names]
    lines: list[NDArray[np.int64]] = []
    unread: list[Unread] = []
    widths, n = dict.fromkeys(names, 0), 0
    for block in its_blocks:
        for name, strings, its_parts in zip(names, block.columns, parts, strict=True):
            values, wrong = typed(strings, specs[name], name, block.lines, n)
            its_parts.append(values)
            unread += wrong
            widths[name] = max(widths[name], values.dtype.itemsize if specs[name].type == "text" else 0)
        lines.append(block.lines)
        n += len(block.lines)
        check_size(widths, n, file)
        if len(unread) > MOST_UNREAD:
            one = unread[0]
            place = f"line {np.concatenate(lines)[one.row]}, {one.column} {one.text!r}"
            msg = f"{file}: over {MOST_UNREAD:,} fields hold no value, the first in {place}: {one.what}; {one.remedy}"
            raise InputError(msg)
    empty: Strings = np.zeros(0, "S1")
    none = np.zeros(0, np.int64)
    columns = {
        name: np.concatenate(its_parts) if its_parts else typed(empty, specs[name], name, none, 0)[0]
        for name, its_parts in zip(names, parts, strict=True)
    }
    return Told(completed(columns, specs, file), file, np.concatenate([*lines, none]), tuple(unread))


def _names(names: list[str], specs: Mapping[str, Spec], file: str) -> list[str]:
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        msg = f"{file}: columns are not separated by commas: save it as comma-separated values"
        raise InputError(msg)
    check_names(names, specs, file)
    return names
