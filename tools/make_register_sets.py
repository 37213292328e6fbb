"""Make fastsmc/data/register_sets.json, and fastsmc/data/payloads, from recordings of real kernels.

Run by hand, from the root of the project: python tools/make_register_sets.py ../shared/kvm-recordings

Reads every host's reglist.jsonl.xz (KVM_GET_REG_LIST per feature set) and checks the ids against the totals the
recorder counted inside the guest. The payloads of hosts that others restored from are copied as they are.
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
    "mask: bit i set = ids[i] listed. refused: errno of KVM_ARM_VCPU_INIT"
)


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


def main(recordings: Path) -> None:
    """Read all hosts, number the union of their ids, write one mask per set."""
    hosts = [read_host(folder) for folder in sorted(recordings.glob("linux-*")) if folder.is_dir()]
    if not hosts:
        msg = f"{recordings}: no linux-<release>-<cpu> folders here"
        raise SystemExit(msg)
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
                (host for host, _sets in hosts), key=lambda h: (*map(int, h["release"].split(".")), h["cpu"])
            ),
        },
        indent=1,
    )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(text + "\n")
    for path in sorted(recordings.glob("linux-*-max/payload-*.bin.xz")):
        copy = PAYLOADS / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
