"""Small files of every format that `inspect` knows, for tests: from recordings, or as documented."""

from __future__ import annotations

import io
import json
import lzma
import struct
from functools import cache
from typing import Any

from tests.support.places import TESTS

STREAMS = TESTS / "streams"
HOST = TESTS / "recordings" / "linux-6.12.107-max"


@cache
def payload(features: str = "psci02+sve") -> bytes:
    """A recorded payload: u64 count, then u64 id and the value's bytes, little-endian."""
    return lzma.decompress((HOST / f"payload-{features}.bin.xz").read_bytes())


@cache
def payload_values(features: str = "psci02+sve") -> dict[int, bytes]:
    """The payload's registers by id, values as their bytes."""
    data, at, found = payload(features), 8, {}
    for _ in range(struct.unpack_from("<Q", data)[0]):
        (reg,) = struct.unpack_from("<Q", data, at)
        size = 1 << (reg >> 52 & 15)
        found[reg] = data[at + 8 : at + 8 + size]
        at += 8 + size
    assert at == len(data)
    return found


def fingerprint(features: str = "psci02") -> bytes:
    """The recorded values in the form of Firecracker's CPU fingerprint: 128 digits, or more."""
    modifiers = [
        {"addr": f"{reg:#x}", "bitmap": f"0b{int.from_bytes(value, 'little'):0{max(128, 8 * len(value))}b}"}
        for reg, value in payload_values(features).items()
    ]
    config = {"kvm_capabilities": [], "vcpu_features": [], "reg_modifiers": modifiers}
    return json.dumps({"kernel_version": "6.12.107", "guest_cpu_config": config}, indent=2).encode()


def snapshot_editor(features: str = "psci02", n_vcpu: int = 2) -> bytes:
    """Bytes highest first, each without its leading zero, as the tool prints them."""
    lines = []
    for vcpu in range(n_vcpu):
        lines += [f"vcpu {vcpu}:", "kvm_mp_state: 0x0", f"mpidr: {0x8000_0000 + vcpu:#x}"]
        for reg, value in payload_values(features).items():
            lines.append(f"{reg:#x} 0x" + "".join(f"{byte:x}" for byte in reversed(value)))
        lines.append("")
    return "\n".join(lines).encode()


def expression(reg: int) -> str:
    """A register as the selftest prints it, from its bits."""
    size, kind, low = 8 << (reg >> 52 & 15), reg >> 16 & 0xFFF, reg & 0xFFFF
    head = f"KVM_REG_ARM64 | KVM_REG_SIZE_U{size} | "
    if kind == 0x10:
        names = {62: "regs.sp", 64: "regs.pc", 66: "regs.pstate", 68: "sp_el1", 70: "elr_el1"}
        names |= {212: "fp_regs.fpsr", 213: "fp_regs.fpcr"} | {2 * n: f"regs.regs[{n}]" for n in range(31)}
        names |= {72 + 2 * n: f"spsr[{n}]" for n in range(5)} | {84 + 4 * n: f"fp_regs.vregs[{n}]" for n in range(32)}
        return f"{head}KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG({names[low]})"
    if kind == 0x11:
        return f"{head}KVM_REG_ARM_DEMUX | KVM_REG_ARM_DEMUX_ID_CCSIDR | {low}"
    if kind == 0x13:
        return f"ARM64_SYS_REG({low >> 14}, {low >> 11 & 7}, {low >> 7 & 15}, {low >> 3 & 15}, {low & 7})"
    if kind == 0x15:
        if low in (0xFFFF, 0x600):
            return "KVM_REG_ARM64_SVE_VLS" if low == 0xFFFF else "KVM_REG_ARM64_SVE_FFR(0)"
        return f"KVM_REG_ARM64_SVE_{'Z' if low < 0x400 else 'P'}REG({(low & 0x3FF) >> 5}, 0)"
    return f"{'KVM_REG_ARM_FW_REG' if kind == 0x14 else 'KVM_REG_ARM_FW_FEAT_BMAP_REG'}({low})"


def reg_list(features: str = "psci02+sve") -> bytes:
    """The recorded ids as the selftest prints a list."""
    return ("\n" + "".join(f"\t{expression(reg)},\n" for reg in payload_values(features)) + "\n").encode()


def _core_object(core: bytes) -> dict[str, Any]:
    """struct kvm_regs with the names of its fields, as kvm-bindings wrote structs before 0.10."""
    word = lambda at, size=8: int.from_bytes(core[at : at + size], "little")  # noqa: E731
    regs = {"regs": [word(8 * n) for n in range(31)], "sp": word(248), "pc": word(256), "pstate": word(264)}
    fp = {"vregs": [word(336 + 16 * n, 16) for n in range(32)], "fpsr": word(848, 4), "fpcr": word(852, 4)}
    spsr = [word(288 + 8 * n) for n in range(5)]
    own = {"sp_el1": word(272), "elr_el1": word(280), "spsr": spsr, "__bindgen_padding_0": [0, 0]}
    return {"regs": regs, **own, "fp_regs": {**fp, "__reserved": [0, 0]}}


def _hypervisor_vcpu(features: str, is_bytes: bool, is_object: bool) -> dict[str, Any]:
    values = payload_values(features)
    core = bytearray(864)
    sys_regs: list[object] = []
    for reg, value in values.items():
        if reg >> 16 & 0xFFF == 0x10:
            core[4 * (reg & 0xFFFF) : 4 * (reg & 0xFFFF) + len(value)] = value
        elif len(value) <= 8:
            number = int.from_bytes(value, "little")
            sys_regs.append(list(struct.pack("<QQ", reg, number)) if is_bytes else {"id": reg, "addr": number})
    wide = [{"id": r, "data": list(v)} for r, v in values.items() if len(v) > 8 and r >> 16 & 0xFFF != 0x10]
    core_regs = _core_object(bytes(core)) if is_object else list(core)
    state = {"mp_state": [0, 0, 0, 0], "core_regs": core_regs, "sys_regs": sys_regs}
    return {"Kvm": state | ({"extended_regs": wide} if wide else {})}


def cloud_hypervisor(
    features: str = "psci02", n_vcpu: int = 2, *, is_bytes: bool = False, layout: str = "v39"
) -> bytes:
    """A snapshot as documented: vCPU states as JSON inside the tree, of v20, v29 or v39 on."""
    inner = json.dumps(_hypervisor_vcpu(features, is_bytes, layout != "v39"), separators=(",", ":"))
    stored: dict[str, Any] | list[int] = {
        "v20": {"vcpu-section": {"id": "vcpu-section", "snapshot": list(inner.encode())}},
        "v29": list(inner.encode()),
        "v39": {"state": inner},
    }[layout]
    cpus = {str(vcpu): {"snapshots": {}, "snapshot_data": stored} for vcpu in range(n_vcpu)}
    manager = {"snapshots": cpus, "snapshot_data": {"v20": {}, "v29": None, "v39": {"state": "{}"}}[layout]}
    tree = {"snapshots": {"cpu-manager": manager, "memory-manager": {"snapshots": {}}}, "snapshot_data": None}
    return json.dumps(tree, separators=(",", ":")).encode()


@cache
def stream(name: str = "cortex-a57-2.bin.xz") -> bytes:
    return lzma.decompress((STREAMS / name).read_bytes())


def analyze_migration(name: str = "cortex-a57-2.bin.xz") -> bytes:
    """Cut from a stream: what `analyze-migration.py -d state` prints of the register arrays, and of nothing else."""
    data, at, sections, order = stream(name), 0, {"ram (2)": {"section sizes": {"mach-virt.ram": "0x0"}}}, 0
    while (at := data.find(b"\x03cpu", at + 1)) >= 0:
        section_id, (instance, version) = data[at - 1], struct.unpack_from(">II", data, at + 4)
        if data[at - 5] == 4 and version == 22 and instance == order:
            (count,) = struct.unpack_from(">I", data, at + 580)
            words = [f"0x{word:016x}" for word in struct.unpack_from(f">{2 * count}Q", data, at + 584)]
            arrays: dict[str, Any] = {"cpreg_vmstate_array_len": f"0x{count:08x}"}
            arrays |= {"cpreg_vmstate_indexes": words[:count], "cpreg_vmstate_values": words[count:]}
            sections[f"cpu ({section_id})"] = arrays
            order += 1
    return json.dumps(sections, indent=4, separators=(",", ": ")).encode()


def reglist_lines() -> bytes:
    """Recorded register lists of every feature set of a host, JSON lines."""
    return lzma.decompress((HOST / "reglist.jsonl.xz").read_bytes())


@cache
def small_stream(name: str) -> bytes:
    """A stream without its guest memory: the sections of memory are left out, all else stays as QEMU wrote it."""
    from fastsmc.migrate.read.detect import inspect

    data, at, kept = stream(name), 0, []
    for part in inspect(STREAMS / name).parts:
        kept.append(b"" if part.name == "ram" else data[at : at + part.n_bytes])
        at += part.n_bytes
    return b"".join(kept) + data[at:]


@cache
def described_stream() -> bytes:
    """A stream of a few devices and a description of just these; the vCPU has SVE."""
    from fastsmc.migrate.read.detect import inspect

    data, at, kept = small_stream("max-1.bin.xz"), 0, []
    keep = ("header", "configuration", "timer", "pflash_cfi01", "cpu_common", "cpu", "end of stream")
    for part in inspect(io.BytesIO(data)).parts:
        kept.append(data[at : at + part.n_bytes] if part.name in keep else b"")
        at += part.n_bytes
    described = json.loads(data[at:])
    described["devices"] = [device for device in described["devices"] if device["name"] in keep]
    text = json.dumps(described).encode()
    return b"".join(kept) + b"\x06" + len(text).to_bytes(4, "big") + text


@cache
def memory_stream() -> bytes:
    """A small stream with guest memory: two blocks, zero pages, a page, and the devices of a real one."""
    data = small_stream("cortex-a57-2-caps.bin.xz").replace(b"\x0fx-ignore-shared", b"\x0fx-ignore-sharex")
    blocks = b"\x0dmach-virt.ram" + (4 << 12).to_bytes(8, "big") + b"\x01x" + (1 << 12).to_bytes(8, "big")
    records = ((5 << 12) | 4).to_bytes(8, "big") + blocks + (0x10).to_bytes(8, "big")
    start = b"\x01\0\0\0\x02\x03ram" + (4).to_bytes(8, "big") + records + b"\x7e\0\0\0\x02"
    pages = (
        (0x02).to_bytes(8, "big")
        + b"\x0dmach-virt.ram\0"
        + b"".join((n << 12 | 0x22).to_bytes(8, "big") + b"\0" for n in (1, 2))
    )
    pages += (3 << 12 | 0x28).to_bytes(8, "big") + bytes(4096) + (0x40).to_bytes(8, "big") + b"\x01x\x01\0\x03abc"
    end = b"\x03\0\0\0\x02" + pages + (0x10).to_bytes(8, "big") + b"\x7e\0\0\0\x02"
    first = data.index(b"\x04\0\0\0")
    return data[:first] + start + end + data[first:]
