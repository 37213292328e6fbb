"""The columns of an inventory: one row per host, one row per VM, and what stands where nothing is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import not_among, shown
from fastsmc.errors import InputError
from fastsmc.facts.releases import KVM_ARM_MODES
from fastsmc.facts.vcpu import MAX_VCPU_PER_VM

Type = Literal["text", "number", "count"]
DTYPES: Mapping[Type, Any] = {"text": np.str_, "number": np.float64, "count": np.int64}
MOST_ROWS = 2_000_000
"""Hosts or VMs of one inventory; a limit of ours, twice the largest that was measured."""
MOST_TEXT_BYTES = 1 << 30
"""Bytes that the text of one table may take: a column has the width of its longest value."""


class Spec(NamedTuple):
    """A column of an inventory.

    Attributes:
        type: text; a number, float64; a count, int64. Unknown are "", NaN and 0.
        is_needed: no inventory is without it.
        unit: of its values, as the documentation writes it.
        words: the values that a text may have beside "".
        zero: whether 0 is a value that a number may have; no size may.
        most: the largest value that is taken for one, beyond which a unit was mistaken.
    """

    type: Type
    meaning: str
    is_needed: bool = False
    unit: str = ""
    words: tuple[str, ...] = ()
    zero: bool = False
    most: float = 0


_TIB = 1024
HOSTS: Mapping[str, Spec] = {
    "name": Spec("text", "its name, once in the inventory", is_needed=True),
    "kernel": Spec("text", "its kernel, as `uname -r` prints it"),
    "cpu": Spec("text", "its CPU model; hosts of one text are taken for alike"),
    "vmm": Spec("text", 'its VMM with its version, "qemu:10.1"'),
    "cores": Spec("count", "physical CPUs that vCPUs run on", unit="CPUs", most=100_000),
    "memory_gib": Spec("number", "memory for VMs", unit="GiB", most=1024 * _TIB),
    "nic_gbit_per_s": Spec("number", "line rate of the network that migrations use", unit="Gb/s", most=10_000),
    "zone": Spec("text", "failure domain; VMs move within their pool, whatever the zone"),
    "mode": Spec("text", "kvm-arm.mode it was booted with; guests with EL2 need nested", words=KVM_ARM_MODES),
    "profile": Spec("text", "file of its host profile (`fastsmc_probe.py -o`), from the folder of this table"),
    "pool": Spec("text", "hosts among which VMs may move; all are one pool where it is empty"),
    "state": Spec("text", '"cordoned" takes no VMs, "down" is left out; "" is in service', words=("cordoned", "down")),
}
VMS: Mapping[str, Spec] = {
    "name": Spec("text", "its name, once in the inventory", is_needed=True),
    "host": Spec("text", "the name of the host it runs on", is_needed=True),
    "vcpus": Spec("count", "vCPUs", is_needed=True, unit="vCPUs", most=MAX_VCPU_PER_VM),
    "memory_gib": Spec("number", "guest memory", unit="GiB", most=1024 * _TIB),
    "features": Spec("text", 'vCPU features, "psci02+pmu"'),
    "vmm": Spec("text", "its VMM where it is not the host's"),
    "tenant": Spec("text", "whose it is; limits per tenant count by it"),
    "apart": Spec("text", "VMs of one text here never share a host (anti-affinity)"),
    "dirty_mib_per_s": Spec("number", "memory that the guest writes", unit="MiB/s", zero=True, most=1 << 20),
    "hot_set_mib": Spec("number", "memory that it writes again and again", unit="MiB", zero=True, most=1 << 30),
    "downtime_ms": Spec("number", "longest downtime it tolerates", unit="ms", most=86_400_000),
    "moves": Spec("text", '"no" where it cannot be migrated (a passed-through device), "" where it can', words=("no",)),
    "why_not": Spec("text", "what keeps it from being migrated, in words"),
}
TABLES: Mapping[str, Mapping[str, Spec]] = {"hosts": HOSTS, "vms": VMS}
Columns = Mapping[str, NDArray[Any]]
"""Columns by name, all of HOSTS or all of VMS, equally long and read-only."""


def unknown(spec: Spec, n: int) -> NDArray[Any]:
    """A column of which nothing is known."""
    if spec.type == "text":
        return np.zeros(n, "U1")
    return np.full(n, np.nan) if spec.type == "number" else np.zeros(n, np.int64)


def columns_of(given: Any, specs: Mapping[str, Spec], what: str) -> Columns:
    """Columns from any mapping of columns (a dict, a data frame of pandas or polars, a table of Arrow), checked.

    Raises:
        InputError: a needed column is missing, a column is unknown, of another type, or longer than others.
    """
    its: Any = given.keys() if hasattr(given, "keys") else getattr(given, "columns", None)
    if hasattr(given, "column_names"):  # Arrow
        its = given.column_names
    if its is None:
        msg = f"{what} is a {type(given).__name__}: give a path to CSV or Parquet, or a mapping of columns"
        raise InputError(msg)
    names = [str(name) for name in its]
    check_names(names, specs, what)
    return completed({name: _typed(given[name], specs[name], f"{what}: {name}") for name in names}, specs, what)


def check_names(names: Iterable[str], specs: Mapping[str, Spec], what: str) -> None:
    """Checks the names of the columns that are given.

    Raises:
        InputError: one is unknown or given twice, or one that is needed is missing.
    """
    names = list(names)
    for number, name in enumerate(names):
        if name not in specs:
            raise InputError(not_among(f"{what}: column {number + 1}", name, list(specs)))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{what}: the column {twice} is there twice"
        raise InputError(msg)
    if missing := [name for name, spec in specs.items() if spec.is_needed and name not in names]:
        msg = f"{what}: the column {missing[0]} is missing: {specs[missing[0]].meaning}"
        raise InputError(msg)


def completed(found: Mapping[str, NDArray[Any]], specs: Mapping[str, Spec], what: str) -> Columns:
    """All columns of a table, those that were not given as unknown, read-only.

    Raises:
        InputError: columns of different lengths, too many rows, or text that takes too much memory.
    """
    n = len(found["name"])
    for name, column in found.items():
        if len(column) != n:
            msg = f"{what}: {name} has {len(column)} values where name has {n}"
            raise InputError(msg)
    check_size({name: column.dtype.itemsize for name, column in found.items() if column.dtype.kind == "U"}, n, what)
    whole = {name: found[name] if name in found else unknown(spec, n) for name, spec in specs.items()}
    for column in whole.values():
        column.flags.writeable = False
    return whole


def check_size(widths: Mapping[str, int], n: int, what: str) -> None:
    """Checks that a table of so many rows, its texts so many bytes wide, can be held.

    Raises:
        InputError: it cannot.
    """
    if n > MOST_ROWS:
        msg = f"{what}: {n:,} rows; at most {MOST_ROWS:,} are taken: divide the fleet by its pools"
        raise InputError(msg)
    if n * sum(widths.values()) > MOST_TEXT_BYTES:
        widest = max(widths, key=widths.__getitem__)
        msg = (
            f"{what}: {n:,} rows with texts of up to {widths[widest] // 4} characters ({widest}) take over "
            f"{MOST_TEXT_BYTES >> 30} GiB: shorten the longest"
        )
        raise InputError(msg)


def _typed(values: Any, spec: Spec, what: str) -> NDArray[Any]:
    """Values as the column's type, a copy; None and a missing text are unknown."""
    try:
        array = np.asarray(values, object if isinstance(values, list | tuple) else None)  # [1, "a"] is no text
    except ValueError as error:
        msg = f"{what} is no column: {error}"
        raise InputError(msg) from error
    if array.ndim != 1:
        msg = f"{what} has {array.ndim} dimensions: a column has one"
        raise InputError(msg)
    if array.dtype == object:
        array = _without_none(array, spec, what)
    elif array.dtype.kind == "T":  # of any width
        array = array.astype(np.str_)
    is_text = array.dtype.kind == "U"
    if not len(array):
        return unknown(spec, 0)
    if is_text != (spec.type == "text") or array.dtype.kind not in "Uiuf":
        msg = f"{what} holds {array.dtype}: it must hold {'text' if spec.type == 'text' else 'numbers'}"
        raise InputError(msg)
    if spec.type == "count" and array.dtype.kind == "f":
        array = np.where(np.isnan(array), 0, array)
        if (other := np.flatnonzero((array != np.floor(array)) | (np.abs(array) > 1 << 53))).size:
            msg = f"{what}: row {other[0]} holds {array[other[0]]}: a count is a whole number"
            raise InputError(msg)
    if array.dtype.kind == "u" and spec.type == "count" and (array > np.iinfo(np.int64).max).any():
        msg = f"{what} holds {array.max()}: a count fits 64 bits with a sign"
        raise InputError(msg)
    return np.array(array if is_text else array.astype(DTYPES[spec.type]))


def _without_none(array: NDArray[Any], spec: Spec, what: str) -> NDArray[Any]:
    """An array of objects as one of text or numbers; None and its like are unknown."""
    none: Any = {"text": "", "number": np.nan, "count": 0}[spec.type]
    told = array.tolist()
    if not set(map(type, told)) <= ({str} if spec.type == "text" else {int}):
        told = [none if _is_none(value) else value for value in told]
        kind: tuple[type, ...] = (str,) if spec.type == "text" else (int, float, np.integer, np.floating)
        for row, value in enumerate(told):
            if not isinstance(value, kind) or isinstance(value, bool):
                wanted = "text" if spec.type == "text" else "numbers"
                msg = f"{what}: row {row} holds {shown(value)}: it must hold {wanted}"
                raise InputError(msg)
    found = np.array(told) if told else np.zeros(0)
    if found.dtype == object:
        msg = f"{what} holds a number that does not fit 64 bits"
        raise InputError(msg)
    return found


def _is_none(value: object) -> bool:
    if type(value) in (str, int):  # nearly always
        return False
    return value is None or (isinstance(value, float) and value != value) or str(value) in ("<NA>", "NaT")
