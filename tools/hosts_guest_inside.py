#!/usr/bin/python3.11 -S
"""A small VMM: runs one Linux guest under an arm64 host's KVM with the tracepoint kvm_hvc_arm64 on.

It runs as root inside the emulated host (tools/hosts_guest.py), from /guest, with Python's standard library alone.
/guest/how.json says what to do, Image, initrd and tree are what the guest is started with, and /out receives
trace.txt, the event's format, guest-console.txt and told.json. The VM has an in-kernel GICv3, two vCPUs with PSCI 0.2,
and a serial port, for which the VMM is the hardware; all hypercalls are KVM's own business, as in any VM.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import struct
import sys
import threading
import time
from pathlib import Path

FOLDER, OUT = Path("/guest"), Path("/out")


def _ioc(direction: int, number: int, size: int) -> int:
    """The number of one of KVM's ioctls: _IO (0), _IOW (1), _IOR (2), _IOWR (3)."""
    return direction << 30 | size << 16 | 0xAE << 8 | number


# Linux include/uapi/linux/kvm.h and arch/arm64/include/uapi/asm/kvm.h.
CREATE_VM, CREATE_VCPU, RUN, VCPU_MMAP_SIZE = _ioc(0, 0x01, 0), _ioc(0, 0x41, 0), _ioc(0, 0x80, 0), _ioc(0, 0x04, 0)
MEMORY_REGION, IRQ_LINE, ENABLE_CAP = _ioc(1, 0x46, 32), _ioc(1, 0x61, 8), _ioc(1, 0xA3, 104)
GET_ONE_REG, SET_ONE_REG = _ioc(1, 0xAB, 16), _ioc(1, 0xAC, 16)
VCPU_INIT, PREFERRED_TARGET = _ioc(1, 0xAE, 32), _ioc(2, 0xAF, 32)
CREATE_DEVICE, SET_ATTRIBUTE = _ioc(3, 0xE0, 12), _ioc(1, 0xE1, 24)
POWER_OFF, PSCI_0_2 = 1, 4
VGIC_V3, GIC_ADDRESSES, GIC_N_IRQ, GIC_CONTROL = 7, 0, 3, 4
GIC_DISTRIBUTOR, GIC_REDISTRIBUTOR = 2, 3
N_IRQ = 96
PVTIME = 2
"""KVM_ARM_VCPU_PVTIME_CTRL."""
CAP_SYSTEM_SUSPEND = 216
EXIT_HYPERCALL, EXIT_MMIO, EXIT_SYSTEM_EVENT = 3, 6, 24
EVENTS = {1: "off", 2: "reset", 3: "crash", 5: "suspend"}
"""KVM_SYSTEM_EVENT_*."""
CORE = 0x6030000000100000
"""KVM_REG_ARM_CORE; registers are numbered in words of 32 bits: x0 is 0, pc is 64."""
X0, X1, X2, PC = CORE, CORE + 2, CORE + 4, CORE + 64
TRACING = Path("/sys/kernel/tracing")
NOT_SUPPORTED = (1 << 64) - 1


class Pl011:
    """An Arm PL011 serial port that only sends: what is written to it is sent at once, and nobody types.

    Register offsets and bits are those of Arm's PrimeCell UART (PL011) Technical Reference Manual, r1p5.
    """

    DATA, FLAGS, MASK, RAW, MASKED, CLEAR, IDS = 0x00, 0x18, 0x38, 0x3C, 0x40, 0x44, 0xFE0
    EMPTY = 0x90
    """Both FIFOs are empty, in the flags."""
    SENT = 0x20
    """The interrupt that a character went out."""
    ID = (0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1)

    def __init__(self) -> None:
        self.sent = bytearray()
        self._mask = self._raw = 0
        self._plain: dict[int, int] = {}

    @property
    def line(self) -> int:
        """The interrupt line: 1 while something is asked for."""
        return int(bool(self._raw & self._mask))

    def read(self, offset: int) -> int:
        """What the guest reads there; the flags first, as they are read before every character."""
        if offset == self.FLAGS:
            return self.EMPTY
        if offset == self.MASK:
            return self._mask
        if offset == self.RAW:
            return self._raw
        if offset == self.MASKED:
            return self._raw & self._mask
        if self.IDS <= offset < 0x1000:
            return self.ID[(offset - self.IDS) // 4]
        return self._plain.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Does what the guest writes there."""
        if offset == self.DATA:
            self.sent.append(value & 0xFF)
            self._raw |= self.SENT
        elif offset == self.MASK:
            self._mask = value & 0x7FF
        elif offset == self.CLEAR:
            self._raw &= ~value
        else:
            self._plain[offset] = value & 0xFFFF


class Guest:
    """A VM with its memory, interrupt controller and vCPUs, ready to run."""

    def __init__(self, how: dict, folder: Path = FOLDER) -> None:
        self.how, self.map, self.serial = how, how["map"], Pl011()
        self.told: list[str] = []
        self.ended = threading.Event()
        self.end = ""
        self._lock = threading.Lock()
        self._was = 0
        kvm = os.open("/dev/kvm", os.O_RDWR)
        self.vm = fcntl.ioctl(kvm, CREATE_VM, 0)
        self.memory = self._region(0, self.map["memory"], self.map["memory_bytes"])
        for at, name in (("kernel", "Image"), ("initrd", "initrd"), ("tree", "tree")):
            data = (folder / name).read_bytes()
            start = self.map[at] - self.map["memory"] + (how["kernel_offset"] if at == "kernel" else 0)
            self.memory[start : start + len(data)] = data
        self._stolen = self._region(1, self.map["stolen"], mmap.PAGESIZE)
        if how["system_suspend"]:
            self._try("KVM_CAP_ARM_SYSTEM_SUSPEND", self.vm, ENABLE_CAP, struct.pack("<I100x", CAP_SYSTEM_SUSPEND))
        size = fcntl.ioctl(kvm, VCPU_MMAP_SIZE, 0)
        self.vcpus = [fcntl.ioctl(self.vm, CREATE_VCPU, number) for number in range(how["n_cpu"])]
        self.runs = [mmap.mmap(vcpu, size) for vcpu in self.vcpus]
        for number in range(how["n_cpu"]):
            self._reset(number)
            self._attribute("steal time", self.vcpus[number], PVTIME, 0, struct.pack("<Q", self._stolen_of(number)))
        self._interrupt_controller()
        self._policy()
        self.set(0, PC, self.map["kernel"] + how["kernel_offset"])
        self.set(0, X0, self.map["tree"])

    def _stolen_of(self, number: int) -> int:
        return self.map["stolen"] + 64 * number

    def _region(self, slot: int, start: int, size: int) -> mmap.mmap:
        """Memory of ours that is also the guest's."""
        memory = mmap.mmap(-1, size)
        at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        fcntl.ioctl(self.vm, MEMORY_REGION, struct.pack("<IIQQQ", slot, 0, start, size, at))
        return memory

    def _try(self, what: str, fd: int, number: int, argument: bytes) -> None:
        """An ioctl whose refusal is told, and no reason to stop: hosts differ in what they have."""
        try:
            fcntl.ioctl(fd, number, argument)
        except OSError as error:
            self.told.append(f"{what}: errno {error.errno}")

    def _attribute(self, what: str, fd: int, group: int, attribute: int, data: bytes = b"") -> None:
        buffer = ctypes.create_string_buffer(data, max(1, len(data)))
        at = ctypes.addressof(buffer) if data else 0
        self._try(what, fd, SET_ATTRIBUTE, struct.pack("<IIQQ", 0, group, attribute, at))

    def _interrupt_controller(self) -> None:
        made = bytearray(struct.pack("<III", VGIC_V3, 0, 0))
        fcntl.ioctl(self.vm, CREATE_DEVICE, made)
        gic = struct.unpack("<III", made)[1]
        for attribute, at in ((GIC_DISTRIBUTOR, "distributor"), (GIC_REDISTRIBUTOR, "redistributors")):
            self._attribute(at, gic, GIC_ADDRESSES, attribute, struct.pack("<Q", self.map[at]))
        self._attribute("interrupts", gic, GIC_N_IRQ, 0, struct.pack("<I", N_IRQ))
        self._attribute("GICv3", gic, GIC_CONTROL, 0)

    def _policy(self) -> None:
        """Firmware registers and the filter that the VM shall have."""
        for register, value in self.how["registers"]:
            try:
                self.set(0, register, value)
            except OSError as error:
                self.told.append(f"register {register:#x} = {value:#x}: errno {error.errno}")
        for base, count, action in self.how["filter"]:
            inserted = struct.pack("<IIB15x", base, count, action)
            self._attribute(f"filter {base:#x}+{count}", self.vm, 0, 0, inserted)

    def set(self, number: int, register: int, value: int) -> None:
        """KVM_SET_ONE_REG of 64 bits."""
        data = ctypes.c_uint64(value)
        fcntl.ioctl(self.vcpus[number], SET_ONE_REG, struct.pack("<QQ", register, ctypes.addressof(data)))

    def get(self, number: int, register: int) -> int:
        """KVM_GET_ONE_REG of 64 bits."""
        data = ctypes.c_uint64(0)
        fcntl.ioctl(self.vcpus[number], GET_ONE_REG, struct.pack("<QQ", register, ctypes.addressof(data)))
        return data.value

    def _reset(self, number: int) -> None:
        """KVM_ARM_VCPU_INIT: all but the first begin powered off, until the guest turns them on."""
        target = bytearray(32)
        fcntl.ioctl(self.vm, PREFERRED_TARGET, target)
        struct.pack_into("<I", target, 4, PSCI_0_2 | (POWER_OFF if number else 0))
        fcntl.ioctl(self.vcpus[number], VCPU_INIT, bytes(target))

    def run(self, number: int) -> None:
        """One vCPU until the guest ends; a thread's body."""
        try:
            while not self.ended.is_set():
                with contextlib.suppress(InterruptedError):
                    fcntl.ioctl(self.vcpus[number], RUN, 0)  # without Python's lock, so that other threads go on
                    self._exit(number)
        except BaseException as error:
            self._stop(f"failed: {type(error).__name__}: {error}")

    def _stop(self, end: str) -> None:
        if not self.ended.is_set():
            self.end = end
            self.ended.set()

    def _exit(self, number: int) -> None:
        """What the VMM does after a return from KVM_RUN."""
        run = self.runs[number]
        (reason,) = struct.unpack_from("<I", run, 8)
        if reason == EXIT_MMIO:
            self._mmio(run)
        elif reason == EXIT_HYPERCALL:  # a filter forwarded it: the guest shall see NOT_SUPPORTED
            self.set(number, X0, NOT_SUPPORTED)
        elif reason == EXIT_SYSTEM_EVENT:
            event = EVENTS.get(struct.unpack_from("<I", run, 32)[0], "?")
            if event == "suspend":  # and resumed at once, as PSCI SYSTEM_SUSPEND says: at x1, with x2 as argument
                entry, context = self.get(number, X1), self.get(number, X2)
                self._reset(number)
                self.set(number, PC, entry)
                self.set(number, X0, context)
                self.told.append("suspended and resumed")
            else:
                self._stop(event)
        else:
            self._stop(f"exit {reason} of KVM_RUN, which this VMM does not know")

    def _mmio(self, run: mmap.mmap) -> None:
        at, data, size, is_write = struct.unpack_from("<Q8sIB", run, 32)
        offset = at - self.map["serial"]
        if not 0 <= offset < 0x1000:
            self.told.append(f"{'write' if is_write else 'read'} at {at:#x}, where nothing is")
            offset = 0xFDC if not is_write else 0xFD8  # nothing there either: reads 0
        with self._lock:
            if is_write:
                self.serial.write(offset, int.from_bytes(data[:size], "little"))
            else:
                struct.pack_into("<Q", run, 40, self.serial.read(offset))
            if self.serial.line != self._was:
                self._was = self.serial.line
                number = 1 << 24 | 32 + self.map["serial_spi"]
                fcntl.ioctl(self.vm, IRQ_LINE, struct.pack("<II", number, self._was))


def trace(how: dict, guest: Guest) -> None:
    """Runs the guest with the tracepoints on, until it ends or its time is over."""
    (TRACING / "buffer_size_kb").write_text(str(how["trace_kib"]), "ascii")
    for event, condition in how["events"].items():
        if condition:
            (TRACING / "events" / event / "filter").write_text(condition, "ascii")
        (TRACING / "events" / event / "enable").write_text("1", "ascii")
    for number in range(how["n_cpu"]):
        threading.Thread(target=guest.run, args=(number,), daemon=True).start()
    if not guest.ended.wait(how["seconds"]):
        guest.end = "time"
        guest.ended.set()
    (TRACING / "tracing_on").write_text("0", "ascii")


def main() -> None:
    """The command: reads /guest/how.json, writes /out."""
    how = json.loads((FOLDER / "how.json").read_text("utf-8"))
    libc = ctypes.CDLL(None, use_errno=True)
    if not (TRACING / "events").is_dir():
        libc.mount(b"none", str(TRACING).encode(), b"tracefs", 0, None)
    begin = time.monotonic()
    told = {"release": os.uname().release, "cpus": os.cpu_count()}
    try:
        guest = Guest(how)
        trace(how, guest)
        (OUT / "guest-console.txt").write_bytes(bytes(guest.serial.sent))
        (OUT / "trace.txt").write_bytes((TRACING / "trace").read_bytes())
        (OUT / "format.txt").write_bytes((TRACING / "events/kvm/kvm_hvc_arm64/format").read_bytes())
        told |= {"end": guest.end, "told": guest.told}
    except OSError as error:
        told |= {"end": f"failed: {error}", "told": []}
    told["guest_seconds"] = round(time.monotonic() - begin, 1)
    (OUT / "told.json").write_text(json.dumps(told), "utf-8")
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
