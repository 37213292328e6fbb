"""One emulated host: booted, asked by the probe, and its recording and host profile written when they are whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastsmc.probing.recorder import SECTIONS
from tools.hosts_apt import Archive
from tools.hosts_boot import Collected, boot
from tools.hosts_init import PROBE
from tools.hosts_packages import HostsError, Kernel, age

PROFILE, RECORDING, OTHERS = "host.json", "recording", "others"
_ENDING = {None: "", "nested": "-nested", "protected": "-mode-protected", "default": "-mode-default"}

OF_MODE = {"nested": ("nested", "reglist", "restore"), "protected": ("protected",), "default": ("nested",)}
"""Which sections are recorded of a host that is asked about guests that are not ordinary."""
_OF_GUESTS = frozenset(("nested", "protected"))


class Host(NamedTuple):
    """What is booted: a kernel on a CPU, in a mode."""

    kernel: Kernel
    cpu: str
    mode: str | None

    @property
    def name(self) -> str:
        """What its recording's folder is called."""
        return f"linux-{self.kernel.release}-{self.cpu}{_ENDING[self.mode]}"

    @property
    def sections(self) -> tuple[str, ...]:
        """Which sections of the probe make its recording."""
        if self.mode is not None:
            return OF_MODE[self.mode]
        return tuple(section for section in SECTIONS if section not in _OF_GUESTS)


def recorded(
    debian: Archive, host: Host, *, only: Sequence[str] = (), again: bool = False, seconds: float, recordings: Path
) -> Path:
    """The folder of a host's recording, made where it is not there yet.

    Args:
        only: sections of the probe, by default all that belong to such a host. Some are made anew each time, and are
            kept apart.
        again: make it anew.
        seconds: when the host is ended, however far it is.
        recordings: folders of other hosts, whose payloads are restored there.

    Raises:
        HostsError: the host cannot be had, or its probe failed.
    """
    folder = debian.folder / ("parts" if only else "recorded") / host.name
    if folder.is_dir() and not again and not only:
        debian.say(f"{host.name} is recorded already; --again records it anew")
        return folder
    image = debian.image(host.kernel)
    debian.say(f"booting {host.name}: {host.kernel.package} {host.kernel.version} of {host.kernel.suite}")
    sections = only or host.sections
    if missing := set(sections) - SECTIONS.keys():
        msg = f"the probe has no section {', '.join(sorted(missing))}, which {host.name} is made of"
        raise HostsError(msg)
    command = [PROBE, "--record", f"/out/{RECORDING}", "--only", ",".join(sections)]
    files = payloads(recordings, _ENDING[host.mode]) if host.cpu == "max" and "restore" in sections else {}
    command += ["--restore", *dict.fromkeys(f"/{OTHERS}/{Path(one).parts[1]}" for one in files)] if files else []
    log = debian.folder / "logs" / f"{host.name}.log"
    commands = [[PROBE, "-o", f"/out/{PROFILE}"], command]
    cpu, mode, say = host.cpu, host.mode, debian.say
    found = boot(debian, image, commands, log=log, cpu=cpu, mode=mode, files=files, seconds=seconds, say=say)
    debian.say(f"up after {found.up_s:.0f} s, asked for {found.run_s:.0f} s, all in {found.total_s:.0f} s")
    require_done(found, log)
    write(folder, found)
    return folder


def payloads(recordings: Path, ending: str = "") -> dict[str, bytes]:
    """What the recorded hosts on QEMU's `max` had in their registers, oldest first, to be restored on another.

    The keys are paths on the emulated host, a folder per host that is called as its recording.

    Args:
        recordings: a folder of recordings.
        ending: how the names of hosts in the same mode end.
    """
    hosts = sorted({path.parent for path in recordings.glob(f"linux-*-max{ending}/payload-*.bin.xz")}, key=_release)
    paths = [path for host in hosts for path in sorted(host.glob("payload-*.bin.xz"))]
    return {f"{OTHERS}/{path.parent.name}/{path.name}": path.read_bytes() for path in paths}


def _release(folder: Path) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    return age(f"{folder.name.split('-')[1]}-1")


def require_done(found: Collected, log: Path) -> None:
    """Raises HostsError unless both commands went well and left what they should."""
    for what, code in zip(("profile", "recording"), found.codes, strict=False):
        if code:
            said = [line for line in log.read_text("utf-8", "replace").splitlines() if "robe" in line]
            why = f": {said[-1].strip()[:300]}" if said else ""
            msg = f"the probe's {what} ended with exit code {code}{why} (all it said is in {log})"
            raise HostsError(msg)
    if f"{RECORDING}/meta.json" not in found.files:
        msg = f"the probe left no recording (all it said is in {log})"
        raise HostsError(msg)


def write(folder: Path, found: Collected) -> None:
    """Writes a recording's folder, which is there only when it is whole, and the host profile beside it."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, data in found.files.items():
        if name.startswith(f"{RECORDING}/"):
            (part / name.removeprefix(f"{RECORDING}/")).write_bytes(data)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    folder.with_name(f"{folder.name}.{PROFILE}").write_bytes(found.files[PROFILE])
