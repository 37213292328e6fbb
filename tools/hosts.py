"""Emulated arm64 hosts: Debian's kernels by name, booted with their own KVM, probed, recorded, verified and added.

    python -m tools.hosts --list                 # which kernels Debian has now, and which are recorded
    python -m tools.hosts 6.12 7.2               # the newest of each series, recorded below build/hosts/recorded
    python -m tools.hosts 7.3.4 --cpu n1         # an exact release; or a package's name
    python -m tools.hosts 7.2 --add              # and the compact copy into tests/recordings
    python -m tools.hosts 7.3 --guest-trace      # which hypercalls a real guest makes there; tools/hosts_guest.py
    python -m tools.hosts --judge 6.1 6.12 7.3   # real moves between these hosts, beside what `migrate check` says

It needs apt, dpkg-deb, debian-archive-keyring and qemu-system-aarch64, about 200 MB below build/hosts, and a network
for what is not there yet. Nobody needs to be root. Exit codes: 0 fine, 2 a wrong command line, 3 a host cannot be had,
4 some records do not match what fastsmc says, or differ from the committed ones; 130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from fastsmc.errors import FastsmcError
from fastsmc.probing import probe
from fastsmc.probing.recorder import SECTIONS
from fastsmc.recordings.compact import compact
from fastsmc.verification import Verification, verify
from tools.hosts_apt import Archive
from tools.hosts_boot import CPUS, MODES, version
from tools.hosts_compare import added, compare
from tools.hosts_guest import add_options, is_wanted, traced_guest
from tools.hosts_judge_boot import main as judge
from tools.hosts_packages import HostsError, Kernel, age, newest, series
from tools.hosts_record import PROFILE, Host, recorded

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "hosts"
RECORDINGS = ROOT / "tests" / "recordings"
_RANK = (0, 4, 3)
"""Exit codes, the worst last: of several hosts it is told."""
NESTED_QEMU = 9
"""The first QEMU whose CPU `max` has FEAT_NV2. Source: QEMU's changelog of 9.0."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--judge" in words:
        return judge([word for word in words if word != "--judge"])
    parser = _parser()
    given = parser.parse_args(words)
    if not given.releases and not given.list:
        parser.error("name a release, such as 7.2, or give --list")
    given.only = given.only.split(",") if given.only else []
    if unknown := set(given.only) - set(SECTIONS):
        parser.error(f"--only {','.join(sorted(unknown))}: sections are {', '.join(SECTIONS)}")
    if given.add and given.only:
        parser.error("--add adds whole recordings: leave out --only")
    if given.only and is_wanted(given):
        parser.error("--only names sections of a recording: a guest's trace has none")
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
        return max([_judged(debian, host, given) for host in hosts], default=0, key=_RANK.index)
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
    parser.add_argument("--judge", action="store_true", help="move VMs between the hosts: a judge of `migrate check`")
    parser.add_argument("--add", action="store_true", help="a compact copy into tests/recordings, if all of it matches")
    parser.add_argument("--only", metavar="SECTIONS", help=f"record some sections, with commas: {', '.join(SECTIONS)}")
    parser.add_argument("--again", action="store_true", help="record anew what build/hosts/recorded has")
    parser.add_argument("--refresh", action="store_true", help="fetch package lists anew")
    parser.add_argument("--mirror", metavar="ADDRESS", help="a mirror of Debian, where apt knows none on this machine")
    parser.add_argument("--seconds", type=float, default=1800, help="end a host after so long (%(default).0f)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where all that is made goes (build/hosts)")
    add_options(parser)
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


def _judged(debian: Archive, host: Host, given: argparse.Namespace) -> int:
    """One host, whose failure does not keep the next from its turn; returns the exit code."""
    try:
        return _one(debian, host, given)
    except (HostsError, FastsmcError) as error:
        print(f"hosts: {host.name}: {error}", file=sys.stderr)
        return 3


def _one(debian: Archive, host: Host, given: argparse.Namespace) -> int:
    """One host from its package to what is said of it; returns the exit code."""
    if is_wanted(given):
        return traced_guest(debian, host, given)
    folder = recorded(
        debian, host, only=given.only, again=given.again, seconds=given.seconds, recordings=given.recordings
    )  # fmt: skip
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
        return max(code, _beside(folder, committed, given.only or host.sections))
    others = sorted(path.name for path in given.recordings.glob(f"linux-{series(host.kernel.release)}.*-{host.cpu}"))
    print(f"{host.name} is new: tests/recordings has {', '.join(others) or 'no release of its series'}")
    if given.add and code:
        print("it is not added: docs/adding-a-release.md says how a release's facts are put right first")
    elif given.add:
        size = compact([folder], given.recordings)
        print(f"added {committed}: {size / 1e3:.0f} kB; now `git add` and commit it;")
        print("docs/adding-a-release.md says which pages count the records")
    return code


def told(result: Verification) -> list[str]:
    """What a replay found, a line per kind."""
    return [f"  {tally.kind:12} {tally.n_match:7} of {tally.n_record}" for tally in result.tallies] + [
        f"  {line}" for tally in result.tallies for line in tally.told()
    ]


def _beside(folder: Path, committed: Path, only: Sequence[str]) -> int:
    """Compares with the committed recording of the same host; returns the exit code."""
    asked = {kind for section in only for kind in SECTIONS[section]}
    kinds = [one for one in compare(folder, committed) if one.kind in asked]
    more = added(folder, committed)
    for one in kinds:
        print(f"  {one}")
    n_same = sum(one.is_same for one in kinds)
    print(f"{n_same} of {len(kinds)} kinds are line by line those of {committed}")
    if more:
        print(f"new are {', '.join(more)}")
    return 0 if n_same == len(kinds) else 4


if __name__ == "__main__":
    sys.exit(main())
