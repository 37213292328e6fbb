"""KVM of a recorded host, for the probe to ask: what it says comes of recordings and of the reference."""

from __future__ import annotations

import ctypes
import json
import lzma
import struct
from collections.abc import Callable
from errno import E2BIG, EBADF, EINVAL, ENODEV, ENOEXEC, ENOTTY, ENXIO, EPERM
from functools import cache
from pathlib import Path
from typing import Any

from fastsmc.facts.guests import vcpu_init_errno, vm_type_errno
from fastsmc.facts.registers import FIRMWARE_CLASSES, SVE_VLS, reg_class, reg_size
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import CAPS_OF_FEATURE, FEATURE_EL2, FEATURE_EL2_E2H0, feature_bits
from fastsmc.migrate.compat.values import payload
from fastsmc.probing.standalone import System, probe
from fastsmc.recordings.folder import open_recording
from fastsmc.recordings.levels import workaround_levels
from fastsmc.reference.vm import Vm
from tests.support.places import TESTS

RECORDINGS = TESTS / "recordings"
HOSTS = sorted(path.parent.name for path in RECORDINGS.glob("linux-*/reglist.jsonl.xz"))
"""Recorded hosts, by name."""
TARGET = 5
"""KVM_ARM_TARGET_GENERIC_V8."""
KVM, VM, VCPU = "kvm", "vm", "vcpu"

# Numbers of ioctls as an arm64 kernel has them, written out here so that the probe's own arithmetic is checked.
GET_API_VERSION, CREATE_VM, CHECK_EXTENSION, CREATE_VCPU = 0xAE00, 0xAE01, 0xAE03, 0xAE41
GET_ONE_REG, SET_ONE_REG, VCPU_INIT, PREFERRED_TARGET = 0x4010AEAB, 0x4010AEAC, 0x4020AEAE, 0x8020AEAF
GET_REG_LIST, FINALIZE, CREATE_DEVICE = 0xC008AEB0, 0x4004AEC2, 0xC00CAEE0
SET_DEVICE_ATTR, HAS_DEVICE_ATTR = 0x4018AEE1, 0x4018AEE3
REQUESTS = {
    GET_API_VERSION: KVM,
    CREATE_VM: KVM,
    CREATE_VCPU: VM,
    PREFERRED_TARGET: VM,
    VCPU_INIT: VCPU,
    FINALIZE: VCPU,
    GET_REG_LIST: VCPU,
    GET_ONE_REG: VCPU,
    SET_ONE_REG: VCPU,
    CREATE_DEVICE: VM,
}
"""Which descriptor takes it; CHECK_EXTENSION and those of device attributes are for several."""


@cache
def recorded_host(name: str) -> Host:
    """The host that a recording is of."""
    recording = open_recording(RECORDINGS / name)
    mode = "nested" if "240" in recording.meta["caps"] else "default"
    return Host(recording.release, workaround=workaround_levels(recording), name=name, kvm_arm_mode=mode)


@cache
def recorded_lists(name: str) -> dict[int, dict[int, int]]:
    """Values by register, in list order, by word 0 of the features; whole where the payload is recorded too."""
    found = {}
    for line in lzma.decompress((RECORDINGS / name / "reglist.jsonl.xz").read_bytes()).splitlines():
        record = json.loads(line)
        if "regs" in record:
            values = {int(reg, 16): int(low, 16) for reg, low, code in record["regs"] if code == 0}
            found[feature_bits(record["feat"])] = values | dict(payload(RECORDINGS / name, record["feat"]) or {})
    return found


class FakeKvm(System):
    """A recorded host.

    Attributes:
        host: whose rules hold.
        fails: (request, errno) by which every such ioctl fails from the `after`th on; "open" for /dev/kvm.
        open_fds: what is open, by descriptor.
        n_call: ioctls that were made, by request.
    """

    def __init__(self, name: str = "linux-6.12.107-max", *, host: Host | None = None) -> None:
        self.name, self.host = name, host or recorded_host(name)
        self.meta = json.loads((RECORDINGS / name / "meta.json").read_text("utf-8"))
        self.files = {
            "/proc/cpuinfo": self.meta["cpuinfo"].replace(";", "\n"),
            "/proc/cmdline": self.meta.get("cmdline", "quiet"),
            "/sys/devices/system/clocksource/clocksource0/current_clocksource": "arch_sys_counter\n",
        }
        self.files |= {
            f"/sys/devices/system/cpu/vulnerabilities/{one}": text for one, text in self.meta["vulnerabilities"].items()
        }
        self.caps = {int(number): tuple(told) for number, told in self.meta["caps"].items()}
        self.machine = "aarch64"
        self.fails: dict[int | str, int] = {}
        self.after = 0
        self.api_version = 12
        self.before: Callable[[int], None] = lambda request: None
        self.open_fds: dict[int, dict[str, Any]] = {}
        self.n_call: dict[int, int] = {}
        self._next, self._now = 100, 0.0

    # -- what is no ioctl ------------------------------------------------------------------------------------------

    def uname(self) -> tuple[str, str, str, str]:
        return "Linux", self.meta["release"], self.meta["version"], self.machine

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def listed(self, path: str) -> list[str]:
        return sorted(Path(one).name for one in self.files if str(Path(one).parent) == path)

    def page_bytes(self) -> int:
        return 4096

    def allow_files(self, count: int) -> None:
        pass

    def seconds(self) -> float:
        self._now += 1e-4
        return self._now

    def date(self) -> str:
        return "2026-11-30T12:00:00Z"

    def open(self, path: str) -> int:
        assert path == "/dev/kvm"
        if "open" in self.fails:
            raise OSError(self.fails["open"], "as asked")
        return self._opened(KVM)

    def close(self, fd: int) -> None:
        del self.open_fds[fd]  # KeyError: closed twice

    def _opened(self, kind: str, **state: Any) -> int:
        self._next += 1
        self.open_fds[self._next] = {"kind": kind, **state}
        return self._next

    # -- ioctls ----------------------------------------------------------------------------------------------------

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> int:
        self.before(request)
        self.n_call[request] = self.n_call.get(request, 0) + 1
        if fd not in self.open_fds:
            raise OSError(EBADF, "no such descriptor")
        of = self.open_fds[fd]
        if request in self.fails and self.n_call[request] > self.after:
            raise OSError(self.fails[request], "as asked")
        if REQUESTS.get(request, of["kind"]) != of["kind"]:
            raise OSError(ENOTTY, f"{request:#x} on a {of['kind']}")
        code, result = self._done(of, request, argument)
        if code:
            raise OSError(code, f"{request:#x}")
        return result

    def _done(self, of: dict[str, Any], request: int, argument: Any) -> tuple[int, int]:
        """(errno, result) of an ioctl that this descriptor takes."""
        if request == GET_API_VERSION:
            return 0, self.api_version
        if request == CHECK_EXTENSION:
            told = self.caps.get(argument, (0, 0))[of["kind"] != KVM]
            return (0, told) if told >= 0 else (EINVAL, 0)
        if request == CREATE_VM:
            code = vm_type_errno(self.host, is_protected=bool(argument >> 31))
            return (code, 0) if code else (0, self._opened(VM, vm=Vm(self.host), n_vcpu=0))
        if request == CREATE_VCPU:
            return self._vcpu_made(of, argument)
        if request == PREFERRED_TARGET:
            struct.pack_into("=8I", argument, 0, TARGET, *(0,) * 7)
            return 0, 0
        if request == CREATE_DEVICE:
            kind, _, flags = struct.unpack("=III", argument)
            assert flags == 1, "a device is made, where it should be tested whether one could be"
            return (0, 0) if kind in (7, 8) else (ENODEV, 0)
        if request in (HAS_DEVICE_ATTR, SET_DEVICE_ATTR):
            return self._attribute(of, request, *struct.unpack("=IIQQ", argument)), 0
        if request in (VCPU_INIT, FINALIZE, GET_REG_LIST, GET_ONE_REG, SET_ONE_REG):
            return self._of_vcpu(of, request, argument), 0
        msg = f"ioctl {request:#x}, which the probe should not make"
        raise AssertionError(msg)

    def _vcpu_made(self, of: dict[str, Any], number: int) -> tuple[int, int]:
        if number >= self.caps[66][1]:
            return EINVAL, 0
        of["n_vcpu"] += 1
        return 0, self._opened(VCPU, of=of, values=None, vm=of["vm"], features=0, is_final=False)

    def _attribute(self, of: dict[str, Any], request: int, flags: int, group: int, attr: int, address: int) -> int:
        assert flags == 0
        if of["kind"] == VCPU:
            return 0 if (group, attr) == (2, 0) else ENXIO
        if request == HAS_DEVICE_ATTR:
            return of["vm"].has_device_attr(group, attr)
        base, nr, action, pad = struct.unpack("=IIB15s", ctypes.string_at(address, 24))
        return of["vm"].insert_filter(base, nr, action, pad=any(pad))

    def _of_vcpu(self, of: dict[str, Any], request: int, argument: bytearray) -> int:
        if request == VCPU_INIT:
            return self._initialised(of, *struct.unpack("=8I", argument))
        if of["values"] is None:
            return ENOEXEC
        if request == FINALIZE:
            assert struct.unpack("=i", argument) == (4,)
            of["is_final"] = True
            return 0
        if request == GET_REG_LIST:
            return self._list(of, argument)
        reg, address = struct.unpack("=QQ", argument)
        if request == SET_ONE_REG:
            value = int.from_bytes(ctypes.string_at(address, reg_size(reg)), "little")
            return of["vm"].set_one_reg(0, reg, value)
        code, value = self._value(of, reg)
        if not code:
            ctypes.memmove(address, value.to_bytes(reg_size(reg), "little"), reg_size(reg))
        return code

    def _initialised(self, of: dict[str, Any], target: int, features: int, *others: int) -> int:
        code = EINVAL if target != TARGET or any(others) else 0
        code = code or vcpu_init_errno(self.host, features)
        needed = (caps for bit, caps in CAPS_OF_FEATURE.items() if features & bit)
        if code or any(self.caps.get(cap, (0, 0))[1] <= 0 for caps in needed for cap in caps):
            return code or EINVAL
        lists = recorded_lists(self.name)
        of["values"] = lists.get(features, lists[4])
        of["features"] = features
        of["vm"] = Vm(self.host, features=features & ~(FEATURE_EL2 | FEATURE_EL2_E2H0))  # whose registers are alike
        return 0

    def _list(self, of: dict[str, Any], room: bytearray) -> int:
        if of["features"] & 0x10 and not of["is_final"]:
            return EPERM
        ids = list(of["values"])
        (n_given,) = struct.unpack_from("=Q", room)
        struct.pack_into("=Q", room, 0, len(ids))
        if n_given < len(ids):
            return E2BIG
        struct.pack_into(f"={len(ids)}Q", room, 8, *ids)
        return 0

    def _value(self, of: dict[str, Any], reg: int) -> tuple[int, int]:
        if reg == SVE_VLS or reg_class(reg) not in FIRMWARE_CLASSES:
            return 0, of["values"][reg]
        return of["vm"].get_one_reg(0, reg)


@cache
def probed(name: str) -> str:
    """The host profile of a recorded host, as JSON."""
    return json.dumps(probe(FakeKvm(name)))


def written(folder: Path, content: Any, name: str = "host.json") -> Path:
    """A file of its own that holds a text, or a profile."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path
