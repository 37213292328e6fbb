"""Runs inside an emulated host: saves vCPUs in several states, or loads those that other hosts saved.

    hosts_judge_inside.py               writes save.json: the host profile, and payloads by features and state
    hosts_judge_inside.py SAVED.json    writes load.json: what KVM_SET_ONE_REG said to each register of each payload

It needs the stand-alone probe beside it, as fastsmc_probe.py, and nothing else that is not in Python. A payload is
[[id, value], ...] in list order. It is loaded as a destination does it: vCPU made, initialised and finalised, GICv3
and PMU set up, nothing run.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import json
import mmap
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
try:
    import fastsmc_probe as probe
except ImportError:  # where the project is
    from fastsmc.probing import standalone as probe

KVM_SET_USER_MEMORY_REGION = probe._ioc(1, 0x46, 32)
KVM_RUN = probe._ioc(0, 0x80, 0)
GUEST = 0x40000000
CODE = struct.pack("<II", 0xD2A20001, 0xB9000020)
"""mov x1, #0x10000000; str w0, [x1]: no memory is there, so KVM_RUN returns with KVM_EXIT_MMIO."""
SIZE = 1 << 16
PC = 0x6030000000100040
"""Core register regs.pc. Source: arch/arm64/include/uapi/asm/kvm.h."""
GICV3, ADDRESS, CONTROL, DISTRIBUTOR, REDISTRIBUTORS = 7, 0, 4, 2, 3
PMU_CONTROL, PMU_IRQ, PMU_INIT, PMU_PPI = 0, 0, 1, 23
OLD_BITMAPS = {0: 0x1, 1: 0x1, 2: 0x3}
"""Bits of each bitmap register that Linux 6.1 knows."""
SETS = ("none", "psci02", "psci02+pmu", "psci02+sve", "psci02+pauth", "psci02+pmu+sve+pauth")
BITS = {
    "psci02": probe.PSCI_0_2,
    "pmu": probe.PMU,
    "sve": probe.SVE,
    "pauth": probe.PAUTH,
}
STATES = ("fresh", "ran", "psci-1.0", "bitmaps-0", "bitmaps-6.1", "oldest", "id-zeroed", "id-lowered")
FULL_SETS, FEW_STATES = ("psci02+pmu", "psci02+pmu+sve+pauth"), ("fresh", "oldest", "id-lowered")
"""Every state is saved of the first, and these states of the other sets: a boot is to load all in a minute or two."""
Payload = list  # of [id, value]


class Machine:
    """A VM with one vCPU, as a VMM has it before it runs."""

    def __init__(self, kvm: probe.Descriptor, features: str, lengths: int | None = None) -> None:
        bits = sum(BITS.get(name, 0) for name in features.split("+"))
        self.system, self.stack = kvm.system, contextlib.ExitStack()
        self.vm = self.stack.enter_context(kvm.new("KVM_CREATE_VM", probe.KVM_CREATE_VM))
        self.vcpu = self.stack.enter_context(self.vm.new("KVM_CREATE_VCPU", probe.KVM_CREATE_VCPU))
        target = bytearray(32)
        self.vm.must("KVM_ARM_PREFERRED_TARGET", probe.KVM_ARM_PREFERRED_TARGET, target)
        struct.pack_into("=I", target, 4, bits)
        self.vcpu.must(f"KVM_ARM_VCPU_INIT of {features}", probe.KVM_ARM_VCPU_INIT, target)
        self.lengths_errno = None if lengths is None else self.set(probe.SVE_VLS, lengths)
        if bits & probe.SVE:
            self.vcpu.must("FINALIZE", probe.KVM_ARM_VCPU_FINALIZE, bytearray(struct.pack("=i", probe.FINALIZE_SVE)))
        self.has_pmu = bool(bits & probe.PMU)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def set_up(self) -> None:
        """GICv3 and PMU, as QEMU's machine virt has them."""
        request = bytearray(struct.pack("=III", GICV3, 0, 0))
        self.vm.must("KVM_CREATE_DEVICE of a GICv3", probe.KVM_CREATE_DEVICE, request)
        gic = self.stack.enter_context(probe.Descriptor(self.system, struct.unpack("=III", request)[1]))
        for attribute, address in ((DISTRIBUTOR, 0x8000000), (REDISTRIBUTORS, 0x80A0000)):
            self._attribute(gic, ADDRESS, attribute, array.array("B", struct.pack("=Q", address)))
        self._attribute(gic, CONTROL, 0)
        if self.has_pmu:
            self._attribute(self.vcpu, PMU_CONTROL, PMU_IRQ, array.array("B", struct.pack("=i", PMU_PPI)))
            self._attribute(self.vcpu, PMU_CONTROL, PMU_INIT)

    def _attribute(self, of: probe.Descriptor, group: int, attribute: int, room: array.array | None = None) -> None:
        address = room.buffer_info()[0] if room is not None else 0
        code = of.attribute_errno(probe.KVM_SET_DEVICE_ATTR, group, attribute, address)
        if code:
            raise OSError(code, f"KVM_SET_DEVICE_ATTR {group} {attribute}")

    def set(self, reg: int, value: int) -> int:
        """KVM_SET_ONE_REG's errno."""
        room = array.array("B", value.to_bytes(1 << (reg >> 52 & 0xF), "little"))
        return self.vcpu.errno(probe.KVM_SET_ONE_REG, bytearray(struct.pack("=QQ", reg, room.buffer_info()[0])))

    def run(self) -> None:
        """Lets the vCPU run two instructions."""
        memory = mmap.mmap(-1, SIZE)
        memory[: len(CODE)] = CODE
        there = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        region = bytearray(struct.pack("=IIQQQ", 0, 0, GUEST, SIZE, there))
        self.vm.must("KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, region)
        if self.set(PC, GUEST):
            raise OSError(errno.EINVAL, "PC")
        self.vcpu.must("KVM_RUN", KVM_RUN)

    def values(self) -> Payload:
        """What a VMM saves."""
        found = []
        for reg in probe._listed(self.vcpu):
            code, value = self.vcpu.get(reg)
            if code:
                raise OSError(code, f"KVM_GET_ONE_REG of {reg:#x}")
            found.append([reg, value])
        return found


def is_id_register(reg: int) -> bool:
    """Whether it is one of op0 3, op1 0, CRn 0, CRm 1 to 7: four bits a field. Source: Arm ARM, ID registers."""
    return reg >> 16 == 0x603000000013 and reg >> 14 & 3 == 3 and reg >> 7 & 0x7F == 0 and 1 <= reg >> 3 & 0xF <= 7


def narrow(machine: Machine, to_zero: bool) -> None:
    """Makes every field of an ID register less, as far as KVM takes that: to nothing, or by one."""
    for reg, value in machine.values():
        for shift in range(0, 64, 4) if is_id_register(reg) else ():
            field = value >> shift & 0xF
            less = value - ((field if to_zero else 1) << shift)
            if field and not machine.set(reg, less):
                value = less


def bring(machine: Machine, state: str) -> None:
    """Brings a fresh vCPU into a state; what a kernel refuses stays as it was."""
    bitmaps = [reg - probe.BITMAPS for reg, _ in machine.values() if probe.BITMAPS <= reg < probe.BITMAPS + 16]
    if state == "ran":
        machine.set_up()
        machine.run()
    elif state == "psci-1.0":
        machine.set(probe.FIRMWARE, 0x10000)
    elif state == "bitmaps-0":
        for number in bitmaps:
            machine.set(probe.BITMAPS + number, 0)
    elif state == "bitmaps-6.1":
        for number in bitmaps:
            machine.set(probe.BITMAPS + number, OLD_BITMAPS.get(number, 0))
    elif state == "oldest":  # PSCI 0.2, no workarounds, no services
        for reg, value in ((0, 2), (1, 0), (2, 0), (3, 0)):
            machine.set(probe.FIRMWARE + reg, value)
        for number in bitmaps:
            machine.set(probe.BITMAPS + number, 0)
    elif state in ("id-zeroed", "id-lowered"):
        narrow(machine, state == "id-zeroed")


def save(kvm: probe.Descriptor, sets: Any) -> dict[str, dict[str, Payload]]:
    """Payloads by features and state; a state that changes nothing is left out."""
    saved: dict[str, dict[str, Payload]] = {}
    for features in sets:
        for state in STATES if features in FULL_SETS else FEW_STATES:
            with Machine(kvm, features) as machine:
                bring(machine, state)
                values = machine.values()
            if state == "fresh" or values != saved[features]["fresh"]:
                saved.setdefault(features, {})[state] = values
    return saved


def load(kvm: probe.Descriptor, saved: dict[str, dict[str, dict[str, Payload]]]) -> Iterator[dict[str, Any]]:
    """What KVM refused of each payload, in three orders; `none` is why there is no such vCPU.

    fails: in list order after FINALIZE; early: in list order, lengths of SVE before FINALIZE; ascending: as QEMU does,
    lengths before FINALIZE, then core, then SVE, then all others by id. The last two are left out where they say the
    same as the first, SVE_VLS apart.
    """
    for source, sets in saved.items():
        for features, states in sets.items():
            for state, payload in states.items():
                record = {"src": source, "feat": features, "state": state}
                try:
                    record["fails"] = _refusals(kvm, features, payload, is_early=False)
                    early = [one for one in record["fails"] if one[0] != probe.SVE_VLS]
                    if "sve" in features and (found := _refusals(kvm, features, payload, is_early=True)) != early:
                        record["early"] = early = found
                    ascending = _refusals(kvm, features, sorted(payload, key=_qemu), is_early=True)
                    if sorted(ascending) != sorted(early):
                        record["ascending"] = ascending
                except probe.ProbeError as error:
                    record["none"] = str(error)
                yield record


def _qemu(item: list) -> tuple[int, int]:
    """Core registers first, then SVE's. Source: QEMU target/arm/kvm.c, kvm_arch_put_registers."""
    return {0x10: 0, 0x15: 1}.get(item[0] >> 16 & 0xFFF, 2), item[0]


def _refusals(kvm: probe.Descriptor, features: str, payload: Payload, *, is_early: bool) -> list[list[int]]:
    """Refused registers of a payload, [id, errno]: of all, as it goes on after a refusal."""
    lengths = dict(map(tuple, payload)).get(probe.SVE_VLS) if is_early else None
    with Machine(kvm, features, lengths) as machine:
        machine.set_up()
        rest = [item for item in payload if lengths is None or item[0] != probe.SVE_VLS]
        found = [[reg, code] for reg, value in rest if (code := machine.set(reg, value))]
        return ([[probe.SVE_VLS, machine.lengths_errno]] if machine.lengths_errno else []) + found


def main() -> None:
    """The command, whose files go into the working folder."""
    system = probe.System()
    if len(sys.argv) > 1:
        saved = json.loads(Path(sys.argv[1]).read_text("utf-8"))
        with probe.opened_kvm(system) as kvm:
            found: dict[str, Any] = {"restores": list(load(kvm, saved))}
    else:
        profile = probe.probe(system)
        sets = [one["features"] for one in profile["register_sets"] if one["features"] in SETS]
        with probe.opened_kvm(system) as kvm:
            found = {"profile": profile, "saved": save(kvm, sets)}
    Path("load.json" if len(sys.argv) > 1 else "save.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
