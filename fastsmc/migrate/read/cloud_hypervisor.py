"""Cloud Hypervisor's state.json: a tree of snapshots, in which each vCPU's state is JSON inside JSON.

cpu-manager -> snapshots -> "0", "1", … -> snapshot_data holds the state in one of three ways: up to v28 as
{"vcpu-section": {"snapshot": [bytes]}}, from v29 to v38 as [bytes], since v39 as {"state": text}. What a state has is
in `cloud_hypervisor_vcpu`. Source: Cloud Hypervisor vm-migration/src/lib.rs and vmm/src/cpu.rs at v20.0, v28.0, v29.0,
v38.0, v39.0 and v53.0; no recorded sample, so this is as documented.
"""

from __future__ import annotations

import json
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import RegisterFileError
from fastsmc.files.strict_json import parse
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.cloud_hypervisor_vcpu import add_registers, bytes_of
from fastsmc.migrate.read.members import member
from fastsmc.migrate.read.result import Format, Part
from fastsmc.migrate.read.told import Told

_AS_TEXT = "A part is a vCPU's state as JSON text inside the outer JSON, with its quotes escaped."
_AS_BYTES = "A part is a vCPU's state as JSON text inside the outer JSON, written as an array of bytes."
_ONE_VCPU = "one vCPU's state out of a Cloud Hypervisor snapshot; the whole state.json has all vCPUs"
_SECTION = "vcpu-section"


def is_ours(value: object) -> bool:
    """Whether a JSON value looks like a snapshot, or like one vCPU's state out of it."""
    return isinstance(value, dict) and any(key in value for key in ("snapshots", "snapshot_data", "Kvm", "sys_regs"))


def read(value: dict[str, Any], data: bytes) -> Told:
    """The registers of all vCPUs of a snapshot, or of a vCPU's state alone; `data` is the text it was read from.

    Raises:
        RegisterFileError: no cpu-manager, vCPUs that are not numbered from 0 on, or another shape.
    """
    registers = Registers()
    if "snapshots" not in value and "snapshot_data" not in value:
        add_registers(registers, value, "the vCPU's state")
        return Told(Format.CLOUD_HYPERVISOR, registers, part_of=_ONE_VCPU)
    manager = _cpu_manager(value)
    if manager is None:
        if not value.get("snapshot_data"):
            msg = 'no "cpu-manager" among its snapshots, so no vCPU\'s registers'
            raise RegisterFileError(msg)
        state = parse(_state(value, "the snapshot"), "the state")
        add_registers(registers, state, "the snapshot's state")
        return Told(Format.CLOUD_HYPERVISOR, registers, part_of=_ONE_VCPU)
    states: dict[int, str | bytes] = {}
    for key, node in member(manager, "snapshots", dict, "cpu-manager").items():
        if not _is_number(key):
            msg = f"cpu-manager: {shown(key)} is no vCPU's number"
            raise RegisterFileError(msg)
        states[int(key)] = _state(node, f"vCPU {key}")
    if sorted(states) != list(range(len(states))):
        msg = f"cpu-manager: {len(states)} vCPUs that are not numbered from 0 on"
        raise RegisterFileError(msg)
    for vcpu in range(len(states)):
        add_registers(registers, parse(states[vcpu], f"the state of vCPU {vcpu}"), f"vCPU {vcpu}")
    note = _AS_BYTES if any(isinstance(state, bytes) for state in states.values()) else _AS_TEXT
    return Told(Format.CLOUD_HYPERVISOR, registers, notes=(note,), parts=_parts(states, data))


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= 6 and str(int(key)) == key


def _state(node: object, what: str) -> str | bytes:
    """A vCPU's state as it is stored in its node."""
    inside: Any = member(node, "snapshot_data", (dict, list), what)
    if isinstance(inside, list):
        return bytes_of(inside, f"{what}, snapshot_data")
    if "state" in inside:
        text: str = member(inside, "state", str, f"{what}, snapshot_data")
        return text
    if _SECTION in inside:
        where = f"{what}, snapshot_data, {_SECTION}"
        return bytes_of(member(inside[_SECTION], "snapshot", list, where), f"{where}, snapshot")
    msg = f'{what}, snapshot_data has neither "state" nor "{_SECTION}": no vCPU\'s state is known in another form'
    raise RegisterFileError(msg)


def _parts(states: dict[int, str | bytes], data: bytes) -> tuple[Part, ...]:
    """Bytes of each vCPU's state as it stands in the file, without its quotes; nothing if it is not found there."""
    parts, at = [], 0
    for vcpu, state in states.items():
        stored = list(state) if isinstance(state, bytes) else state
        text = json.dumps(stored, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        at = data.find(text, at)
        if at < 0:
            return ()
        at += len(text)
        parts.append(Part("vcpu", vcpu, len(text) - 2))
    return tuple(parts)


def _cpu_manager(value: dict[str, Any]) -> dict[str, Any] | None:
    """The node whose snapshots are the vCPUs, which the file may begin with; None where there is none."""
    own = value.get("snapshots")
    if isinstance(own, dict) and own and all(map(_is_number, own)):
        return value
    pending: list[dict[str, Any]] = [value]
    while pending:
        inner = pending.pop().get("snapshots")
        if not isinstance(inner, dict):
            continue
        if isinstance(inner.get("cpu-manager"), dict):
            found: dict[str, Any] = inner["cpu-manager"]
            return found
        pending += [child for child in inner.values() if isinstance(child, dict)]
    return None
