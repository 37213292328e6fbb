"""The initramfs of an emulated host: an arm64 Python, tools/hosts_init.py as /init, the probe and a job.

It is a cpio archive of the kind "newc" (Linux Documentation/driver-api/early-userspace/buffer-format.rst), and several
such archives one after another are one, so Python's part is packed once and kept.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastsmc.facts import packaged
from tools.hosts_apt import Archive
from tools.hosts_init import JOB, PROBE

ROOT = Path(__file__).resolve().parents[1]
SUITE = "bookworm"
PYTHON = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6"),
    *("libffi8", "zlib1g", "libexpat1", "liblzma5", "libbz2-1.0"),
)
"""Python for the emulated host: what the standard library needs of Debian, without what the probe never imports."""
_LEFT_OUT = re.compile(
    r"usr/share|usr/lib/[^/]+/(gconv|audit)|.*/(lib2to3|test|unittest|pydoc_data|idlelib|turtledemo|__pycache__)"
)
_MAGIC = b"070701"


def entry(name: str, mode: int, data: bytes = b"", *, device: tuple[int, int] = (0, 0), number: int = 0) -> bytes:
    """One file of an archive: header, name and data, each filled up to four bytes.

    Args:
        name: its path, without a leading slash.
        mode: st_mode, of which the upper bits say what it is.
        device: major and minor number of a device.
        number: its inode number.
    """
    named = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(named), 0)
    head = _MAGIC + b"".join(b"%08x" % field for field in fields) + named
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(entries: Iterator[tuple[str, int, bytes]]) -> bytes:
    """An archive of (name, mode, data), with the entry that ends it."""
    packed = b"".join(entry(name, mode, data, number=at) for at, (name, mode, data) in enumerate(entries, 1))
    return packed + entry("TRAILER!!!", 0)


def tree(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """What a folder holds, in order, folders before what is in them; links stay links."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = Path(where, name)
            inside = path.relative_to(folder).as_posix()
            if _LEFT_OUT.fullmatch(inside):
                if name in folders:
                    folders.remove(name)
                continue
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield inside, stat.S_IFLNK | 0o777, str(path.readlink()).encode()
            elif stat.S_ISDIR(mode):
                yield inside, stat.S_IFDIR | 0o755, b""
            elif stat.S_ISREG(mode):
                yield inside, stat.S_IFREG | (0o755 if mode & 0o100 else 0o644), path.read_bytes()


def python_archive(debian: Archive) -> Path:
    """Python's part, fetched and packed where it is not here yet.

    Raises:
        HostsError: Debian's packages cannot be fetched or unpacked.
    """
    packed = debian.folder / f"python-{SUITE}.cpio"
    if not packed.is_file():
        folder = debian.folder / "unpacked" / f"python-{SUITE}"
        debian.fetch(PYTHON, SUITE, folder)
        staged = packed.with_suffix(".part")
        staged.write_bytes(archive(tree(folder)))
        staged.rename(packed)
    return packed


def job_archive(commands: Sequence[Sequence[str]], files: Mapping[str, bytes]) -> bytes:
    """The part that changes: init, the probe and its recorder, the job and what it needs.

    Args:
        commands: what runs there, one after another: a Python file and its arguments.
        files: more files, by path without a leading slash.
    """
    folders = sorted({str(one) for name in files for one in Path(name).parents if str(one) != "."})
    entries = [
        *((name, stat.S_IFDIR | 0o755, b"") for name in ("dev", "proc", "sys", "tmp", "out", *folders)),
        ("init", stat.S_IFREG | 0o755, (ROOT / "tools" / "hosts_init.py").read_bytes()),
        (PROBE[1:], stat.S_IFREG | 0o644, packaged.PROBE.read_bytes()),
        ("fastsmc_recorder.py", stat.S_IFREG | 0o644, packaged.RECORDER.read_bytes()),
        (JOB[1:], stat.S_IFREG | 0o644, json.dumps({"commands": [list(one) for one in commands]}).encode()),
        *((name, stat.S_IFREG | 0o644, data) for name, data in files.items()),
    ]
    # The kernel opens /dev/console before it starts /init.
    return (
        entry("dev", stat.S_IFDIR | 0o755)
        + entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        + archive(iter(entries))
    )
