"""Boots an emulated arm64 host with its own KVM under QEMU, and takes what a job left there from its serial line."""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tools.hosts_apt import Archive, Say
from tools.hosts_initramfs import job_archive, python_archive
from tools.hosts_packages import HostsError

PROGRAM = "qemu-system-aarch64"
CPUS = {"max": "max,pauth-impdef=on", "n1": "neoverse-n1"}
"""QEMU's CPU by the word that a recording's folder has. PAC by QEMU's own formula, as the architected one is slow."""
MACHINE = ("-M", "virt,virtualization=on,gic-version=3", "-smp", "1", "-m", "1536", "-accel", "tcg")
MODES = ("nested", "protected", "default")
UP_S, RUN_S = 240, 1800
"""How long a kernel has until Python runs, and how long all of it may take, in seconds."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+=*")
_SECTION = re.compile(rb"fastsmc_probe: ([a-z0-9_]+: [0-9.]+ s)")
"""How the probe says that it has recorded a section."""
_PR_SET_PDEATHSIG = 1


@dataclass
class Collected:
    """What came out of an emulated host."""

    files: dict[str, bytes] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)
    """Exit codes of the job's commands, in order."""
    up_s: float = 0.0
    """Wall seconds until Python ran."""
    run_s: float = 0.0
    """Wall seconds of the commands."""
    total_s: float = 0.0


def collected(said: bytes) -> Collected:
    """The files in what a serial line said.

    Lines that cannot be base64 are passed over, as the kernel may say something at any time; a file's size and digest
    tell whether it is whole.

    Raises:
        HostsError: a file is damaged or cut short, or the job did not get to its end.
    """
    found = Collected()
    head: dict[str, object] | None = None
    packed: list[bytes] = []
    is_done = False
    for line in said.replace(b"\r", b"").split(b"\n"):
        if line.startswith(b"@file "):
            head, packed = _head(line), []
        elif head is not None and line == b"@end":
            found.files[str(head["name"])] = _unpacked(head, packed)
            head = None
        elif head is not None and _BASE64.fullmatch(line):
            packed.append(line)
        elif ran := re.fullmatch(rb"@ran \d+ (-?\d+) [\d.]+", line):
            found.codes.append(int(ran[1]))
        is_done = is_done or line == b"@done"
    if not is_done or head is not None:
        what = f"file {head['name']}" if head else "files"
        msg = f"the host stopped before all of its {what} had come out{_last_words(said)}"
        raise HostsError(msg)
    return found


def _head(line: bytes) -> dict[str, object]:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        head = json.loads(line[len("@file ") :])
        name = PurePosixPath(head["name"])
        if not name.is_absolute() and ".." not in name.parts and {"size", "sha256"} <= head.keys():
            return dict(head)
    msg = f"the serial line is damaged: it announces a file by {line[:120].decode('utf-8', 'replace')!r}"
    raise HostsError(msg)


def _unpacked(head: Mapping[str, object], packed: Sequence[bytes]) -> bytes:
    data = b""
    with contextlib.suppress(binascii.Error, zlib.error):
        data = zlib.decompress(b"".join(base64.b64decode(line, validate=True) for line in packed))
    if len(data) != head["size"] or hashlib.sha256(data).hexdigest() != head["sha256"]:
        msg = f"{head['name']} came out of the host damaged: not the {head['size']} bytes of its digest; try again"
        raise HostsError(msg)
    return data


def _last_words(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if "panic" in line or "Error" in line] or lines
    return f"; the last it said is {telling[-1][:200]!r}" if telling else "; it said nothing"


def version() -> str:
    """The version of the QEMU on PATH, such as "7.2.22".

    Raises:
        HostsError: there is none.
    """
    if shutil.which(PROGRAM) is None:
        msg = f"there is no {PROGRAM} on this machine, which emulates the hosts: install QEMU (Debian: qemu-system-arm)"
        raise HostsError(msg)
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else "unknown"


def boot(
    debian: Archive,
    image: Path,
    commands: Sequence[Sequence[str]],
    *,
    log: Path,
    cpu: str = "max",
    mode: str | None = None,
    files: Mapping[str, bytes] | None = None,
    seconds: float = RUN_S,
    say: Say = lambda _: None,
) -> Collected:
    """Boots a kernel, runs a job and returns what it left.

    Args:
        debian: where Python is fetched from.
        image: the kernel.
        commands: a Python file and its arguments each; tools.hosts_init.PROBE is the probe.
        log: where all that the host says on its serial line goes, made anew.
        cpu: "max" or "n1".
        mode: kvm-arm.mode, one of MODES; None and "default" set none.
        files: more files for the host, by path without a leading slash.
        seconds: when it is ended, however far it is.
        say: told how far it is.

    Raises:
        HostsError: it did not come up, did not get to its end, or a file came out damaged.
    """
    version()
    initrd = log.with_suffix(".cpio")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with initrd.open("wb") as file:
            file.write(python_archive(debian).read_bytes())
            file.write(job_archive(commands, files or {}))
        words = "console=ttyAMA0 loglevel=3 panic=-1 rdinit=/init"
        if mode not in (None, "default"):
            words += f" kvm-arm.mode={mode}"
        command = [PROGRAM, "-cpu", CPUS[cpu], *MACHINE, "-nographic", "-nodefaults", "-no-reboot", "-monitor", "none"]
        command += ["-serial", "stdio", "-kernel", str(image), "-initrd", str(initrd), "-append", words]
        return _watched(command, log, seconds, _Progress(say))
    finally:
        initrd.unlink(missing_ok=True)


class _Progress:
    """Tells a caller what an emulated host says of itself."""

    def __init__(self, say: Say) -> None:
        self.say, self.rest, self.up_s, self.ran_s = say, b"", 0.0, 0.0
        self.is_handing_out = False

    def __call__(self, said: bytes, now_s: float) -> None:
        *lines, self.rest = (self.rest + said).replace(b"\r", b"").split(b"\n")
        for line in lines:
            if line.startswith(b"@up") and not self.up_s:
                self.up_s = now_s
                self.say(f"up after {now_s:.0f} s")
            elif line.startswith(b"@ran "):
                self.ran_s = now_s
            elif line.startswith(b"@file ") and not self.is_handing_out:
                self.is_handing_out = True
                self.say("files are coming out")
            elif section := _SECTION.fullmatch(line):
                self.say(f"recorded {section[1].decode()}")


def _watched(command: Sequence[str], log: Path, seconds: float, progress: _Progress) -> Collected:
    start = time.monotonic()
    with log.open("wb") as out, log.open("rb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, preexec_fn=_ends_with_us
        )
        try:
            while process.poll() is None:
                now_s = time.monotonic() - start
                progress(said.read(), now_s)
                if now_s > seconds or (not progress.up_s and now_s > UP_S):
                    what = "is not done" if progress.up_s else "has not come up"
                    msg = f"the host {what} after {now_s:.0f} s and was ended{_last_words(log.read_bytes())}"
                    raise HostsError(msg)
                time.sleep(0.1)
            progress(said.read(), time.monotonic() - start)
        finally:
            process.kill()
            process.wait()
    text = log.read_bytes()
    if process.returncode:
        msg = f"{PROGRAM} failed with exit code {process.returncode}{_last_words(text)}"
        raise HostsError(msg)
    found = collected(text)
    found.up_s, found.total_s = progress.up_s, time.monotonic() - start
    found.run_s = progress.ran_s - progress.up_s
    return found


def _ends_with_us() -> None:
    """In the child: has the kernel end it when this process ends, however it does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
