"""The VMM that runs a guest inside an emulated host: its serial port, and what it does with each return of KVM_RUN.

KVM itself is a stand-in here, which knows ioctls by the numbers of Linux include/uapi/linux/kvm.h as `strace` prints
them, and returns from KVM_RUN what a test lists.
"""

from __future__ import annotations

import ast
import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.places import ROOT
from tools import hosts_guest_inside as inside
from tools.hosts_guest_inside import Guest, Pl011
from tools.hosts_guest_tree import MAP

CREATE_VM, MMAP_SIZE, CREATE_VCPU, RUN = 0xAE01, 0xAE04, 0xAE41, 0xAE80
SET_MEMORY, IRQ_LINE, ENABLE_CAP, GET_REG, SET_REG = 0x4020AE46, 0x4008AE61, 0x4068AEA3, 0x4010AEAB, 0x4010AEAC
INIT, PREFERRED, CREATE_DEVICE, SET_ATTR = 0x4020AEAE, 0x8020AEAF, 0xC00CAEE0, 0x4018AEE1
GIC = 99
X0, X1, X2, PC = (0x6030000000100000 + 2 * number for number in (0, 1, 2, 32))
Step = bytes | Exception
"""What KVM_RUN does: it leaves these bytes of struct kvm_run, or fails."""


class Kvm:
    """A stand-in for the kernel."""

    def __init__(self, steps: list[Step], refused: dict[int, int] | None = None) -> None:
        self.steps, self.refused = steps, refused or {}
        self.registers: dict[int, int] = {}
        self.written: list[tuple[int, int]] = []
        self.done: list[tuple[int, Any]] = []
        self.vcpus: list[int] = []
        self.read: list[int] = []

    def ioctl(self, fd: int, number: int, argument: Any = 0) -> int:
        if number in self.refused:
            raise OSError(self.refused[number], os.strerror(self.refused[number]))
        if number in (GET_REG, SET_REG):
            self._register(number, *struct.unpack("<QQ", argument))
        elif number == RUN:
            return self._run(fd)
        elif number == MMAP_SIZE:
            return 4096
        elif number in (CREATE_VM, CREATE_VCPU):
            made = os.memfd_create("kvm")
            os.ftruncate(made, 4096)
            if number == CREATE_VCPU:
                self.vcpus.append(made)
            return made
        elif number == CREATE_DEVICE:
            struct.pack_into("<I", argument, 4, GIC)
        elif number == SET_ATTR:
            _, group, attribute, at = struct.unpack("<IIQQ", argument)
            self.done.append((number, (fd, group, attribute, at and ctypes.string_at(at, 8))))
        elif number == PREFERRED:
            struct.pack_into("<I", argument, 0, 5)
        else:
            assert number in (SET_MEMORY, IRQ_LINE, ENABLE_CAP, INIT), hex(number)
            self.done.append((number, bytes(argument)))
        return 0

    def _register(self, number: int, register: int, at: int) -> None:
        value = ctypes.c_uint64.from_address(at)
        if number == GET_REG:
            value.value = self.registers[register]
        else:
            self.registers[register] = value.value
            self.written.append((register, value.value))

    def _run(self, fd: int) -> int:
        with mmap.mmap(fd, 4096) as run:
            if run[8:12] == struct.pack("<I", 6) and run[52] == 0:
                self.read.append(struct.unpack_from("<Q", run, 40)[0])
            step = self.steps.pop(0)
            if isinstance(step, Exception):
                raise step
            run[: len(step)] = step
        return 0


def stopped(reason: int, body: bytes) -> bytes:
    """struct kvm_run: the reason at byte 8, what belongs to it at byte 32."""
    return bytes(8) + struct.pack("<I", reason) + bytes(20) + body


def mmio(at: int, value: int | None = None) -> bytes:
    """A write of four bytes to a device, or a read."""
    return stopped(6, struct.pack("<Q8sIB", at, (value or 0).to_bytes(8, "little"), 4, value is not None))


def event(kind: int) -> bytes:
    return stopped(24, struct.pack("<II", kind, 0))


def how(**changes: object) -> dict[str, Any]:
    small = MAP._replace(memory_bytes=1 << 20, kernel=0x40000000, initrd=0x40010000, tree=0x40020000)
    return {
        **{"map": small._asdict(), "kernel_offset": 0x8000, "n_cpu": 2, "system_suspend": False, "registers": []},
        **{"filter": [], "events": {}, "seconds": 5, "trace_kib": 1},
        **changes,
    }


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Guest, Kvm]]]:
    """Makes a VM of the stand-in, which the test may then run."""
    for name in ("Image", "initrd", "tree"):
        (tmp_path / name).write_bytes(name.encode())
    opened = os.open

    def start(*steps: Step, refused: dict[int, int] | None = None, **changes: object) -> tuple[Guest, Kvm]:
        kvm = Kvm(list(steps), refused)
        monkeypatch.setattr(inside.fcntl, "ioctl", kvm.ioctl)
        monkeypatch.setattr(
            inside.os, "open", lambda path, *flags: os.memfd_create("x") if path == "/dev/kvm" else opened(path, *flags)
        )
        return Guest(how(**changes), tmp_path), kvm

    yield start
    monkeypatch.undo()


def test_a_vm_is_set_up_as_the_boot_protocol_asks(started: Callable[..., tuple[Guest, Kvm]]) -> None:
    guest, kvm = started()
    assert kvm.registers == {PC: 0x40008000, X0: 0x40020000}
    assert guest.memory[0x8000:0x8005] == b"Image"
    assert (guest.memory[0x10000:0x10006], guest.memory[0x20000:0x20004]) == (b"initrd", b"tree")
    assert [struct.unpack("<IIQQQ", one)[:4] for number, one in kvm.done if number == SET_MEMORY] == [
        (0, 0, 0x40000000, 1 << 20),
        (1, 0, MAP.stolen, mmap.PAGESIZE),
    ]
    # PSCI 0.2 for both, and the second begins powered off.
    assert [struct.unpack_from("<II", one) for number, one in kvm.done if number == INIT] == [(5, 4), (5, 5)]
    assert [one[:3] for number, one in kvm.done if number == SET_ATTR] == [
        (kvm.vcpus[0], 2, 0),
        (kvm.vcpus[1], 2, 0),
        (GIC, 0, 2),
        (GIC, 0, 3),
        (GIC, 3, 0),
        (GIC, 4, 0),
    ]
    told = [one[3] for number, one in kvm.done if number == SET_ATTR and one[1] == 2]
    assert told == [struct.pack("<Q", MAP.stolen), struct.pack("<Q", MAP.stolen + 64)]
    assert guest.told == []


def test_what_the_guest_writes_is_its_console_and_its_end_is_told(started: Callable[..., tuple[Guest, Kvm]]) -> None:
    writes = [mmio(MAP.serial, one) for one in b"ok\n"]
    guest, kvm = started(mmio(MAP.serial + 0x18), *writes, event(1))
    guest.run(0)
    assert (bytes(guest.serial.sent), guest.end, guest.told) == (b"ok\n", "off", [])
    assert kvm.read == [0x90]


def test_the_serial_ports_interrupt_follows_its_mask(started: Callable[..., tuple[Guest, Kvm]]) -> None:
    steps = [mmio(MAP.serial + 0x38, 0x20), mmio(MAP.serial, 65), mmio(MAP.serial, 66), mmio(MAP.serial + 0x44, 0x20)]
    guest, kvm = started(*steps, event(2))
    guest.run(0)
    lines = [struct.unpack("<II", one) for number, one in kvm.done if number == IRQ_LINE]
    assert lines == [(1 << 24 | 33, 1), (1 << 24 | 33, 0)]
    assert guest.end == "reset"


def test_a_suspended_guest_is_resumed_where_it_asked_to_be(started: Callable[..., tuple[Guest, Kvm]]) -> None:
    guest, kvm = started(event(5), event(1), system_suspend=True)
    kvm.registers |= {X1: 0x40001234, X2: 77}
    guest.run(0)
    assert (guest.told, guest.end) == (["suspended and resumed"], "off")
    assert (kvm.registers[PC], kvm.registers[X0]) == (0x40001234, 77)
    assert [struct.unpack_from("<I", one) for number, one in kvm.done if number == ENABLE_CAP] == [(216,)]
    assert sum(number == INIT for number, _ in kvm.done) == 3


def test_a_forwarded_call_is_answered_not_supported(started: Callable[..., tuple[Guest, Kvm]]) -> None:
    guest, kvm = started(stopped(3, struct.pack("<Q", 0x84000050)), event(1))
    guest.run(0)
    assert (kvm.registers[X0], guest.end) == ((1 << 64) - 1, "off")


def test_the_policy_is_written_and_what_is_refused_is_told(started: Callable[..., tuple[Guest, Kvm]]) -> None:
    given_policy = {"registers": [[0x6030000000160000, 0]], "filter": [[0x86000001, 1, 1]]}
    guest, kvm = started(**given_policy)
    assert kvm.written[0] == (0x6030000000160000, 0)
    (inserted,) = [one for number, one in kvm.done if number == SET_ATTR and one[0] == guest.vm]
    assert inserted == (guest.vm, 0, 0, struct.pack("<II", 0x86000001, 1))
    guest, _ = started(**given_policy, refused={SET_ATTR: 22})
    assert guest.told[-1] == "filter 0x86000001+1: errno 22"


@pytest.mark.parametrize(
    ("step", "end"),
    [
        (stopped(17, b""), "exit 17 of KVM_RUN, which this VMM does not know"),
        (event(9), "?"),
        (OSError(14, "Bad address"), "failed: OSError: [Errno 14] Bad address"),
    ],
)
def test_other_ends_are_told(step: Step, end: str, started: Callable[..., tuple[Guest, Kvm]]) -> None:
    guest, _ = started(step)
    guest.run(0)
    assert guest.end == end


def test_an_interrupted_run_goes_on_and_a_device_that_is_not_there_reads_0(
    started: Callable[..., tuple[Guest, Kvm]],
) -> None:
    guest, kvm = started(InterruptedError(), mmio(0x0A000000), mmio(0x0A000000, 1), event(1))
    guest.run(0)
    assert (guest.end, kvm.read) == ("off", [0])
    assert guest.told == ["read at 0xa000000, where nothing is", "write at 0xa000000, where nothing is"]
    assert bytes(guest.serial.sent) == b""


def test_the_serial_port_says_that_it_is_a_pl011() -> None:
    port = Pl011()
    words = [port.read(0xFE0 + 4 * at) for at in range(8)]
    assert int.from_bytes(bytes(words[:4]), "little") & 0xFFFFF == 0x41011  # designer Arm, part 011
    assert int.from_bytes(bytes(words[4:]), "little") == 0xB105F00D
    assert port.read(0x18) & 0x20 == 0, "there is always room to send"


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 0, 0x24, 0x30, 0x38, 0x44, 0xFE0]), st.sampled_from([0x20, 0xDF, 0x7FF, 2**32 - 1])
        )
    )
)
def test_the_line_is_what_is_raw_and_not_masked(steps: list[tuple[int, int]]) -> None:
    port = Pl011()
    mask = raw = 0
    sent = bytearray()
    for at, value in steps:
        port.write(at, value)
        if at == 0:
            sent.append(value & 0xFF)
            raw |= 0x20
        elif at == 0x38:
            mask = value & 0x7FF
        elif at == 0x44:
            raw &= ~value
        assert (port.read(0x3C), port.read(0x38), port.read(0x40)) == (raw, mask, raw & mask)
        assert port.line == (raw & mask != 0)
        assert port.read(at) <= 0xFFFF
    assert port.sent == sent


@pytest.mark.parametrize("name", ["hosts_guest_inside", "hosts_guest_init"])
def test_what_runs_there_needs_only_the_standard_library(name: str) -> None:
    tree = ast.parse((ROOT / "tools" / f"{name}.py").read_text("utf-8"), feature_version=(3, 11))
    imported = [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {one.partition(".")[0] for one in imported} <= set(sys.stdlib_module_names)
