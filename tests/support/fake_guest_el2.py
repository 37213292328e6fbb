"""KVM of a recorded host with guests that have EL2, or protected VMs: it runs the guest's own words.

What becomes of a call is the reference's word. Values of registers are those that were recorded.
"""

from __future__ import annotations

import ctypes
import json
import lzma
import struct
from dataclasses import replace
from errno import EINTR, EINVAL, ENODEV, ENOENT, ENXIO
from functools import cache
from typing import Any

from fastsmc.facts.guests import CAPS_NOT_FOR_PROTECTED, vcpu_init_errno, vm_type_errno
from fastsmc.facts.smccc import Conduit, Level
from fastsmc.facts.vcpu import FEATURE_EL2_E2H0, FEATURE_POWER_OFF, RUNNABLE
from fastsmc.reference.state import Outcome
from fastsmc.reference.vm import Vm
from tests.support.fake_guest import FakeGuestKvm
from tests.support.fake_kvm import (
    CHECK_EXTENSION,
    CREATE_DEVICE,
    CREATE_VM,
    GET_ONE_REG,
    RECORDINGS,
    SET_DEVICE_ATTR,
    TARGET,
    VM,
    recorded_host,
    recorded_lists,
)
from tests.support.guest_core import PC, PSTATE, X0, Event, GuestCore

MEMORY = 0x40000000
GIC, GICV3 = "gic", 7
PROTECTED = 1 << 31
CONDUIT = {
    ("hvc", 0): Conduit.HVC,
    ("smc", 0): Conduit.SMC,
    ("hvc", 1): Conduit.HVC_IMM,
    ("smc", 1): Conduit.SMC_IMM,
}
HCR_EL2, TSC = 0x603000000013E088, 1 << 19
GIC_NEEDS = {(0, 2), (0, 3)}
"""Addresses of the distributor and of the redistributors, without which there is no initialisation."""


def recorded(name: str, kind: str) -> list[str]:
    """The lines of a recording."""
    return lzma.decompress((RECORDINGS / name / f"{kind}.jsonl.xz").read_bytes()).decode().splitlines()


@cache
def recorded_registers(name: str) -> dict[int, dict[int, tuple[int, int]]]:
    """By word 0 of the features: registers in list order, with value and errno of reading."""
    has_list = (RECORDINGS / name / "reglist.jsonl.xz").exists()
    lists = recorded_lists(name).items() if has_list else ()
    found = {features: {reg: (value, 0) for reg, value in values.items()} for features, values in lists}
    has_nested = (RECORDINGS / name / "nested.jsonl.xz").exists()
    for record in map(json.loads, recorded(name, "nested") if has_nested else ()):
        if record.get("t") == "reg_list":
            told = {int(reg, 16): (int(value, 16), code) for reg, value, code in record["regs"]}
            found[int(record["features"], 16)] = told
    return found


class FakeEl2Kvm(FakeGuestKvm):
    """A recorded host whose guests run, from the first word of their code.

    Attributes:
        gic_fails: errnos of KVM_SET_DEVICE_ATTR on the GIC, by (group, attribute).
        has_gic_device: a GICv3 can be made.
        gic_steps: what was set of GICs, in order: (group, attribute, value).
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.gic_fails: dict[tuple[int, int], int] = {}
        self.has_gic_device = True
        self.gic_steps: list[tuple[int, int, int]] = []

    # -- ioctls ----------------------------------------------------------------------------------------------------

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> int:
        of = self.open_fds.get(fd, {})
        if of.get("kind") == GIC and request == SET_DEVICE_ATTR:
            code = self._gic_set(of, *struct.unpack("=IIQQ", argument))
            if code:
                raise OSError(code, "as asked")
            return 0
        return super().ioctl(fd, request, argument)

    def _done(self, of: dict[str, Any], request: int, argument: Any) -> tuple[int, int]:
        if request == CREATE_VM:
            code = EINVAL if argument & ~PROTECTED else vm_type_errno(self.host, is_protected=bool(argument))
            if code:
                return code, 0
            vm = Vm(self.host, n_vcpu=0, is_protected=bool(argument), has_gic=False)
            return 0, self._opened(VM, vm=vm, n_vcpu=0)
        if request == CHECK_EXTENSION and of["kind"] == VM and of["vm"].is_protected:
            return 0, 0 if argument in CAPS_NOT_FOR_PROTECTED else self.caps.get(argument, (0, 0))[1]
        if request == CREATE_DEVICE and struct.unpack("=III", argument)[2] == 0:
            kind, _, _ = struct.unpack("=III", argument)
            assert kind == GICV3
            if not self.has_gic_device:
                return ENODEV, 0
            struct.pack_into("=I", argument, 4, self._opened(GIC, of=of, done=set()))
            return 0, 0
        return super()._done(of, request, argument)

    def _gic_set(self, of: dict[str, Any], flags: int, group: int, attribute: int, address: int) -> int:
        assert flags == 0
        value = int.from_bytes(ctypes.string_at(address, 8), "little")
        self.gic_steps.append((group, attribute, value))
        if (group, attribute) in self.gic_fails:
            return self.gic_fails[group, attribute]
        if (group, attribute) == (4, 0):
            if not of["done"] >= GIC_NEEDS:
                return ENXIO
            of["of"]["vm"].has_gic = True
        of["done"].add((group, attribute))
        return 0

    def _initialised(self, of: dict[str, Any], target: int, features: int, *others: int) -> int:
        vm, number = of["of"]["vm"], of["number"]
        own = features & ~FEATURE_POWER_OFF
        code = EINVAL if target != TARGET or any(others) else 0
        code = code or vcpu_init_errno(self.host, own, is_protected=vm.is_protected)
        if code:
            return code
        while len(vm.mp_state) <= number:
            vm.is_initialised.append(False)
            vm.mp_state.append(RUNNABLE)
            vm.steal_base.append(None)
        vm.features = own
        lists = recorded_registers(self.name)
        usual = own & ~FEATURE_EL2_E2H0  # without EL2 it makes an ordinary vCPU
        registers = lists[own] if own in lists or vm.has_el2 else lists.get(usual, {})
        of.update(vm=vm, features=own, values={reg: value for reg, (value, _) in registers.items()})
        of["core"].clear()
        of["core"][PSTATE] = vm.start_pstate
        vm.vcpu_init(number, power_off=bool(features & FEATURE_POWER_OFF))
        return 0

    def _of_vcpu(self, of: dict[str, Any], request: int, argument: Any) -> int:
        if request == GET_ONE_REG and of["values"] is not None:
            reg, _ = struct.unpack("=QQ", argument)
            if reg == HCR_EL2 and not of["vm"].has_el2:
                return ENOENT
        return super()._of_vcpu(of, request, argument)

    def _kept(self, of: dict[str, Any], request: int, reg: int, value: int) -> tuple[int, int]:
        _, code = recorded_registers(self.name).get(of["features"], {}).get(reg, (0, 0))
        return (code, 0) if code and request == GET_ONE_REG else super()._kept(of, request, reg, value)

    # -- running ---------------------------------------------------------------------------------------------------

    def _ran(self, of: dict[str, Any]) -> int:
        vm, registers = of["vm"], of["core"]
        code = vm.run(of["number"], immediate_exit=bool(of["run"][1]))
        if code in (0, EINTR) and of["pending"]:
            registers[PC] += 4
            of["pending"] = None
        if code:
            return int(code)
        if self.n_busy or vm.mp_state[of["number"]] != RUNNABLE:
            self.act()
            self.n_busy = max(0, self.n_busy - 1)
            return EINTR
        has_e2h0 = bool(vm.features & FEATURE_EL2_E2H0)
        memory = of["of"]["memory"]
        core = GuestCore(registers, memory, begin=MEMORY, has_el2=vm.has_el2, has_e2h0=has_e2h0)
        while True:
            event = core.run()
            if event.kind == "store":
                self.leave(of, 6, struct.pack("=QQIB", event.first, event.second, 8, 1))
                return 0
            outcome = self._answered(of, core, event)
            if outcome.blocks:
                self.act()
                return EINTR
            if outcome.exit is not None:
                self._left(of, outcome.exit)
                of["pending"] = None
                return 0

    def _answered(self, of: dict[str, Any], core: GuestCore, event: Event) -> Outcome:
        """What becomes of a call; the core is then behind it, or in its own EL2."""
        vm, registers = of["vm"], of["core"]
        level = Level.EL1
        if vm.has_el2:
            has_tsc = bool(registers.get(HCR_EL2, 0) & TSC)
            levels = {2: (Level.VEL2, Level.VEL2_TSC), 1: (Level.VEL1, Level.VEL1_TSC)}
            level = levels[core.level][has_tsc]
        conduit = CONDUIT[event.kind, event.first]
        outcome: Outcome = vm.call(of["number"], *(core.get(n) for n in range(4)), conduit, level)
        if outcome.exception is not None:
            taken = outcome.exception
            core.take(2, taken.esr | event.first, taken.vector, registers[PC] + taken.elr)
            return outcome
        for number, value in enumerate(outcome.x):
            core.set(number, value)
        registers[PC] += 4
        if outcome.starts is not None:
            (other,) = (
                one["core"]
                for one in self.open_fds.values()
                if one.get("of") is of["of"] and one.get("number") == outcome.starts.vcpu
            )
            kept = {reg: value for reg, value in other.items() if reg not in (PC, PSTATE, X0)}
            other.clear()
            other.update(kept)
            other.update({PC: outcome.starts.entry, PSTATE: outcome.starts.pstate, X0: outcome.starts.x0})
        return outcome


def fake_protected(name: str = "linux-7.3.4-max", of: str = "linux-7.3.4-max-mode-protected") -> FakeEl2Kvm:
    """A host with protected VMs, as it was recorded; its register lists are another's, with as many registers."""
    lines = [json.loads(line) for line in recorded(of, "protected")]
    caps = next(line["caps"] for line in lines if line.get("t") == "caps")
    (firmware,) = (line["regs"] for line in lines[:8] if line.get("t") == "fw_default")
    first, second, third = (int(firmware[f"0x603000000014000{n}"][1], 16) for n in (1, 2, 3))
    host = replace(recorded_host(name), workaround=(first, second, third), kvm_arm_mode="protected", name=of)
    kvm = FakeEl2Kvm(name, host=host)
    kvm.files["/proc/cmdline"] = "quiet kvm-arm.mode=protected"
    kvm.caps = {int(number): (value, value) for number, value in caps.items()}
    return kvm
