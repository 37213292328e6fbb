"""Make fastsmc/data/register_sets.json, and fastsmc/data/payloads, from recordings of real kernels.

Run by hand, from the root of the project:
python tools/make_register_sets.py tests/recordings

A series has one list per CPU, that of its oldest recorded update: a later one must have the same.

Reads every host's reglist.jsonl.xz (KVM_GET_REG_LIST per feature set) and checks the ids against the totals the
recorder counted inside the guest. The payloads of hosts that others restored from are copied as they are. Of hosts that
were booted with kvm-arm.mode=nested the lists of vCPUs with EL2 are taken, from nested.jsonl.xz; their other lists are
those of the release without that mode, and that is checked too.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "fastsmc" / "data" / "register_sets.json"
PAYLOADS = OUT.parent / "payloads"
SOURCE = (
    "KVM_GET_REG_LIST of Debian's arm64 kernels under QEMU 7.2 TCG (virt, EL2 emulated), recorded November 2026: "
    "kvm-recordings/linux-<release>-<cpu>/reglist.jsonl.xz. cpu max = QEMU's max with pauth-impdef, n1 = neoverse-n1. "
    "mask: bit i set = ids[i] listed. refused: errno of KVM_ARM_VCPU_INIT. Hosts called -nested were booted with "
    "kvm-arm.mode=nested under QEMU 10.0, whose CPU has FEAT_NV2: nested-recordings/<release>/nested.jsonl.xz"
)
NESTED = {"0x80": "none+el2", "0x84": "psci02+el2", "0x184": "psci02+el2+e2h0", "0xfc": "psci02+pmu+sve+pauth+el2"}
"""vCPU features with EL2 by word 0 of KVM_ARM_VCPU_INIT, as nested.jsonl.xz has them."""


def checked_ids(line: dict[str, Any], where: str) -> set[int]:
    """The ids of one list, if their number, bytes and classes are those the recorder counted."""
    ids = {int(reg, 16) for reg, _value, _errno in line["regs"]}
    by_class: dict[str, list[int]] = {}
    for reg in ids:
        count = by_class.setdefault(f"0x{reg >> 16 & 0xFFF:04x}", [0, 0])
        count[0] += 1
        count[1] += 1 << (reg >> 52 & 0xF)
    if len(ids) != line["n"] or by_class != line["by_class"]:
        msg = f"{where}: {len(ids)} ids, {by_class}; the recorder counted {line['n']}, {line['by_class']}"
        raise SystemExit(msg)
    return ids


def read_host(folder: Path) -> tuple[dict[str, Any], dict[str, set[int]]]:
    """One host's description, and its ids by feature set."""
    _linux, release, cpu = folder.name.split("-")
    meta = json.loads((folder / "meta.json").read_text())
    sets: dict[str, set[int]] = {}
    refused: dict[str, int] = {}
    with lzma.open(folder / "reglist.jsonl.xz", "rt") as lines:
        for line in map(json.loads, lines):
            if "regs" in line:
                sets[line["feat"]] = checked_ids(line, f"{folder.name} {line['feat']}")
            elif line.get("init_errno"):
                refused[line["feat"]] = line["init_errno"]
    host = {"release": release, "cpu": cpu, "uname": meta["release"], "version": meta["version"], "refused": refused}
    return host, sets


def one_per_series(hosts: list[Any]) -> list[Any]:
    """The hosts without later updates of a series that is there, whose lists are the same."""
    kept: dict[tuple[Any, ...], Any] = {}
    for host, sets in sorted(hosts, key=lambda one: _version(one[0]["release"])):
        first, listed = kept.setdefault((_version(host["release"])[:2], host["cpu"]), (host, sets))
        if listed != sets:
            msg = f"{host['release']} on {host['cpu']} has other lists than {first['release']}: a series has one"
            raise SystemExit(msg)
    return list(kept.values())


def _version(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def nested_host(folder: Path, ordinary: dict[str, dict[str, set[int]]]) -> tuple[dict[str, Any], dict[str, set[int]]]:
    """A host in the mode `nested`, and its ids by feature set with EL2.

    Args:
        ordinary: lists of the hosts on the same CPU by release, for vCPUs without EL2.
    """
    meta = json.loads((folder / "meta.json").read_text())
    release = folder.name.split("-")[1]
    sets: dict[str, set[int]] = {}
    with lzma.open(folder / "nested.jsonl.xz", "rt") as lines:
        for line in map(json.loads, lines):
            if line.get("t") == "reg_list" and line["features"] in NESTED:
                sets[NESTED[line["features"]]] = {int(reg, 16) for reg, _value, _errno in line["regs"]}
    with lzma.open(folder / "reglist.jsonl.xz", "rt") as lines:
        for line in map(json.loads, lines):
            if "regs" in line:
                ids = checked_ids(line, f"{folder.name} {line['feat']}")
                if ids != (sets if "el2" in line["feat"] else ordinary[release])[line["feat"]]:
                    msg = f"{folder.name} {line['feat']}: another list than the same release's elsewhere"
                    raise SystemExit(msg)
    names = {"release": release, "cpu": "max", "name": folder.name}
    return names | {"uname": meta["release"], "version": meta["version"], "refused": {}}, sets


def main(recordings: Path) -> None:
    """Read all hosts, number the union of their ids, write one mask per set."""
    folders = [path.parent for path in sorted(recordings.glob("linux-*/reglist.jsonl.xz"))]
    hosts = one_per_series([read_host(folder) for folder in folders if folder.name.count("-") == 2])
    if not hosts:
        msg = f"{recordings}: no linux-<release>-<cpu> folders here"
        raise SystemExit(msg)
    ordinary = {host["release"]: sets for host, sets in hosts if host["cpu"] == "max"}
    with_el2 = [folder for folder in folders if (folder / "payload-psci02+el2.bin.xz").exists()]
    hosts += [nested_host(folder, ordinary) for folder in with_el2]
    ids = sorted({reg for _host, sets in hosts for listed in sets.values() for reg in listed})
    for host, sets in hosts:
        host["sets"] = {
            name: f"{sum(1 << i for i, reg in enumerate(ids) if reg in listed):x}" for name, listed in sets.items()
        }
    text = json.dumps(
        {
            "source": SOURCE,
            "made_by": "tools/make_register_sets.py",
            "ids": [f"{reg:x}" for reg in ids],
            "hosts": sorted(
                (host for host, _sets in hosts),
                key=lambda h: (*map(int, h["release"].split(".")), h["cpu"], "name" in h),
            ),
        },
        indent=1,
    )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(text + "\n")
    known = [recordings / f"linux-{host['release']}-max" for host, _sets in hosts if host["cpu"] == "max"]
    for path in (path for folder in {*known, *with_el2} for path in folder.glob("payload-*.bin.xz")):
        copy = PAYLOADS / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
