"""`smc.plan.problems`: what is wrong with the tables of a fleet, or unknown in them, before anything is planned."""

from __future__ import annotations

from typing import Any

from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.inventory.problems import Problems


def problems(*, hosts: Any, vms: Any) -> Problems:
    """All that is wrong with hosts and VMs, or unknown: each with file, row, column, value, what and remedy.

    Args:
        hosts, vms: paths to CSV with a header or to Parquet, or mappings of columns.

    Raises:
        InputError: a file that cannot be read; columns that are none. What single fields hold is a problem and told.

    >>> found = problems(hosts={"name": ["h1"], "kernel": ["6.12"]}, vms={"name": ["a"], "host": ["h2"], "vcpus": [4]})
    >>> print(found[0])
    vms row 0, host 'h2': no host has that name; add the host, or correct the name
    """
    return Inventory.of(hosts=hosts, vms=vms).problems()
