"""Hosts and VMs of libvirt: a folder per host with what virsh prints there.

    host-1/web.xml         virsh dumpxml web > web.xml, for each domain
    host-1/dirtyrate.txt   virsh domstats --dirtyrate, after virsh domdirtyrate-calc of each domain
    host-1/uname.txt       uname -r
    host-1/nodeinfo.txt    virsh nodeinfo
    host-1/version.txt     virsh version

Only the XML is needed; what a text is, its content says. Sources: libvirt.org, formatdomain (memory and its units,
vcpu, hostdev, interface of type hostdev, name, type), and the manual of virsh (domstats, dirtyrate.* in MiB/s).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.files.csv_text import MOST_FIELD
from fastsmc.files.limits import DOMAIN, DOMSTATS, Kind
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source, opened
from fastsmc.files.text import text_of
from fastsmc.files.xml_text import tree
from fastsmc.plan.inventory.columns import HOSTS, MOST_ROWS, VMS
from fastsmc.plan.inventory.kubectl import ARM64
from fastsmc.plan.inventory.parts import Rows, counted
from fastsmc.plan.inventory.quantities import GIB, bytes_of

UNTOLD = {
    "vms.features": "a domain's XML does not tell all vCPU features that QEMU turns on",
    "vms.apart": "libvirt knows no groups of VMs",
    "hosts.nic_gbit_per_s": "libvirt does not tell it",
}
"""What stays unknown, by column."""
_MEASURED = "2"
"""VIR_DOMAIN_DIRTYRATE_MEASURED of virDomainDirtyRateStatus: before, the rate is none. Source: libvirt-domain.h."""
_DOMAIN = re.compile(r"Domain: '(.*)'")
_STAT = re.compile(r"\s*dirtyrate\.(calc_status|megabytes_per_second)=([0-9]{1,15})\s*")


class _Texts(NamedTuple):
    """What the texts of a host's folder say."""

    rates: dict[str, float]
    host: dict[str, Any]


def tables_of_libvirt(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """(hosts, vms, notes) from a folder with a folder per host, or from the folder of one host.

    Raises:
        InputError: no such folder; no domain in it; a file that cannot be read, is no domain's, or is damaged.
    """
    root = Path(folder)
    entries = _entries(root)
    is_host = any(entry.suffix == ".xml" for entry in entries)
    folders = [root] if is_host else [entry for entry in entries if entry.is_dir()]
    hosts, vms, n_other = Rows(HOSTS), Rows(VMS), 0
    for one in folders:
        files = _entries(one)
        name = one.resolve().name
        texts = _texts(one.name, [file for file in files if file.suffix == ".txt"])
        xmls = [file for file in files if file.suffix == ".xml"]
        if texts.host.pop("is_other", False):
            n_other += len(xmls)
            continue
        hosts.add(name=name, **texts.host)
        for file in xmls:
            n_other += not _domain(_read(file, one.name, DOMAIN, tree), f"{one.name}/{file.name}", name, texts, vms)
        if len(vms) > MOST_ROWS:
            msg = f"{one.name}: over {MOST_ROWS:,} domains"
            raise InputError(msg)
    if not len(vms) and not n_other:
        msg = f"{shown(str(folder))} holds no domain: run `virsh dumpxml NAME > HOST/NAME.xml` for each"
        raise InputError(msg)
    unmeasured = sum(rate is None for rate in vms.columns["dirty_mib_per_s"])
    notes = (
        *counted(n_other, "domain", "not arm64"),
        *((f"VMs without a dirty rate: {unmeasured:,}; virsh domdirtyrate-calc, then domstats",) if unmeasured else ()),
    )
    return hosts.columns, vms.columns, notes


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError) as error:
        msg = f"{shown(str(folder))} is no folder that can be read: give one with what virsh printed on each host"
        raise InputError(msg) from error


def _read(file: Path, folder: str, kind: Kind, how: Any) -> Any:
    try:
        with opened(file, kind) as source:
            return how(source)
    except Refused as error:
        msg = f"{folder}/{file.name}: {error}"
        raise InputError(msg) from error


def _text(source: Source) -> str:
    return text_of(source.all())


def _texts(folder: str, files: list[Path]) -> _Texts:
    found = _Texts({}, {})
    for file in files:
        text, place = _read(file, folder, DOMSTATS, _text), f"{folder}/{file.name}"
        if "\0" in text:
            msg = f"{place}: a zero byte, which no text has"
            raise InputError(msg)
        if _DOMAIN.search(text):
            found.rates.update(_rates(text))
        elif (running := re.search(r"^Running hypervisor: (.{1,80})$", text, re.MULTILINE)) is not None:
            found.host["vmm"] = running[1].strip()
        elif "CPU model:" in text and "Memory size:" in text:
            found.host.update(_nodeinfo(text, place))
        elif re.fullmatch(r"\s*\S{1,200}\s*", text):
            found.host["kernel"] = text.strip()
        else:
            msg = f"{place} is neither of uname -r, virsh nodeinfo, virsh version and virsh domstats: leave it out"
            raise InputError(msg)
    return found


def _rates(text: str) -> Iterator[tuple[str, float]]:
    """Dirty rates in MiB/s of the domains that were measured."""
    name, stats = "", dict[str, str]()
    for line in (*text.splitlines(), "Domain: ''"):
        if (domain := _DOMAIN.fullmatch(line.strip())) is not None:
            if name and stats.get("calc_status") == _MEASURED and "megabytes_per_second" in stats:
                yield name, float(stats["megabytes_per_second"])
            name, stats = domain[1], {}
        elif (stat := _STAT.fullmatch(line)) is not None:
            stats[stat[1]] = stat[2]


def _nodeinfo(text: str, place: str) -> dict[str, Any]:
    told = dict(line.partition(":")[::2] for line in text.splitlines())
    found: dict[str, Any] = {}
    size = told["Memory size"].split() if "Memory size" in told else []
    if len(size) == 2:
        found["memory_gib"] = bytes_of(size[0], size[1], place) / GIB
    if (cpus := told.get("CPU(s)", "").strip()) and re.fullmatch("[0-9]{1,6}", cpus):
        found["cores"] = int(cpus)
    found["is_other"] = told.get("CPU model", "").strip() not in ARM64
    return found


def _domain(root: Element, place: str, host: str, texts: _Texts, vms: Rows) -> bool:
    """Adds a domain of arm64; whether it is one."""
    if root.tag != "domain":
        msg = f"{place} is XML of <{shown(root.tag)[1:-1]}>: `virsh dumpxml` writes <domain>"
        raise InputError(msg)
    kind, memory, vcpu = root.find("os/type"), root.find("memory"), root.find("vcpu")
    name = (root.findtext("name") or "").strip()
    if len(name) > MOST_FIELD:
        msg = f"{place}: a name of {len(name)} characters; at most {MOST_FIELD} are taken"
        raise InputError(msg)
    if kind is not None and kind.get("arch", "") not in ARM64:
        return False
    size = None
    if memory is not None:
        size = bytes_of(memory.text or "", memory.get("unit", ""), f"{place}: memory") / GIB
    count = "" if vcpu is None else (vcpu.get("current") or vcpu.text or "").strip()
    if count and not re.fullmatch("[0-9]{1,6}", count):
        msg = f"{place}: vcpu is {shown(count)}: it must be a whole number"
        raise InputError(msg)
    why_not = _passed_through(root)
    vms.add(
        name=name,
        host=host,
        vcpus=int(count or 0),
        memory_gib=size,
        dirty_mib_per_s=texts.rates.get(name),
        moves="no" if why_not else "",
        why_not=why_not,
    )
    return True


def _passed_through(root: Element) -> str:
    """What of the host a domain has, so that it cannot be migrated; "" where it has nothing."""
    for device in root.iterfind("devices/hostdev"):
        return f"passed-through device ({device.get('type', 'hostdev')[:40]})"
    for device in root.iterfind("devices/interface"):
        if device.get("type") == "hostdev":
            return "passed-through network interface"
    return ""
