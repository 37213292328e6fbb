"""The columns of an inventory: one row per host, one row per VM, and what stands where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import InputError

Type = Literal["text", "number", "count"]
DTYPES: Mapping[Type, Any] = {"text": np.str_, "number": np.float64, "count": np.int64}


class Spec(NamedTuple):
    """A column of an inventory.

    Attributes:
        type: text; a number, float64; a count, int64. Unknown are "", NaN and 0.
        is_needed: no inventory is without it.
    """

    type: Type
    meaning: str
    is_needed: bool = False


HOSTS: Mapping[str, Spec] = {
    "name": Spec("text", "its name, once in the inventory", is_needed=True),
    "kernel": Spec("text", "its kernel, as `uname -r` prints it"),
    "cpu": Spec("text", "its CPU model; hosts of one text are taken for alike"),
    "vmm": Spec("text", 'its VMM with its version, "qemu:10.1"'),
    "cores": Spec("count", "physical CPUs that vCPUs run on"),
    "memory_gib": Spec("number", "memory for VMs, GiB"),
    "nic_gbit_per_s": Spec("number", "line rate of the network that migrations use, Gb/s"),
    "zone": Spec("text", "failure domain; VMs move within their pool, whatever the zone"),
    "pool": Spec("text", "hosts among which VMs may move; all are one pool where it is empty"),
    "state": Spec("text", '"cordoned" takes no VMs, "down" is left out; "" is in service'),
}
VMS: Mapping[str, Spec] = {
    "name": Spec("text", "its name, once in the inventory", is_needed=True),
    "host": Spec("text", "the name of the host it runs on", is_needed=True),
    "vcpus": Spec("count", "vCPUs", is_needed=True),
    "memory_gib": Spec("number", "guest memory, GiB"),
    "features": Spec("text", 'vCPU features, "psci02+pmu"'),
    "vmm": Spec("text", "its VMM where it is not the host's"),
    "tenant": Spec("text", "whose it is; limits per tenant count by it"),
    "apart": Spec("text", "VMs of one text here never share a host (anti-affinity)"),
    "dirty_mib_per_s": Spec("number", "memory that the guest writes, MiB/s"),
    "hot_set_mib": Spec("number", "memory that it writes again and again, MiB"),
    "downtime_ms": Spec("number", "longest downtime it tolerates, ms"),
    "moves": Spec("text", '"no" where it cannot be migrated (a passed-through device, say), "" where it can'),
}
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
    its: Any = given.keys() if hasattr(given, "keys") else getattr(given, "columns", ())
    if hasattr(given, "column_names"):  # Arrow
        its = given.column_names
    names = [str(name) for name in its]
    if strange := [name for name in names if name not in specs]:
        msg = f"{what}: no column is called {shown(strange[0])}; there are {', '.join(specs)}"
        raise InputError(msg)
    if missing := [name for name, spec in specs.items() if spec.is_needed and name not in names]:
        msg = f"{what}: the column {missing[0]} is missing: {specs[missing[0]].meaning}"
        raise InputError(msg)
    found = {name: _typed(given[name], specs[name], f"{what}: {name}") for name in names}
    lengths = {name: len(column) for name, column in found.items()}
    n = lengths["name"]
    for name, length in lengths.items():
        if length != n:
            msg = f"{what}: {name} has {length} values where name has {n}"
            raise InputError(msg)
    whole = {name: found[name] if name in found else unknown(spec, n) for name, spec in specs.items()}
    for column in whole.values():
        column.flags.writeable = False
    return whole


def _typed(values: Any, spec: Spec, what: str) -> NDArray[Any]:
    """Values as the column's type, a copy; None and a missing text are unknown."""
    array = np.asarray(values)
    if array.ndim != 1:
        msg = f"{what} has {array.ndim} dimensions: a column has one"
        raise InputError(msg)
    if array.dtype == object:
        none: Any = {"text": "", "number": np.nan, "count": 0}[spec.type]
        array = np.array([none if _is_none(value) else value for value in array.tolist()])
    is_text = array.dtype.kind == "U"
    if not len(array):
        return unknown(spec, 0)
    if is_text != (spec.type == "text") or array.dtype.kind not in "Uiuf":
        msg = f"{what} holds {array.dtype}: it must hold {'text' if spec.type == 'text' else 'numbers'}"
        raise InputError(msg)
    if spec.type == "count" and array.dtype.kind == "f":
        array = np.where(np.isnan(array), 0, array)
        if (array != np.floor(array)).any():
            msg = f"{what} holds {array[array != np.floor(array)][0]}: a count is a whole number"
            raise InputError(msg)
    return np.array(array if is_text else array.astype(DTYPES[spec.type]))


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or str(value) in ("<NA>", "NaT")
