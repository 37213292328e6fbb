"""A VM's vCPUs, of any values, as a file of each format that `check` takes. None tells its kernel."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastsmc.facts.registers import CLASS_CORE, CLASS_SVE, reg_class, reg_size
from fastsmc.migrate.compat.likely import shown_features
from tests.support.read_samples import expression, stream

Values = Mapping[int, int]
APART = (CLASS_CORE, CLASS_SVE)
_STREAM = "cortex-a57-2-block-nodesc.bin.xz"
_COUNT = 580
"""Where a cpu section's array length stands, from its type byte's next on."""


def fingerprint(vcpus: Sequence[Values]) -> bytes:
    """One vCPU as `cpu-template-helper fingerprint dump` prints it."""
    modifiers = [{"addr": f"{reg:#x}", "bitmap": f"0b{value:0{8 * reg_size(reg)}b}"} for reg, value in vcpus[0].items()]
    config = {"kvm_capabilities": [], "vcpu_features": [], "reg_modifiers": modifiers}
    return json.dumps({"kernel_version": "", "guest_cpu_config": config}).encode()


def cloud_hypervisor(vcpus: Sequence[Values]) -> bytes:
    """A state.json, core registers among the others."""
    cpus: dict[str, Any] = {}
    for number, values in enumerate(vcpus):
        small = [{"id": reg, "addr": value} for reg, value in values.items() if reg_size(reg) <= 8]
        wide = [
            {"id": reg, "data": list(value.to_bytes(reg_size(reg), "little"))}
            for reg, value in values.items()
            if reg_size(reg) > 8
        ]
        state = {"Kvm": {"sys_regs": small, "extended_regs": wide}}
        cpus[str(number)] = {"snapshots": {}, "snapshot_data": {"state": json.dumps(state)}}
    manager = {"snapshots": cpus, "snapshot_data": {"state": "{}"}}
    return json.dumps({"snapshots": {"cpu-manager": manager}, "snapshot_data": None}).encode()


def snapshot_editor(vcpus: Sequence[Values]) -> bytes:
    """Values filled up with zeros, which can all be read back."""
    lines = []
    for number, values in enumerate(vcpus):
        lines += [f"vcpu {number}:", *(f"{reg:#x} 0x{value:0{2 * reg_size(reg)}x}" for reg, value in values.items())]
    return "\n".join(lines).encode()


def reg_list(vcpus: Sequence[Values]) -> bytes:
    """Ids as get-reg-list prints them."""
    return "".join(f"\t{expression(reg)},\n" for reg in vcpus[0]).encode()


def recorded_list(vcpus: Sequence[Values]) -> bytes:
    """A line of recorded lists, without its host's meta.json: values of 64 bits at most."""
    regs = [[f"{reg:#x}", f"{value & (1 << 64) - 1:#x}", 0] for reg, value in vcpus[0].items()]
    return json.dumps({"feat": shown_features(dict(vcpus[0]), None), "regs": regs}).encode()


def recorded_payload(vcpus: Sequence[Values]) -> bytes:
    """A recorded payload, without its host's meta.json."""
    whole = [struct.pack("<Q", reg) + value.to_bytes(reg_size(reg), "little") for reg, value in vcpus[0].items()]
    return struct.pack("<Q", len(whole)) + b"".join(whole)


def _arrays(values: Values) -> tuple[list[int], list[int]]:
    ids = sorted(reg for reg in values if reg_class(reg) not in APART)
    return ids, [values[reg] for reg in ids]


def analyze_migration(vcpus: Sequence[Values]) -> bytes:
    """Register arrays as `analyze-migration.py -d state` prints them."""
    sections: dict[str, Any] = {"ram (2)": {"section sizes": {"mach-virt.ram": "0x0"}}}
    for number, values in enumerate(vcpus):
        ids, words = _arrays(values)
        arrays: dict[str, Any] = {"cpreg_vmstate_array_len": f"0x{len(ids):08x}"}
        arrays |= {"cpreg_vmstate_indexes": [f"0x{reg:016x}" for reg in ids]}
        sections[f"cpu ({number + 7})"] = arrays | {"cpreg_vmstate_values": [f"0x{word:016x}" for word in words]}
    return json.dumps(sections).encode()


def qemu_stream(vcpus: Sequence[Values]) -> bytes:
    """A real stream of two vCPUs with other register arrays."""
    data, made, done = stream(_STREAM), bytearray(), 0
    for number, values in enumerate((*vcpus, *vcpus)[:2]):
        at = data.index(b"\x03cpu" + struct.pack(">II", number, 22))
        (count,) = struct.unpack_from(">I", data, at + _COUNT)
        ids, words = _arrays(values)
        made += data[done : at + _COUNT] + struct.pack(f">I{2 * len(ids)}Q", len(ids), *ids, *words)
        done = at + _COUNT + 4 + 16 * count
    return bytes(made + data[done:])


OF_VMS: dict[str, Callable[[Sequence[Values]], bytes]] = {
    "cloud-hypervisor": cloud_hypervisor,
    "snapshot-editor": snapshot_editor,
    "analyze-migration": analyze_migration,
    "qemu-stream": qemu_stream,
}
"""Formats that tell all vCPUs of a VM."""
ALL: dict[str, Callable[[Sequence[Values]], bytes]] = {
    **OF_VMS,
    "fingerprint": fingerprint,
    "get-reg-list": reg_list,
    "recorded-reglist": recorded_list,
    "recorded-payload": recorded_payload,
}
