"""`Inventory`: hosts and VMs as columns, with each VM's host found and each kernel's rules known or unknown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.releases import Host
from fastsmc.migrate.compat.probed import word_of
from fastsmc.plan.inventory.codes import Distinct, distinct, places
from fastsmc.plan.inventory.columns import Columns
from fastsmc.plan.inventory.problems import Problems
from fastsmc.plan.inventory.profiled import with_profiles
from fastsmc.plan.inventory.tables import Told, told
from fastsmc.probing.profile import HostProfile
from fastsmc.results.layout import drawn, number, words

if TYPE_CHECKING:
    from fastsmc.plan.inventory.like import Placement


@dataclass(frozen=True, eq=False)
class Inventory:
    """A fleet's hosts and VMs.

    Attributes:
        hosts, vms: columns by name (columns.HOSTS, columns.VMS), read-only. Unknown are "", NaN and 0.
        assumed: what of it nobody told, by column, a sentence each.
        notes: what a reader left out, joined or took for granted, a sentence each.
        tables: where hosts and VMs came from: the file, the lines, the fields that could not be read.
        profiles: host profiles, by what the column `profile` calls them.
    """

    hosts: Columns
    vms: Columns
    assumed: Mapping[str, str]
    notes: tuple[str, ...] = ()
    tables: Mapping[str, Told] = field(default_factory=dict, repr=False)
    profiles: Mapping[str, HostProfile] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, *, hosts: Any, vms: Any, assumed: Mapping[str, str] | None = None, notes: tuple[str, ...] = ()
    ) -> Inventory:
        """An inventory from mappings of columns: dicts, data frames of pandas or polars, tables of Arrow.

        Raises:
            InputError: a column that is missing, unknown, of another type or length.

        >>> inventory = Inventory.of(
        ...     hosts={"name": ["h1", "h2"], "kernel": ["6.12.107", ""]},
        ...     vms={"name": ["a"], "host": ["h2"], "vcpus": [4]},
        ... )
        >>> inventory
        <Inventory of 2 hosts and 1 VM>
        """
        its_hosts, profiles = with_profiles(told(hosts, "hosts"))
        tables = {"hosts": its_hosts, "vms": told(vms, "vms")}
        return cls(its_hosts.columns, tables["vms"].columns, dict(assumed or {}), notes, tables, profiles)

    @classmethod
    def read(cls, *, hosts: Any, vms: Any) -> Inventory:
        """An inventory from files: CSV with a header or Parquet, each a path; or mappings of columns, as `of` takes.

        An empty field is unknown. `problems()` tells what is wrong with the values that were read.

        Raises:
            InputError: a file that cannot be read; columns that are none; fields that hold no value of their column,
                the first of which is told. `smc.plan.problems(hosts=..., vms=...)` tells all of them.
        """
        inventory = cls.of(hosts=hosts, vms=vms)
        for table in inventory.tables.values():
            if table.unread:
                one = table.unread[0]
                n, more = len(table.unread), ""
                if n > 1:
                    more = f" ({n - 1:,} more such: `fastsmc plan problems` tells them)"
                msg = f"{table.place(one.row)}, {one.column} {one.text!r}: {one.what}; {one.remedy}{more}"
                raise InputError(msg)
        return inventory

    @classmethod
    def from_kubectl(cls, json: Any) -> Inventory:
        """An inventory from `kubectl get nodes,vmi -A -o json`: a path, or what the JSON holds.

        Nodes that are not arm64 and VMs that are on no node are left out, which `notes` says.

        Raises:
            InputError: a file that cannot be read, or objects that are not as the API of Kubernetes has them.

        >>> node = {"kind": "Node", "metadata": {"name": "n1"}, "status": {"nodeInfo": {"kernelVersion": "6.12.48"}}}
        >>> Inventory.from_kubectl({"items": [node]}).kernels.values.tolist()
        ['6.12.48']
        """
        from fastsmc.plan.inventory.kubectl import UNTOLD, tables_of_kubectl

        hosts, vms, notes = tables_of_kubectl(json)
        return cls.of(hosts=hosts, vms=vms, notes=(*notes, *_unknown(UNTOLD)))

    @classmethod
    def from_libvirt(cls, folder: str | os.PathLike[str]) -> Inventory:
        """An inventory from a folder with a folder per host, each with `virsh dumpxml` of its domains as .xml files.

        Beside these may be .txt files with what `virsh domstats --dirtyrate`, `uname -r`, `virsh nodeinfo` and `virsh
        version` print there.

        Raises:
            InputError: no such folder, no domain in it, or a file that cannot be read.
        """
        from fastsmc.plan.inventory.libvirt import UNTOLD, tables_of_libvirt

        hosts, vms, notes = tables_of_libvirt(folder)
        return cls.of(hosts=hosts, vms=vms, notes=(*notes, *_unknown(UNTOLD)))

    @classmethod
    def from_proxmox(cls, json: Any, nodes: Mapping[str, Any] | None = None) -> Inventory:
        """An inventory from `pvesh get /cluster/resources --output-format json`: a path, or what the JSON holds.

        Args:
            nodes: by node, the JSON of /nodes/NODE/status, which tells the kernel; paths or what they hold.

        Raises:
            InputError: a file that cannot be read, or entries that are not as the API has them.
        """
        from fastsmc.plan.inventory.proxmox import UNTOLD, tables_of_proxmox

        hosts, vms, notes = tables_of_proxmox(json, nodes or {})
        return cls.of(hosts=hosts, vms=vms, notes=(*notes, *_unknown(UNTOLD)))

    @classmethod
    def from_openstack(cls, json: Any, *, kernels: Any, flavors: Any = None) -> Inventory:
        """An inventory from `openstack server list --all-projects --long -f json`: a path, or what the JSON holds.

        Args:
            kernels: a table of hosts as `read` takes it, with each host's name and kernel: OpenStack has no kernels.
            flavors: `openstack flavor list --all -f json`, which tells the sizes of VMs.

        Raises:
            InputError: a file that cannot be read, or entries that are not as the client prints them.
        """
        from fastsmc.plan.inventory.openstack import UNTOLD, tables_of_openstack

        hosts, vms, notes = tables_of_openstack(json, kernels, flavors)
        return cls.of(hosts=hosts, vms=vms, notes=(*notes, *_unknown(UNTOLD)))

    @classmethod
    def like(
        cls,
        name: str,
        *,
        n_host: int,
        seed: int,
        n_vm: int | None = None,
        cores: int = 64,
        memory_gib: float = 256.0,
        fill: float = 0.8,
        kernels: str | Mapping[str, float] = "6.12",
        placement: Placement = "first-fit",
    ) -> Inventory:
        """A fleet drawn like a known one: the shapes of its VMs by their shares, all else assumed (`assumed` lists it).

        Args:
            name: "azure-2017", first-party VMs of Azure (Cortez et al., 2017).
            seed: draws are the same for the same seed.
            n_vm: VMs; None fills the hosts' cores up to `fill`, or until the first VM that finds no host.
            cores, memory_gib: of each host.
            kernels: of all hosts, or shares of the hosts by kernel.
            placement: "first-fit", or "spread": where the most cores are free.

        Raises:
            InputError: a name or number that is none; VMs that do not fit the hosts.

        >>> fleet = Inventory.like("azure-2017", n_host=10, seed=1, kernels={"6.12": 0.5, "6.18": 0.5})
        >>> fleet.hosts["kernel"].tolist().count("6.18"), int(fleet.vms["vcpus"].sum())
        (5, 512)
        """
        from fastsmc.plan.inventory.like import fleet_like

        hosts, vms, assumed, notes = fleet_like(
            name,
            n_host=n_host,
            seed=seed,
            n_vm=n_vm,
            cores=cores,
            memory_gib=memory_gib,
            fill=fill,
            kernels=kernels,
            placement=placement,
        )
        return cls.of(hosts=hosts, vms=vms, assumed=assumed, notes=notes)

    @staticmethod
    def schema() -> dict[str, Any]:
        """JSON Schema of an inventory as lists of hosts and VMs; docs/planning/inventory.schema.json is the same.

        Raises:
            InputError: pydantic is not installed: fastsmc[schema].
        """
        from fastsmc.plan.inventory.schema import schema

        return schema()

    @property
    def n_host(self) -> int:
        """Hosts."""
        return len(self.hosts["name"])

    @property
    def n_vm(self) -> int:
        """VMs."""
        return len(self.vms["name"])

    @cached_property
    def host_of_vm(self) -> NDArray[np.int64]:
        """int64[n_vm]: the row of each VM's host, -1 where no host has that name."""
        return places(self.vms["host"], self.hosts["name"])

    @cached_property
    def kernels(self) -> Distinct:
        """The distinct kernels of hosts, as `uname -r` prints them; "" where none was told."""
        return distinct(self.hosts["kernel"])

    @cached_property
    def probed(self) -> NDArray[np.str_]:
        """text[n_host]: a word for what each host's profile holds, "" where it has none; hosts alike have the same."""
        names, of_row = distinct(self.hosts["profile"])
        known = [self.profiles.get(name) for name in names.tolist()]
        return np.array(["" if one is None else word_of(one) for one in known], np.str_)[of_row]

    @cached_property
    def releases(self) -> tuple[Host | None, ...]:
        """The rules of each distinct kernel; None where fastsmc does not know it."""
        return tuple(map(_host, self.kernels.values.tolist()))

    def problems(self) -> Problems:
        """All that is wrong with the values, or unknown: each with file, row, column, value, what and remedy.

        Names that are there twice, VMs on hosts that do not exist, sizes that are none, kernels, VMMs and vCPU features
        that do not exist or are not known, VMs larger than their host, hosts whose VMs have more memory than they.

        >>> inventory = Inventory.of(
        ...     hosts={"name": ["h1"], "kernel": ["6.99"]}, vms={"name": ["a"], "host": ["H1"], "vcpus": [4]}
        ... )
        >>> [str(problem) for problem in inventory.problems()][1]
        "vms row 0, host 'H1': no host has that name; did you mean 'h1'?"
        """
        from fastsmc.plan.inventory.rules import problems_of

        tables = dict(self.tables)
        for name, columns in (("hosts", self.hosts), ("vms", self.vms)):
            if name not in tables or tables[name].columns is not columns:  # columns that were put in another's place
                tables[name] = Told(columns, name)
        return problems_of(tables, self.host_of_vm)

    def check(self) -> Inventory:
        """This inventory, where nothing in it is wrong; what is unknown stays unknown.

        Raises:
            InputError: something is wrong, the first of it told.
        """
        found = self.problems()
        if found.n_wrong:
            more = f" ({found.n_wrong - 1:,} more: inventory.problems() tells all)" if found.n_wrong > 1 else ""
            msg = f"{next(iter(found))}{more}"
            raise InputError(msg)
        return self

    def __repr__(self) -> str:
        hosts, vms = (f"{n:,} {what}{'s' * (n != 1)}" for n, what in ((self.n_host, "host"), (self.n_vm, "VM")))
        return f"<Inventory of {hosts} and {vms}>"

    def __str__(self) -> str:
        lines = [repr(self)[1:-1]]
        values, of_row = self.kernels
        counts = np.bincount(of_row, minlength=len(values)).tolist() if self.n_host else []
        rows = zip(values.tolist(), counts, self.releases, strict=True)
        told = [
            (n, kernel + ("not told" if not kernel else "" if rules is not None else ", which is not known"))
            for kernel, n, rules in sorted(rows, key=lambda row: -row[1])[:8]
        ]
        lines += drawn((number("hosts"), words("kernel")), told, indent="  ") if told else []
        lines += [f"assumed {column}: {text}" for column, text in self.assumed.items()]
        return "\n".join([*lines, *(f"note: {text}" for text in self.notes)])


def _unknown(columns: Mapping[str, str]) -> tuple[str, ...]:
    """What a source does not tell, as notes."""
    return tuple(f"{column} unknown: {why}" for column, why in columns.items())


def _host(kernel: str) -> Host | None:
    try:
        return Host.of(kernel)
    except FastsmcError:
        return None
