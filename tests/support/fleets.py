"""What orchestrators print of small fleets, written after their documentation, with much that is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def node(name: str, kernel: str, size: dict[str, Any], **more: Any) -> dict[str, Any]:
    info = {"kernelVersion": kernel, "architecture": more.get("architecture", "arm64"), "osImage": "Linux"}
    ready = {"type": "Ready", "status": more.get("ready", "True")}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": more.get("labels", {})},
        "spec": more.get("spec", {}),
        "status": {
            more.get("under", "allocatable"): size,
            "conditions": [{"type": "MemoryPressure", "status": "False"}, ready],
            "nodeInfo": info,
        },
    }


def vmi(namespace: str, name: str, host: str | None, domain: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"domain": domain, **more.get("spec", {})},
        "status": {
            "phase": more.get("phase", "Running"),
            **({"nodeName": host} if host else {}),
            **more.get("status", {}),
        },
    }


def migratable(status: str, **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": "True"}, {"type": "LiveMigratable", "status": status, **more}]}


_ZONE = "topology.kubernetes.io/zone"
CLUSTER: dict[str, Any] = {
    "apiVersion": "v1",
    "items": [
        node("n1", "5.14.0-570.el9.aarch64+64k", {"cpu": "63500m", "memory": "250Gi"}, labels={_ZONE: "z1"}),
        node(
            "n2",
            "5.14.0-570.el9.aarch64+64k",
            {"cpu": "64", "memory": "1T"},
            labels={_ZONE: "z2"},
            spec={"unschedulable": True},
        ),
        node("n3", "6.12.48+deb13-arm64", {"cpu": 8, "memory": "4194304Ki"}, under="capacity", ready="Unknown"),
        vmi(
            "shop",
            "web",
            "n1",
            {"cpu": {"cores": 2, "sockets": 2, "threads": 2}, "memory": {"guest": "16Gi"}},
            spec={"evictionStrategy": "LiveMigrate"},
            status=migratable("True"),
        ),
        vmi(
            "shop",
            "db",
            "n1",
            {"cpu": {"cores": 4}, "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "500M"}}},
            status=migratable("False", reason="DisksNotLiveMigratable", message="PVC db is not shared"),
        ),
        vmi(
            "data",
            "gpu",
            "n2",
            {
                "devices": {"gpus": [{"name": "gpu0", "deviceName": "example.com/gpu"}]},
                "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}},
            },
        ),
        vmi("data", "small", "n3", {"memory": {"guest": "256Mi"}}, spec={"evictionStrategy": "None"}),
        vmi(
            "data",
            "grown",
            "n3",
            {"cpu": {"cores": 2}, "memory": {"guest": "1Gi"}},
            status={
                **migratable("True"),
                "currentCPUTopology": {"cores": 3, "sockets": 2, "threads": 1},
                "memory": {"guestCurrent": "3Gi"},
            },
        ),
        vmi("data", "waiting", None, {}, phase="Scheduling"),
        vmi("data", "done", "n1", {}, phase="Succeeded"),
        vmi("data", "elsewhere", "x1", {}),
        node("x1", "6.8.0-106-generic", {"cpu": "8", "memory": "16Gi"}, architecture="amd64"),
        {"kind": "Pod", "metadata": {"name": "p"}},
    ],
    "kind": "List",
    "metadata": {"resourceVersion": ""},
}

DOMAIN = """<?xml version='1.0' encoding='utf-8'?>
<domain type='kvm' id='3'>
  <name>web</name>
  <uuid>3f1c0b5e-0000-4000-8000-000000000001</uuid>
  <metadata><x:owner xmlns:x='http://example.org/x'>shop</x:owner></metadata>
  <memory unit='KiB'>4194304</memory>
  <currentMemory unit='KiB'>4194304</currentMemory>
  <vcpu>2</vcpu>
  <os><type arch='aarch64' machine='virt-8.2'>hvm</type></os>
  <features><acpi/><gic version='3'/></features>
  <cpu mode='host-passthrough' check='none'/>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
  </devices>
</domain>
"""
_DB = (
    DOMAIN.replace(">web<", ">db<")
    .replace("<memory unit='KiB'>4194304<", "<memory unit='GB'>8<")
    .replace("<vcpu>2<", "<vcpu placement='static' current='4'>16<")
    .replace("<emulator>", "<hostdev mode='subsystem' type='pci' managed='yes'/><emulator>")
)
_SOLO = (
    DOMAIN.replace(">web<", ">solo<")
    .replace(" unit='KiB'>4194304</memory>", ">524288</memory>")
    .replace("<vcpu>2<", "<vcpu>3<")
    .replace("type='bridge'", "type='hostdev'")
)
DOMSTATS = """Domain: 'web'
  dirtyrate.calc_status=2
  dirtyrate.calc_start_time=348414
  dirtyrate.calc_period=1
  dirtyrate.megabytes_per_second=120
  dirtyrate.calc_mode=page-sampling

Domain: 'db'
  dirtyrate.calc_status=1
  dirtyrate.megabytes_per_second=7

"""
HOST_TEXTS = {
    "dirtyrate.txt": DOMSTATS,
    "uname.txt": "6.8.0-106-generic\n",
    "nodeinfo.txt": """CPU model:           aarch64
CPU(s):              64
CPU socket(s):       1
Core(s) per socket:  64
Thread(s) per core:  1
NUMA cell(s):        1
Memory size:         263804388 KiB

""",
    "version.txt": """Compiled against library: libvirt 10.0.0
Using library: libvirt 10.0.0
Using API: QEMU 10.0.0
Running hypervisor: QEMU 8.2.2

""",
}


def folder(root: Path) -> None:
    """Writes what virsh prints on two hosts."""
    for name, text in {
        **{f"h1/{name}": text for name, text in HOST_TEXTS.items()},
        "h1/web.xml": DOMAIN,
        "h1/db.xml": _DB,
        "h2/solo.xml": _SOLO,
        "h2/pc.xml": DOMAIN.replace("arch='aarch64'", "arch='x86_64'"),
    }.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


RESOURCES: list[dict[str, Any]] = [
    {"id": "node/pve1", "type": "node", "node": "pve1", "status": "online", "maxcpu": 80, "maxmem": 2**37, "cpu": 0.1},
    {"id": "node/pve2", "type": "node", "node": "pve2", "status": "offline"},
    {"id": "node/pve3", "type": "node", "node": "pve3", "status": "online", "maxcpu": 8, "maxmem": 2**34},
    {
        **{"id": "qemu/101", "type": "qemu", "vmid": 101, "name": "web", "node": "pve1", "status": "running"},
        **{"maxcpu": 4, "maxmem": 2**33, "pool": "shop", "template": 0},
    },
    {"id": "qemu/102", "type": "qemu", "vmid": 102, "node": "pve2", "status": "running", "maxcpu": 2, "maxmem": 2**32},
    {"id": "qemu/103", "type": "qemu", "vmid": 103, "node": "pve3", "status": "running", "maxcpu": 2, "maxmem": 2**32},
    {"id": "qemu/104", "type": "qemu", "vmid": 104, "node": "pve1", "status": "stopped", "maxcpu": 2},
    {"id": "qemu/900", "type": "qemu", "vmid": 900, "node": "pve1", "status": "running", "template": 1},
    {"id": "lxc/105", "type": "lxc", "vmid": 105, "node": "pve1", "status": "running"},
    {"id": "storage/pve1/local", "type": "storage", "node": "pve1", "status": "available"},
]
NODE_STATUS: dict[str, Any] = {
    "kversion": "Linux 6.8.12-4-pve #1 SMP PREEMPT_DYNAMIC PMX 6.8.12-4 (2024-11-06T15:04Z)",
    "current-kernel": {"release": "6.8.12-4-pve", "machine": "aarch64", "sysname": "Linux"},
    "cpuinfo": {"model": "Neoverse-N1", "cpus": 80, "cores": 80, "sockets": 1},
    "memory": {"total": 2**38, "used": 2**30, "free": 2**37},
    "pveversion": "pve-manager/8.3.0/0000000000000000",
}
SERVERS: list[dict[str, Any]] = [
    {
        **{"ID": "11", "Name": "web", "Status": "ACTIVE", "Task State": None, "Power State": 1, "Networks": {}},
        **{"Flavor Name": "renamed", "Flavor ID": "f1", "Availability Zone": "nova", "Host": "c1", "Project ID": "p1"},
    },
    {"ID": "12", "Name": "db", "Status": "PAUSED", "Flavor": "m1.large", "Host": "c2", "Properties": {}},
    {"ID": "13", "Name": "new", "Status": "ACTIVE", "Flavor": {"vcpus": 4, "ram": 8192}, "Host": "c1"},
    {"ID": "14", "Name": "off", "Status": "SHUTOFF", "Flavor": "m1.large", "Host": "c2"},
    {"ID": "15", "Name": "gone", "Status": "ACTIVE", "Flavor": "m1.large", "Host": None},
]
FLAVORS: list[dict[str, Any]] = [
    {"ID": "f1", "Name": "m1.small", "RAM": 4096, "Disk": 20, "Ephemeral": 0, "VCPUs": 2, "Is Public": True},
    {"ID": "f2", "Name": "m1.large", "RAM": 16384, "Disk": 80, "Ephemeral": 0, "VCPUs": 8, "Is Public": True},
]
