#!/usr/bin/python3.11 -S
"""The first program of a small arm64 guest: uses what a hypervisor's services are for, says what came of it, ends.

It runs as /init of the guest, from its initramfs, with nothing but Python's standard library. Words of the kernel's
command line say what it does besides: `guest.suspend` suspends once, `guest.end=reset` resets instead of powering off.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import time
from pathlib import Path

PTP_SYS_OFFSET_PRECISE = 3 << 30 | 64 << 16 | ord("=") << 8 | 8
"""_IOWR('=', 8, struct ptp_sys_offset_precise), Linux include/uapi/linux/ptp_clock.h: its time and ours at once."""
FINIT_MODULE = 273
"""Its number among arm64's system calls (Linux include/uapi/asm-generic/unistd.h)."""
RESTART, POWER_OFF = 0x01234567, 0x4321FEDC
"""LINUX_REBOOT_CMD_*, Linux include/uapi/linux/reboot.h."""
N_CLOCK, N_UNPLUG, N_RANDOM = 20, 3, 10
"""How often each is done: PTP both ways, a CPU out and in, random bytes."""
CPU1 = "/sys/devices/system/cpu/cpu1/online"
TOLD = ("psci", "smccc", "kvm", "random:", "stolen", "ptp", "arch_timer: cp15", "crng")
"""Lines of the kernel's own log that are told at the end: what it found of the services."""


def say(text: str) -> None:
    """A line for the serial port."""
    os.write(1, f"guest: {text}\n".encode())


def write(path: str, text: str) -> None:
    """Writes to a file of /sys and says what came of it."""
    try:
        with Path(path).open("w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        say(f"{path} <- {text}: errno {error.errno}")
    else:
        say(f"{path} <- {text}")


def random_bytes(path: str, times: int) -> None:
    """Reads 64 bytes, that often."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        say(f"{path}: errno {error.errno}")
        return
    try:
        said = []
        for _ in range(times):
            said.append(str(len(os.read(file, 64))))
            time.sleep(0.001)
        say(f"{path}: {' '.join(said)} bytes")
    except OSError as error:
        say(f"{path}: errno {error.errno} after {len(said)} reads")
    finally:
        os.close(file)


def host_clock() -> None:
    """Asks /dev/ptp0, the host's clock, in both ways that it can be asked."""
    try:
        file = os.open("/dev/ptp0", os.O_RDWR)
    except OSError as error:
        say(f"/dev/ptp0: errno {error.errno}")
        return
    errors = {"gettime": 0, "precise": 0}
    for _ in range(N_CLOCK):
        try:
            time.clock_gettime(~file << 3 | 3)  # FD_TO_CLOCKID of clock_gettime(3)
        except OSError as error:
            errors["gettime"] = error.errno or -1
        try:
            fcntl.ioctl(file, PTP_SYS_OFFSET_PRECISE, bytes(64))
        except OSError as error:
            errors["precise"] = error.errno or -1
        time.sleep(0.002)
    os.close(file)
    say(f"/dev/ptp0: {N_CLOCK} times, errno of gettime {errors['gettime']}, of precise {errors['precise']}")


def kernel_log() -> None:
    """Says the lines of the kernel's log that name a service."""
    file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            line = os.read(file, 8192).decode("utf-8", "replace").splitlines()[0].partition(";")[2]
            if any(word in line.lower() for word in TOLD) and "command line" not in line.lower():
                say(f"log: {line}")
    os.close(file)


def main() -> None:
    """Does it all, then ends the guest."""
    libc = ctypes.CDLL(None, use_errno=True)
    for target, kind in (("/dev", b"devtmpfs"), ("/proc", b"proc"), ("/sys", b"sysfs")):
        Path(target).mkdir(exist_ok=True)
        libc.mount(b"none", target.encode(), kind, 0, None)
    console = os.open("/dev/console", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(console, number)
    words = Path("/proc/cmdline").read_text("ascii").split()
    say(f"Linux {os.uname().release}, {os.cpu_count()} CPUs")
    for module in sorted(Path("/modules").glob("*.ko")):
        with module.open("rb") as file:
            failed = libc.syscall(FINIT_MODULE, file.fileno(), b"", 0)
        say(f"module {module.name}: {'errno ' + str(ctypes.get_errno()) if failed else 'loaded'}")
    random_bytes("/dev/urandom", 1)
    random_bytes("/dev/hwrng", 1)
    host_clock()
    for _ in range(N_UNPLUG):
        write(CPU1, "0")
        write(CPU1, "1")
    if "guest.suspend" in words:
        say(f"mem_sleep: {Path('/sys/power/mem_sleep').read_text('ascii').strip()}")
        write("/sys/power/state", "mem")
    random_bytes("/dev/urandom", N_RANDOM)
    kernel_log()
    is_reset = "guest.end=reset" in words
    say("resets" if is_reset else "powers off")
    time.sleep(0.1)
    libc.reboot(RESTART if is_reset else POWER_OFF)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:  # the guest has nobody else to tell
        say(f"failed: {type(error).__name__}: {error}")
        ctypes.CDLL(None).reboot(POWER_OFF)
