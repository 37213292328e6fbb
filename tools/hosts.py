"""Emulated arm64 hosts: Debian's kernels by name, booted with their own KVM, probed, recorded, verified and added.

    python -m tools.hosts --list                 # which kernels Debian has now, and which are recorded
    python -m tools.hosts 6.12 7.2               # the newest of each series, recorded below build/hosts/recorded
    python -m tools.hosts 7.3.4 --cpu n1         # an exact release; or a package's name
    python -m tools.hosts 7.2 --add              # and the compact copy into tests/recordings

It needs apt, dpkg-deb, debian-archive-keyring and qemu-system-aarch64, about 200 MB below build/hosts, and a network
for what is not there yet. Nobody needs to be root. Exit codes: 0 fine, 2 a wrong command line, 3 a host cannot be had,
4 some records do not match what fastsmc says, or differ from the committed ones; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from fastsmc.errors import FastsmcError
from fastsmc.probing import probe
from fastsmc.recordings.compact import compact
from fastsmc.verification import KINDS, Verification, verify
from tools.hosts_apt import Archive
from tools.hosts_boot import CPUS, MODES, Collected, boot, version
from tools.hosts_compare import added, compare
from tools.hosts_init import PROBE
from tools.hosts_packages import HostsError, Kernel, age, newest, series

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "hosts"
RECORDINGS = ROOT / "tests" / "recordings"
PROFILE, RECORDING = "host.json", "recording"
NESTED_QEMU = 9
"""The first QEMU whose CPU `max` has FEAT_NV2. Source: QEMU's changelog of 9.0."""
_ENDING = {None: "", "nested": "-nested", "protected": "-mode-protected", "default": "-mode-default"}


class Host(NamedTuple):
    """What is booted: a kernel on a CPU, in a mode."""

    kernel: Kernel
    cpu: str
    mode: str | None

    @property
    def name(self) -> str:
        """What its recording's folder is called."""
        return f"linux-{self.kernel.release}-{self.cpu}{_ENDING[self.mode]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.releases and not given.list:
        parser.error("name a release, such as 7.2, or give --list")
    if given.add and given.kind:
        parser.error("--add adds whole recordings: leave out --kind")
    signal.signal(signal.SIGTERM, _interrupted)
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        debian = Archive(given.folder, given.mirror, say)
        kernels = debian.kernels(refresh=given.refresh)
        for suite, why in debian.lacking.items():
            say(f"{suite} is left out: {why}")
        if given.list:
            print(*listed(kernels), sep="\n")
        hosts = [Host(newest(kernels, one), given.cpu, given.mode) for one in given.releases]
        if hosts:
            say(f"QEMU {_suitable(version(), given.mode)}")
        return max((_one(debian, host, given) for host in hosts), default=0)
    except (HostsError, FastsmcError) as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        print(f"hosts: the disk refused{where}: {error.strerror or error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("hosts: interrupted; what was whole is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hosts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help="7.2, 7.3.4, or a package linux-image-...")
    parser.add_argument("--list", action="store_true", help="say which kernels Debian has now, and which are recorded")
    parser.add_argument("--cpu", choices=sorted(CPUS), default="max", help="QEMU's max (the default), or neoverse-n1")
    parser.add_argument("--mode", choices=MODES, help="kvm-arm.mode of the host; guests with EL2 need QEMU 9 or newer")
    parser.add_argument("--add", action="store_true", help="a compact copy into tests/recordings, if all of it matches")
    parser.add_argument("--kind", action="append", choices=KINDS, help="record this kind only; may be repeated")
    parser.add_argument("--again", action="store_true", help="record anew what build/hosts/recorded has")
    parser.add_argument("--refresh", action="store_true", help="fetch package lists anew")
    parser.add_argument("--mirror", metavar="ADDRESS", help="a mirror of Debian, where apt knows none on this machine")
    parser.add_argument("--seconds", type=float, default=1800, help="end a host after so long (%(default).0f)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where all that is made goes (build/hosts)")
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help=argparse.SUPPRESS)
    return parser


def _suitable(emulator: str, mode: str | None) -> str:
    """The version of QEMU, if it can emulate what a mode needs."""
    major = emulator.partition(".")[0]
    if mode == "nested" and major.isdecimal() and int(major) < NESTED_QEMU:
        msg = f"guests with EL2 need a CPU with FEAT_NV2, which QEMU has since {NESTED_QEMU}.0, and this is {emulator}"
        raise HostsError(msg)
    return emulator


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def listed(kernels: Sequence[Kernel], recordings: Path = RECORDINGS) -> list[str]:
    """A line per release that Debian has, the newest of each series marked, and whether it is recorded."""
    by_release = {one.release: one for one in sorted(kernels, key=lambda one: age(one.version))}
    last = {series(one.release): one.release for one in by_release.values()}
    lines = [f"{'release':10} {'':6} {'suite':20} {'recorded as'}"]
    for name, kernel in by_release.items():
        mark = "newest" if last[series(name)] == name else ""
        folders = sorted(path.name for path in recordings.glob(f"linux-{name}-*"))
        lines.append(f"{name:10} {mark:6} {kernel.suite:20} {', '.join(folders)}".rstrip())
    return lines


def _one(debian: Archive, host: Host, given: argparse.Namespace) -> int:
    """One host from its package to what is said of it; returns the exit code."""
    folder = recorded(debian, host, given)
    profile = folder.with_name(f"{folder.name}.{PROFILE}")
    if profile.is_file():
        print(probe(profile).answer)
    result = verify(folder)
    print(f"{host.name}: {result.answer}")
    for line in told(result):
        print(line)
    code = 0 if result.ok else 4
    committed = given.recordings / host.name
    if committed.is_dir():
        return max(code, _beside(folder, committed, given.kind))
    others = sorted(path.name for path in given.recordings.glob(f"linux-{series(host.kernel.release)}.*-{host.cpu}"))
    print(f"{host.name} is new: tests/recordings has {', '.join(others) or 'no release of its series'}")
    if given.add and code:
        print("it is not added: docs/adding-a-release.md says how a release's facts are put right first")
    elif given.add:
        size = compact([folder], given.recordings)
        print(f"added {committed}: {size / 1e3:.0f} kB; now `git add` and commit it")
    return code


def recorded(debian: Archive, host: Host, given: argparse.Namespace) -> Path:
    """The folder of a host's recording, made where it is not there yet.

    Raises:
        HostsError: the host cannot be had, or its probe failed.
    """
    folder: Path = given.folder / ("parts" if given.kind else "recorded") / host.name
    if folder.is_dir() and not given.again and not given.kind:
        debian.say(f"{host.name} is recorded already; --again records it anew")
        return folder
    image = debian.image(host.kernel)
    debian.say(f"booting {host.name}: {host.kernel.package} {host.kernel.version} of {host.kernel.suite}")
    kinds = [word for kind in given.kind or () for word in ("--kind", kind)]
    commands = [[PROBE, "-o", f"/out/{PROFILE}"], [PROBE, "--record", f"/out/{RECORDING}", *kinds]]
    log = given.folder / "logs" / f"{host.name}.log"
    found = boot(
        debian, image, commands, log=log, cpu=host.cpu, mode=host.mode, seconds=given.seconds, say=debian.say
    )  # fmt: skip
    debian.say(f"up after {found.up_s:.0f} s, asked for {found.run_s:.0f} s, all in {found.total_s:.0f} s")
    require_done(found, log)
    write(folder, found)
    return folder


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


def told(result: Verification) -> list[str]:
    """What a replay found, a line per kind."""
    return [f"  {tally.kind:12} {tally.n_match:7} of {tally.n_record}" for tally in result.tallies] + [
        f"  {line}" for tally in result.tallies for line in tally.told()
    ]


def _beside(folder: Path, committed: Path, only: Sequence[str] | None) -> int:
    """Compares with the committed recording of the same host; returns the exit code."""
    with tempfile.TemporaryDirectory() as made:
        is_compact = json.loads((committed / "meta.json").read_text("utf-8")).get("compact") is True
        if is_compact:
            compact([folder], Path(made))
        ours = Path(made) / folder.name if is_compact else folder
        kinds = [one for one in compare(ours, committed) if not only or one.kind in only]
        more = added(ours, committed)
    for one in kinds:
        print(f"  {one}")
    n_same = sum(not one.n_other for one in kinds)
    print(f"{n_same} of {len(kinds)} kinds are line by line those of {committed}")
    if more:
        print(f"new are {', '.join(more)}")
    return 0 if n_same == len(kinds) else 4


if __name__ == "__main__":
    sys.exit(main())
