"""Inventories from orchestrators: what their JSON, XML and text say, what stays unknown, and what is left out."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.inventory.quantities import GIB, bytes_of, quantity
from tests.support.fleets import CLUSTER, DOMAIN, FLAVORS, HOST_TEXTS, NODE_STATUS, RESOURCES, SERVERS, folder


def rows(inventory: Inventory, table: str, *names: str) -> list[tuple[Any, ...]]:
    columns = getattr(inventory, table)
    return list(zip(*(columns[name].tolist() for name in names), strict=True))


def test_kubectl_tells_kernels_sizes_and_what_does_not_move(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps(CLUSTER, indent=4), "utf-8")
    for given in (path, CLUSTER, str(path)):
        inventory = Inventory.from_kubectl(given)
        assert rows(inventory, "hosts", "name", "kernel", "cores", "memory_gib", "zone", "state") == [
            ("n1", "5.14.0-570.el9.aarch64+64k", 63, 250.0, "z1", ""),
            ("n2", "5.14.0-570.el9.aarch64+64k", 64, 1e12 / GIB, "z2", "cordoned"),
            ("n3", "6.12.48+deb13-arm64", 8, 4.0, "", "down"),
        ]
        assert rows(inventory, "vms", "name", "host", "vcpus", "memory_gib", "tenant", "moves") == [
            ("shop/web", "n1", 8, 16.0, "shop", ""),
            ("shop/db", "n1", 4, 5e8 / GIB, "shop", "no"),
            ("data/gpu", "n2", 2, 1.0, "data", "no"),
            ("data/small", "n3", 1, 0.25, "data", "no"),
            ("data/grown", "n3", 6, 3.0, "data", ""),
        ]
        assert inventory.vms["why_not"].tolist() == [
            "",
            "DisksNotLiveMigratable: PVC db is not shared",
            "passed-through device gpu0",
            "evictionStrategy None: a drain stops it",
            "",
        ]
        assert inventory.notes[:3] == (
            "1 node left out: not arm64, with their VMs (1)",
            "2 VMs left out: on no node, or ended",
            "1 object left out: neither Node nor VirtualMachineInstance",
        )
        assert not inventory.problems().n_wrong
        assert np.isnan(inventory.vms["dirty_mib_per_s"]).all()
        assert "vms.features unknown" in str(inventory)


def test_what_kubevirt_can_migrate_moves_whatever_its_devices(tmp_path: Path) -> None:
    cluster = copy.deepcopy(CLUSTER)
    gpu = next(one for one in cluster["items"] if one["metadata"]["name"] == "gpu")
    gpu["status"]["conditions"] = [{"type": "LiveMigratable", "status": "True"}]
    inventory = Inventory.from_kubectl(cluster)
    assert inventory.vms["moves"][inventory.vms["name"] == "data/gpu"].tolist() == [""]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            ("0", 0),
            ("1", 1),
            ("1500m", 1.5),
            ("250u", 250e-6),
            ("3n", 3e-9),
            ("2k", 2e3),
            ("500M", 5e8),
            ("1.5G", 1.5e9),
        ),
        *(
            ("1T", 1e12),
            ("1P", 1e15),
            ("1E", 1e18),
            ("1e3", 1e3),
            ("12E2", 1200),
            ("1e-2", 0.01),
            (".5", 0.5),
            ("+2", 2),
        ),
        *(("1Ki", 2**10), ("1Mi", 2**20), ("16Gi", 2**34), ("1Ti", 2**40), ("1Pi", 2**50), ("1Ei", 2**60)),
        *(
            (text, None)
            for text in ("", "Gi", "1 Gi", "1GB", "1K", "-1", "1e", "1Gi2", "0x10", "1e999", "nan", "\u0661")
        ),
    ],
)
def test_quantities_are_those_of_kubernetes(text: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(InputError, match="it must be a quantity"):
            quantity(text, "x")
    else:
        assert quantity(text, "x") == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        *(
            ("", 2**10),
            ("KiB", 2**10),
            ("k", 2**10),
            ("K", 2**10),
            ("b", 1),
            ("bytes", 1),
            ("KB", 10**3),
            ("MB", 10**6),
        ),
        *(("M", 2**20), ("MiB", 2**20), ("GB", 10**9), ("G", 2**30), ("GiB", 2**30), ("T", 2**40), ("TB", 10**12)),
    ],
)
def test_units_are_those_of_libvirt(unit: str, size: int) -> None:
    assert bytes_of("3", unit, "x") == 3 * size
    with pytest.raises(InputError, match="it must be a whole number of"):
        bytes_of("3.5", unit, "x")
    with pytest.raises(InputError, match="it must be a whole number of"):
        bytes_of("3", unit + "x", "x")


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ((3, "spec", "domain", "cpu", "cores"), "4", "entry 3 .*spec.domain.cpu.cores is '4': it must be a number"),
        ((3, "spec", "domain", "cpu", "cores"), 1.5, "must be a whole number"),
        ((3, "spec", "domain", "cpu", "cores"), True, "must be a number"),
        ((3, "spec", "domain", "cpu", "cores"), float("inf"), "must be a number"),
        ((3, "spec", "domain", "cpu", "cores"), 10**400, "must be a number"),
        ((0, "status", "allocatable", "cpu"), "9e30", "it must be a quantity"),
        ((3, "spec", "domain"), [], r"spec.domain is \[\]: it must be an object"),
        ((3, "status", "conditions"), {}, "status.conditions is {}: it must be a list"),
        ((3, "spec", "domain", "memory", "guest"), "16GB", "memory.guest is '16GB': it must be a quantity"),
        ((3, "metadata", "name"), 7, "metadata.name is 7: it must be text"),
        ((3, "metadata", "name"), "a\0", "it must be text"),
        ((0, "status", "allocatable", "cpu"), [], "allocatable.cpu is .*: it must be a number"),
        ((0, "spec", "unschedulable"), "yes", "it must be true or false"),
    ],
)
def test_objects_that_are_none_are_told_with_their_place(keys: tuple[Any, ...], value: Any, words: str) -> None:
    cluster = copy.deepcopy(CLUSTER)
    part: Any = cluster["items"]
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    with pytest.raises(InputError, match=words):
        Inventory.from_kubectl(cluster)


def test_what_has_no_nodes_is_no_cluster(tmp_path: Path) -> None:
    for given in ({"items": []}, {"items": [{"kind": "Pod"}]}):
        with pytest.raises(InputError, match="kubectl get nodes,vmi -A -o json"):
            Inventory.from_kubectl(given)
    with pytest.raises(InputError, match="kubectl's JSON has no list under items"):
        Inventory.from_kubectl({"kind": "Node"})
    (tmp_path / "x.json").write_text('{"items": [{"kind": "Node"', "utf-8")
    with pytest.raises(InputError, match=r"x.json: character 11: not JSON, or cut short"):
        Inventory.from_kubectl(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"none.json: cannot be read"):
        Inventory.from_kubectl(tmp_path / "none.json")


def test_libvirt_tells_a_folder_per_host(tmp_path: Path) -> None:
    folder(tmp_path)
    inventory = Inventory.from_libvirt(tmp_path)
    assert rows(inventory, "hosts", "name", "kernel", "vmm", "cores") == [
        ("h1", "6.8.0-106-generic", "QEMU 8.2.2", 64),
        ("h2", "", "", 0),
    ]
    assert inventory.hosts["memory_gib"][0] == 263804388 * 1024 / GIB
    assert rows(inventory, "vms", "name", "host", "vcpus", "memory_gib", "moves") == [
        ("db", "h1", 4, 8e9 / GIB, "no"),
        ("web", "h1", 2, 4.0, ""),
        ("solo", "h2", 3, 0.5, "no"),
    ]
    assert inventory.vms["dirty_mib_per_s"][1] == 120
    assert np.isnan(inventory.vms["dirty_mib_per_s"][[0, 2]]).all()  # db was not measured
    assert inventory.vms["why_not"].tolist() == ["passed-through device (pci)", "", "passed-through network interface"]
    assert inventory.notes[:2] == (
        "1 domain left out: not arm64",
        "VMs without a dirty rate: 2; virsh domdirtyrate-calc, then domstats",
    )
    (tmp_path / "h1" / "web.xml").write_text(DOMAIN.replace("<emulator>", "<disk/>" * 100 + "<emulator>"), "utf-8")
    one = Inventory.from_libvirt(tmp_path / "h1")
    assert one.vms["name"].tolist() == ["db", "web"]
    assert one.hosts["name"].tolist() == ["h1"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><domain>&a;</domain>", "h1/a.xml: has a document type"),
        ("a.xml", "<domain>&a;</domain>", "h1/a.xml: line 1, column 8: not XML"),
        ("a.xml", "<domain>", "h1/a.xml: line 1, column 8: not XML, or cut short"),
        ("a.xml", "<domain>" + "<a>" * 100, "h1/a.xml: elements lie more than 64 deep"),
        ("a.xml", "<network/>", "h1/a.xml is XML of <network>: `virsh dumpxml` writes <domain>"),
        ("a.xml", DOMAIN.replace("<vcpu>2", "<vcpu>two"), "h1/a.xml: vcpu is 'two'"),
        ("a.xml", DOMAIN.replace(">4194304<", ">4.5<"), "h1/a.xml: memory is '4.5'"),
        ("a.xml", DOMAIN.replace("'KiB'", "'pages'"), "'pages': it must be a whole number of bytes"),
        ("a.xml", " " * 2_000_000, "h1/a.xml: more than 1 MiB"),
        ("a.txt", "what is this\n", "h1/a.txt is neither of uname -r"),
        ("a.txt", HOST_TEXTS["nodeinfo.txt"].replace("KiB", "pages"), "h1/a.txt is '263804388' 'pages'"),
    ],
)
def test_files_that_are_none_of_libvirts_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    folder(tmp_path)
    (tmp_path / "h1" / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=words):
        Inventory.from_libvirt(tmp_path)


def test_a_folder_without_domains_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no domain: run `virsh dumpxml"):
        Inventory.from_libvirt(tmp_path)
    with pytest.raises(InputError, match="is no folder that can be read"):
        Inventory.from_libvirt(tmp_path / "none")
    folder(tmp_path)
    with (
        mock.patch.object(Path, "iterdir", side_effect=PermissionError("no")),
        pytest.raises(InputError, match="is no folder that can be read"),
    ):
        Inventory.from_libvirt(tmp_path)


def test_proxmox_tells_kernels_in_the_status_of_nodes(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"data": RESOURCES}), "utf-8")
    (tmp_path / "s.json").write_text(json.dumps({"data": NODE_STATUS}), "utf-8")
    old = {"kversion": "Linux 6.1.10-1-pve #1 SMP PVE 6.1.10-1", "cpuinfo": {"cpus": 8}, "memory": {"total": 2**33}}
    other = {"current-kernel": {"release": "6.8.12-4-pve", "machine": "x86_64"}}
    for resources, status in ((tmp_path / "r.json", tmp_path / "s.json"), (RESOURCES, NODE_STATUS)):
        inventory = Inventory.from_proxmox(resources, {"pve1": status, "pve2": old, "pve3": other})
        assert rows(inventory, "hosts", "name", "kernel", "cpu", "cores", "memory_gib", "state") == [
            ("pve1", "6.8.12-4-pve", "Neoverse-N1", 80, 256.0, ""),
            ("pve2", "6.1.10-1-pve", "", 8, 8.0, "down"),
        ]
        assert rows(inventory, "vms", "name", "host", "vcpus", "memory_gib", "tenant") == [
            ("101 web", "pve1", 4, 8.0, "shop"),
            ("102", "pve2", 2, 4.0, ""),
        ]
        assert inventory.notes[:3] == (
            "1 node left out: not arm64, with their VMs (1)",
            "2 VMs left out: not running, or a template",
            "1 container left out: no VM",
        )
    assert "nodes without a kernel: 3; give nodes=" in str(Inventory.from_proxmox(RESOURCES))
    with pytest.raises(InputError, match="has no node 'pve9': it has pve1, pve2, pve3"):
        Inventory.from_proxmox(RESOURCES, {"pve9": NODE_STATUS})


def test_openstack_is_joined_with_a_table_of_kernels(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text(json.dumps(SERVERS), "utf-8")
    (tmp_path / "kernels.csv").write_text("name,kernel,memory_gib\nc1,6.12.48+deb13-arm64,512\n", "utf-8")
    inventory = Inventory.from_openstack(tmp_path / "servers.json", kernels=tmp_path / "kernels.csv", flavors=FLAVORS)
    assert rows(inventory, "hosts", "name", "kernel") == [("c1", "6.12.48+deb13-arm64"), ("c2", "")]
    assert rows(inventory, "vms", "name", "host", "vcpus", "memory_gib", "tenant") == [
        ("11 web", "c1", 2, 4.0, "p1"),
        ("12 db", "c2", 8, 16.0, ""),
        ("13 new", "c1", 4, 8.0, ""),
    ]
    assert inventory.notes[:4] == (
        "kernels joined by the host's name from a table, as OpenStack does not tell them",
        "hosts without a kernel, which the table lacks: 1, the first c2",
        "1 server left out: not running",
        "1 server left out: on no host: only an administrator is shown the column Host",
    )
    assert not inventory.problems().n_wrong
    bare = Inventory.from_openstack(SERVERS, kernels={"name": ["c1", "c2"], "kernel": ["6.12", "6.18"]})
    assert bare.vms["vcpus"].tolist() == [0, 0, 4]
    assert bare.problems().n_unknown == 2
    assert any("VMs without a size: 2; give flavors=" in note for note in bare.notes)
