#!/usr/bin/env python3
"""Asks the KVM of this arm64 host what its virtual machines have, and writes a host profile.

This one file is all there is: it needs Python 3.8 or later, its standard library, Linux on arm64 and /dev/kvm.

    python3 fastsmc_probe.py                  # what was found, in words
    python3 fastsmc_probe.py -o host.json     # and the host profile, which fastsmc reads
    python3 fastsmc_probe.py --measure        # and what calls and ioctls cost here
    python3 fastsmc_probe.py --record FOLDER  # records of what KVM answers: needs fastsmc_recorder.py beside this file

It makes virtual machines of its own, and closes them again. They have no memory and never run, unless --measure or
--record asks for it: then a small guest runs in them, which makes calls. It touches no other VM and changes nothing on
the host. It needs no right but to open /dev/kvm. The profile has no name of the host, no address and no serial number:
the kernel, the CPUs, what KVM says of itself, and the registers of a vCPU after its reset.

Exit codes: 0 fine, 2 a wrong command line, 3 this host cannot be asked or the file cannot be written, 130 interrupted.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import re
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA, VERSION = "fastsmc-host-profile", 1
"""What the file says it is; the version is that of its layout."""

# -- numbers, by their names in Linux include/uapi/linux/kvm.h and arch/arm64/include/uapi/asm/kvm.h --------------

KVMIO = 0xAE


def _ioc(direction: int, number: int, size: int) -> int:
    """The number of an ioctl: _IO (0), _IOW (1), _IOR (2) or _IOWR (3). Source: include/uapi/asm-generic/ioctl.h."""
    return direction << 30 | size << 16 | KVMIO << 8 | number


KVM_GET_API_VERSION = _ioc(0, 0x00, 0)
KVM_CREATE_VM = _ioc(0, 0x01, 0)
KVM_CHECK_EXTENSION = _ioc(0, 0x03, 0)
KVM_GET_VCPU_MMAP_SIZE = _ioc(0, 0x04, 0)
KVM_CREATE_VCPU = _ioc(0, 0x41, 0)
KVM_SET_USER_MEMORY_REGION = _ioc(1, 0x46, 32)
KVM_RUN = _ioc(0, 0x80, 0)
KVM_GET_MP_STATE = _ioc(2, 0x98, 4)
KVM_SET_MP_STATE = _ioc(1, 0x99, 4)
KVM_ENABLE_CAP = _ioc(1, 0xA3, 104)
KVM_GET_ONE_REG = _ioc(1, 0xAB, 16)
KVM_SET_ONE_REG = _ioc(1, 0xAC, 16)
KVM_ARM_VCPU_INIT = _ioc(1, 0xAE, 32)
KVM_ARM_PREFERRED_TARGET = _ioc(2, 0xAF, 32)
KVM_GET_REG_LIST = _ioc(3, 0xB0, 8)
KVM_ARM_VCPU_FINALIZE = _ioc(1, 0xC2, 4)
KVM_CREATE_DEVICE = _ioc(3, 0xE0, 12)
KVM_SET_DEVICE_ATTR = _ioc(1, 0xE1, 24)
KVM_GET_DEVICE_ATTR = _ioc(1, 0xE2, 24)
KVM_HAS_DEVICE_ATTR = _ioc(1, 0xE3, 24)

API_VERSION = 12
CAP_MAX_VCPUS, CAP_ONE_REG, CAP_EL1_32BIT, CAP_PSCI_0_2, CAP_PMU_V3 = 66, 70, 93, 102, 126
CAP_SYSTEM_SUSPEND, CAP_SVE, CAP_PTRAUTH_ADDRESS, CAP_PTRAUTH_GENERIC, CAP_EL2, CAP_EL2_E2H0 = (
    216,
    170,
    171,
    172,
    240,
    241,
)
N_CAPABILITY = 300
"""Capabilities are asked for from 0 on, up to here; the newest in Linux 7.3 is below 260."""
POWER_OFF, EL1_32BIT, PSCI_0_2, PMU, SVE, PAUTH, EL2, E2H0 = 0x1, 0x2, 0x4, 0x8, 0x10, 0x60, 0x80, 0x100
"""KVM_ARM_VCPU_*, bits of kvm_vcpu_init.features[0]; PAUTH is address and generic authentication, which go together."""
FINALIZE_SVE = 4
"""KVM_ARM_VCPU_SVE, the feature that has to be finalised before registers are listed."""
VM_TYPE_PROTECTED = 1 << 31
"""KVM_VM_TYPE_ARM_PROTECTED, which a host takes that was booted with kvm-arm.mode=protected."""
CREATE_DEVICE_TEST = 1
DEVICES = {"gicv2": 5, "gicv3": 7, "its": 8}
"""KVM_DEV_TYPE_ARM_*: interrupt controllers inside KVM."""
PVTIME_CTRL = 2
"""KVM_ARM_VCPU_PVTIME_CTRL, a group of a vCPU's attributes; its attribute 0 is where stolen time is told."""

FIRMWARE, BITMAPS = 0x6030000000140000, 0x6030000000160000
"""KVM_REG_ARM_FW_REG(0) and KVM_REG_ARM_FW_FEAT_BMAP_REG(0): 64-bit registers, numbered in their low 16 bits."""
SVE_VLS = 0x606000000015FFFF
"""KVM_REG_ARM64_SVE_VLS: 512 bits, bit n stands for a vector length of 128 * (n + 1)."""
NAMES = {
    FIRMWARE: "PSCI_VERSION",
    FIRMWARE + 1: "SMCCC_ARCH_WORKAROUND_1",
    FIRMWARE + 2: "SMCCC_ARCH_WORKAROUND_2",
    FIRMWARE + 3: "SMCCC_ARCH_WORKAROUND_3",
    BITMAPS: "STD_BMAP",
    BITMAPS + 1: "STD_HYP_BMAP",
    BITMAPS + 2: "VENDOR_HYP_BMAP",
    BITMAPS + 3: "VENDOR_HYP_BMAP_2",
}
"""KVM_REG_ARM_*."""
N_FIRMWARE = 16
"""How many registers of either kind are looked for; Linux 7.3 has four of each."""
PSCI_WORDS = (0, 1, 2, *(major << 16 | minor for major in (1, 2) for minor in range(16)))
"""Versions of PSCI that are tried: 0.1 and 0.2 are 1 and 2, later ones have the major version in the upper half."""
LEVELS = range(64)
"""What is tried as the level of a workaround."""
SECONDS_OF_LARGEST = 2.0
"""How long vCPUs are added to the largest VM, at most."""


class ProbeError(Exception):
    """Why this host cannot be asked or a file cannot be written, as one sentence."""


class OtherMachineError(ProbeError):
    """This machine is not Linux on arm64."""


def _module(name: str) -> Any:
    """A module without which a Python may have been built, and which a profile does not need."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f"this Python has no module {name}, which guests and records need: run the probe with another python3"
        raise ProbeError(msg) from error


class System:
    """Every system call of the probe: tests put another kernel in its place."""

    def uname(self) -> tuple[str, str, str, str]:
        """(system, release, version, machine): uname -s, -r, -v, -m."""
        told = os.uname()
        return told.sysname, told.release, told.version, told.machine

    def read(self, path: str) -> str | None:
        """A file of /proc or /sys, None where it is not there or not for us."""
        try:
            return Path(path).read_bytes().decode("utf-8", "replace")
        except OSError:
            return None

    def listed(self, path: str) -> list[str]:
        """Names in a folder of /sys, sorted."""
        try:
            return sorted(one.name for one in Path(path).iterdir())
        except OSError:
            return []

    def page_bytes(self) -> int:
        """Bytes of a page."""
        return resource.getpagesize()

    def allow_files(self, count: int) -> None:
        """Asks for that many open files, as each vCPU is one; what the host does not allow is done without."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        if soft != resource.RLIM_INFINITY and wanted > soft:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def open(self, path: str) -> int:
        """A file descriptor."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> int:
        """An ioctl; a bytearray is read and written in place. Raises OSError."""
        while True:
            try:
                return int(fcntl.ioctl(fd, request, argument, True))
            except InterruptedError:
                continue
            except OverflowError:
                argument -= 1 << 32  # before Python 3.14 a number is a C int, of which the kernel sees the bits

    def close(self, fd: int) -> None:
        """Closes a file descriptor."""
        os.close(fd)

    def map(self, fd: int, size: int) -> Any:
        """Shared memory that can be read and written: of a vCPU's descriptor, or with -1 fresh and all zero."""
        return _module("mmap").mmap(fd, size)

    def address(self, mapped: Any) -> int:
        """Where mapped memory begins."""
        ctypes = _module("ctypes")
        return int(ctypes.addressof(ctypes.c_char.from_buffer(mapped)))

    def run(self, fd: int) -> int:
        """KVM_RUN: its errno, 0 where the guest stopped by itself."""
        try:
            fcntl.ioctl(fd, KVM_RUN, 0)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def alarm(self, milliseconds: float, act: Callable[[], None]) -> None:
        """Calls `act` after that time and then every 10 ms, until it is set to 0.

        Python calls it between two of its own steps, so a first signal just before KVM_RUN would come too late.
        """
        signal.signal(signal.SIGALRM, lambda *_: act())
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000, 0.01)

    def seconds(self) -> float:
        """A clock that goes on."""
        return time.monotonic()

    def nanoseconds(self) -> int:
        """The same clock, as fine as it is."""
        return time.monotonic_ns()

    def timed(self, fd: int, request: int, arguments: list[Any]) -> float:
        """ns of ioctls made one after another, Python's own share in them. Raises OSError."""
        ioctl, begin = fcntl.ioctl, time.monotonic_ns()
        for argument in arguments:
            ioctl(fd, request, argument, True)
        return time.monotonic_ns() - begin

    def timed_calls(self, function: Callable[[], object], count: int) -> float:
        """ns of calls of a function."""
        begin = time.monotonic_ns()
        for _ in range(count):
            function()
        return time.monotonic_ns() - begin

    def busy(self) -> float:
        """Seconds of CPU time that this thread has used, its guests' included."""
        return time.thread_time()

    def date(self) -> str:
        """Now, as 2026-11-30T12:00:00Z."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# -- KVM ----------------------------------------------------------------------------------------------------------


class Descriptor:
    """A file descriptor of KVM: /dev/kvm itself, a VM or a vCPU."""

    def __init__(self, system: System, fd: int) -> None:
        self.system, self.fd = system, fd

    def __enter__(self) -> Descriptor:
        return self

    def __exit__(self, *_: object) -> None:
        self.system.close(self.fd)

    def call(self, request: int, argument: Any = 0) -> int:
        """An ioctl's result."""
        return self.system.ioctl(self.fd, request, argument)

    def errno(self, request: int, argument: Any = 0) -> int:
        """An ioctl's errno, 0 where it succeeds."""
        try:
            self.call(request, argument)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def must(self, what: str, request: int, argument: Any = 0) -> int:
        """An ioctl's result; raises ProbeError with the reason where there is none."""
        try:
            return self.call(request, argument)
        except OSError as error:
            raise ProbeError(_refused(what, error.errno or errno.EIO)) from error

    def capability(self, number: int) -> int:
        """KVM_CHECK_EXTENSION: 0 for what is not there, -errno where the question is refused."""
        try:
            return self.call(KVM_CHECK_EXTENSION, number)
        except OSError as error:
            return -(error.errno or errno.EIO)

    def attribute_errno(self, request: int, group: int, attribute: int, address: int = 0) -> int:
        """KVM_HAS_DEVICE_ATTR or KVM_SET_DEVICE_ATTR."""
        return self.errno(request, bytearray(struct.pack("=IIQQ", 0, group, attribute, address)))

    def new(self, what: str, request: int, argument: int = 0) -> Descriptor:
        """The VM or vCPU that an ioctl makes."""
        return Descriptor(self.system, self.must(what, request, argument))

    def get(self, reg: int) -> tuple[int, int]:
        """KVM_GET_ONE_REG: (errno, whole value)."""
        room = array.array("B", bytes(1 << (reg >> 52 & 0xF)))
        code = self.errno(KVM_GET_ONE_REG, bytearray(struct.pack("=QQ", reg, room.buffer_info()[0])))
        return code, int.from_bytes(room.tobytes(), "little")

    def set(self, reg: int, value: int) -> int:
        """KVM_SET_ONE_REG: its errno. The value is cut or filled up with zeros to the register's size."""
        room = array.array("B", value.to_bytes(256, "little"))
        return self.errno(KVM_SET_ONE_REG, bytearray(struct.pack("=QQ", reg, room.buffer_info()[0])))

    def accepts(self, reg: int, value: int) -> bool:
        """Whether KVM_SET_ONE_REG takes a value of a 64-bit register; raises ProbeError where it says neither."""
        code = self.set(reg, value)
        if code not in (0, errno.EINVAL):
            raise ProbeError(_refused(f"KVM_SET_ONE_REG of {reg:#x}", code))
        return not code

    def value_if_there(self, reg: int) -> int | None:
        """A register's value, None where KVM has no such register; raises ProbeError where it does not say."""
        code, value = self.get(reg)
        if code not in (0, errno.ENOENT):
            raise ProbeError(_refused(f"KVM_GET_ONE_REG of {reg:#x}", code))
        return None if code else value


def _refused(what: str, code: int) -> str:
    """One sentence on an errno that ends the probe."""
    name = errno.errorcode.get(code, str(code))
    reasons = {
        errno.ENOMEM: "the host has no memory left for it; free some and run the probe again",
        errno.EMFILE: "this process may open no more files; raise the limit (ulimit -n) and run the probe again",
        errno.ENFILE: "the host may open no more files; close some and run the probe again",
        errno.ENOTTY: "this is not KVM of arm64; a kernel with CONFIG_KVM would answer",
        errno.EBUSY: "KVM is busy; run the probe again once other hypervisors are gone",
    }
    return f"{what} failed with {name}: {reasons.get(code, 'KVM of arm64 does not refuse this; dmesg may tell why')}"


def opened_kvm(system: System) -> Descriptor:
    """/dev/kvm, of which is known that it is KVM."""
    name, _, _, machine = system.uname()
    if name != "Linux" or machine not in ("aarch64", "arm64"):
        msg = (
            f"this machine is {name} on {machine}, and the probe asks KVM of Linux on arm64: "
            "copy this file to an arm64 host and run it there, python3 fastsmc_probe.py -o host.json"
        )
        raise OtherMachineError(msg)
    try:
        kvm = Descriptor(system, system.open("/dev/kvm"))
    except OSError as error:
        code = error.errno or errno.EIO
        reasons = {
            errno.ENOENT: "it is not there: this kernel has no KVM, or the machine did not start it at EL2 "
            "(dmesg | grep kvm tells which)",
            errno.EACCES: "you may not: run the probe as root, or as a member of the group of /dev/kvm",
            errno.EPERM: "you may not: run the probe as root, or give this container the device /dev/kvm",
            errno.ENODEV: "no driver answers: load KVM, or boot a kernel with CONFIG_KVM",
            errno.ENXIO: "no driver answers: load KVM, or boot a kernel with CONFIG_KVM",
        }
        why = reasons.get(code, "dmesg may tell why")
        msg = f"/dev/kvm cannot be opened ({errno.errorcode.get(code, code)}): {why}"
        raise ProbeError(msg) from error
    try:
        found = kvm.must("KVM_GET_API_VERSION of /dev/kvm", KVM_GET_API_VERSION)
        if found != API_VERSION:
            msg = f"KVM_GET_API_VERSION of /dev/kvm is {found}, and every KVM since Linux 2.6.22 says {API_VERSION}"
            raise ProbeError(msg)
        for number, word in ((CAP_ONE_REG, "KVM_CAP_ONE_REG"), (CAP_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2")):
            if kvm.capability(number) <= 0:
                msg = f"this kernel's KVM lacks {word} ({number}), so it cannot be asked: run Linux 5.10 or later"
                raise ProbeError(msg)
    except ProbeError:
        system.close(kvm.fd)
        raise
    return kvm


@contextlib.contextmanager
def fresh_vm(kvm: Descriptor) -> Iterator[Descriptor]:
    """A throw-away VM."""
    with kvm.new("KVM_CREATE_VM", KVM_CREATE_VM) as vm:
        yield vm


@contextlib.contextmanager
def _vcpu(kvm: Descriptor, features: int) -> Iterator[tuple[Descriptor, int]]:
    """A vCPU of a throw-away VM, and the errno of its KVM_ARM_VCPU_INIT."""
    with fresh_vm(kvm) as vm, vm.new("KVM_CREATE_VCPU", KVM_CREATE_VCPU) as vcpu:
        target = bytearray(32)
        vm.must("KVM_ARM_PREFERRED_TARGET", KVM_ARM_PREFERRED_TARGET, target)
        struct.pack_into("=I", target, 4, features)
        yield vcpu, vcpu.errno(KVM_ARM_VCPU_INIT, target)


# -- what is found ------------------------------------------------------------------------------------------------


def probe(system: System | None = None) -> dict[str, Any]:
    """The host profile of this machine; raises ProbeError."""
    system = system or System()
    with opened_kvm(system) as kvm:
        with fresh_vm(kvm) as vm:
            capabilities = _capabilities(kvm, vm)
            devices = {
                name: vm.errno(KVM_CREATE_DEVICE, bytearray(struct.pack("=III", kind, 0, CREATE_DEVICE_TEST)))
                for name, kind in DEVICES.items()
            }
        sets, refused = _register_sets(kvm, capabilities)
        _, release, version, machine = system.uname()
        profile: dict[str, Any] = {
            "schema": SCHEMA,
            "version": VERSION,
            "date_utc": system.date(),
            "emulated_by": _emulated_by(system),
            "kernel": {"release": release, "version": version, "machine": machine, "page_bytes": system.page_bytes()},
            "cpu": _cpu(system),
            "vulnerabilities": _vulnerabilities(system),
            "kvm": {
                "api_version": API_VERSION,
                "mode_asked": mode_asked(system),
                "mode": mode_of(system, kvm, capabilities),
                "capabilities": capabilities,
                "device_errnos": devices,
                "pv_time_errno": _pv_time(kvm),
                "sve_lengths": _sve_lengths(kvm, capabilities),
            },
            "filter": _filter(kvm),
            "firmware": _firmware(kvm),
            "register_sets": sets,
            "refused": refused,
        }
        profile["kvm"]["largest_vm"] = _largest(kvm)  # last, as it asks most of the host
        return profile


def _has(capabilities: dict[str, list[int]], *numbers: int) -> bool:
    return all(max(capabilities.get(str(number), [0])) > 0 for number in numbers)


def _capabilities(kvm: Descriptor, vm: Descriptor) -> dict[str, list[int]]:
    """By number: what /dev/kvm and a VM say, where either says anything but 0."""
    found = {str(number): [kvm.capability(number), vm.capability(number)] for number in range(N_CAPABILITY)}
    return {number: told for number, told in found.items() if any(told)}


def mode_asked(system: System) -> str | None:
    """The kernel's parameter kvm-arm.mode, None where it was not given."""
    words = (system.read("/proc/cmdline") or "").split()
    given = [word.partition("=")[2] for word in words if word.replace("_", "-").startswith("kvm-arm.mode=")]
    return given[-1] if given else None


def mode_of(system: System, kvm: Descriptor, capabilities: dict[str, list[int]]) -> str:
    """How KVM was started, as it acts: `mode=nested` does nothing on a host that lacks what it needs."""
    if _has(capabilities, CAP_EL2):
        return "nested"
    try:
        system.close(kvm.call(KVM_CREATE_VM, VM_TYPE_PROTECTED))
    except OSError:
        return "nvhe" if mode_asked(system) == "nvhe" else "default"
    return "protected"


def _cpu(system: System) -> dict[str, Any]:
    """Which CPUs there are: kinds by MIDR_EL1 with their number, and what /proc/cpuinfo calls their features."""
    kinds: dict[str, int] = {}
    features, midr = "", 0
    shifts = {"CPU implementer": 24, "CPU variant": 20, "CPU part": 4, "CPU revision": 0}
    for line in [*(system.read("/proc/cpuinfo") or "").splitlines(), "processor"]:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and midr:
            kinds[f"{midr:#x}"] = kinds.get(f"{midr:#x}", 0) + 1
            midr = 0
        elif key == "Features":
            features = value
        elif key in shifts:
            with contextlib.suppress(ValueError):
                midr |= 0xF << 16 | int(value, 0) << shifts[key]  # architecture 15: told by ID registers
    clock = system.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    kinds_told = [{"midr": name, "cores": count} for name, count in kinds.items()]
    return {"kinds": kinds_told, "features": features, "clocksource": (clock or "").strip() or None}


def _vulnerabilities(system: System) -> dict[str, str]:
    """What the kernel says of each, by the name of its file."""
    folder = "/sys/devices/system/cpu/vulnerabilities"
    told = {name: system.read(f"{folder}/{name}") for name in system.listed(folder)}
    return {name: text.strip() for name, text in told.items() if text is not None}


def _emulated_by(system: System) -> list[str]:
    """Signs that this host is no real machine, so that times measured on it mean nothing; [] where there are none."""
    signs = []
    lines = (system.read("/proc/cpuinfo") or "").splitlines()
    if any(line.split() == ["CPU", "implementer", ":", "0x00"] for line in lines):
        signs.append("/proc/cpuinfo: CPU implementer 0x00, as QEMU's emulated CPU max has it")
    if "linux,dummy-virt" in (system.read("/proc/device-tree/compatible") or ""):
        signs.append("device tree: linux,dummy-virt, QEMU's machine virt")
    if "QEMU" in (system.read("/sys/class/dmi/id/sys_vendor") or ""):
        signs.append("DMI: made by QEMU")
    return signs


def _feature_sets(capabilities: dict[str, list[int]]) -> Iterator[tuple[str, int]]:
    """Feature sets of a vCPU that are worth asking for: all of PMU, SVE and pointer authentication that there are."""
    has = [
        ("pmu", PMU, _has(capabilities, CAP_PMU_V3)),
        ("sve", SVE, _has(capabilities, CAP_SVE)),
        ("pauth", PAUTH, _has(capabilities, CAP_PTRAUTH_ADDRESS, CAP_PTRAUTH_GENERIC)),
    ]
    some: list[tuple[str, int]] = [("psci02", PSCI_0_2)]
    for name, bits, is_there in has:
        if is_there:
            some += [(f"{before}+{name}", features | bits) for before, features in some]
    yield "none", 0
    yield from some
    if _has(capabilities, CAP_EL1_32BIT):
        yield from ((f"{name}+el1_32bit", bits | EL1_32BIT) for name, bits in some if not bits & (SVE | PAUTH))
    if _has(capabilities, CAP_EL2):
        yield from ((f"{name}+el2", bits | EL2) for name, bits in some)
    if _has(capabilities, CAP_EL2, CAP_EL2_E2H0):
        yield from ((f"{name}+el2+e2h0", bits | EL2 | E2H0) for name, bits in some)


def _register_sets(
    kvm: Descriptor, capabilities: dict[str, list[int]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The registers of a vCPU after its reset, per feature set, and the feature sets that KVM refuses."""
    found, refused = [], []
    for name, bits in _feature_sets(capabilities):
        with _vcpu(kvm, bits) as (vcpu, code):
            if not code and bits & SVE:
                code = vcpu.errno(KVM_ARM_VCPU_FINALIZE, bytearray(struct.pack("=i", FINALIZE_SVE)))
            if code and name == "psci02":
                raise ProbeError(_refused("KVM_ARM_VCPU_INIT of a vCPU with PSCI 0.2", code))
            if code:
                refused.append({"features": name, "init": f"{bits:#x}", "errno": code})
                continue
            values: dict[str, str] = {}
            unread: dict[str, int] = {}
            for reg in _listed(vcpu):
                code, value = vcpu.get(reg)
                if code:
                    unread[f"{reg:#x}"] = code
                else:
                    values[f"{reg:#x}"] = f"{value:#x}"
            found.append({"features": name, "init": f"{bits:#x}", "registers": values, "unread": unread})
    return found, refused


def _listed(vcpu: Descriptor) -> list[int]:
    """KVM_GET_REG_LIST, which first says how many there are (E2BIG)."""
    count = bytearray(8)
    code = vcpu.errno(KVM_GET_REG_LIST, count)
    if code not in (0, errno.E2BIG):
        raise ProbeError(_refused("KVM_GET_REG_LIST", code))
    (n_reg,) = struct.unpack("=Q", count)
    room = bytearray(struct.pack("=Q", n_reg) + bytes(8 * n_reg))
    vcpu.must("KVM_GET_REG_LIST", KVM_GET_REG_LIST, room)
    (n_given,) = struct.unpack_from("=Q", room)
    return list(struct.unpack_from(f"={n_given}Q", room, 8))


def _firmware(kvm: Descriptor) -> list[dict[str, Any]]:
    """Every firmware register: its value after reset, and what it accepts, found by trial.

    A register of the bitmap class tells which bits it accepts, one at a time. Of another class it tells which words;
    PSCI_VERSION those that a vCPU with PSCI 0.2 or one without it accepts.
    """
    found = []
    with _vcpu(kvm, PSCI_0_2) as (vcpu, _), _vcpu(kvm, 0) as (other, _):
        for number in range(N_FIRMWARE):
            reg = FIRMWARE + number
            value = vcpu.value_if_there(reg)
            if value is not None:
                words, askable = (LEVELS, [vcpu]) if number else (PSCI_WORDS, [vcpu, other])
                taken = [f"{word:#x}" for word in words if any(one.accepts(reg, word) for one in askable)]
                found.append(_register(reg, value, accepted=taken))
        for number in range(N_FIRMWARE):
            reg = BITMAPS + number
            value = vcpu.value_if_there(reg)
            if value is not None:
                bits = sum(1 << bit for bit in range(64) if vcpu.accepts(reg, 1 << bit))
                found.append(_register(reg, value, accepted_bits=f"{bits:#x}"))
    return found


def _register(reg: int, value: int, **limit: Any) -> dict[str, Any]:
    return {"id": f"{reg:#x}", "name": NAMES.get(reg), "reset": f"{value:#x}", **limit}


def _filter(kvm: Descriptor) -> dict[str, int]:
    """Whether a VM takes an SMCCC filter (an errno, 0 for yes), and what it says to a range of no functions."""
    with fresh_vm(kvm) as vm:
        has = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0)
        empty = []
        for base in (0, 0x84000000):
            room = array.array("B", struct.pack("=IIB15x", base, 0, 0))
            empty.append(vm.attribute_errno(KVM_SET_DEVICE_ATTR, 0, 0, room.buffer_info()[0]))
    return {"errno": has, "empty_at_0_errno": empty[0], "empty_errno": empty[1]}


def _pv_time(kvm: Descriptor) -> int:
    """Whether a vCPU can be told where stolen time goes: an errno."""
    with _vcpu(kvm, PSCI_0_2) as (vcpu, _):
        return vcpu.attribute_errno(KVM_HAS_DEVICE_ATTR, PVTIME_CTRL, 0)


def _sve_lengths(kvm: Descriptor, capabilities: dict[str, list[int]]) -> list[int]:
    """The vector lengths of a vCPU with SVE in bits, [] where there is none."""
    if not _has(capabilities, CAP_SVE):
        return []
    with _vcpu(kvm, PSCI_0_2 | SVE) as (vcpu, refused):
        lengths = 0 if refused else vcpu.value_if_there(SVE_VLS) or 0
    return [128 * (bit + 1) for bit in range(512) if lengths >> bit & 1]


def _largest(kvm: Descriptor) -> dict[str, Any]:
    """How many vCPUs a VM may have, as KVM says and as many as could be made within a bound of time."""
    system = kvm.system
    made: list[Descriptor] = []
    with fresh_vm(kvm) as vm:
        limit = max(0, vm.capability(CAP_MAX_VCPUS))
        system.allow_files(limit + 64)
        end, ended_by = system.seconds() + SECONDS_OF_LARGEST, "limit"
        try:
            while len(made) < limit and ended_by == "limit":
                try:
                    made.append(Descriptor(system, vm.call(KVM_CREATE_VCPU, len(made))))
                except OSError as error:
                    ended_by = errno.errorcode.get(error.errno or errno.EIO, str(error.errno))
                if system.seconds() > end and len(made) < limit:
                    ended_by = "time"
        finally:
            for one in made:
                system.close(one.fd)
    return {"limit": limit, "made": len(made), "ended_by": ended_by}


# -- a small guest that makes calls ------------------------------------------------------------------------------

CODE = """
b4000394 cbz x20, 112           a9400660 ldp x0, x1, [x19]       a9410e62 ldp x2, x3, [x19, #16]
a9421664 ldp x4, x5, [x19, #32]  a9431e66 ldp x6, x7, [x19, #48]  f9402276 ldr x22, [x19, #64]
f10006df cmp x22, #1            540000e0 b.eq 56
f1000adf cmp x22, #2            540000e0 b.eq 64
f1000edf cmp x22, #3            540000e0 b.eq 72
d4000002 hvc #0                 14000006 b 76
d4000003 smc #0                 14000004 b 76
d4000022 hvc #1                 14000002 b 76
d4000023 smc #1                 a9050660 stp x0, x1, [x19, #80]  a9060e62 stp x2, x3, [x19, #96]
a9071664 stp x4, x5, [x19, #112]  a9081e66 stp x6, x7, [x19, #128]
d2800036 mov x22, #1            f9002676 str x22, [x19, #72]
91028273 add x19, x19, #160     d1000694 sub x20, x20, #1        17ffffe5 b 0
f90002b4 str x20, [x21]         17ffffff b 112
"""
"""The guest, each word with its meaning; jumps go to an offset in the code. It makes the calls of a table one by one.

x19 is the entry of a call, x20 how many calls are left, x21 the MMIO address. HVC #0 is at 48, the end mark at 112.
"""
VECTOR = "d5385216 mrs x22, esr_el1  f90006b6 str x22, [x21, #8]  14000000 b 8"
"""What each of the 16 exception vectors does: it tells ESR_EL1 to whoever runs the guest, and stays."""
VECTORS = 2048


def words(assembly: str) -> bytes:
    """The code that is written as words of eight hex digits, each with its meaning beside it."""
    return b"".join(struct.pack("<I", int(word, 16)) for word in re.findall(r"\b[0-9a-f]{8}\b", assembly))


GUEST_CODE = words(CODE).ljust(VECTORS, b"\0") + words(VECTOR).ljust(128, b"\0") * 16
GUEST, PAGES, TABLE, MEMORY = 0x40000000, 0x8000, 0x10000, 4 << 20
"""Where the guest's memory begins in its own addresses; offsets of its page table and of its table of calls; size."""
MMIO = 0x10000000
"""A store there is the end mark, one 8 bytes on an exception of the guest."""
ENTRY_IN, ENTRY_OUT = struct.Struct("<9Q88x"), struct.Struct("<72x9Q16x")
"""An entry of the table, 160 bytes: x0..x7 going in and the conduit; whether it is done and x0..x7 coming out."""
CONDUITS = ("hvc0", "smc0", "hvc1", "smc1")

X0, PC, PSTATE = 0x6030000000100000, 0x6030000000100040, 0x6030000000100042
"""KVM_REG_ARM_CORE: general register n is X0 + 2 * n."""
VBAR_EL1 = 0x603000000013C600
CACHED = {0x603000000013C510: 0xFF00, 0x603000000013C102: 0x803519, 0x603000000013C100: GUEST + PAGES}
"""MAIR_EL1 (0 device, 1 write-back), TCR_EL1 (39 bits, 4 KiB, walks shared and write-back), TTBR0_EL1.

A guest without a page table reads and writes past the caches (Arm ARM, chapter D8: its data are Device memory), and
this program by way of them: on a CPU before FEAT_S2FWB calls and answers would be lost. So it maps its first 2 GiB.
"""
SCTLR_EL1, SCTLR_CACHED, SCTLR_CACHED_32 = 0x603000000013C080, 0x30D01805, 0xC5187D
"""Bits that have to be 1, and I, C and M: caches and page table on."""
BLOCKS = struct.pack("<QQ", 0x60000000000401, GUEST | 0x705)
"""1 GiB device memory that is never executed, which holds MMIO; 1 GiB of memory at GUEST."""
IMMEDIATE_EXIT, EXIT_REASON, EXIT_DATA, HYPERCALL_RET = 1, 8, 32, 88
"""Offsets in struct kvm_run: u8, u32, and where what belongs to the reason begins; u64."""
EXIT_HYPERCALL, EXIT_MMIO, EXIT_INTR, EXIT_SYSTEM_EVENT = 3, 6, 10, 24
END, EXCEPTION, EXIT, ERRNO, TIMEOUT = range(5)
"""Kinds of a stop, as recordings number them."""
PATIENCE = 20


class Stop(NamedTuple):
    """Why a vCPU stopped: kind, KVM_RUN's errno, KVM's exit reason, and the guest's own ESR_EL1 of an exception."""

    kind: int
    errno: int = 0
    reason: int = 0
    esr: int = 0


class Guest:
    """A VM with memory, the code above in it, and vCPUs that run it; vCPU 0 is on, the others off where PSCI 0.2 is.

    The code is written before the VM first runs. KVM makes a page executable at the guest's first fetch from it, and
    then cleans the data cache and invalidates the instruction cache, or the CPU has CTR_EL0.IDC and DIC and needs
    neither (Linux arch/arm64/kvm/mmu.c, user_mem_abort): nothing has to be flushed here.

    Attributes:
        vm, vcpus: their descriptors.
        memory, runs: the guest's memory; each vCPU's struct kvm_run.
        is_busy: whether a vCPU whose time was over had run for most of it.
        init_errno: the first errno of KVM_ARM_VCPU_INIT, 0 where all succeeded; there are no more vCPUs after it.
    """

    def __init__(
        self,
        kvm: Descriptor,
        features: int = PSCI_0_2,
        n_vcpu: int = 1,
        *,
        vm_type: int = 0,
        code: bytes = GUEST_CODE,
        size: int = MEMORY,
        has_slot: bool = True,
    ) -> None:
        self.kvm, self.system = kvm, kvm.system
        self.vcpus: list[Descriptor] = []
        self.runs: list[Any] = []
        self.init_errno, self.is_late, self.is_busy = 0, False, False
        self.vm = kvm.new("KVM_CREATE_VM", KVM_CREATE_VM, vm_type)
        try:
            self.memory = self._mapped(-1, size)
            self.memory[: len(code)] = code
            self.memory[PAGES : PAGES + len(BLOCKS)] = BLOCKS
            if has_slot and (slot := self.slot_errno()):
                raise ProbeError(_refused("KVM_SET_USER_MEMORY_REGION", slot))
            for number in range(n_vcpu):
                if not self.init_errno:
                    self.init_errno = self.add(features | (number > 0 and features & PSCI_0_2 > 0))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives everything back."""
        for one in (*self.vcpus, self.vm):
            self.system.close(one.fd)

    def _mapped(self, fd: int, size: int) -> Any:
        try:
            return self.system.map(fd, size)
        except OSError as error:
            raise ProbeError(_refused("mmap of a guest's memory", error.errno or errno.EIO)) from error

    def slot_errno(self) -> int:
        """Gives the VM its memory."""
        region = struct.pack("=IIQQQ", 0, 0, GUEST, len(self.memory), self.system.address(self.memory))
        return self.vm.errno(KVM_SET_USER_MEMORY_REGION, bytearray(region))

    def add(self, features: int) -> int:
        """Makes the next vCPU; gives the errno of its KVM_ARM_VCPU_INIT."""
        self.vcpus.append(self.vm.new("KVM_CREATE_VCPU", KVM_CREATE_VCPU, len(self.vcpus)))
        size = self.kvm.must("KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE)
        self.runs.append(self._mapped(self.vcpus[-1].fd, size))
        return self.init(len(self.vcpus) - 1, features)

    def init(self, number: int, features: int) -> int:
        """KVM_ARM_VCPU_INIT: its errno."""
        target = bytearray(32)
        self.vm.must("KVM_ARM_PREFERRED_TARGET", KVM_ARM_PREFERRED_TARGET, target)
        struct.pack_into("=I", target, 4, features)
        return self.vcpus[number].errno(KVM_ARM_VCPU_INIT, target)

    def start(self, n_call: int, number: int = 0) -> None:
        """Has a vCPU begin with the first of so many calls of the table."""
        registers = {19: GUEST + TABLE, 20: n_call, 21: MMIO}
        for reg, value in {
            **{X0 + 2 * n: value for n, value in registers.items()},
            **{PC: GUEST, VBAR_EL1: GUEST + VECTORS, **CACHED, SCTLR_EL1: SCTLR_CACHED},
        }.items():
            self.vcpus[number].set(reg, value)

    def run(self, milliseconds: int, number: int = 0, *, completes: bool = True, patience: int = PATIENCE) -> Stop:
        """Runs a vCPU until it stops, or that time is over and it waits in KVM.

        One that ran for most of the time gets it again, so often: its host may be an emulated one that has to wait. It
        may have begun to wait since, and goes on then; without patience `is_busy` says that this cannot be told.

        The guest's store to MMIO is pending when it stops by one: only the next KVM_RUN completes it, and moves PC on.
        Unless `completes`, that is left to whoever runs the vCPU again.
        """
        self.is_late = False
        self._time(milliseconds, number, patience)
        try:
            stop = self._run(number)
        finally:
            self.system.alarm(0, lambda: None)
            self.runs[number][IMMEDIATE_EXIT] = 0
        if stop.kind in (END, EXCEPTION) and completes:
            self.complete(number)
        return stop

    def _time(self, milliseconds: int, number: int, n_more: int) -> None:
        since, used = self.system.seconds(), self.system.busy()

        def over() -> None:
            self.is_busy = self.system.busy() - used > 0.5 * (self.system.seconds() - since)
            if n_more and self.is_busy:
                self._time(milliseconds, number, n_more - 1)
            else:
                self.is_late = True
                self.runs[number][IMMEDIATE_EXIT] = 1

        self.system.alarm(milliseconds, over)

    def complete(self, number: int = 0) -> int:
        """KVM_RUN that ends before the guest runs (EINTR): it only completes what is pending."""
        self.runs[number][IMMEDIATE_EXIT] = 1
        code = self.system.run(self.vcpus[number].fd)
        self.runs[number][IMMEDIATE_EXIT] = 0
        return code

    def _run(self, number: int) -> Stop:
        run, fd = self.runs[number], self.vcpus[number].fd
        while True:
            code = self.system.run(fd)
            (reason,) = struct.unpack_from("=I", run, EXIT_REASON)
            if code == errno.EINTR or (not code and reason == EXIT_INTR):
                if self.is_late:
                    return Stop(TIMEOUT, code, reason)
                continue
            if code == errno.ENOMEM:
                raise ProbeError(_refused("KVM_RUN", code))
            if code:
                return Stop(ERRNO, code, reason)
            address, told = struct.unpack_from("=QQ", run, EXIT_DATA)
            if reason == EXIT_MMIO and address in (MMIO, MMIO + 8):
                return Stop(END) if address == MMIO else Stop(EXCEPTION, 0, reason, told)
            return Stop(EXIT, 0, reason)


def inserted(vm: Descriptor, base: int, nr: int, action: int, *pad: int) -> int:
    """Inserts a range into the SMCCC filter (action 0 handle, 1 deny, 2 forward), those pad bytes 1: the errno."""
    one = array.array("B", struct.pack("=IIB15x", base, nr, action))
    for number in pad:
        one[9 + number] = 1
    return vm.attribute_errno(KVM_SET_DEVICE_ATTR, 0, 0, one.buffer_info()[0])


# -- what it costs ------------------------------------------------------------------------------------------------

LOOP = (
    (0xAA1303E0, "mov x0, x19"),  # x19: the function
    (0xD4000002, "hvc #0"),
    (0xF1000694, "subs x20, x20, #1"),  # x20: calls that are left
    (0x54FFFFA1, "b.ne 0"),
    (0xF90002B4, "str x20, [x21]"),  # x21: MMIO, the end mark
    (0x17FFFFFF, "b 16"),
)
"""The guest that is timed: one call again and again, and then nothing but stores that end KVM_RUN."""
LOOP_CODE = struct.pack(f"<{len(LOOP)}I", *(word for word, _ in LOOP)).ljust(VECTORS, b"\0") + GUEST_CODE[VECTORS:]
UNKNOWN, PSCI_VERSION, WORKAROUND_1, FILTERED = 0x4B000000, 0x84000000, 0x80008000, 0xC2000000
DENY, FORWARD = 1, 2  # KVM_SMCCC_FILTER_*
TREE_LEVELS = {1: 1, 10: 2, 100: 2, 1000: 3}
"""Levels of a filter's tree by its ranges: nodes of 16 slots, a range and a gap each, and two ranges of KVM's own."""
CALLS = (
    *(("not supported", UNKNOWN, 0, 0), ("answered", PSCI_VERSION, 0, 0), ("fast path", WORKAROUND_1, 0, 0)),
    *(("denied", FILTERED, DENY, 1), ("forwarded", FILTERED, FORWARD, 1), ("store", UNKNOWN, 0, 0)),
    *(("answered", PSCI_VERSION, DENY, count) for count in TREE_LEVELS),
)
"""What is timed: the function, the filter's action and its ranges, FILTERED in the first. A store is one to MMIO."""
CLASSES = {0x10: "core", 0x11: "cache", 0x14: "firmware", 0x15: "sve", 0x16: "bitmap"}
"""By bits 16 to 27 of a register's id; those of system registers, 0x13, are split by what they are about."""
SECONDS = {"overhead": 2.0, "calls": 15.0, "registers": 8.0, "vms": 20.0}
"""How long each part of the measurement may take, if a minute is left for all of it."""
N_SAMPLE, N_EACH, ENOUGH_NS = 25, 200, 1_000_000
"""Samples of a figure; ioctls of a sample; how long a run of calls takes at least."""


def measure(profile: dict[str, Any], system: System | None = None, left: float = 60.0) -> dict[str, Any]:
    """What this host pays, in ns: the entry `costs` of its profile, within the seconds left. Raises ProbeError."""
    system = system or System()
    bounds = {name: seconds * max(0.1, left / 60) for name, seconds in SECONDS.items()}
    usable = [one for one in profile["register_sets"] if not int(one["init"], 16) & (EL1_32BIT | EL2)]
    best = max(usable, key=lambda one: int(one["init"], 16))  # as QEMU starts a VM: with all there is
    features, begin = int(best["init"], 16), system.seconds()
    cut: list[str] = []
    try:
        with opened_kvm(system) as kvm:
            system.allow_files(1024)
            found = {"features": best["features"], "overhead": _overhead(kvm, bounds["overhead"])}
            found["calls"] = _timed_calls(kvm, bounds["calls"], not profile["filter"]["errno"], cut)
            packs = _packs(kvm, features, [int(reg, 16) for reg in best["registers"]])
            found["registers"] = _by_class(kvm, bounds["registers"], features, *packs)
            found["vms"] = _by_vcpus(kvm, bounds["vms"], features, *packs, cut)
    except OSError as error:
        raise ProbeError(_refused("an ioctl that was timed", error.errno or errno.EIO)) from error
    return {**found, "cut": cut, "seconds": round(system.seconds() - begin, 3)}


def _spread(ns: list[float]) -> dict[str, Any]:
    """Median and quartiles of two samples or more."""
    ordered = sorted(ns)

    def at(quarter: int) -> float:
        below, rest = divmod(quarter * (len(ordered) - 1), 4)
        return round(ordered[below] + (ordered[min(below + 1, len(ns) - 1)] - ordered[below]) * rest / 4, 2)

    return {"median": at(2), "q1": at(1), "q3": at(3), "samples": len(ns)}


def _sampled(system: System, seconds: float, once: Callable[[], float], count: int = 1) -> dict[str, Any]:
    """Samples of what is timed, two at least, until the time is over; the first one is not counted."""
    end = system.seconds() + seconds
    found = [once() / count for _ in range(3)][1:]
    while len(found) < N_SAMPLE and system.seconds() < end:
        found.append(once() / count)
    return _spread(found)


def _overhead(kvm: Descriptor, seconds: float) -> dict[str, Any]:
    """What is in every ioctl besides KVM's work: Python, and the way into the kernel and back (getppid)."""
    system, target, nothing = kvm.system, [bytearray(32)] * N_EACH, [0] * N_EACH
    with fresh_vm(kvm) as vm:
        kinds: dict[str, Callable[[], float]] = {
            "function": lambda: system.timed_calls(sys.getrecursionlimit, N_EACH),
            "system_call": lambda: system.timed_calls(os.getppid, N_EACH),
            "ioctl": lambda: system.timed(kvm.fd, KVM_GET_API_VERSION, nothing),
            "ioctl_with_struct": lambda: system.timed(vm.fd, KVM_ARM_PREFERRED_TARGET, target),
        }
        return {name: _sampled(system, seconds / len(kinds), one, N_EACH) for name, one in kinds.items()}


def _timed_calls(kvm: Descriptor, seconds: float, has_filter: bool, cut: list[str]) -> list[dict[str, Any]]:
    """ns of one call, from the guest to whoever answers it and back."""
    cut += ["denied, forwarded, and filters of any ranges: this KVM has no SMCCC filter"] * (not has_filter)
    found = []
    for name, func_id, action, n_range in CALLS:
        if n_range and not has_filter:
            continue
        try:
            with Guest(kvm, code=LOOP_CODE) as guest:
                ranges = (FILTERED + 0x1000 * number for number in range(n_range))
                code = next(filter(None, (inserted(guest.vm, base, 16, action) for base in ranges)), 0)
                if code:
                    raise OSError(code, "no filter")
                once = _leaving(guest, func_id, name) if name in ("forwarded", "store") else _staying(guest, func_id)
                ns = _sampled(kvm.system, seconds / len(CALLS), once)
        except (OSError, ProbeError) as error:
            cut.append(f"{name} with {n_range} ranges of a filter: {_why(error)}")
        else:
            found.append({"call": name, "id": f"{func_id:#x}", "ranges": n_range, "ns": ns})
    return found


def _why(error: Exception) -> str:
    return errno.errorcode.get(getattr(error, "errno", None) or 0, str(error))


def _run_ns(guest: Guest, func_id: int, n_call: int, kind: int = END) -> float:
    """ns of a KVM_RUN in which the guest makes so many calls; raises ProbeError where it stops otherwise."""
    guest.start(n_call)
    guest.vcpus[0].set(X0 + 2 * 19, func_id)
    begin = guest.system.nanoseconds()
    stop = guest.run(2000, completes=False)
    took = guest.system.nanoseconds() - begin
    if stop.kind != kind:
        msg = f"a guest that made {n_call} calls of {func_id:#x} stopped otherwise than it should: {stop}"
        raise ProbeError(msg)
    return took


def _staying(guest: Guest, func_id: int) -> Callable[[], float]:
    """Times a call that stays in the kernel: 2n of them in one KVM_RUN less n of them, so that leaving cancels out."""

    def ns(n_call: int) -> float:
        took = _run_ns(guest, func_id, n_call)
        guest.complete()
        return took

    n = 64
    while ns(n) < ENOUGH_NS and n < 1 << 20:
        n *= 2
    return lambda: (ns(2 * n) - ns(n)) / n


def _leaving(guest: Guest, func_id: int, name: str) -> Callable[[], float]:
    """Times what ends KVM_RUN each time: to user space, which is Python here, and back into the guest."""
    _run_ns(guest, func_id, *((1 << 62, EXIT) if name == "forwarded" else (1, END)))
    return lambda: guest.system.timed(guest.vcpus[0].fd, KVM_RUN, [0] * N_EACH) / N_EACH


@contextlib.contextmanager
def _vcpus(kvm: Descriptor, features: int, count: int) -> Iterator[list[Descriptor]]:
    """vCPUs of a throw-away VM, whose registers can be asked; raises OSError where the host has no more."""
    with fresh_vm(kvm) as vm, contextlib.ExitStack() as made:
        target = bytearray(32)
        vm.call(KVM_ARM_PREFERRED_TARGET, target)
        struct.pack_into("=I", target, 4, features)
        vcpus = []
        for number in range(count):
            vcpus.append(made.enter_context(Descriptor(kvm.system, vm.call(KVM_CREATE_VCPU, number))))
            vcpus[-1].call(KVM_ARM_VCPU_INIT, target)
            if features & SVE:
                vcpus[-1].call(KVM_ARM_VCPU_FINALIZE, bytearray(struct.pack("=i", FINALIZE_SVE)))
        yield vcpus


def _packs(kvm: Descriptor, features: int, registers: list[int]) -> tuple[list[Any], list[Any]]:
    """Registers, each with room for its value and the struct kvm_one_reg that points there; those that can be set."""
    packs = []
    for reg in registers:
        room = array.array("B", bytes(1 << (reg >> 52 & 0xF)))
        packs.append((reg, room, bytearray(struct.pack("=QQ", reg, room.buffer_info()[0]))))
    with _vcpus(kvm, features, 1) as (vcpu,):
        packs = [one for one in packs if not vcpu.errno(KVM_GET_ONE_REG, one[2])]
        settable = [one for one in packs if not vcpu.errno(KVM_SET_ONE_REG, one[2])]
    if not settable:
        msg = "no register of a fresh vCPU can be read and written back, so nothing can be timed"
        raise ProbeError(msg)
    return packs, settable


def _class(reg: int) -> str:
    """What a register is about."""
    if reg >> 16 & 0xFFF != 0x13:
        return CLASSES.get(reg >> 16 & 0xFFF, "other")
    place = reg >> 11 & 0x1F, reg >> 7 & 0xF  # op0 and op1, CRn
    if place == (0b11011, 14):
        return "pmu" if reg >> 6 & 1 else "timer"
    return {(0b11000, 0): "id", (0b11011, 9): "pmu"}.get(place, "system")


def _by_class(
    kvm: Descriptor, seconds: float, features: int, readable: list[Any], settable: list[Any]
) -> list[dict[str, Any]]:
    """ns of one ioctl by class of register: of a fresh vCPU's first touch (cold), and of later ones (warm)."""
    system, end = kvm.system, kvm.system.seconds() + seconds
    found: dict[tuple[str, str, str, int], list[float]] = {}
    for number in range(N_SAMPLE):
        if number > 1 and system.seconds() > end:
            break
        for ioctl, request, packs in (("get", KVM_GET_ONE_REG, readable), ("set", KVM_SET_ONE_REG, settable)):
            by_class: dict[str, list[bytearray]] = {}
            for reg, _, pack in packs:
                by_class.setdefault(_class(reg), []).append(pack)
            with _vcpus(kvm, features, 1) as (vcpu,):
                for name, same in by_class.items():
                    for state in ("cold", "warm", "warm"):
                        ns = system.timed(vcpu.fd, request, same) / len(same)
                        found.setdefault((name, ioctl, state, len(same)), []).append(ns)
    return [
        {"kind": name, "ioctl": ioctl, "state": state, "registers": count, "ns": _spread(ns)}
        for (name, ioctl, state, count), ns in found.items()
    ]


def _by_vcpus(
    kvm: Descriptor, seconds: float, features: int, readable: list[Any], settable: list[Any], cut: list[str]
) -> list[dict[str, Any]]:
    """ns of saving and of loading a vCPU's registers as QEMU does it: all of the list in its order, one by one."""
    system, end, last = kvm.system, kvm.system.seconds() + seconds, 0.0
    ways = (("save", KVM_GET_ONE_REG, readable), ("load", KVM_SET_ONE_REG, settable))
    found: list[dict[str, Any]] = []
    for count in (1 << power for power in range(10)):
        begin = system.seconds()
        row: dict[str, Any] = {"vcpus": count}
        if begin + 2 * last > end:
            cut.append(f"save and load of {count} vCPUs and more: beyond {seconds:.3g} s")
            break
        try:
            for name, request, packs in ways:
                some = [pack for _, _, pack in packs]
                each: list[float] = []
                while len(each) < 8:  # so that there is a spread of few vCPUs too
                    with _vcpus(kvm, features, count) as vcpus:  # loaded into another VM, as a destination does
                        each += [system.timed(vcpu.fd, request, some) for vcpu in vcpus]
                row[name] = {"ioctls": len(some), "all": round(sum(each) * count / len(each)), "ns": _spread(each)}
        except (OSError, ProbeError) as error:
            cut.append(f"save and load of {count} vCPUs and more: {_why(error)}")
            break
        last = system.seconds() - begin
        found.append(row)
    return found


NOT_TOLD: dict[str, float] = {"trap_ns": 292, "denied_ns": 0, "handled_ns": 0, "fast_path_ns": 16.9, "filter_ns": 10}
NOT_TOLD.update(round_trip_ns=1609, vmm_service_ns=5000)
"""What stands in a cost profile where a host did not tell: what fastsmc takes of a Neoverse N1."""


def python_share(costs: dict[str, Any]) -> tuple[float, float]:
    """ns of Python's own in an ioctl and in one with a struct: what they take without KVM, less a bare system call."""
    over = {name: one["median"] for name, one in costs["overhead"].items()}
    way = over["system_call"] - over["function"]  # into the kernel and back, which a VMM in C pays too
    return max(0.0, over["ioctl"] - way), max(0.0, over["ioctl_with_struct"] - way)


def _figures(costs: dict[str, Any]) -> Iterator[tuple[str, float, str, str, str]]:
    """Name, ns, kind, source and further lines of each figure that the host told; none that Python's own hides."""
    plain, with_struct = python_share(costs)
    calls = {(one["call"], one["ranges"]): one["ns"] for one in costs["calls"]}
    leaving = "forwarded" if ("forwarded", 1) in calls else "store"
    timed = [
        ("trap_ns", calls.get(("not supported", 0)), 1, 0.0, "HVCs in a loop, 2n less n, of an id no KVM knows"),
        ("fast_path_ns", calls.get(("fast path", 0)), 1, 0.0, "HVCs in a loop, 2n less n, of ARCH_WORKAROUND_1"),
        ("round_trip_ns", calls.get((leaving, int(leaving != "store"))), 1, plain, f"KVM_RUNs that {leaving} ends"),
    ]
    for one in costs["vms"][-1:]:
        for name, way in (("get_one_reg_ns", "save"), ("set_one_reg_ns", "load")):
            words = f"{way} of {one[way]['ioctls']} registers of each of {one['vcpus']} vCPUs"
            timed.append((name, one[way]["ns"], one[way]["ioctls"], with_struct, words))
    for name, spread, count, own, source in timed:
        if spread and spread["median"] / count > own:
            ns, low, high = (max(0.0, spread[key] / count - own) for key in ("median", "q1", "q3"))
            source += f", less {own:.0f} ns of Python's own" * bool(own)
            yield name, ns, "measured", source, f"low = {low:.2f}\nhigh = {high:.2f}\nsamples = {spread['samples']}\n"
    answered = {n_range: one["median"] for (name, n_range), one in calls.items() if name == "answered"}
    if 0 in answered and ("not supported", 0) in calls:
        more = max(0.0, answered[0] - calls["not supported", 0]["median"])
        yield "denied_ns", 0.0, "derived", "in trap_ns", ""
        yield "handled_ns", more, "derived", f"PSCI_VERSION, {answered[0]:.1f} ns (measured), less trap_ns, or 0", ""
    levels = [n_range for n_range in TREE_LEVELS if n_range in answered and 0 in answered]
    if levels:
        added = sum((answered[n_range] - answered[0]) * TREE_LEVELS[n_range] for n_range in levels)
        words = f"what filters of {', '.join(map(str, levels))} ranges add (measured), by levels of their tree, or 0"
        yield "filter_ns", max(0.0, added / sum(TREE_LEVELS[n_range] ** 2 for n_range in levels)), "derived", words, ""


def cost_profile(profile: dict[str, Any]) -> str:
    """A cost profile as fastsmc reads it, TOML, of a host profile that has `costs`."""
    kinds = ", ".join(one["midr"] for one in profile["cpu"]["kinds"])
    title = f"Linux {profile['kernel']['release']}, MIDR {kinds}".encode("ascii", "replace").decode()
    source = f"fastsmc_probe.py --measure, {profile['date_utc']}"
    text = f"title = {json.dumps(title)}\nsource = {json.dumps(source)}\n"
    text += f"emulated_by = {json.dumps(profile['emulated_by'])}\n"
    found: dict[str, Any] = {name: rest for name, *rest in _figures(profile["costs"])}
    for name in dict.fromkeys((*NOT_TOLD, *found)):
        ns, kind, source, more = found.get(name) or (NOT_TOLD[name], "assumed", "this host did not tell it", "")
        text += f'\n[{name}]\nvalue = {ns:.2f}\nunit = "ns"\nkind = "{kind}"\nsource = {json.dumps(source)}\n{more}'
    return text


# -- words and files ----------------------------------------------------------------------------------------------


def told(profile: dict[str, Any]) -> str:
    """The profile in some lines, for people."""
    kernel, kvm, cpu = profile["kernel"], profile["kvm"], profile["cpu"]
    kinds = ", ".join(f"{one['cores']} of MIDR {one['midr']}" for one in cpu["kinds"]) or "not told"
    largest = kvm["largest_vm"]
    many = f"{largest['made']} vCPUs made of {largest['limit']}"
    many += "" if largest["ended_by"] == "limit" else f" (ended by {largest['ended_by']})"
    rows = [
        ("kernel", f"{kernel['release']} {kernel['version']}"),
        ("CPUs", kinds),
        ("KVM", f"mode {kvm['mode']}, {len(kvm['capabilities'])} capabilities"),
        ("SMCCC filter", "yes" if not profile["filter"]["errno"] else "no"),
        ("largest VM", many),
    ]
    if kvm["sve_lengths"]:
        rows.append(("SVE lengths", ", ".join(map(str, kvm["sve_lengths"])) + " bits"))
    for one in profile["firmware"]:
        limit = f"bits {one['accepted_bits']}" if "accepted_bits" in one else ", ".join(one["accepted"]) or "nothing"
        rows.append((one["name"] or one["id"], f"{one['reset']}; accepts {limit}"))
    sets = profile["register_sets"]
    rows += [("registers", f"{len(one['registers']) + len(one['unread'])} with {one['features']}") for one in sets]
    for one in profile["refused"]:
        name = errno.errorcode.get(one["errno"], str(one["errno"]))
        rows.append(("refused", f"{one['features']} ({name})"))
    rows += [*_costs_told(profile["costs"])] if "costs" in profile else []
    rows += [("emulated", sign) for sign in profile["emulated_by"]]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:{width}}  {' '.join(text.split())}" for label, text in rows)


def _costs_told(costs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What was measured, in lines."""

    def span(ns: dict[str, Any], count: int = 1) -> str:
        low, mid, high = (ns[name] / count for name in ("q1", "median", "q3"))
        return f"{mid:.1f} ns ({low:.1f} to {high:.1f}, {ns['samples']} samples)"

    yield "measured", f"in {costs['seconds']:.1f} s, vCPUs with {costs['features']}; medians and quartiles"
    for one in costs["calls"]:
        label = f"{one['call']}, filter of {one['ranges']}" if one["ranges"] else one["call"]
        yield label, f"{span(one['ns'])}, {one['id']}"
    for one in costs["registers"]:
        yield f"{one['ioctl']} {one['kind']}, {one['state']}", f"{span(one['ns'])}, {one['registers']} registers"
    for one in costs["vms"]:
        for way in ("save", "load"):
            each = f"each of {one[way]['ioctls']} ioctls {span(one[way]['ns'], one[way]['ioctls'])}"
            yield f"{way}, {one['vcpus']} vCPUs", f"{one[way]['all'] / 1e6:.2f} ms, {each}"
    yield "Python's own", "{:.0f} ns of each KVM_RUN above, {:.0f} ns of each get and set".format(*python_share(costs))
    yield from (("not measured", words) for words in costs["cut"])


def save(content: dict[str, Any] | str, path: str) -> None:
    """Writes a profile, or another text, whole or not at all; raises ProbeError.

    It is written beside the file under another name, and takes the file's name once the disk has it.
    """
    text = content if isinstance(content, str) else json.dumps(content, indent=1) + "\n"
    target = Path(path)
    hidden = None
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, "utf-8")  # /dev/stdout, a pipe
            return
        target = target.resolve()  # a link stays, and what it leads to is replaced
        hidden = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with hidden.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(target)
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        msg = f"{path} cannot be written ({why}): name a file in a folder that is there and yours"
        raise ProbeError(msg) from error
    finally:
        if hidden is not None:
            with contextlib.suppress(OSError):
                hidden.unlink()


RECORDED = (
    *("reglist", "setreg", "calls", "random", "sweep", "danger", "filter", "a32", "fuzz", "misc", "restore"),
    *("nested", "protected"),
)
"""Sections of records, in their order."""


def _recorder() -> Any:
    """The recorder, a file of its own that lies beside this one; raises ProbeError."""
    if __package__:
        return importlib.import_module("fastsmc.probing.recorder")
    beside = [Path(__file__).resolve().with_name(name) for name in ("fastsmc_recorder.py", "recorder.py")]
    path = next((one for one in beside if one.is_file()), beside[0])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        msg = f"--record needs {path.name} beside this file: fastsmc new recorder writes it"
        raise ProbeError(msg)
    sys.modules["fastsmc.probing.standalone"] = sys.modules[__name__]  # which is what it imports
    recorder = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    return recorder


def _progress(text: str) -> None:
    sys.stderr.write(f"fastsmc_probe: {text}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None, system: System | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="fastsmc_probe.py", description="Ask this arm64 host's KVM what its VMs have, and write a host profile."
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write the host profile there, as JSON")
    parser.add_argument("--json", action="store_true", help="print the host profile in place of words")
    parser.add_argument("--record", metavar="FOLDER", help="record what KVM answers to small guests, in a new folder")
    parser.add_argument("--only", metavar="SECTIONS", help=f"of --record, with commas: {', '.join(RECORDED)}")
    parser.add_argument(
        "--restore", metavar="FOLDER", nargs="+", help="of --record: other hosts, whose payloads are tried"
    )
    parser.add_argument("--measure", action="store_true", help="time calls and ioctls too, in a minute at most")
    parser.add_argument("--cost-profile", metavar="FILE", help="write what was measured there, as TOML")
    given = parser.parse_args(arguments)
    if given.cost_profile and not given.measure:
        parser.error("--cost-profile needs --measure")
    if given.record and given.measure:
        parser.error("--record and --measure are two runs: what is recorded takes time from what is measured")
    only = given.only.split(",") if given.only else []
    if not given.record and (only or given.restore):
        parser.error("--only and --restore belong to --record")
    if set(only) - set(RECORDED):
        parser.error(f"--only {given.only}: sections are {', '.join(RECORDED)}")
    system = system or System()
    begin = system.seconds()
    try:
        if given.record:
            _recorder().record(given.record, system, only=only, others=given.restore or (), progress=_progress)
            return 0
        profile = probe(system)
        if given.measure:
            profile["costs"] = measure(profile, system, 60 - (system.seconds() - begin))
        if given.cost_profile:
            save(cost_profile(profile), given.cost_profile)
        if given.out:
            save(profile, given.out)
        sys.stdout.write((json.dumps(profile, indent=1) if given.json else told(profile)) + "\n")
        sys.stdout.flush()
    except ProbeError as error:
        sys.stderr.write(f"fastsmc_probe: {error}\n")
        return 3
    except MemoryError:
        sys.stderr.write("fastsmc_probe: not enough memory: free some and run the probe again\n")
        return 3
    except OSError as error:  # of the output: whoever read it has gone, or a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        sys.stderr.write(f"fastsmc_probe: the output cannot be written: {error.strerror}\n")
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
