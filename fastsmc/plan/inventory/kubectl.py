"""Nodes and VirtualMachineInstances of KubeVirt, as `kubectl get nodes,vmi -A -o json` prints them.

Sources: kubernetes.io, the API of Node (status.nodeInfo, allocatable, spec.unschedulable); kubevirt.io, the API of
VirtualMachineInstance v1 (spec.domain, spec.evictionStrategy, status.nodeName, status.currentCPUTopology,
status.memory, the condition LiveMigratable with its reasons).
"""

from __future__ import annotations

import math
from typing import Any

from fastsmc.errors import InputError
from fastsmc.plan.inventory.columns import HOSTS, VMS
from fastsmc.plan.inventory.parts import Part, Rows, counted, parts_of
from fastsmc.plan.inventory.quantities import GIB, quantity

ARM64 = ("", "arm64", "aarch64")
UNTOLD = {
    "hosts.vmm": "KubeVirt does not tell the version of QEMU in its image",
    "vms.features": "KubeVirt does not tell vCPU features of arm64 guests",
    "vms.apart": "anti-affinity is not read",
    "vms.dirty_mib_per_s": "KubeVirt does not tell it",
}
"""What stays unknown, by column."""


def tables_of_kubectl(json: Any) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """(hosts, vms, notes) from the list of both kinds.

    Raises:
        InputError: a file that cannot be read; an object that is not as the API has it; neither kind in it.
    """
    hosts, vms = Rows(HOSTS), Rows(VMS)
    elsewhere, n_nowhere, n_other = set[str](), 0, 0
    for part in parts_of(json, ("items",), "kubectl's JSON"):
        kind = part["kind"].text()
        part = Part(part.value, f"{part.place} ({kind} {part.at('metadata', 'name').text()})")
        if kind == "Node":
            if part.at("status", "nodeInfo", "architecture").text() not in ARM64:
                elsewhere.add(part.at("metadata", "name").text())
            else:
                _node(part, hosts)
        elif kind == "VirtualMachineInstance":
            n_nowhere += not _vm(part, vms)
        else:
            n_other += 1
    if not len(hosts) and not len(vms) and not elsewhere:
        msg = f"kubectl's JSON has no Node and no VirtualMachineInstance among {n_other + n_nowhere} objects: "
        raise InputError(msg + "kubectl get nodes,vmi -A -o json")
    gone = {row for row, host in enumerate(vms.columns["host"]) if host in elsewhere}
    notes = (
        *counted(len(elsewhere), "node", f"not arm64, with their VMs ({len(gone):,})" if gone else "not arm64"),
        *counted(n_nowhere, "VM", "on no node, or ended"),
        *counted(n_other, "object", "neither Node nor VirtualMachineInstance"),
    )
    return hosts.columns, vms.without(gone), notes


def _node(part: Part, hosts: Rows) -> None:
    status = part["status"]
    size = status["allocatable"] if status["allocatable"].value is not None else status["capacity"]
    ready = [one["status"].text() for one in status["conditions"].entries() if one["type"].text() == "Ready"]
    is_cordoned = part.at("spec", "unschedulable").is_true()
    hosts.add(
        name=part.at("metadata", "name").text(),
        kernel=status.at("nodeInfo", "kernelVersion").text(),
        cores=math.floor(_quantity(size["cpu"]) or 0),
        memory_gib=_gib(size["memory"]),
        zone=part.at("metadata", "labels", "topology.kubernetes.io/zone").text(),
        state="down" if ready and ready[0] != "True" else "cordoned" if is_cordoned else "",
    )


def _vm(part: Part, vms: Rows) -> bool:
    """Adds a VM that runs somewhere; whether it does."""
    host = part.at("status", "nodeName").text()
    if not host or part.at("status", "phase").text() in ("Succeeded", "Failed"):
        return False
    namespace, domain = part.at("metadata", "namespace").text(), part.at("spec", "domain")
    requests, limits = (domain.at("resources", name) for name in ("requests", "limits"))
    memory = (part.at("status", "memory", "guestCurrent"), domain.at("memory", "guest"), limits["memory"])
    why_not = _why_not(part)
    vms.add(
        name="/".join(filter(None, (namespace, part.at("metadata", "name").text()))),
        host=host,
        vcpus=_vcpus(part.at("status", "currentCPUTopology"), domain["cpu"], limits["cpu"], requests["cpu"]),
        memory_gib=next((_gib(one) for one in (*memory, requests["memory"]) if one.value is not None), None),
        tenant=namespace,
        moves="no" if why_not else "",
        why_not=why_not,
    )
    return True


def _vcpus(now: Part, asked: Part, *amounts: Part) -> int:
    """vCPUs by the topology; without one KubeVirt takes the limit of CPUs, or their request, and 1 without those."""
    for topology in (now, asked):
        counts = [topology[name].count() for name in ("cores", "sockets", "threads")]
        if any(counts):
            return min(math.prod(max(count, 1) for count in counts), 1 << 53)
    return next((math.ceil(_quantity(one) or 0) for one in amounts if one.value is not None), 1)


def _why_not(part: Part) -> str:
    """What keeps a VM from being migrated; "" where nothing does."""
    spec = part["spec"]
    conditions = list(part.at("status", "conditions").entries())
    told = [one for one in conditions if one["type"].text() == "LiveMigratable"]
    if told and told[0]["status"].text() == "False":
        return (
            ": ".join(filter(None, (told[0]["reason"].text(), told[0]["message"].words())))[:250]
            or "not LiveMigratable"
        )
    devices = spec.at("domain", "devices")
    passed = [one["name"].text() for name in ("hostDevices", "gpus") for one in devices[name].entries()]
    if passed and not told:
        return f"passed-through device {passed[0]}"
    if spec["evictionStrategy"].text() == "None":
        return "evictionStrategy None: a drain stops it"
    return ""


def _quantity(part: Part) -> float | None:
    """A quantity, which JSON may have as a number or as text; None where there is none."""
    if part.value is None:
        return None
    return quantity(part.text(), part.place) if isinstance(part.value, str) else part.number()


def _gib(part: Part) -> float | None:
    size = _quantity(part)
    return None if size is None else size / GIB
