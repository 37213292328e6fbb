"""Servers of OpenStack, as `openstack server list --all-projects --long -f json` prints them, joined with a CSV.

Sources: docs.openstack.org, python-openstackclient: `server list --long` has the columns ID, Name, Status, Flavor Name
(or Flavor), Availability Zone and Host; `flavor list --all -f json` has ID, Name, RAM in MiB and VCPUs. Neither has a
host's kernel, nor its memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsmc.plan.inventory.columns import HOSTS, VMS
from fastsmc.plan.inventory.parts import Part, Rows, counted, parts_of
from fastsmc.plan.inventory.tables import Told, told

UNTOLD = {
    "hosts.kernel": "OpenStack does not tell it: joined by the host's name with the table of kernels",
    "vms.features": "OpenStack does not tell vCPU features of arm64 guests",
    "vms.apart": "server groups are not in the list of servers",
    "vms.moves": "PCI devices of flavors are not in the list of servers: every VM is taken to move",
    "vms.dirty_mib_per_s": "OpenStack does not tell it",
}
"""What stays unknown, by column."""
_RUNNING = ("ACTIVE", "PAUSED", "")


def tables_of_openstack(servers: Any, kernels: Any, flavors: Any) -> tuple[Told, dict[str, Any], tuple[str, ...]]:
    """(hosts, vms, notes) from the list of servers, a table of hosts and, for sizes, the list of flavors.

    Raises:
        InputError: a file that cannot be read; an entry that is not as the client prints it.
    """
    hosts, vms = told(kernels, "hosts"), Rows(VMS)
    sizes = {} if flavors is None else _sizes(flavors)
    n_stopped, n_nowhere = 0, 0
    for part in parts_of(servers, ("servers",), "the list of servers"):
        if _either(part, "Status", "status").text().upper() not in _RUNNING:
            n_stopped += 1
        else:
            n_nowhere += not _vm(part, sizes, vms)
    known = set(hosts.columns["name"].tolist())
    new = sorted({host for host in vms.columns["host"] if host not in known})
    unsized = sum(not vcpus for vcpus in vms.columns["vcpus"])
    notes = (
        "kernels joined by the host's name from a table, as OpenStack does not tell them",
        *((f"hosts without a kernel, which the table lacks: {len(new):,}, the first {new[0]}",) if new else ()),
        *(
            (f"VMs without a size: {unsized:,}; give flavors=, `openstack flavor list --all -f json`",)
            if unsized
            else ()
        ),
        *counted(n_stopped, "server", "not running"),
        *counted(n_nowhere, "server", "on no host: only an administrator is shown the column Host"),
    )
    return _with(hosts, new), vms.columns, notes


def _vm(part: Part, sizes: dict[str, tuple[int, float]], vms: Rows) -> bool:
    """Adds a VM that runs somewhere; whether it does."""
    host = _either(part, "Host", "OS-EXT-SRV-ATTR:host").text()
    if not host:
        return False
    flavor = _either(part, "Flavor", "Flavor Name", "flavor")
    if isinstance(flavor.value, dict):  # as newer clients print it
        vcpus, memory = flavor["vcpus"].count(), flavor["ram"].number()
        if not vcpus:
            vcpus, memory = sizes.get(_either(flavor, "original_name", "name", "id").text(), (0, np.nan))
    else:
        by_id = sizes.get(part["Flavor ID"].text())
        vcpus, memory = by_id or sizes.get(flavor.text(), (0, np.nan))
    vms.add(
        name=" ".join(filter(None, (_either(part, "ID", "id").text(), _either(part, "Name", "name").text()))),
        host=host,
        vcpus=vcpus,
        memory_gib=memory / 1024,
        tenant=_either(part, "Project ID", "Project", "tenant_id").text(),
    )
    return True


def _sizes(flavors: Any) -> dict[str, tuple[int, float]]:
    """vCPUs and MiB of each flavor, by its name and its id."""
    found = {}
    for part in parts_of(flavors, ("flavors",), "the list of flavors"):
        size = _either(part, "VCPUs", "vcpus").count(), _either(part, "RAM", "ram").number()
        for name in (_either(part, "Name", "name").text(), _either(part, "ID", "id").text()):
            found[name] = size
    return found


def _either(part: Part, *keys: str) -> Part:
    return next((part[key] for key in keys if part[key].value is not None), Part(None, part.place))


def _with(hosts: Told, names: list[str]) -> Told:
    """A table with more hosts of which nothing but the name is known."""
    if not names:
        return hosts
    rows = Rows(HOSTS)
    for name in names:
        rows.add(name=name)
    more = told(rows.columns, "hosts").columns
    columns = {name: np.concatenate([column, more[name]]) for name, column in hosts.columns.items()}
    for column in columns.values():
        column.flags.writeable = False
    lines = None if hosts.lines is None else np.concatenate([hosts.lines, np.zeros(len(names), np.int64)])
    return hosts._replace(columns=columns, lines=lines)
