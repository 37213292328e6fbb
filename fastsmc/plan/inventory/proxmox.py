"""Nodes and VMs of Proxmox VE, as `pvesh get … --output-format json` prints them, or the API under "data".

Source: pve.proxmox.com, the API viewer: /cluster/resources (type, node, status, maxcpu, maxmem in bytes, vmid, name,
pool, template) and /nodes/{node}/status (current-kernel.release, or kversion before Proxmox VE 8; cpuinfo, memory).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastsmc.errors import InputError
from fastsmc.files import strict_json
from fastsmc.files.limits import DOMSTATS
from fastsmc.files.packed import Refused
from fastsmc.files.source import name_of
from fastsmc.plan.inventory.columns import HOSTS, VMS
from fastsmc.plan.inventory.kubectl import ARM64
from fastsmc.plan.inventory.parts import Part, Rows, counted, parts_of
from fastsmc.plan.inventory.quantities import GIB

UNTOLD = {
    "hosts.vmm": "Proxmox does not tell the version of QEMU: `pveversion --verbose` does",
    "vms.features": "Proxmox does not tell vCPU features of arm64 guests",
    "vms.moves": "/cluster/resources does not tell passed-through devices (hostpci): every VM is taken to move",
    "vms.dirty_mib_per_s": "Proxmox does not tell it",
}
"""What stays unknown, by column."""


def tables_of_proxmox(
    resources: Any, nodes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """(hosts, vms, notes) from /cluster/resources and the status of each node.

    Raises:
        InputError: a file that cannot be read; an entry that is not as the API has it; a status of no node.
    """
    hosts, vms = Rows(HOSTS), Rows(VMS)
    stati = {name: _status(name, told) for name, told in nodes.items()}
    elsewhere, n_stopped, n_container = set[str](), 0, 0
    for part in parts_of(resources, ("data",), "/cluster/resources"):
        kind = part["type"].text()
        if kind == "node":
            status = stati.get(part["node"].text(), Part(None, "no status"))
            if status.at("current-kernel", "machine").text() not in ARM64:
                elsewhere.add(part["node"].text())
            else:
                _node(part, status, hosts)
        elif kind == "qemu" and part["status"].text() in ("running", "paused") and not part["template"].is_true():
            _vm(part, vms)
        else:
            n_stopped += kind == "qemu"
            n_container += kind == "lxc"
    if strange := [name for name in stati if name not in hosts.columns["name"] and name not in elsewhere]:
        msg = f"nodes: /cluster/resources has no node {strange[0]!r}: it has {', '.join(hosts.columns['name'][:10])}"
        raise InputError(msg)
    gone = {row for row, host in enumerate(vms.columns["host"]) if host in elsewhere}
    untold = sum(not kernel for kernel in hosts.columns["kernel"])
    notes = (
        *counted(len(elsewhere), "node", f"not arm64, with their VMs ({len(gone):,})" if gone else "not arm64"),
        *counted(n_stopped, "VM", "not running, or a template"),
        *counted(n_container, "container", "no VM"),
        *((f"nodes without a kernel: {untold:,}; give nodes={{name: JSON of /nodes/NAME/status}}",) if untold else ()),
    )
    return hosts.columns, vms.without(gone), notes


def _status(name: str, told: Any) -> Part:
    """The status of a node, from a path or from JSON that was read before."""
    place = f"status of node {name}"
    if isinstance(told, str | os.PathLike):
        place = name_of(told)
        try:
            told = strict_json.read(told, DOMSTATS)
        except Refused as error:
            msg = f"{place}: {error}"
            raise InputError(msg) from error
    part = Part(told, place)
    if told is None:
        msg = f"{place} is nothing: give the JSON of /nodes/{name}/status"
        raise InputError(msg)
    return part["data"] if part["data"].value is not None else part


def _node(part: Part, status: Part, hosts: Rows) -> None:
    kernel = status["current-kernel"]
    release = kernel.text() if isinstance(kernel.value, str) else kernel["release"].text()
    version = status["kversion"].text().split()
    memory = status.at("memory", "total")
    hosts.add(
        name=part["node"].text(),
        kernel=release or (version[1] if len(version) > 1 and version[0] == "Linux" else ""),
        cpu=status.at("cpuinfo", "model").text(),
        cores=part["maxcpu"].count() or status.at("cpuinfo", "cpus").count(),
        memory_gib=(memory if memory.value is not None else part["maxmem"]).number() / GIB,
        state="" if part["status"].text() in ("online", "") else "down",
    )


def _vm(part: Part, vms: Rows) -> None:
    vms.add(
        name=" ".join(filter(None, (str(part["vmid"].count() or ""), part["name"].text()))),
        host=part["node"].text(),
        vcpus=part["maxcpu"].count(),
        memory_gib=part["maxmem"].number() / GIB,
        tenant=part["pool"].text(),
    )
