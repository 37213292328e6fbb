"""Make fastsmc/data/qemu_virt_<version>.json from what real QEMU says of its own streams.

Run by hand, from the root of the project, with qemu-system-aarch64 7.2 or 10.0 on PATH:
python tools/make_qemu_sections.py
With --check nothing is written, and the exit code says whether the file is what this QEMU gives.

Every stream ends in a description of itself. Here a few guests that differ in one option each are migrated, and the
fullest description of each device is kept, with the option each optional piece needs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from qemu_migrate import ZA_GUEST, migrate, version

from fastsmc.migrate.read.detect import inspect

VERSION = ".".join((version() or "7.2").split(".")[:2])
OUT = Path(f"fastsmc/data/qemu_virt_{VERSION}.json")

# Device, instance, what the guest must have. In the order of a stream.
SECTIONS = [
    ("arm_gicv3", 0, "gic3"),
    ("arm_gicv3_its", 0, "its"),
    ("timer", 0, ""),
    ("slirp", 0, "nic"),
    ("pflash_cfi01", 0, ""),
    ("pflash_cfi01", 1, ""),
    ("cpu_common", 0, ""),
    ("cpu", 0, ""),
    ("arm_gic", 0, "gic2"),
    ("pl011", 0, ""),
    ("pl011", 1, "secure"),
    ("pl031", 0, ""),
    ("0000:00:00.0/gpex_root", 0, ""),
    ("PCIHost", 0, ""),
    ("PCIBUS", 0, ""),
    ("0000:00:01.0/virtio-net", 0, "nic"),
    ("pl061", 0, ""),
    ("gpio-key", 0, ""),
    ("pl061", 1, "secure"),
    ("fw_cfg", 0, ""),
    ("virt_acpi_build", 0, "acpi"),
    ("globalstate", 0, ""),
]
SUBSECTIONS = {
    "arm_gicv3_cpu/virt": "virtualization",
    "arm_gicv3_cpu/sre_el1": "tcg",
    "arm_gic_virt_state": "virtualization",
    "cpu/sve": "sve",
    "cpu/sme": "za",
    "arm_gicv3/gicd_nmi": "max",
    "arm_gicv3_cpu/nmi": "max",
    "cpu/wfxt-timer": "max",
    "fw_cfg/acpi_mr": "acpi",
}


def described(*arguments: str, folder: Path, run_s: float = 0) -> dict[str, Any]:
    """The stream's own description, and with it how many bytes of commands there were."""
    common = ("-m", "64M", "-global", "virtio-net-pci.romfile=")
    stream = migrate(*arguments, *common, out=folder / "stream", run_s=run_s)
    file = inspect(folder / "stream")
    description: dict[str, Any] = json.loads(stream[-file.description_bytes :])
    return description | {"command_bytes": sum(part.n_bytes for part in file.parts if part.name == "command")}


def marked(node: dict[str, Any]) -> dict[str, Any]:
    """The layout of a device, with what each optional subsection needs."""
    copy = {key: marked(value) if key == "struct" else value for key, value in node.items()}
    if "fields" in node:
        copy["fields"] = [marked(field) for field in node["fields"]]
    if "subsections" in node:
        copy["subsections"] = [
            {"needs": SUBSECTIONS.get(sub["vmsd_name"], "")} | marked(sub) for sub in node["subsections"]
        ]
    return copy


def head(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """What the data file says of a stream as a whole, from streams of one and of two vCPUs."""
    (gic,) = (device for device in two["devices"] if device["name"] == "arm_gicv3")
    return {
        "source": f"QEMU {version()}'s own description of its streams, machine virt-{VERSION}, TCG; "
        "measured November 2026",
        "made_by": "tools/make_qemu_sections.py",
        "machine": f"virt-{VERSION}",
        "last_has_index": "index" in gic["fields"][-1],
    } | {key: value for key, value in one.items() if key != "devices"}


def main() -> int:
    """Writes or checks the file."""
    fullest: dict[tuple[str, int], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        guest = folder / "za.bin"
        guest.write_bytes(ZA_GUEST)
        streams = [
            described("-M", "virt,gic-version=3,virtualization=on,secure=on", "-cpu", "max", folder=folder),
            described("-M", "virt,gic-version=2,virtualization=on", "-cpu", "max", folder=folder),
            described("-M", "virt", "-cpu", "max", "-kernel", str(guest), folder=folder, run_s=1),
        ]
        two = described("-M", "virt,gic-version=3", "-cpu", "max", "-smp", "2", folder=folder)
    for device in (device for described_ in streams for device in described_["devices"]):
        key = device["name"], device["instance_id"]
        if len(json.dumps(device)) > len(json.dumps(fullest.get(key, ""))):
            fullest[key] = device
    if missing := set(fullest) ^ {key[:2] for key in SECTIONS}:
        print(f"in the streams or in the table, but not in both: {sorted(missing)}")
        return 1
    lines = [json.dumps({"needs": needs} | marked(fullest[name, i])) for name, i, needs in SECTIONS]
    text = json.dumps(head(streams[0], two))[:-1] + ', "sections": [\n' + ",\n".join(lines) + "\n]}\n"
    if "--check" in sys.argv:
        # A later patch release has another number in its source, and may have nothing else.
        same = json.loads(OUT.read_text("utf-8")) | {"source": ""} == json.loads(text) | {"source": ""}
        print(f"{OUT} is {'' if same else 'not '}what QEMU {version()} gives")
        return not same
    OUT.write_text(text, "utf-8")
    print(f"wrote {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
