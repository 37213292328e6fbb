"""KVM of a recorded host whose guests run: not their instructions, but the table of calls that the guest would make.

What becomes of a call is the reference's word. Random bits of an answer are 0.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from errno import EBADF, EEXIST, EINTR, EINVAL, ENOTTY, EPERM
from typing import Any

from fastsmc.facts.registers import FIRMWARE_CLASSES, SVE_VLS, reg_class, reg_size
from fastsmc.facts.smccc import Conduit
from fastsmc.facts.vcpu import FEATURE_EL2, FEATURE_EL2_E2H0, FEATURE_POWER_OFF, RUNNABLE
from fastsmc.reference.state import Exit, Outcome
from fastsmc.reference.vm import Vm
from tests.support.fake_kvm import GET_ONE_REG, KVM, SET_DEVICE_ATTR, SET_ONE_REG, VCPU, FakeKvm

# Numbers of ioctls as an arm64 kernel has them.
VCPU_MMAP_SIZE, MEMORY_REGION, GET_DEVICE_ATTR = 0xAE04, 0x4020AE46, 0x4018AEE2
GET_MP_STATE, SET_MP_STATE, ENABLE_CAP, RUN = 0x8004AE98, 0x4004AE99, 0x4068AEA3, 0xAE80
MEMORY, MMIO = 0x40000000, 0x10000000
X0, PC = 0x6030000000100000, 0x6030000000100040
AFTER_CALL = (52, 60, 68, 76)
"""Where the guest is after a call by each conduit, from the start of its code."""
CONDUITS = (Conduit.HVC, Conduit.SMC, Conduit.HVC_IMM, Conduit.SMC_IMM)
BAD_ADDRESS = 8
"""Where no process has memory."""


class FakeGuestKvm(FakeKvm):
    """A recorded host that runs the recorder's guest.

    Attributes:
        alarms: to how many milliseconds the timer was set, in turn; 0 is off.
        run_results: what the next KVM_RUNs say, in turn, in place of running: an errno, or (exit reason, bytes that
            belong to it); None runs.
        n_busy: how often the timer's signal comes while the guest runs, and not as it waits.
        n_interrupt: how often a signal other than the timer's interrupts KVM_RUN.
    """

    def __init__(self, name: str = "linux-7.3.4-max", **options: Any) -> None:
        super().__init__(name, **options)
        self.run_results: list[int | tuple[int, bytes] | None] = []
        self.n_interrupt = self.n_busy = 0
        self.maps: dict[int, Any] = {}
        self.act: Callable[[], None] = lambda: None
        self.alarms: list[float] = [0]

    # -- what is no ioctl ------------------------------------------------------------------------------------------

    def map(self, fd: int, size: int) -> Any:
        if "map" in self.fails:
            raise OSError(self.fails["map"], "as asked")
        room = bytearray(size)
        if fd >= 0:
            self.open_fds[fd]["run"] = room
        return room

    def address(self, mapped: Any) -> int:
        self.maps = {id(mapped): mapped}  # the newest VM's alone, so that the others are given back
        return id(mapped)

    def alarm(self, milliseconds: float, act: Callable[[], None]) -> None:
        self.act = act
        self.alarms.append(milliseconds)

    def busy(self) -> float:
        """Far more than the time that passes, while it is asked to be so."""
        return 100 * self.seconds() if self.n_busy else 0.0

    def run(self, fd: int) -> int:
        if fd not in self.open_fds:
            return EBADF
        self.n_call[RUN] = self.n_call.get(RUN, 0) + 1
        of = self.open_fds[fd]
        told = self.run_results.pop(0) if self.run_results else None
        if isinstance(told, int):
            return told
        if told is not None:
            self.leave(of, told[0], told[1])
            return 0
        return self._ran(of)

    # -- ioctls ----------------------------------------------------------------------------------------------------

    def _done(self, of: dict[str, Any], request: int, argument: Any) -> tuple[int, int]:
        if request == VCPU_MMAP_SIZE:
            return (0, 8192) if of["kind"] == KVM else (ENOTTY, 0)
        if request == GET_DEVICE_ATTR:
            return int(of["vm"].get_device_attr()), 0
        if request == MEMORY_REGION:
            slot, flags, begin, size, address = struct.unpack("=IIQQQ", argument)
            assert (slot, flags, begin) == (0, 0, MEMORY)
            of["memory"] = self.maps[address]
            assert size == len(of["memory"])
            return 0, 0
        if request == ENABLE_CAP:
            (capability, *others) = struct.unpack("=26I", argument)
            assert (capability, any(others)) == (216, False)
            return of["vm"].enable_system_suspend(), 0
        if request == GET_MP_STATE:
            struct.pack_into("=I", argument, 0, of["vm"].mp_state[of["number"]])
            return 0, 0
        if request == SET_MP_STATE:
            (of["vm"].mp_state[of["number"]],) = struct.unpack("=I", argument)
            return 0, 0
        return super()._done(of, request, argument)

    def _vcpu_made(self, of: dict[str, Any], number: int) -> tuple[int, int]:
        code, fd = super()._vcpu_made(of, number)
        if not code:
            self.open_fds[fd] |= {"number": number, "core": {}, "pending": None}
        return code, fd

    def _initialised(self, of: dict[str, Any], target: int, features: int, *others: int) -> int:
        vm, is_off = of["of"].get("made"), bool(features & FEATURE_POWER_OFF)
        code = super()._initialised(of, target, features & ~FEATURE_POWER_OFF, *others)
        if code:
            return code
        if vm is None:
            own = features & ~(FEATURE_POWER_OFF | FEATURE_EL2 | FEATURE_EL2_E2H0)
            vm = of["of"]["made"] = Vm(self.host, features=own)
        while len(vm.mp_state) <= of["number"]:
            vm.is_initialised, vm.mp_state = [*vm.is_initialised, False], [*vm.mp_state, RUNNABLE]
            vm.steal_base.append(None)
        of["vm"] = of["of"]["vm"] = vm
        of["core"].clear()
        return vm.vcpu_init(of["number"], power_off=is_off)

    def _attribute(self, of: dict[str, Any], request: int, flags: int, group: int, attr: int, address: int) -> int:
        vm = of["vm"]
        if of["kind"] == VCPU and request == SET_DEVICE_ATTR:
            assert (flags, group, attr) == (0, 2, 0)
            (vm.steal_base[of["number"]],) = struct.unpack("=Q", ctypes.string_at(address, 8))
            return 0
        if request == SET_DEVICE_ATTR and flags:
            return EINVAL if not vm.release.has_filter else EEXIST  # flags are not looked at: this range is there
        if request == SET_DEVICE_ATTR and address == BAD_ADDRESS:
            return int(vm.insert_filter(0, 0, 0, is_pointer_bad=True))
        return super()._attribute(of, request, flags, group, attr, address)

    def _of_vcpu(self, of: dict[str, Any], request: int, argument: Any) -> int:
        if request not in (GET_ONE_REG, SET_ONE_REG) or of["values"] is None:
            return super()._of_vcpu(of, request, argument)
        reg, address = struct.unpack("=QQ", argument)
        size, is_bad = reg_size(reg), address == BAD_ADDRESS
        value = 0 if is_bad or request == GET_ONE_REG else int.from_bytes(ctypes.string_at(address, size), "little")
        if reg in of["values"] and reg_class(reg) not in FIRMWARE_CLASSES:
            code, told = self._kept(of, request, reg, value)
        elif request == SET_ONE_REG:
            return int(of["vm"].set_one_reg(of["number"], reg, value, is_pointer_bad=is_bad))
        else:
            code, told = of["vm"].get_one_reg(of["number"], reg, is_pointer_bad=is_bad)
        if not code and request == GET_ONE_REG:
            ctypes.memmove(address, told.to_bytes(size, "little"), size)
        return code

    def _kept(self, of: dict[str, Any], request: int, reg: int, value: int) -> tuple[int, int]:
        """A register that keeps what is written to it: (errno, value)."""
        if request == GET_ONE_REG:
            return 0, of["core"].get(reg, of["values"][reg])
        if reg == SVE_VLS and of["is_final"]:
            return EPERM, 0
        of["core"][reg] = value
        return 0, 0

    # -- running ---------------------------------------------------------------------------------------------------

    def _ran(self, of: dict[str, Any]) -> int:
        vm, core = of["vm"], of["core"]
        code = vm.run(of["number"], immediate_exit=bool(of["run"][1]))
        if code in (0, EINTR):
            self._completed(of)
        if code:
            return int(code)
        if self.n_interrupt:
            self.n_interrupt -= 1
            return EINTR
        if self.n_busy:
            self.act()
            self.n_busy -= 1
            return EINTR
        if vm.mp_state[of["number"]] != RUNNABLE:
            self.act()
            return EINTR
        pointer, count, size = (8, 9, 64) if vm.is_a32 else (19, 20, 160)
        while core.get(X0 + 2 * count, 0):
            at = core[X0 + 2 * pointer] - MEMORY
            outcome = self._called_32(of, at) if vm.is_a32 else self._called(of, at)
            if outcome.exit is not None:
                self._left(of, outcome.exit)
                of["pending"] = "store" if outcome.exit.reason == 3 else None
                return 0
            if outcome.blocks:
                self.act()
                return EINTR
            self._stored(of)
            assert core[X0 + 2 * pointer] == at + size + MEMORY
        assert core[X0 + 2 * (10 if vm.is_a32 else 21)] == MMIO
        core[PC] = MEMORY + 112
        self.leave(of, 6, struct.pack("=Q", MMIO))
        return 0

    def _called(self, of: dict[str, Any], at: int) -> Outcome:
        """The call of an entry: the caller's registers are then as the call leaves them."""
        *x, conduit = struct.unpack_from("<9Q", of["of"]["memory"], at)
        outcome: Outcome = of["vm"].call(of["number"], *x[:4], CONDUITS[conduit])
        of["core"].update({X0 + 2 * n: value for n, value in enumerate([*outcome.x, *x[4:]])})
        of["core"][PC] = MEMORY + AFTER_CALL[conduit]
        return outcome

    def _called_32(self, of: dict[str, Any], at: int) -> Outcome:
        memory = of["of"]["memory"]
        r = struct.unpack_from("<8I", memory, at)
        conduit = {0xE1400070: Conduit.HVC, 0xE1600070: Conduit.SMC}[struct.unpack_from("<I", memory, 12)[0]]
        outcome: Outcome = of["vm"].call(of["number"], *r[:4], conduit)
        told = [*(value & 0xFFFFFFFF for value in outcome.x), *r[4:]]
        of["core"].update({X0 + 2 * n: value for n, value in enumerate(told)})
        return outcome

    def _stored(self, of: dict[str, Any]) -> None:
        """What the guest does after its call: it stores the registers and goes to the next entry."""
        core, memory = of["core"], of["of"]["memory"]
        pointer, count, size = (8, 9, 64) if of["vm"].is_a32 else (19, 20, 160)
        at = core[X0 + 2 * pointer] - MEMORY
        x = [core[X0 + 2 * n] for n in range(8)]
        if of["vm"].is_a32:
            struct.pack_into("<8I", memory, at + 32, *x)
        else:
            struct.pack_into("<9Q", memory, at + 72, 1, *x)
        core[X0 + 2 * pointer] += size
        core[X0 + 2 * count] -= 1

    def _completed(self, of: dict[str, Any]) -> None:
        """What is pending of the last exit happens at the next KVM_RUN, even where that ends at once."""
        if of["pending"] == "mmio":
            of["core"][PC] += 4
        elif of["pending"] == "store":
            self._stored(of)
        of["pending"] = None

    def _left(self, of: dict[str, Any], exit: Exit) -> None:
        if exit.reason == 3:
            self.leave(of, 3, struct.pack("=Q56xQ", exit.nr, exit.flags))
        else:
            data = exit.data[0] if exit.data else 0
            self.leave(of, 24, struct.pack("=IIQ", exit.event, len(exit.data), data))

    def leave(self, of: dict[str, Any], reason: int, data: bytes) -> None:
        """Leaves the guest, with the bytes of struct kvm_run that belong to the reason."""
        of["run"][8:] = bytes(len(of["run"]) - 8)
        struct.pack_into("=I", of["run"], 8, reason)
        of["run"][32 : 32 + len(data)] = data
        of["pending"] = "mmio" if reason == 6 else None
