"""Cloud Hypervisor's state.json: a tree of snapshots, in which each vCPU's state is JSON inside a JSON string.

cpu-manager -> snapshots -> "0", "1", … -> snapshot_data -> state = "{\\"Kvm\\": {core_regs, sys_regs, …}}". An entry of
sys_regs is struct kvm_one_reg with the value in place of the address, either {"id", "addr"} or, as kvm-bindings writes
structs since 0.10, its 16 bytes; core_regs is read where it is the 864 bytes of struct kvm_regs. extended_regs and
pre_finalize_regs (since 2026) are {"id", "data": bytes}. Source: Cloud Hypervisor vm-migration/src/lib.rs and
hypervisor/src/kvm/aarch64/mod.rs; no recorded sample, so this is as documented.
"""

from __future__ import annotations

import json
from typing import Any

from fastsmc.checks import LAST_U64
from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import ARCH_ARM64, CLASS_CORE, SIZE_SHIFT, reg_size
from fastsmc.migrate.read.banks import Registers, Values
from fastsmc.migrate.read.result import Format, Part
from fastsmc.migrate.read.strict_json import member, parse, whole
from fastsmc.migrate.read.told import Told

_ENTRY_BYTES, _CORE_BYTES = 16, 864
_WIDE_KEYS = ("pre_finalize_regs", "extended_regs", "wide_regs")
_CORE_LAYOUT = (
    *((offset, 3) for offset in range(0, 328, 8)),
    *((offset, 4) for offset in range(336, 848, 16)),
    (848, 2),
    (852, 2),
)
"""The core registers: (offset in struct kvm_regs, log2 of the bytes). Source: uapi/asm/kvm.h."""


def is_ours(value: object) -> bool:
    """Whether a JSON value looks like a snapshot, or like one vCPU's state out of it."""
    return isinstance(value, dict) and any(key in value for key in ("snapshots", "snapshot_data", "Kvm", "sys_regs"))


def read(value: dict[str, Any], data: bytes) -> Told:
    """The registers of all vCPUs of a snapshot, or of a vCPU's state alone; `data` is the text it was read from.

    Raises:
        RegisterFileError: no cpu-manager, vCPUs that are not numbered from 0 on, or another shape.
    """
    if "snapshots" not in value and "snapshot_data" not in value:
        return Told(Format.CLOUD_HYPERVISOR, [_vcpu(value, "the vCPU's state")])
    cpus = member(_cpu_manager(value), "snapshots", dict, "cpu-manager")
    states: dict[int, str] = {}
    for key, node in cpus.items():
        if not key.isascii() or not key.isdigit() or len(key) > 6 or str(int(key)) != key:
            msg = f"cpu-manager: {key[:40]!r} is no vCPU's number"
            raise RegisterFileError(msg)
        inside = member(node, "snapshot_data", dict, f"vCPU {key}")
        states[int(key)] = member(inside, "state", str, f"vCPU {key}, snapshot_data")
    if sorted(states) != list(range(len(states))):
        msg = f"cpu-manager: {len(states)} vCPUs that are not numbered from 0 on"
        raise RegisterFileError(msg)
    inner = [parse(states[vcpu], f"the state of vCPU {vcpu}") for vcpu in range(len(states))]
    vcpus = [_vcpu(state, f"vCPU {number}") for number, state in enumerate(inner)]
    note = "A part is a vCPU's state as JSON text inside the outer JSON, with its quotes escaped."
    return Told(Format.CLOUD_HYPERVISOR, vcpus, notes=(note,), parts=_parts(states, data))


def _parts(states: dict[int, str], data: bytes) -> tuple[Part, ...]:
    """Bytes of each vCPU's state as it stands in the file, without its quotes; nothing if it is not found there."""
    parts, at = [], 0
    for vcpu, state in states.items():
        text = json.dumps(state, ensure_ascii=False).encode("utf-8", "surrogatepass")
        at = data.find(text, at)
        if at < 0:
            return ()
        at += len(text)
        parts.append(Part("vcpu", vcpu, len(text) - 2))
    return tuple(parts)


def _cpu_manager(value: dict[str, Any]) -> dict[str, Any]:
    pending: list[dict[str, Any]] = [value]
    while pending:
        node = pending.pop()
        inner = node.get("snapshots")
        if not isinstance(inner, dict):
            continue
        if isinstance(inner.get("cpu-manager"), dict):
            found: dict[str, Any] = inner["cpu-manager"]
            return found
        pending += [child for child in inner.values() if isinstance(child, dict)]
    msg = 'no "cpu-manager" among its snapshots, so no vCPU\'s registers'
    raise RegisterFileError(msg)


def _vcpu(state: object, what: str) -> Values:
    if isinstance(state, dict) and "Kvm" in state:
        state = member(state, "Kvm", dict, what)
    registers = Registers(what)
    for number, entry in enumerate(member(state, "sys_regs", list, what)):
        where = f"{what}, sys_regs[{number}]"
        registers.add(*_one_reg(entry, where), where)
    assert isinstance(state, dict)
    for key in _WIDE_KEYS:
        for number, entry in enumerate(member(state, key, list, what) if key in state else ()):
            where = f"{what}, {key}[{number}]"
            reg = whole(f"{where}, id", member(entry, "id", int, where), last=LAST_U64)
            data = _bytes(member(entry, "data", list, where), reg_size(reg), f"{where}, data")
            registers.add(reg, int.from_bytes(data, "little"), where)
    core = state.get("core_regs")
    if isinstance(core, list):
        data = _bytes(core, _CORE_BYTES, f"{what}, core_regs")
        for offset, size in _CORE_LAYOUT:
            reg = ARCH_ARM64 | size << SIZE_SHIFT | CLASS_CORE | offset // 4
            value = int.from_bytes(data[offset : offset + (1 << size)], "little")
            registers.add(reg, value, f"{what}, core_regs")
    return registers.values


def _one_reg(entry: object, where: str) -> tuple[int, int]:
    """Id and value of an entry of sys_regs."""
    if isinstance(entry, list):
        data = _bytes(entry, _ENTRY_BYTES, where)
        return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
    reg = whole(f"{where}, id", member(entry, "id", int, where), last=LAST_U64)
    return reg, whole(f"{where}, register {reg:#x}, addr", member(entry, "addr", int, where), last=LAST_U64)


def _bytes(entries: list[object], n_bytes: int, where: str) -> bytes:
    if len(entries) != n_bytes:
        msg = f"{where}: {len(entries)} bytes where {n_bytes} belong"
        raise RegisterFileError(msg)
    return bytes(whole(f"{where}, a byte", entry, last=255) for entry in entries)
