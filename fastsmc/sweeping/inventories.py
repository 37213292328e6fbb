"""An inventory as the two files that a sweep's design carries, for those who have it in memory only."""

from __future__ import annotations

import csv
import io
from typing import Any

from numpy.typing import NDArray

from fastsmc.plan.inventory.columns import TABLES
from fastsmc.plan.inventory.inventory import Inventory


def files_of(inventory: Inventory) -> dict[str, bytes]:
    """Hosts and VMs as CSV, by the names that a question's table has for them; what is unknown is empty."""
    return {
        f"{what} of the inventory": _csv({name: columns[name] for name in TABLES[what]}, what)
        for what, columns in (("hosts", inventory.hosts), ("vms", inventory.vms))
    }


def _csv(columns: dict[str, NDArray[Any]], what: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    fields = [
        [_field(value, is_count=TABLES[what][name].type == "count") for value in values.tolist()]
        for name, values in columns.items()
    ]
    writer.writerows(zip(*fields, strict=True))
    return text.getvalue().encode()


def _field(value: Any, *, is_count: bool) -> str:
    """A field in full precision; NaN, and 0 of a count, are what is not known."""
    return "" if value != value or (is_count and not value) else str(value)
