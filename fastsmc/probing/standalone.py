#!/usr/bin/env python3
"""Asks the KVM of this arm64 host what its virtual machines have, and writes a host profile.

This one file is all there is: it needs Python 3.8 or later, its standard library, Linux on arm64 and /dev/kvm.

    python3 fastsmc_probe.py                 # what was found, in words
    python3 fastsmc_probe.py -o host.json    # and the host profile, which fastsmc reads
    python3 fastsmc_probe.py --record FOLDER # records of what KVM answers, which fastsmc verifies

It makes virtual machines of its own and closes them again. They have no memory and never run, but with --record, when a
small guest makes calls in them. It touches no other VM and changes nothing on the host. It needs no right but to open
/dev/kvm. The profile has no name of the host, no address and no serial number: the kernel, the CPUs, what KVM says of
itself, and the registers of a vCPU after its reset.

Exit codes: 0 fine, 2 a wrong command line, 3 this host cannot be asked or the file cannot be written, 130 interrupted.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import errno
import fcntl
import importlib
import itertools
import json
import os
import re
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def _opened(system: System) -> Descriptor:
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
def _vm(kvm: Descriptor) -> Iterator[Descriptor]:
    """A throw-away VM."""
    with kvm.new("KVM_CREATE_VM", KVM_CREATE_VM) as vm:
        yield vm


@contextlib.contextmanager
def _vcpu(kvm: Descriptor, features: int) -> Iterator[tuple[Descriptor, int]]:
    """A vCPU of a throw-away VM, and the errno of its KVM_ARM_VCPU_INIT."""
    with _vm(kvm) as vm, vm.new("KVM_CREATE_VCPU", KVM_CREATE_VCPU) as vcpu:
        target = bytearray(32)
        vm.must("KVM_ARM_PREFERRED_TARGET", KVM_ARM_PREFERRED_TARGET, target)
        struct.pack_into("=I", target, 4, features)
        yield vcpu, vcpu.errno(KVM_ARM_VCPU_INIT, target)


# -- what is found ------------------------------------------------------------------------------------------------


def probe(system: System | None = None) -> dict[str, Any]:
    """The host profile of this machine; raises ProbeError."""
    system = system or System()
    with _opened(system) as kvm:
        with _vm(kvm) as vm:
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
                "mode_asked": _mode_asked(system),
                "mode": _mode(system, kvm, capabilities),
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


def _mode_asked(system: System) -> str | None:
    """The kernel's parameter kvm-arm.mode, None where it was not given."""
    words = (system.read("/proc/cmdline") or "").split()
    given = [word.partition("=")[2] for word in words if word.replace("_", "-").startswith("kvm-arm.mode=")]
    return given[-1] if given else None


def _mode(system: System, kvm: Descriptor, capabilities: dict[str, list[int]]) -> str:
    """How KVM was started, as it acts: `mode=nested` does nothing on a host that lacks what it needs."""
    if _has(capabilities, CAP_EL2):
        return "nested"
    try:
        system.close(kvm.call(KVM_CREATE_VM, VM_TYPE_PROTECTED))
    except OSError:
        return "nvhe" if _mode_asked(system) == "nvhe" else "default"
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
    with _vm(kvm) as vm:
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
    with _vm(kvm) as vm:
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


# -- records of what KVM does, in the format of the recordings -----------------------------------------------------

ONES, X19, X20 = (1 << 64) - 1, X0 + 2 * 19, X0 + 2 * 20
KEPT = (0xA5A50004, 0xA5A50005, 0xA5A50006, 0xA5A50007)
"""x4..x7 of a call."""
SILENT = (1, ONES, 0, 0, 0, *KEPT)
"""What the table has of a call without arguments that was refused and changed nothing."""
CODE_32 = """
e3590000 cmp r9, #0         0a000006 beq 36             e89800ff ldm r8, {r0-r7}
e1400070 hvc #0             e288c020 add r12, r8, #32   e88c00ff stm r12, {r0-r7}
e2888040 add r8, r8, #64    e2499001 sub r9, r9, #1     eafffff6 b 0
e58a9000 str r9, [r10]      eafffffd b 36
"""
"""The guest for AArch32: r8 is the entry of a call, 64 bytes, r9 how many are left, r10 the MMIO address."""
SMC_32 = "e1600070 smc #0"
ENTRY_32 = struct.Struct("<8I8I")
PAGES_32 = 0x4000
SECTIONS_32 = {MMIO >> 20: MMIO | 0xC16, **{(GUEST >> 20) + n: GUEST + (n << 20) | 0x11C0E for n in range(4)}}
"""Its page table, by number: 1 MiB of device memory that is not executed, 4 MiB of shared write-back memory."""
CACHED_32 = {0x603000000013E180: 0x55555555, 0x603000000013C102: 0, 0x603000000013C100: GUEST + PAGES_32 | 0x4A}
"""DACR (all domains checked), TTBCR (short descriptors), TTBR0 (walks shared and write-back), for the same reason."""
FAST, FAST64 = 0x84000000, 0xC4000000
"""PSCI's functions with arguments of 32 and of 64 bits."""
PSCI_01 = range(0x95C1BA5E, 0x95C1BA62)
"""CPU_SUSPEND, CPU_OFF, CPU_ON and MIGRATE of PSCI 0.1 by KVM's numbers (arch/arm64/include/uapi/asm/kvm.h)."""
DANGER = [base | n for n in (1, 2, 3, 8, 9, 0xC, 0xD, 0xE, 0x12, 0x15) for base in (FAST, FAST64)] + list(PSCI_01)
"""Functions that may stop a VM: each is called on a fresh one."""
QUERIES = (0x8400000A, 0x80000001, 0x84000051, 0xC5000020)
"""PSCI_FEATURES, ARCH_FEATURES, TRNG_FEATURES and PV_TIME_FEATURES, which are asked about functions."""


def _ids(text: str) -> list[int]:
    """Hex numbers; 84000050+4 is four of them."""
    pairs = (word.partition("+") for word in text.split())
    return [int(first, 16) + n for first, _, count in pairs for n in range(int(count or 1))]


STEMS = _ids("""80000000+3 80003fff 80008000 80007fff 8000ffff c0000000+3 c0003fff c0008000 c0007fff 84000000+23
    8400001f 84000020 84000050+4 c4000053 8400ff00+2 8400ff03 8000ff00+2 8000ff03 c5000020+2 85000020+2 8500ff01
    8500ff03 8500ff00 8600ff00+2 8600ff03 86000000+9 c6000000+9 8600003f+4 c600003f+4 c600ff01 95c1ba5e+4 82000000
    8200ff01 c2000000 83000000 8300ff01 c3000000 81000000 c1000000 87000000 b0000000 b000ff01 b1000000 b2000000
    b200ff01 bf000000 bf00ff01 84000060 84000063 84000080 8400009b c4000060 840000a0 c4000131 c4000130 c5000030
    c5000040 00000000 04000000 06000001 44000003 46000001 7fffffff ffffffff fffffffe 00000001""")
NEAR = [near & 0xFFFFFFFF for n in STEMS for near in (n ^ 0x40000000, n - 1, n + 1, n & 0x7FFFFFFF)]
KNOWN = list(dict.fromkeys(STEMS + NEAR))
"""Functions that are called and asked about: those of services, and their neighbours."""
NUMBERS = _ids("0+384 1ff 200 3ff 400 fff 1000 3ffe+3 7ffe+4 feff ff00+5 ff10 ffff 10000+2 20000 80000 800000 ff0000")
"""What is swept of every type, convention and owner."""
FEATURES = {
    **{"none": 0, "psci02": PSCI_0_2, "psci02+pmu": PSCI_0_2 | PMU, "psci02+sve": PSCI_0_2 | SVE},
    **{"psci02+pauth": PSCI_0_2 | PAUTH, "psci02+pmu+sve+pauth": PSCI_0_2 | PMU | SVE | PAUTH},
    **{"psci02+el1_32bit": PSCI_0_2 | EL1_32BIT, "psci02+el2": PSCI_0_2 | EL2},
    **{"pauth_address_only": PSCI_0_2 | 0x20, "power_off+psci02": PSCI_0_2 | POWER_OFF},
}
"""Feature sets whose registers are listed; the first N_RESTORED are written with another host's values."""
N_RESTORED = 6
VERSIONS = (2, 0x10000, 0x10001, 0x10002, 0x10003)
"""PSCI_VERSIONs of configurations."""
STOLEN_TIME = 0x40380000
"""Where a vCPU's stolen time is told in the guest's memory; 64 bytes further for the next vCPU."""
OVERLAPS = """84000000 10 1 84000010 10 2, 84000000 10 1 8400000f 1 2, 84000000 10 1 83fffff0 10 2,
    84000000 10 1 83fffff0 11 2, 84000000 10 1 84000004 2 1, 84000004 2 1 84000000 10 2, 84000004 2 0 84000000 10 2,
    84000004 2 0 84000004 2 0, 86000000 10000 2 8600ff01 1 0, 8600ff01 1 0 86000000 10000 2"""
"""Two inserts each: base, how many and action, in hex."""
PSCI_ALL, TRNG_ALL = ((FAST, 0x20), (FAST64, 0x20)), ((0x84000050, 4), (0xC4000053, 1))
ABOVE_ARCH = ((0x80010000, 0x3FFF0000), (0xC0010000, 0x3FFF0000), (0, 1 << 31))
FILTERS = {
    "deny_psci_range": [(*one, 1) for one in PSCI_ALL],
    "fwd_psci_range": [(*one, 2) for one in PSCI_ALL],
    "deny_trng": [(*one, 1) for one in TRNG_ALL],
    "deny_psci_version_only": [(FAST, 1, 1)],
    "fwd_vendor": [(0x86000000, 0x10000, 2), (0xC6000000, 0x10000, 2)],
    "fwd_vendor_bm_zero": [(0x86000000, 0x10000, 2)],
    "handle_vendor_bm_zero": [(0x86000000, 0x10000, 0)],
    "handle_trng_bm_zero": [(*one, 0) for one in TRNG_ALL],
    "fwd_unknown": [(0x82000000, 0x1000000, 2), (0x83000000, 0x1000000, 1), (0, 1 << 31, 2)],
    "deny_pvtime": [(0xC5000020, 2, 1)],
    "fwd_pvtime": [(0xC5000020, 2, 2)],
    "fwd_yielding_and_all_above_arch": [(*one, 2) for one in ABOVE_ARCH],
    "deny_all_but_arch": [(*one, 1) for one in ABOVE_ARCH],
    "fwd_psci01": [(PSCI_01[0], 4, 2), (FAST, 0x20, 2)],
    "handle_only": [(FAST, 0x10, 0)],
}
"""Filters under which calls are made."""
BASES = _ids("""84000000 84000050 c4000000 c4000053 c5000020 86000000 8600ff01 c6000000 c6000040 80000000 80008000
    8000ffff c0000000 c000ffff 82000000 0 40000000 ffffffff 95c1ba5e bf00ff00""")
"""Where random ranges of a filter begin."""


class Config(NamedTuple):
    """How a VM is set up: registers that are set, stolen time, suspend, inserts into the filter (see _inserted)."""

    name: str
    features: int = PSCI_0_2
    sets: tuple[tuple[int, int], ...] = ()
    has_time: bool = False
    can_suspend: bool = False
    ranges: tuple[tuple[int, ...], ...] = ()


class Bitmap(NamedTuple):
    """A register of bitmaps: the bits that it takes, tried one at a time, and its value after reset."""

    reg: int
    bits: int
    default: int


class Calls:
    """Calls (x0, x1, x2, x3, number of the conduit), and the guest's table of them."""

    def __init__(self, calls: Iterable[tuple[int, ...]]) -> None:
        self.calls = list(calls)
        self.packed = b"".join([ENTRY_IN.pack(x0, x1, x2, x3, *KEPT, c) for x0, x1, x2, x3, c in self.calls])


def _head(name: str, call: tuple[int, ...]) -> str:
    """How the record of a call begins."""
    x0, x1, x2, x3, conduit = call
    return f'{{"cfg":"{name}","id":"{x0:#x}","c":"{CONDUITS[conduit]}","a":[{x1},{x2},{x3}]'


def _line(**fields: Any) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _random(state: int, shift: int) -> Callable[[], int]:
    """Marsaglia's xorshift generator of 64 bits (13, 7, 17), of which 32 bits are given."""

    def give() -> int:
        nonlocal state
        state ^= state << 13 & ONES
        state ^= state >> 7
        state ^= state << 17 & ONES
        return state >> shift & 0xFFFFFFFF

    return give


def _known(conduits: Iterable[int]) -> list[tuple[int, ...]]:
    return [(one, 0, 0, 0, conduit) for one in KNOWN if one not in DANGER for conduit in conduits]


def _queries(conduit: int = 0, step: int = 1) -> list[tuple[int, ...]]:
    return [(query, one, 0, 0, conduit) for query in QUERIES for one in KNOWN[::step]]


def _special() -> Iterator[tuple[int, ...]]:
    """Arguments at the edges of each service's own, garbage in upper halves of x0 and x1, and all conduits."""
    for bits in (0, 1, 31, 32, 33, 64, 95, 96, 97, 128, 191, 192, 193, 256, 0x100000020, ONES):
        yield from ((0x84000053, bits, 0x1111, 0x2222, 0), (0xC4000053, bits, 0x1111, 0x2222, 0))
        yield (0xC4000053, bits, 0, 0, 1)
    for counter in (0, 1, 2, 3, 1 << 32, 1 << 32 | 1, ONES):
        yield from ((0x86000001, counter, 7, 9, 0), (0xC6000001, counter, 7, 9, 0))
    some = _ids("84000000 80000000+2 84000050 8600ff01 86000000 c5000020+2 c4000053 84000006 8400000a c6000040+2")
    for conduit in range(4):
        for one in some:
            for garbage in (0, 0x10000, 0x20000, 0x800000, 0xDEAD00000000):
                yield (one | garbage, 0x80000001, 0, 0, conduit)
            yield (one | 0xFFFFFFFF00000000, 0xFFFFFFFF80000001, 0, 0, conduit)
            yield (one, 0x180000001, 0xDEADBEEF, 0xCAFE, conduit)
    for query in QUERIES:
        for one in _ids("80000000 80008000 80007fff 80003fff c5000020+2 84000053 c4000053 84000052 c6000040"):
            yield from ((query, one | garbage, 0, 0, 0) for garbage in (1 << 32, 0xFFFFFFFF00000000, 0x10000))
            yield (query, one, 0, 0, 1)
    targets = (0, 1, 2, 0x100, 0x80000000, 0x80000001, 0xFF00000000, ONES)
    yield from ((base | 4, one, level, 0, 0) for one in targets for level in range(5) for base in (FAST, FAST64))
    yield from ((base | 3, 5 if one == 1 else one, GUEST, 0, 0) for one in targets for base in (FAST, FAST64))


def _random_calls() -> Iterator[tuple[int, ...]]:
    give = _random(0x123456789ABCDEF, 16)
    for number in range(4000):
        one = give()
        if number % 3:
            mask, owners = (0xFFFF, 8) if number % 3 == 1 else (0xFF, 64)
            one = one & mask | 1 << 31 | give() % owners << 24 | (give() & 1) << 30
        if one not in DANGER:
            yield (one, give(), give(), give(), give() & 1)


class Recorder:
    """What the sections have in common: whom they ask, and what its firmware registers are."""

    def __init__(self, kvm: Descriptor, others: Sequence[Path] = ()) -> None:
        self.kvm, self.others = kvm, others
        self.payloads: dict[str, bytes] = {}
        self.bitmaps: list[Bitmap] = []
        with Guest(kvm) as guest:
            if guest.init_errno:
                raise ProbeError(_refused("KVM_ARM_VCPU_INIT of a vCPU with PSCI 0.2", guest.init_errno))
            vcpu = guest.vcpus[0]
            self.has_filter = not guest.vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0)
            self.psci = vcpu.get(FIRMWARE)[1]
            for reg in range(BITMAPS, BITMAPS + 8):
                code, value = vcpu.get(reg)
                if not code:
                    bits = sum(1 << bit for bit in range(64) if not vcpu.set(reg, 1 << bit))
                    self.bitmaps.append(Bitmap(reg, bits, value))
        self.fuzz = Fuzz(self)

    def zero(self) -> tuple[tuple[int, int], ...]:
        """Sets of all bitmaps to 0."""
        return tuple((one.reg, 0) for one in self.bitmaps)

    def configs(self) -> list[Config]:
        """Every firmware register's values, by themselves and together; without bitmaps, those that need none."""
        all_bits = tuple((one.reg, one.bits) for one in self.bitmaps)
        bits = [
            (reg, bit, f"bm{reg - BITMAPS}_bit{bit}") for reg, has in all_bits for bit in range(64) if has >> bit & 1
        ]
        found = [Config("default"), Config("all_zero", sets=self.zero()), Config("all_supported", sets=all_bits)]
        for at, bit, name in bits:
            found.append(Config(f"only_{name}", sets=tuple((reg, (reg == at) << bit) for reg, _ in all_bits)))
        for at, bit, name in bits:
            less = tuple((reg, has & ~((reg == at) << bit)) for reg, has in all_bits)
            found.append(Config(f"allsup_minus_{name}", sets=less))
        found += [Config(f"default_but_bm{reg - BITMAPS}_zero", sets=((reg, 0),)) for reg, _ in all_bits]
        found += [Config(f"psci_{one:x}", sets=((FIRMWARE, one),)) for one in VERSIONS]
        found += [Config(f"psci_{one:x}_bm_zero", sets=((FIRMWARE, one), *self.zero())) for one in VERSIONS[:2]]
        found += [Config("psci01_feature_off", 0), Config("psci01_feature_off_bm_zero", 0, self.zero())]
        found += [Config("pvtime", has_time=True), Config("pvtime_bm1_zero", sets=((BITMAPS + 1, 0),), has_time=True)]
        found.append(Config("suspend_cap", can_suspend=True))
        for one in VERSIONS[:2]:
            found.append(Config(f"suspend_cap_psci_{one:x}", sets=((FIRMWARE, one),), can_suspend=True))
        for n, level in ((n, level) for n in (1, 2, 3) for level in range(3)):
            found.append(Config(f"workaround{n}_{level}", sets=((FIRMWARE + n, level),)))
        return [one for one in found if self.bitmaps or not re.search("zero|all_", one.name)]


def _low(vcpu: Descriptor, reg: int) -> tuple[int, int]:
    """KVM_GET_ONE_REG: errno and the first 64 bits of the value."""
    code, value = vcpu.get(reg)
    return code, value & ONES


def _hex(vcpu: Descriptor, reg: int) -> str:
    return f"{_low(vcpu, reg)[1]:#x}"


def _inserted(vm: Descriptor, base: int, nr: int, action: int, *pad: int) -> int:
    """Inserts a range into the SMCCC filter (action 0 handle, 1 deny, 2 forward), those pad bytes 1: the errno."""
    one = array.array("B", struct.pack("=IIB15x", base, nr, action))
    for number in pad:
        one[9 + number] = 1
    return vm.attribute_errno(KVM_SET_DEVICE_ATTR, 0, 0, one.buffer_info()[0])


def _ran(guest: Guest, number: int = 0) -> int:
    """Runs a vCPU that makes no calls: 0 where it came to the end mark."""
    guest.start(0, number)
    stop = guest.run(3000, number)
    return 100 + stop.kind if stop.kind else 0


def _set_up(guest: Guest, config: Config) -> str:
    """Sets a VM up; gives its header."""
    if guest.init_errno:
        return _line(cfg=config.name, setup_error=guest.init_errno)
    told: dict[str, Any] = {"cfg": config.name, "features": f"{config.features:#x}", "nvcpu": len(guest.vcpus)}
    if config.can_suspend:
        capability = bytearray(struct.pack("=I100x", CAP_SYSTEM_SUSPEND))
        told["enable_system_suspend_errno"] = guest.vm.errno(KVM_ENABLE_CAP, capability)
    for number, vcpu in enumerate(guest.vcpus if config.has_time else []):
        where = array.array("Q", [STOLEN_TIME + 64 * number])
        told[f"pvtime_errno_v{number}"] = vcpu.attribute_errno(
            KVM_SET_DEVICE_ATTR, PVTIME_CTRL, 0, where.buffer_info()[0]
        )
    vcpu = guest.vcpus[0]
    told["sets"] = [{"reg": f"{reg:#x}", "val": f"{val:#x}", "errno": vcpu.set(reg, val)} for reg, val in config.sets]
    if config.ranges:
        told["filter"] = [
            {"base": f"{one[0]:#x}", "nr": one[1], "action": one[2], "errno": _inserted(guest.vm, *one)}
            for one in config.ranges
        ]
    asked = ((reg, _low(vcpu, reg)) for n in range(8) for reg in (FIRMWARE + n, BITMAPS + n))
    told["fw"] = {f"{reg:#x}": f"{value:#x}" for reg, (code, value) in asked if not code}
    return _line(**told)


def _told_of(stop: Stop, run: Any) -> str:
    """The part of a record that says why a vCPU stopped."""
    if stop.kind == EXIT and stop.reason == EXIT_HYPERCALL:
        nr, one, two, three, ret, flags = struct.unpack_from("=4Q24x2Q", run, EXIT_DATA)
        return f',"exit":3,"hc_nr":"{nr:#x}","hc_flags":"{flags:#x}","hc_args":[{one},{two},{three}],"hc_ret":{ret}'
    if stop.kind == EXIT and stop.reason == EXIT_SYSTEM_EVENT:
        kind, n_data, data = struct.unpack_from("=IIQ", run, EXIT_DATA)
        return f',"exit":24,"sev_type":{kind},"sev_ndata":{n_data},"sev_data0":"{data:#x}"'
    exception, refused = f',"guest_exc_esr":"{stop.esr:#x}"', f',"run_errno":{stop.errno}'
    return ("", exception, f',"exit":{stop.reason}', refused, ',"blocked":true')[stop.kind]


def _made(guest: Guest, name: str, calls: Calls, *, is_sparse: bool = False) -> Iterator[str]:
    """Has vCPU 0 make the calls: records of those that left the guest, then of all that came back, then a summary.

    A sparse list leaves out what was refused and changed nothing.
    """
    vcpu, size = guest.vcpus[0], ENTRY_IN.size
    room = (len(guest.memory) - TABLE) // size - 1
    n_refused = n_other = 0
    for first in range(0, len(calls.calls), room):
        some = calls.calls[first : first + room]
        end = TABLE + len(some) * size
        guest.memory[TABLE:end] = calls.packed[first * size : first * size + end - TABLE]
        guest.start(len(some))
        stop = guest.run(20000)
        while stop.kind != END:
            place = (_low(vcpu, X19)[1] - GUEST - TABLE) // size
            where = f',"pc_off":{_low(vcpu, PC)[1] - GUEST},"x0_at_exit":"{_hex(vcpu, X0)}"'
            yield f"{_head(name, some[place])}{_told_of(stop, guest.runs[0])}{where}}}\n"
            if stop.kind == EXIT and stop.reason == EXIT_HYPERCALL:
                struct.pack_into("=Q", guest.runs[0], HYPERCALL_RET, 0x5151)
            elif stop.kind == EXCEPTION:
                guest.start(len(some) - place - 1)
                vcpu.set(X19, GUEST + TABLE + size * (place + 1))
                vcpu.set(PSTATE, 0x3C5)
            else:
                break
            stop = guest.run(20000)
        for number, entry in enumerate(ENTRY_OUT.iter_unpack(guest.memory[TABLE:end])):
            is_done, x0, x1, x2, x3 = entry[:5]
            n_refused += is_done and x0 == ONES
            n_other += is_done and x0 != ONES
            if is_done and not (is_sparse and entry == SILENT):
                changed = "" if entry[5:] == KEPT else ',"x4_7_changed":true'
                yield f'{_head(name, some[number])},"x":["{x0:#x}","{x1:#x}","{x2:#x}","{x3:#x}"]{changed}}}\n'
        if stop.kind != END:
            yield _line(cfg=name, aborted_at=first)
            break
    yield _line(cfg=name, summary=True, calls=len(calls.calls), not_supported=n_refused, other=n_other)


def _listed_calls(host: Recorder, configs: Iterable[Config], calls: Calls, *, is_sparse: bool = False) -> Iterator[str]:
    for config in configs:
        with Guest(host.kvm, config.features, 2) as guest:
            yield _set_up(guest, config)
            if not guest.init_errno:
                yield from _made(guest, config.name, calls, is_sparse=is_sparse)


def _named(host: Recorder, *names: str) -> list[Config]:
    return [one for one in host.configs() if one.name in names]


def _calls(host: Recorder) -> Iterator[str]:
    return _listed_calls(host, host.configs(), Calls([*_known((0, 1)), *_queries(), *_special()]))


def _random_list(host: Recorder) -> Iterator[str]:
    return _listed_calls(host, _named(host, "default", "all_zero", "all_supported"), Calls(_random_calls()))


def _sweep(host: Recorder) -> Iterator[str]:
    yield _line(
        note="sweep = fast{0,1} x smc64{0,1} x owner 0..63 x func {0..0x17f, list}; args 0; hvc0; "
        "only lines whose x0!=-1 or whose x1-x7 changed are listed"
    )
    functions = (kind << 30 | owner << 24 | number for kind in range(4) for owner in range(64) for number in NUMBERS)
    danger = set(DANGER)
    calls = Calls((one, 0, 0, 0, 0) for one in functions if one not in danger)
    configs = _named(host, "default", "all_zero", "all_supported", "psci_2")
    yield from _listed_calls(host, configs, calls, is_sparse=True)


def _dangers() -> list[tuple[int, ...]]:
    """Functions that may stop a VM, with arguments: four targets of CPU_ON and the like, nothing for most."""
    found: list[tuple[int, ...]] = []
    for one in DANGER:
        number = 3 if one == PSCI_01[2] else -1 if one in PSCI_01 else one & 0xFF
        some = {
            **{3: [(at, GUEST, 0x77) for at in (1, 0, 1, 7)], 0xE: [(GUEST, 0x33, 0)]},
            **{0x12: [(at, 0x55, 0) for at in (0, 1, 1 << 31, 1 << 31 | 1)], 0x15: [(at, 0, 0) for at in range(4)]},
        }
        found += [(one, *arguments) for arguments in some.get(number, [(0, 0, 0)])]
    return found


def _danger(host: Recorder) -> Iterator[str]:
    """One call on a fresh VM; the second CPU_ON of vCPU 1 is made twice, and its state asked about."""
    for config in host.configs():
        seen: list[tuple[int, ...]] = []
        for call in _dangers() if re.match("default$|all_zero|psci|suspend_cap", config.name) else []:
            is_twice = call in seen and call[0] not in PSCI_01
            seen.append(call)
            for milliseconds in (250, 1000, 4000):
                with Guest(host.kvm, config.features, 2) as guest:
                    _set_up(guest, config)
                    told = _endangered(guest, config.name, call, is_twice=is_twice, milliseconds=milliseconds)
                if not guest.is_busy:
                    break
            yield told


def _endangered(guest: Guest, name: str, call: tuple[int, ...], *, is_twice: bool, milliseconds: int) -> str:
    """The record of a call that may stop its VM."""
    calls = [call, call, (FAST64 | 4, 1, 0, 0)] if is_twice else [call]
    end = TABLE + ENTRY_IN.size * len(calls)
    guest.memory[TABLE:end] = b"".join(ENTRY_IN.pack(*one, 0, 0, 0, 0, 0) for one in calls)
    guest.start(len(calls))
    # The end mark's store is left pending, as in the first recordings, so PC stays there.
    stop = guest.run(milliseconds, completes=False, patience=0)
    (is_done, x0, *_), *more = ENTRY_OUT.iter_unpack(guest.memory[TABLE:end])
    states = [bytearray(4), bytearray(4)]
    for number, state in enumerate(states):
        guest.vcpus[number].errno(KVM_GET_MP_STATE, state)
    told = _hex(guest.vcpus[0], X0) if stop.kind else f"{x0:#x}"
    return (
        f'{{"cfg":"{name}","id":"{call[0]:#x}","a":[{call[1]},{call[2]},{call[3]}],"kind":{stop.kind}'
        f'{_told_of(stop, guest.runs[0])},"completed":{is_done},"x0":"{told}"'
        f',"pc_off":{guest.vcpus[0].get(PC)[1] - GUEST},"mp":[{states[0][0]},{states[1][0]}]'
        + (f',"second_x0":"{more[0][1]:#x}","affinity_info":"{more[1][1]:#x}"' if is_twice else "")
        + "}\n"
    )


def _setreg(host: Recorder) -> Iterator[str]:
    bitmaps = host.bitmaps
    supported, defaults = ([f"{one[at]:#x}" for one in bitmaps] for at in (1, 2))
    yield _line(t="discover", nbm=len(bitmaps), supported=supported, defaults=defaults, psci_default=f"{host.psci:#x}")
    with Guest(host.kvm) as guest:
        vcpu = guest.vcpus[0]
        for reg in (first + index for first in (FIRMWARE, BITMAPS) for index in (*range(8), 0xFF, 0xFFFF)):
            code, value = _low(vcpu, reg)
            told = {"set_same_errno": vcpu.set(reg, value), "set0_errno": vcpu.set(reg, 0)}
            for power in (2, 4, 0):  # the size of a register is a power of two, in bits 52 to 55 of its id
                other, n_bit = reg & ~(0xF << 52) | power << 52, 8 << power
                told[f"get{n_bit}_errno"] = vcpu.get(other)[0]
                told[f"set{n_bit}_errno"] = vcpu.set(other, value)
            yield _line(t="index", reg=f"{reg:#x}", get_errno=code, val=f"{value:#x}", **told)
        bad = bytearray(struct.pack("=QQ", BITMAPS, 8))  # no address of this process
        codes = [vcpu.errno(request, bad) for request in (KVM_SET_ONE_REG, KVM_GET_ONE_REG)]
        yield _line(t="badptr", set_errno=codes[0], get_errno=codes[1])
        others = {"get_0015": 0x6030000000150000, "get_0017": 0x6030000000170000}
        others.update(get_arm32arch=0x4030000000160000, get_reserved_bits=0x6030001000160000)
        yield _line(t="otherclass", **{name: vcpu.get(reg)[0] for name, reg in others.items()})
    with _vm(host.kvm) as vm, vm.new("KVM_CREATE_VCPU", KVM_CREATE_VCPU) as vcpu:
        yield _line(t="uninit_vcpu", get_errno=vcpu.get(BITMAPS)[0], set_errno=vcpu.set(BITMAPS, 1))
    for part in (_bitmaps_before, _bitmaps_after, _bitmaps_around, _versions, _workarounds):
        yield from part(host)


def _bitmaps_before(host: Recorder) -> Iterator[str]:
    """Writes before any run, read back through both vCPUs."""
    for reg, bits, default in host.bitmaps:
        some = (bits, ONES, default, bits | (bits << 1 & ONES) | 1, bits | 1 << 63, 0xFFFFFFFF, 0xFFFFFFFF00000000)
        with Guest(host.kvm, n_vcpu=2) as guest:
            for value in (0, *(1 << bit for bit in range(64)), *some):
                guest.vcpus[0].set(reg, default)
                code = guest.vcpus[0].set(reg, value)
                back = [_hex(vcpu, reg) for vcpu in guest.vcpus]
                yield _line(t="pre", reg=f"{reg:#x}", val=f"{value:#x}", errno=code, rb_v0=back[0], rb_v1=back[1])


def _bitmaps_after(host: Recorder) -> Iterator[str]:
    """Writes through both vCPUs after one of them ran."""
    cases = [(one, first, runner) for one in host.bitmaps for first in (one[2], 0, one[1]) for runner in range(2)]
    for (reg, bits, default), first, runner in cases:
        with Guest(host.kvm, n_vcpu=2) as guest:
            code = guest.vcpus[0].set(reg, first)
            if runner:
                guest.vcpus[1].errno(KVM_SET_MP_STATE, bytearray(4))  # KVM_MP_STATE_RUNNABLE
            head = {"t": "post", "reg": f"{reg:#x}", "init": f"{first:#x}", "init_errno": code, "ran_vcpu": runner}
            head["run"] = _ran(guest, runner)
            for value in (first, 0, 1, 2, 3, bits, default, ONES, 1 << 63, 4, 8, first ^ 1):
                for writer in range(2):
                    code = guest.vcpus[writer].set(reg, value)
                    back = _hex(guest.vcpus[0], reg)
                    yield _line(**head, writer=writer, val=f"{value:#x}", errno=code, rb=back)


def _bitmaps_around(host: Recorder) -> Iterator[str]:
    """What a run that ends before the guest runs freezes, and what a second KVM_ARM_VCPU_INIT does."""
    for reg, _, default in host.bitmaps:
        with Guest(host.kvm) as guest:
            guest.start(0)
            codes = [guest.complete(), guest.vcpus[0].set(reg, default ^ 1), guest.vcpus[0].set(reg, default)]
            told = {"run_errno": codes[0], "set_diff_errno": codes[1], "set_back_errno": codes[2]}
            yield _line(t="immediate_exit", reg=f"{reg:#x}", **told)
    for reg, _, default in host.bitmaps[:1]:
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(reg, 0)
            _ran(guest)
            code, value = guest.init(0, PSCI_0_2), _hex(guest.vcpus[0], reg)
            different = guest.vcpus[0].set(reg, default)
            yield _line(t="reinit_after_run", init_errno=code, val_after=value, set_diff_errno=different)
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(reg, 0)
            guest.vcpus[0].set(FIRMWARE, 0x10000)
            code, after = guest.init(0, PSCI_0_2), [_hex(guest.vcpus[0], at) for at in (reg, FIRMWARE)]
            yield _line(t="reinit_before_run", init_errno=code, bm0_after=after[0], psci_after=after[1])


def _versions(host: Recorder) -> Iterator[str]:
    """PSCI_VERSION with the feature and without, before a run and after."""
    high = (0x100000000, 0x100000002, 0x100010000, 0x8000000000010001, ONES)
    tried = (0, 1, 2, 3, *range(0x10000, 0x10006), 0x1FFFF, 0x20000, 0xFFFFFFFF, *high)
    for has, phase in ((has, phase) for has in range(2) for phase in ("pre", "post")):
        with Guest(host.kvm, PSCI_0_2 * has, 2) as guest:
            default = _hex(guest.vcpus[0], FIRMWARE)
            if phase == "post":
                _ran(guest)
            for value in tried:
                code = guest.vcpus[0].set(FIRMWARE, value)
                back = [_hex(vcpu, FIRMWARE) for vcpu in guest.vcpus]
                told = {"val": f"{value:#x}", "errno": code, "rb_v0": back[0], "rb_v1": back[1]}
                yield _line(t="psci_version", psci02=has, phase=phase, default=default, **told)


def _workarounds(host: Recorder) -> Iterator[str]:
    """Levels of workarounds, before a run and after."""
    tried = (*range(9), 0xF, 0x10, 0x11, 0x12, 0x13, 0x1F, 0x20, 0x100000000, 0x100000002, ONES)
    for n, phase in ((n, phase) for n in (1, 2, 3) for phase in ("pre", "post")):
        with Guest(host.kvm, n_vcpu=2) as guest:
            default = _hex(guest.vcpus[0], FIRMWARE + n)
            if phase == "post":
                _ran(guest)
            for value in tried:
                code = guest.vcpus[0].set(FIRMWARE + n, value)
                told = {"val": f"{value:#x}", "errno": code, "rb": _hex(guest.vcpus[0], FIRMWARE + n)}
                yield _line(t="workaround", n=n, phase=phase, default=default, **told)


def _filters(host: Recorder) -> Iterator[str]:
    with Guest(host.kvm) as guest:
        one, vm = array.array("B", struct.pack("=IIB15x", FAST, 1, 1)), guest.vm
        empty = array.array("B", bytes(24))
        told = {"has_errno": vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0), "set_errno": _inserted(vm, FAST, 1, 1)}
        told["has_attr1_errno"] = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 1)
        told["has_group1_errno"] = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 1, 0)
        told["get_errno"] = vm.attribute_errno(KVM_GET_DEVICE_ATTR, 0, 0, empty.buffer_info()[0])
        told["badptr_errno"] = vm.attribute_errno(KVM_SET_DEVICE_ATTR, 0, 0, 8)
        flagged = bytearray(struct.pack("=IIQQ", 1, 0, 0, one.buffer_info()[0]))
        yield _line(t="has", **told, flags1_errno=vm.errno(KVM_SET_DEVICE_ATTR, flagged))
    if host.has_filter:
        yield from _inserts(host)
        yield from _filtered_calls(host)


def _inserts(host: Recorder) -> Iterator[str]:
    """Inserts into the filter of a fresh VM."""

    def fresh(*inserts: Sequence[int]) -> list[int]:
        with Guest(host.kvm) as guest:
            return [_inserted(guest.vm, *one) for one in inserts]

    bases = """0+2 3fffffff 7fffffff 7fff0000 80000000+2 80008000 8000ffff 80010000 80ffffff 81000000 84000000 84000053
        86000000 8600ff01 bfffffff c0000000 c000ffff c0010000 c0ffffff c1000000 c4000000 c5000020 c6000001 fffffffe+2"""
    sizes = _ids("0+3 100 ffff+3 1000000 40000000 7fffffff+2 ffffffff")
    for base, nr, action in ((base, nr, action) for base in _ids(bases) for nr in sizes for action in range(3)):
        code, again = fresh((base, nr, action), (base, nr, action))
        yield _line(t="single", base=f"{base:#x}", nr=nr, action=action, errno=code, again_errno=again)
    for action in (3, 4, 5, 6, 11, 21, 41, 81, 161):
        yield _line(t="badaction", action=action, errno=fresh((FAST, 1, action))[0])
    for byte in range(15):
        yield _line(t="pad", byte=byte, errno=fresh((FAST, 1, 1, byte))[0])
    codes = fresh((FAST, 0, 9, 0), (FAST, 0, 9), (FAST, 1, 9), (1 << 31, 1, 9))
    names = ("pad_and_nr0", "nr0_and_badaction", "badaction", "reserved_and_badaction")
    yield _line(t="precedence", **{name: codes[n] for n, name in enumerate(names)})
    with _vm(host.kvm) as vm:
        yield _line(t="before_vcpu_create", errno=_inserted(vm, FAST, 1, 1))
    with Guest(host.kvm, n_vcpu=2) as guest:
        _ran(guest)
        tried = {"deny": (FAST, 1, 1), "reserved": (1 << 31, 1, 1), "pad": (FAST, 1, 1, 0), "nr0": (FAST, 0, 1)}
        tried.update(badaction=(FAST, 1, 7), handle=(FAST, 1, 0))
        yield _line(t="after_run", **{name: _inserted(guest.vm, *one) for name, one in tried.items()})
    with Guest(host.kvm) as guest:
        guest.start(0)
        yield _line(t="after_immediate_exit", run_errno=guest.complete(), errno=_inserted(guest.vm, FAST, 1, 1))
    for one in map(_ids, OVERLAPS.split(",")):
        codes = fresh(one[:3], one[3:])
        first, second = ([f"{base:#x}", nr, action] for base, nr, action in (one[:3], one[3:]))
        yield _line(t="overlap", first=first, e1=codes[0], second=second, e2=codes[1])


def _filtered_calls(host: Recorder) -> Iterator[str]:
    """Calls of VMs with a filter; those that may stop a VM only where the filter takes all of PSCI."""
    stems = _ids("84000000 80000000+2 84000050 8600ff01 86000001 c5000020")
    garbage = (0xDEAD00000000, 0x10000, 0)
    calls = [*_known((0, 1)), *_queries(0, 3)]
    calls += [(one | high, 1 << 31 | 1, 3, 4, c) for one in stems for c in range(4) for high in garbage]
    psci = _ids("84000001 c4000001 84000002 84000008+2 8400000e 84000012 84000015 c4000003")
    stopping = [(one, 1, 2, 3, 0) for one in psci]
    for name, ranges in FILTERS.items():
        more = stopping if re.search("psci_range|all_", name) else []
        if name == "fwd_psci01":
            more = [(one, 1, 2, 3, 0) for one in PSCI_01]
        sets = host.zero() if name.endswith("bm_zero") else ()
        config = Config(name, 0 if name == "fwd_psci01" else PSCI_0_2, sets, ranges=tuple(ranges))
        yield from _listed_calls(host, [config], Calls([*calls, *more]))


def _a32(host: Recorder) -> Iterator[str]:
    """Calls of AArch32 guests, by HVC and by SMC; nothing where the host has none."""
    if host.kvm.capability(CAP_EL1_32BIT) <= 0:
        return
    chosen = "(default|psci|pvtime).*|all_zero|all_supported|suspend_cap"
    for config in (one for one in host.configs() if re.fullmatch(chosen, one.name)):
        for conduit in range(2):
            bits = (0, 1, 32, 64, 95, 96, 97, 128, 192, 193)
            calls = [*_known([conduit]), *_queries(conduit)]
            calls += [(one, n, 1, 2, conduit) for n in bits for one in (0x84000053, 0xC4000053)]
            yield from _made_32(host, config, Calls([*calls, *((0x86000001, n, 0, 0, conduit) for n in range(4))]))


def _made_32(host: Recorder, config: Config, calls: Calls) -> Iterator[str]:
    blank = (0xDDDDDDDD,) * 8
    code = words(re.sub("e1400070 hvc #0", SMC_32, CODE_32) if calls.calls[0][4] else CODE_32)
    with Guest(host.kvm, config.features | EL1_32BIT, 2, code=code) as guest:
        yield _set_up(guest, config._replace(features=config.features | EL1_32BIT))
        if guest.init_errno:
            return
        kept = tuple(0xA5A50000 + n for n in range(4, 8))
        end = TABLE + ENTRY_32.size * len(calls.calls)
        guest.memory[TABLE:end] = b"".join(ENTRY_32.pack(*call[:4], *kept, *blank) for call in calls.calls)
        for number, section in SECTIONS_32.items():
            struct.pack_into("<I", guest.memory, PAGES_32 + 4 * number, section)
        registers = {X0 + 16: GUEST + TABLE, X0 + 18: len(calls.calls), X0 + 20: MMIO, PC: GUEST}
        for reg, value in {**registers, **CACHED_32, SCTLR_EL1: SCTLR_CACHED_32}.items():
            guest.vcpus[0].set(reg, value)
        stop = guest.run(20000)
        if stop.kind:
            place = (_low(guest.vcpus[0], X0 + 16)[1] - GUEST - TABLE) // ENTRY_32.size
            told_of = _told_of(stop, guest.runs[0])
            yield f'{{"cfg":"{config.name}","a32_stopped_at":{place},"kind":{stop.kind}{told_of}}}\n'
        for number, entry in enumerate(ENTRY_32.iter_unpack(guest.memory[TABLE:end])):
            if entry[8:] != blank:
                r = ",".join(f'"{one:#x}"' for one in entry[8:12])
                changed = "" if entry[12:] == kept else ',"r4_7_changed":true'
                yield f'{_head(config.name, calls.calls[number])},"r":[{r}]{changed}}}\n'


class Fuzz:
    """Random calls and sequences, the same on every host with the same bitmaps: one generator for all three files."""

    def __init__(self, host: Recorder) -> None:
        self.host, self.give = host, _random(0x9E3779B97F4A7C15 + 1, 20)
        for _ in range(8):
            self.give()

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return self.give() % n

    def wide(self) -> int:
        """64 bits."""
        high = self.give()
        return high << 32 | self.give()

    def base(self) -> int:
        """Where a range begins."""
        one = BASES[self.below(20)]
        kind = self.below(4)
        if kind in (1, 2):
            one += self.below(16) * (1 if kind == 1 else -1)
        elif kind == 3 and not self.below(4):
            one = self.give()
        return one & 0xFFFFFFFF

    def size(self) -> int:
        """How many functions a range has."""
        kind = self.below(8)
        if kind in (0, 3):
            return 0x10000 if kind else 1
        if kind == 5:
            return 1 << self.below(32)
        if kind == 6:
            return self.give()
        return self.below(3) if kind == 4 else 1 + self.below({1: 4, 2: 64, 7: 256}[kind])

    def config(self, name: str) -> Config:
        """A VM's registers, stolen time, suspend and filter."""
        features = PSCI_0_2 if self.below(12) else 0
        sets = []
        for reg, bits, _ in self.host.bitmaps:
            if self.below(4):
                value = self.wide() & bits
                if not self.below(16):
                    value |= 1 << self.below(64)
                sets.append((reg, value))
        if self.below(2):
            sets.append((FIRMWARE, VERSIONS[self.below(5)]))
        has_time, can_suspend, ranges = self.below(2) == 1, self.below(3) == 0, []
        if self.host.has_filter and self.below(2):
            for _ in range(1 + self.below(7)):
                one = [self.base(), self.size(), self.below(3) if self.below(16) else self.below(8)]
                ranges.append((*one, *([] if self.below(32) else [self.below(15)])))
        return Config(name, features, tuple(sets), has_time, can_suspend, tuple(ranges))

    def call(self, ranges: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
        """A call, known ones mostly; None for one that may stop the VM."""
        one = KNOWN[self.below(len(KNOWN))]
        kind = self.below(8)
        if kind == 6:
            one = one & 0xFF000000 | self.give() & 0xFF
        elif kind == 7:
            one = self.give()
        elif kind == 5 and ranges:
            base, nr = ranges[self.below(len(ranges))][:2]
            inside = self.below(2)
            one = base + (self.below(nr or 1) if inside else nr if self.below(2) else -1) & 0xFFFFFFFF
        if one in DANGER:
            return None
        x1 = KNOWN[self.below(len(KNOWN))]
        kind = self.below(8)
        if kind < 2:
            x1 = self.give() if kind else self.below(260)
        elif kind == 2:
            x1 |= self.give() << 32
        one |= 0 if self.below(16) else self.give() << 32
        x2, x3 = self.below(4), self.below(3)
        return (one, x1, x2, x3, (0 if self.below(3) else 1) if self.below(8) else self.below(4))

    def calls(self) -> Iterator[str]:
        """250 VMs of 300 calls."""
        for number in range(250):
            config = self.config(f"fz{number}")
            calls: list[tuple[int, ...]] = []
            while len(calls) < 300:
                one = self.call(config.ranges)
                calls += [one] if one else []
            yield from _listed_calls(self.host, [config], Calls(calls))

    def registers(self) -> Iterator[str]:
        """200 sequences of writes and runs on a VM of three vCPUs."""
        for number in range(200):
            features = PSCI_0_2 if self.below(8) else 0
            with Guest(self.host.kvm, features, 3) as guest:
                ops = [self.register_op(guest, features, is_first=not n) for n in range(24)]
            yield _line(seq=number, features=features, ops=ops)

    def register_op(self, guest: Guest, features: int, *, is_first: bool) -> dict[str, Any]:
        """A vCPU runs, or a register is written through it."""
        vcpu = self.below(3)
        if not is_first and not self.below(12):
            vcpu = 0 if self.below(2) else vcpu
            if vcpu and features:
                guest.vcpus[vcpu].errno(KVM_SET_MP_STATE, bytearray(4))
            return {"op": "run", "vcpu": vcpu, "res": _ran(guest, vcpu)}
        reg, value = self.register_value()
        code = guest.vcpus[vcpu].set(reg, value)
        get_errno, back = _low(guest.vcpus[self.below(3)], reg)
        told = {"op": "set", "vcpu": vcpu, "reg": f"{reg:#x}", "val": f"{value:#x}", "errno": code}
        return {**told, "get_errno": get_errno, "rb": f"{back:#x}"}

    def register_value(self) -> tuple[int, int]:
        """A register to write and what to write."""
        kind = self.below(10)
        if kind < 2:
            return FIRMWARE, (0, 1, 2, 3, 0x10000, 0x10001, 0x10002, 0x10003, 0x10004, 0x20000)[self.below(10)]
        if kind == 2:
            reg, value = FIRMWARE + 1 + self.below(3), self.below(6)
            bit = 0 if self.below(6) else 1 << self.below(32)
            return reg, value | (bit | 0xFFFFFFFF00000000 if bit >> 31 else bit)  # bit 31 with all above it
        if kind == 3:
            reg = (FIRMWARE if self.below(2) else BITMAPS) + self.below(10)
            return reg, self.below(4)
        reg, bits, _ = self.host.bitmaps[self.below(len(self.host.bitmaps))] if self.host.bitmaps else (BITMAPS, 0, 0)
        value = self.wide() & bits
        return reg, value if self.below(5) else value | 1 << self.below(64)

    def inserts(self) -> Iterator[str]:
        """200 sequences of inserts into a filter; nothing where there is none."""
        for number in range(200 if self.host.has_filter else 0):
            with Guest(self.host.kvm) as guest:
                near = self.base()
                ops = [self.insert_op(guest, near, can_run=n == 17) for n in range(20)]
            yield _line(seq=number, ops=ops)

    def insert_op(self, guest: Guest, near: int, *, can_run: bool) -> dict[str, Any]:
        """A range is inserted, or the VM runs."""
        base = near + self.below(64) - 32 & 0xFFFFFFFF if self.below(3) else self.base()
        nr = 1 + self.below(12) if self.below(3) else self.size()
        action = self.below(3) if self.below(12) else self.give() & 0xFF
        pad = [] if self.below(24) else [self.below(15)]
        if can_run and not self.below(4):
            return {"op": "run", "res": _ran(guest)}
        code = _inserted(guest.vm, base, nr, action, *pad)
        return {"op": "ins", "base": f"{base:#x}", "nr": nr, "action": action, "pad": len(pad), "errno": code}


def _misc(host: Recorder) -> Iterator[str]:
    if host.bitmaps:
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(BITMAPS, 0)
            _ran(guest)
            told = {"init": guest.add(PSCI_0_2), "val": _hex(guest.vcpus[1], BITMAPS)}
            codes = [guest.vcpus[1].set(BITMAPS, value) for value in range(2)]
            yield _line(t="late_vcpu", **told, set_same=codes[0], set_diff=codes[1])
        with Guest(host.kvm) as guest, Guest(host.kvm) as other:
            guest.vcpus[0].set(BITMAPS, 0)
            yield _line(t="other_vm", val=_hex(other.vcpus[0], BITMAPS))
        with Guest(host.kvm) as guest:
            guest.vcpus[0].set(BITMAPS + 2, 1)
            guest.add(PSCI_0_2)
            yield _line(t="late_init_before_run", bm2=_hex(guest.vcpus[1], BITMAPS + 2))
            guest.vcpus[0].set(FIRMWARE, 2)
            guest.add(PSCI_0_2)
            versions = [_hex(guest.vcpus[number], FIRMWARE) for number in (0, 2)]
            yield _line(t="psci_after_late_init", v0=versions[0], v2=versions[1])
    with Guest(host.kvm) as guest:
        if not _inserted(guest.vm, 0x86000000, 0x100, 2):
            yield from (_forwarded(guest, mode, conduit) for mode in range(3) for conduit in range(2))


def _forwarded(guest: Guest, mode: int, conduit: int) -> str:
    """A call that is forwarded, answered by nothing, by hypercall.ret or by x0 and x1; what the guest sees then."""
    vcpu, run = guest.vcpus[0], guest.runs[0]
    guest.memory[TABLE : TABLE + 160] = ENTRY_IN.pack(0x86000009, 11, 12, 13, 14, 15, 16, 0, conduit)
    guest.start(1)
    stop = guest.run(3000)
    nr, *args, _, flags = struct.unpack_from("=9Q", run, EXIT_DATA)
    if mode == 1:
        struct.pack_into("=Q", run, HYPERCALL_RET, 0x777)
    if mode == 2:
        vcpu.set(X0, 0x888)
        vcpu.set(X0 + 2, 0x999)
    end = guest.run(3000)
    _, x0, x1, *_ = ENTRY_OUT.unpack_from(guest.memory, TABLE)
    told = {"t": "fwd_ret", "mode": mode, "c": CONDUITS[conduit], "kind": stop.kind, "reason": stop.reason}
    told.update(nr=f"{nr:#x}", flags=f"{flags:#x}", args=args, end_kind=end.kind, x0=f"{x0:#x}", x1=f"{x1:#x}")
    return _line(**told)


def _read(vcpu: Descriptor, n_room: int) -> tuple[int, int, list[int]]:
    """KVM_GET_REG_LIST with room for so many: errno, the number it tells, and the ids."""
    room = bytearray(struct.pack("=Q", n_room) + bytes(8 * n_room))
    code = vcpu.errno(KVM_GET_REG_LIST, room)
    (n_told,) = struct.unpack_from("=Q", room)
    return code, n_told, [] if code else list(struct.unpack_from(f"={n_told}Q", room, 8))


def _finalized(guest: Guest, features: int) -> int:
    """KVM_ARM_VCPU_FINALIZE where there is SVE: its errno; -1 where there is none."""
    if not features & SVE:
        return -1
    return guest.vcpus[0].errno(KVM_ARM_VCPU_FINALIZE, bytearray(struct.pack("=i", FINALIZE_SVE)))


def _reglist(host: Recorder) -> Iterator[str]:
    """Register lists, and what another vCPU says when it is given the values."""
    for name, features in FEATURES.items():
        with Guest(host.kvm, features) as guest:
            if guest.init_errno:
                yield _line(feat=name, init_errno=guest.init_errno)
                continue
            before, final = _read(guest.vcpus[0], 8192), _finalized(guest, features)
            (code, n, regs), none = _read(guest.vcpus[0], 8192), _read(guest.vcpus[0], 0)
            values = [(reg, *guest.vcpus[0].get(reg)) for reg in regs]
        told: dict[str, Any] = {"prefinal_errno": before[0], "prefinal_n": before[1], "finalize_errno": final}
        told.update(errno=code, n=n, n0_errno=none[0], n0_n=none[1])
        classes: dict[str, list[int]] = {}
        sizes: dict[str, int] = {}
        for reg in sorted(regs, key=lambda reg: (reg >> 16 & 0xFFF, reg >> 52 & 0xF)):
            of = classes.setdefault(f"0x{reg >> 16 & 0xFFF:04x}", [0, 0])
            of[:] = of[0] + 1, of[1] + (1 << (reg >> 52 & 0xF))
        for reg in sorted(regs, key=lambda reg: reg >> 52 & 0xF):
            sizes[f"{1 << (reg >> 52 & 0xF)}"] = sizes.get(f"{1 << (reg >> 52 & 0xF)}", 0) + 1
        told.update(payload_bytes=sum(n for _, n in classes.values()), by_class=classes, by_size_bytes=sizes)
        told["regs"] = [[f"0x{reg:016x}", f"{value & ONES:#x}", code] for reg, code, value in values]
        yield _line(feat=name, init_errno=0, **told)
        if not code:
            host.payloads[name] = struct.pack("<Q", n) + b"".join(
                struct.pack("<Q", reg) + value.to_bytes(1 << (reg >> 52 & 0xF), "little") for reg, _, value in values
            )
            fails = _restored(host, features, ((reg, value) for reg, code, value in values if not code))
            yield _line(feat=name, self_restore=fails[1], failed=len(fails[1]), n=n)


def _restored(host: Recorder, features: int, values: Iterable[tuple[int, int]]) -> tuple[int, list[list[Any]]]:
    """Writes values into a fresh vCPU: the errno of its KVM_ARM_VCPU_INIT, and which writes fail."""
    with Guest(host.kvm, features) as guest:
        _finalized(guest, features)
        codes = ((reg, guest.vcpus[0].set(reg, value)) for reg, value in values)
        return guest.init_errno, [[f"0x{reg:016x}", code] for reg, code in codes if code]


def _restores(host: Recorder) -> Iterator[str]:
    """What another host's values do here."""
    for folder in host.others:
        for name in list(FEATURES)[:N_RESTORED]:
            told: dict[str, Any] = {"src": folder.resolve().name, "feat": name}
            values = _payload(folder, name)
            if values is None:
                told["nofile"] = True
            else:
                code, fails = _restored(host, FEATURES[name], values)
                told.update({"init_errno": code} if code else {"n": len(values), "fails": fails, "failed": len(fails)})
            yield _line(**told)


def _payload(folder: Path, features: str) -> list[tuple[int, int]] | None:
    """The registers of another host, None where it has none with these features; raises ProbeError."""
    path = folder / f"payload-{features}.bin"
    path = path if path.is_file() else path.with_name(f"{path.name}.xz")
    if not path.is_file():
        return None
    lzma, values, at = _module("lzma"), [], 8
    try:
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        for _ in range(int.from_bytes(data[:8], "little")):
            (reg,) = struct.unpack_from("<Q", data, at)
            end = at + 8 + (1 << (reg >> 52 & 0xF))
            values.append((reg, int.from_bytes(data[at + 8 : end], "little")))
            at = end
        if at != len(data):
            msg = f"{len(data)} bytes where its registers have {at}"
            raise ValueError(msg)
    except (OSError, ValueError, EOFError, struct.error, lzma.LZMAError) as error:
        msg = f"{path} cannot be read ({error}): name the folder of a recorded host"
        raise ProbeError(msg) from error
    return values


def _meta(host: Recorder) -> str:
    """What the host is: kernel, CPUs, mitigations and capabilities."""
    system, kvm = host.kvm.system, host.kvm
    _, release, version, _ = system.uname()
    mode = _mode_asked(system)
    cpu = (system.read("/proc/cpuinfo") or "")[:2000].replace("\n", ";").replace("\t", " ")
    names = ("spectre_v1", "spectre_v2", "spec_store_bypass", "meltdown", "l1tf")
    told = {one: (system.read(f"/sys/devices/system/cpu/vulnerabilities/{one}") or "").strip() for one in names}
    with _vm(kvm) as vm:
        asked = {str(n): [max(-1, kvm.capability(n)), max(-1, vm.capability(n))] for n in range(N_CAPABILITY)}
        code = vm.attribute_errno(KVM_HAS_DEVICE_ATTR, 0, 0)
    meta = {"release": release, "version": version, **({"cmdline": f"kvm-arm.mode={mode}"} if mode else {})}
    caps = {number: both for number, both in asked.items() if any(both)}
    more = {"api_version": API_VERSION, "caps": caps, "has_smccc_filter_errno": code}
    return json.dumps({**meta, "cpuinfo": cpu, "vulnerabilities": told, **more}, indent=1) + "\n"


SECTIONS: dict[str, dict[str, Callable[[Recorder], Iterator[str]]]] = {
    "reglist": {"reglist": _reglist},
    "setreg": {"setreg": _setreg},
    "calls": {"calls": _calls},
    "random": {"random": _random_list},
    "sweep": {"sweep": _sweep},
    "danger": {"danger": _danger},
    "filter": {"filter": _filters},
    "a32": {"a32": _a32},
    "fuzz": {
        "fuzz_calls": lambda host: host.fuzz.calls(),
        "fuzz_regs": lambda host: host.fuzz.registers(),
        "fuzz_filter": lambda host: host.fuzz.inserts(),
    },
    "misc": {"misc": _misc},
    "restore": {"restore": _restores},
}
"""Sections in their order: for each of its files, what gives its lines."""


def record(
    folder: str,
    system: System | None = None,
    *,
    only: Sequence[str] = (),
    others: Sequence[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Records what this host's KVM does into a new folder; raises ProbeError.

    Each file takes its name when it is whole, and meta.json comes last: without it the folder is unfinished.
    """
    system = system or System()
    for one in others:
        if not Path(one).is_dir():
            msg = f"{one} is no folder: name that of a recorded host"
            raise ProbeError(msg)
    with _opened(system) as kvm:
        target = _new_folder(folder)
        host = Recorder(kvm, [Path(one) for one in others])
        for section in only or SECTIONS:
            start = system.seconds()
            for name, lines in SECTIONS[section].items():
                _written(target / f"{name}.jsonl.xz", (line.encode() for line in lines(host)))
            for name, data in host.payloads.items():
                _written(target / f"payload-{name}.bin.xz", [data])
            host.payloads.clear()
            progress(f"{section}: {system.seconds() - start:.1f} s")
        _written(target / "meta.json", [_meta(host).encode()])


def _new_folder(folder: str) -> Path:
    """Makes it; raises ProbeError where it has files."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        has_files = any(Path(folder).iterdir())
    except (OSError, ValueError) as error:
        raise ProbeError(_unwritten(folder, error)) from error
    if has_files:
        msg = f"{folder} has files already: name a new or empty folder"
        raise ProbeError(msg)
    return Path(folder)


def _unwritten(path: str, error: Exception) -> str:
    why = getattr(error, "strerror", None) or error
    return f"{path} cannot be written ({why}): name a new or empty folder of yours"


def _written(path: Path, parts: Iterable[bytes]) -> None:
    """Writes a file whole or not at all, compressed where it is named so; none where there is nothing to write."""
    hidden = path.with_name(f".{path.name}.tmp")
    packer = _module("lzma").LZMACompressor(preset=1) if path.suffix == ".xz" else None
    parts, is_empty = iter(parts), True
    try:
        with hidden.open("wb") as file:
            for first in parts:
                is_empty = False
                some = first + b"".join(itertools.islice(parts, 1000))
                file.write(packer.compress(some) if packer else some)
            file.write(packer.flush() if packer else b"")
            file.flush()
            os.fsync(file.fileno())
        if not is_empty:
            hidden.replace(path)
    except OSError as error:
        raise ProbeError(_unwritten(str(path), error)) from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink()


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
    rows += [("emulated", sign) for sign in profile["emulated_by"]]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:{width}}  {' '.join(text.split())}" for label, text in rows)


def save(profile: dict[str, Any], path: str) -> None:
    """Writes the profile whole or not at all; raises ProbeError.

    It is written beside the file under another name, and takes the file's name once the disk has it.
    """
    text = json.dumps(profile, indent=1) + "\n"
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
    parser.add_argument("--only", metavar="SECTIONS", help=f"of --record, with commas: {', '.join(SECTIONS)}")
    parser.add_argument(
        "--restore", metavar="FOLDER", nargs="+", help="of --record: other hosts, whose payloads are tried"
    )
    given = parser.parse_args(arguments)
    only = given.only.split(",") if given.only else []
    if not given.record and (only or given.restore):
        parser.error("--only and --restore belong to --record")
    if set(only) - set(SECTIONS):
        parser.error(f"--only {given.only}: sections are {', '.join(SECTIONS)}")
    try:
        if given.record:
            record(given.record, system, only=only, others=given.restore or (), progress=_progress)
            return 0
        profile = probe(system)
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
