"""KVM with a clock of its own, on which every call and every ioctl takes what a test says: the probe measures it."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from errno import EINTR, EMFILE
from typing import Any

from fastsmc.facts.registers import FIRMWARE_CLASSES, reg_class, reg_size
from fastsmc.scenario.profiles import filter_levels
from tests.support import fake_kvm
from tests.support.fake_kvm import KVM, VCPU, FakeKvm

GET_VCPU_MMAP_SIZE, SET_USER_MEMORY_REGION, RUN = 0xAE04, 0x4020AE46, 0xAE80
PC, X19, X20 = 0x6030000000100040, 0x6030000000100026, 0x6030000000100028
"""Where the guest goes on; the function that it calls, and how often."""
HYPERCALL, MMIO, SYSTEM_EVENT = 3, 6, 24
"""KVM_EXIT_*."""
REQUESTS = (GET_VCPU_MMAP_SIZE, SET_USER_MEMORY_REGION, RUN)
"""Those that a host which is only probed is not asked."""
HOST = "linux-6.12.107-n1"
"""The recorded host that a test measures, whose CPU is not one that QEMU made up."""
UNKNOWN, PSCI, FAST = 0x4B000000, 0x84000000, 0x80008000
DENIED, FORWARDED, STORE = (0xC2000000, 1), (0xC2000000, 2), (0, -1)
CALL_NS = {(UNKNOWN, 0): 306.0, (PSCI, 0): 351.5, (FAST, 0): 18.25, DENIED: 310.0, FORWARDED: 900.0, STORE: 700.0}
"""What one call costs, by function and the filter's action."""


def reg_ns(is_set: bool, reg: int, is_first: bool) -> float:
    """What one ioctl costs, by register: all different."""
    return (reg & 0xFF) * 10.0 + (reg >> 16 & 0xF) * 100 + 1000 * is_set + 5000 * is_first


def timed(name: str = HOST) -> TimedKvm:
    """A recorded host with these costs, and filters that add 7 ns a level; of at most 12 vCPUs at once."""
    kvm = TimedKvm(name)
    kvm.call_ns, kvm.reg_ns = dict(CALL_NS), reg_ns
    kvm.filter_ns = lambda n_range: 7.0 * filter_levels(n_range)
    kvm.most_vcpus, kvm.beyond = 12, EMFILE
    return kvm


class TimedKvm(FakeKvm):
    """A recorded host on which time passes as it is told; its guests are those of the probe that are timed.

    Attributes:
        ns: the clock.
        call_ns: of one call, by function and action of the filter (0 where there is none); of a store (0, -1).
        filter_ns: what a filter of so many ranges adds to a call.
        reg_ns: of an ioctl: whether it sets, its register, whether it is the first touch of this vCPU.
        run_ns: of KVM_RUN, besides the guest's calls.
        own_ns, struct_ns, way_ns: Python's share of an ioctl, more with a struct, and into the kernel and back.
        most_vcpus, beyond: how many vCPUs there may be at once, and the errno of one more.
        unset: errnos of registers that cannot be set.
        stops_at: a function at which the guest stops otherwise than it should.
    """

    def __init__(self, name: str = "linux-6.12.107-max") -> None:
        super().__init__(name)
        self.ns = 0.0
        self.call_ns: dict[tuple[int, int], float] = {}
        self.filter_ns: Callable[[int], float] = lambda n_range: 0.0
        self.reg_ns: Callable[[bool, int, bool], float] = lambda is_set, reg, is_first: 0.0
        self.run_ns = 5000.0
        self.own_ns, self.struct_ns, self.way_ns, self.function_ns = 300.0, 60.0, 100.0, 40.0
        self.most_vcpus, self.beyond = 1 << 16, 0
        self.unset: dict[int, int] = {}
        self.stops_at = -1

    # -- time ------------------------------------------------------------------------------------------------------

    def seconds(self) -> float:
        return self.ns / 1e9

    def nanoseconds(self) -> int:
        return round(self.ns)

    def timed(self, fd: int, request: int, arguments: list[Any]) -> float:
        begin = self.ns
        for argument in arguments:
            self.ioctl(fd, request, argument)
        return self.ns - begin

    def timed_calls(self, function: Callable[[], object], count: int) -> float:
        taken = count * (self.function_ns + (self.way_ns if function is os.getppid else 0))
        self.ns += taken
        return taken

    # -- guests ----------------------------------------------------------------------------------------------------

    def map(self, fd: int, size: int) -> Any:
        room = bytearray(size)
        if fd >= 0:
            self.open_fds[fd]["run"] = room
        return room

    def address(self, mapped: Any) -> int:
        return 0x1000

    def alarm(self, milliseconds: float, act: Callable[[], None]) -> None:
        pass

    def run(self, fd: int) -> int:
        return self._run(self.open_fds[fd])

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> int:
        self.ns += self.own_ns + self.way_ns + (self.struct_ns if isinstance(argument, bytearray) else 0)
        return super().ioctl(fd, request, argument)

    def _done(self, of: dict[str, Any], request: int, argument: Any) -> tuple[int, int]:
        if request in (GET_VCPU_MMAP_SIZE, SET_USER_MEMORY_REGION):
            assert (of["kind"] == KVM) == (request == GET_VCPU_MMAP_SIZE)
            return 0, 4096
        if request == RUN:
            return self._run(of), 0
        if request == fake_kvm.CREATE_VCPU:
            n_vcpu = sum(one["kind"] == VCPU for one in self.open_fds.values())
            if n_vcpu >= self.most_vcpus:
                return self.beyond, 0
        if request == fake_kvm.SET_DEVICE_ATTR and of["kind"] != VCPU:
            code, done = super()._done(of, request, argument)
            if not code:
                address = struct.unpack("=IIQQ", argument)[3]
                of.setdefault("ranges", []).append(struct.unpack("=IIB15x", ctypes.string_at(address, 24)))
            return code, done
        if request in (fake_kvm.GET_ONE_REG, fake_kvm.SET_ONE_REG):
            return self._touched(of, request == fake_kvm.SET_ONE_REG, argument), 0
        return super()._done(of, request, argument)

    def _touched(self, of: dict[str, Any], is_set: bool, argument: bytearray) -> int:
        reg, address = struct.unpack("=QQ", argument)
        touched = of.setdefault("touched", set())
        self.ns += self.reg_ns(is_set, reg, (is_set, reg) not in touched)
        touched.add((is_set, reg))
        if not is_set or reg_class(reg) in FIRMWARE_CLASSES:
            return self._of_vcpu(of, fake_kvm.SET_ONE_REG if is_set else fake_kvm.GET_ONE_REG, argument)
        of.setdefault("core", {})[reg] = int.from_bytes(ctypes.string_at(address, reg_size(reg)), "little")
        if reg == PC:
            of["is_done"] = False
        return self.unset.get(reg, 0)

    def _run(self, of: dict[str, Any]) -> int:
        """The guest's calls, and then stores without end; a call that is forwarded ends KVM_RUN."""
        if of["run"][1]:
            return EINTR
        of.setdefault("is_done", True)
        self.ns += self.run_ns
        func_id, n_call = (of.get("core", {}).get(reg, 0) for reg in (X19, X20))
        ranges = of["of"].get("ranges", ())
        action = next((action for base, count, action in ranges if base <= func_id < base + count), 0)
        if of["is_done"]:
            self.ns += self.call_ns[0, -1]
        elif action == 2:
            self.ns += self.call_ns[func_id, action]
        else:
            self.ns += n_call * (self.call_ns[func_id, action] + self.filter_ns(len(ranges)))
            of["is_done"] = True
        reason = SYSTEM_EVENT if func_id == self.stops_at else MMIO if of["is_done"] else HYPERCALL
        struct.pack_into("=I20xQ", of["run"], 8, reason, 0x10000000)
        return 0
