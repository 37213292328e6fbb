"""Guest traces: a small Linux guest under the KVM of an emulated host, with the tracepoint kvm_hvc_arm64 on.

    python -m tools.hosts 7.3 --guest-trace                       # host and guest are the newest 7.3
    python -m tools.hosts 7.3 --guest 6.1 --variant fwzero        # another guest, a VM whose bitmaps are all 0

The host is booted as for records (tools/hosts_boot.py); in it tools/hosts_guest_inside.py is the VMM, and the guest's
first program is tools/hosts_guest_init.py. build/hosts/guest-traces/<host>-<guest>[-cpu][-mode][-variant].ftrace.txt
is what the host's kernel traced, with the event's format and what the guest said beside it. What the guest was answered
is compared with what fastsmc says, and the calls with a committed trace of the same name.
"""

from __future__ import annotations

import argparse
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastsmc.disk.staged import staged
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Release, release
from fastsmc.traces.text import traced_calls
from tools.hosts_apt import Archive
from tools.hosts_boot import Collected, boot
from tools.hosts_guest_check import answers, beside, modelled
from tools.hosts_guest_tree import MAP, N_CPU, image_of, tree_of
from tools.hosts_initramfs import ROOT, archive, python_archive
from tools.hosts_packages import HostsError, Kernel, newest, series
from tools.hosts_record import Host

COMMITTED = "guest-traces"
"""The folder of committed traces among recordings."""
DENY, FORWARD = 1, 2
"""KVM_SMCCC_FILTER_*, Linux arch/arm64/include/uapi/asm/kvm.h."""
CLOCK_AND_RANDOM = ((0x84000050, 4), (0xC4000053, 1), (0x86000001, 1), (0xC5000020, 2))
"""Base and number of functions: TRNG by either width, the host's clock, stolen time."""
GUEST_S = 1200
"""How long a guest has, in seconds of the emulated host: 30 are enough, and a machine that does much else is slower."""
WORDS = "console=ttyAMA0 quiet loglevel=3 panic=-1 rdinit=/init"
"""The guest's command line; each character of its console is an exit to the VMM, so the kernel says little."""
EVENTS = {"kvm/kvm_hvc_arm64": ""}
"""Tracepoints that are on, each with the condition under which it writes."""
WITH_EXITS = {**EVENTS, "kvm/kvm_exit": "esr_ec == 22 || esr_ec == 23", "kvm/kvm_userspace_exit": "reason != 6"}
"""Exits besides: by HVC64 and SMC64; and to the VMM, but for KVM_EXIT_MMIO, which each character of the console is."""


class Variant(NamedTuple):
    """How a VM is set up, and what its guest does besides."""

    meaning: str
    is_zero: bool = False
    """All bitmaps are written 0."""
    psci: int | None = None
    """The word written to PSCI_VERSION."""
    action: int = 0
    """What the filter does with CLOCK_AND_RANDOM; 0: there is no filter."""
    has_suspend: bool = False
    """KVM_CAP_ARM_SYSTEM_SUSPEND is enabled."""
    words: str = ""
    end: str = "off"
    events: Mapping[str, str] = EVENTS

    def bitmaps(self, rules: Release) -> dict[str, int]:
        """What is written into which bitmap of a host."""
        return {name: 0 for name in rules.fw_registers if name.endswith(("_BMAP", "_BMAP_2"))} if self.is_zero else {}

    @property
    def filters(self) -> tuple[tuple[int, int, int], ...]:
        """Inserts into the filter: base, number of functions, action."""
        return tuple((*one, self.action) for one in CLOCK_AND_RANDOM) if self.action else ()


VARIANTS = {
    "plain": Variant("a VM that nobody configured"),
    "fwzero": Variant("all bitmaps are written 0", is_zero=True),
    "deny": Variant("the filter denies TRNG, the host's clock and stolen time", action=DENY),
    "forward": Variant(
        "the filter forwards them to the VMM, which answers none; exits are traced besides",
        action=FORWARD,
        events=WITH_EXITS,
    ),
    "psci02": Variant("PSCI 0.2, where a guest looks for no other service", psci=2),
    "susp": Variant("the guest suspends once and is resumed", has_suspend=True, words="guest.suspend"),
    "reset": Variant("the guest resets at its end", words="guest.end=reset", end="reset"),
}


class Traced(NamedTuple):
    """What came of one guest."""

    name: str
    """<host>-<guest>[-cpu][-mode][-variant], by series."""
    trace: bytes
    format: bytes
    console: str
    told: Mapping[str, object]
    seconds: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of tools/hosts.py that are about guests."""
    parser.add_argument("--guest-trace", action="store_true", help="trace a guest's calls instead of recording answers")
    parser.add_argument("--guest", metavar="RELEASE", help="which kernel the guest has (the host's own)")
    words = "; ".join(f"{name}: {variant.meaning}" for name, variant in VARIANTS.items())
    parser.add_argument("--variant", choices=VARIANTS, default="plain", help=words)


def is_wanted(given: argparse.Namespace) -> bool:
    """Whether the command line asks for a guest's trace."""
    return bool(given.guest_trace or given.guest or given.variant != "plain")


def traced_guest(debian: Archive, host: Host, given: argparse.Namespace) -> int:
    """Traces a guest, writes what came, says what it is; returns the exit code: 4 where something is otherwise.

    Raises:
        HostsError: the host or the guest cannot be had, or did not get to its end.
        InputError: a kernel that no guest can be started with.
    """
    guest = newest(debian.kernels(), given.guest) if given.guest else host.kernel
    found = traced(debian, host, guest, given)
    path = write(given.folder / "guest-traces", found)
    print(f"wrote {path}: {found.seconds}")
    variant = VARIANTS[given.variant]
    rules = release(host.kernel.release)
    trace = traced_calls(path)
    print(trace)
    policy = {"bitmaps": variant.bitmaps(rules), "psci": variant.psci, "filters": variant.filters}
    vm = modelled(host.kernel.release, mode=host.mode, n_cpu=N_CPU, **policy)
    told = answers(found.console, trace, vm)
    print(*told, sep="\n")
    is_ok = all(one.ok for one in told)
    _beside(path, given.recordings / COMMITTED, is_added=given.add and is_ok)
    return 0 if is_ok else 4


def traced(debian: Archive, host: Host, guest: Kernel, given: argparse.Namespace) -> Traced:
    """Boots a host and in it a guest.

    Raises:
        HostsError, InputError: as `traced_guest`.
    """
    variant, rules = VARIANTS[given.variant], release(host.kernel.release)
    _require_possible(rules, variant, given.variant)
    parts = [host.cpu if host.cpu != "max" else "", host.mode or "", given.variant if given.variant != "plain" else ""]
    name = "-".join([series(host.kernel.release), series(guest.release), *filter(None, parts)])
    image = debian.image(guest)
    files = job(image.read_bytes(), image.name, python_archive(debian).read_bytes(), rules, variant)
    debian.say(f"booting {host.name}, and in it a guest with {guest.release}: {variant.meaning}")
    log = debian.folder / "logs" / f"guest-{name}.log"
    found = boot(
        debian, debian.image(host.kernel), [["/guest/inside.py"]], log=log, cpu=host.cpu, mode=host.mode, files=files,
        seconds=given.seconds, say=debian.say,
    )  # fmt: skip
    return ended(found, name, variant, log)


def job(kernel: bytes, name: str, python: bytes, rules: Release, variant: Variant) -> dict[str, bytes]:
    """The files that the VMM needs, by path.

    Args:
        kernel: the guest's Image, and `name` what it is called in a refusal.
        python: an archive with an arm64 Python, the guest's initramfs but for its init.
        rules: those of the host.

    Raises:
        InputError: the kernel is no plain arm64 Image.
    """
    image = image_of(kernel, name)
    init = (ROOT / "tools" / "hosts_guest_init.py").read_bytes()
    folders = [(name, stat.S_IFDIR | 0o755, b"") for name in ("dev", "proc", "sys")]
    initrd = python + archive(iter([*folders, ("init", stat.S_IFREG | 0o755, init)]))
    if MAP.initrd + len(initrd) > MAP.tree:
        msg = f"the guest's initramfs has {len(initrd)} bytes, and its memory has room for {MAP.tree - MAP.initrd}"
        raise HostsError(msg)
    registers = {**variant.bitmaps(rules), **({} if variant.psci is None else {"PSCI_VERSION": variant.psci})}
    how = {
        "map": MAP._asdict(),
        "kernel_offset": image.offset,
        "n_cpu": N_CPU,
        "system_suspend": variant.has_suspend,
        "registers": [[register(name), value] for name, value in registers.items()],
        "filter": list(variant.filters),
        "events": dict(variant.events),
        "seconds": GUEST_S,
        "trace_kib": 8192,
    }
    return {
        "guest/inside.py": (ROOT / "tools" / "hosts_guest_inside.py").read_bytes(),
        "guest/how.json": json.dumps(how).encode(),
        "guest/Image": kernel,
        "guest/initrd": initrd,
        "guest/tree": tree_of(n_initrd=len(initrd), arguments=f"{WORDS} {variant.words}".strip()),
    }


def _require_possible(rules: Release, variant: Variant, name: str) -> None:
    """Says no before anything is booted."""
    lacks = ""
    if variant.is_zero and not variant.bitmaps(rules):
        lacks = "no firmware bitmaps"
    elif variant.action and not rules.has_filter:
        lacks = "no SMCCC filter"
    elif variant.has_suspend and not rules.has_system_suspend:
        lacks = "no KVM_CAP_ARM_SYSTEM_SUSPEND"
    if lacks:
        msg = f"Linux {rules.name} has {lacks}, so there is no variant {name} of its guests"
        raise HostsError(msg)


def ended(found: Collected, name: str, variant: Variant, log: Path) -> Traced:
    """What came out of the host, if the guest came to its end and KVM took all that the VM was given.

    Raises:
        HostsError: it did not; the sentence has the guest's last words.
    """
    said = found.files.get("guest-console.txt", b"").decode("utf-8", "replace")
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "nothing")
    if "told.json" not in found.files:
        msg = f"the VMM left nothing: all that the host said is in {log}"
        raise HostsError(msg)
    told = json.loads(found.files["told.json"])
    if told["end"] != variant.end:
        what = f"did not end within {GUEST_S} s" if told["end"] == "time" else f"ended by {told['end']!r}"
        msg = f"the guest {what}, and not by {variant.end!r}; the last it said is {last[:200]!r}"
        raise HostsError(msg)
    refused = [one for one in told["told"] if one.startswith(("register", "filter", "KVM_CAP", "GICv3"))]
    if refused:
        msg = f"the host's KVM refused what the VM is given: {'; '.join(refused)[:300]}"
        raise HostsError(msg)
    seconds = (
        f"the host was up after {found.up_s:.0f} s, the guest ran for {told['guest_seconds']:.0f} s of the host's, "
        f"all in {found.total_s:.0f} s"
    )
    return Traced(name, found.files["trace.txt"], found.files["format.txt"], said, told, seconds)


def write(folder: Path, found: Traced) -> Path:
    """Writes the trace, the event's format and what the guest said, all or none; returns the trace's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.name}.ftrace.txt"
    with staged() as writing:
        writing.file(path, found.trace)
        writing.file(folder / f"{found.name}.format.txt", found.format)
        writing.file(folder / f"{found.name}.console.txt", found.console.encode())
    return path


def _beside(path: Path, committed: Path, *, is_added: bool) -> None:
    """Says what differs from a committed trace of the same host and guest, whose stable updates may be others."""
    there = committed / path.name
    if there.is_file():
        sets, counts = beside(traced_calls(path), traced_calls(there))
        print(f"beside {there}:", *(sets or ["the same functions are called"]), *counts, sep="\n  ")
    elif is_added:
        told = path.name.replace(".ftrace.", ".console.")
        with staged() as writing:
            for name in (path.name, told):
                writing.file(committed / name, path.with_name(name).read_bytes())
        print(f"added {there} and {told}; now say in README.md there what it is, and `git add` them")
    else:
        print(f"{path.name} is new: {committed} has no trace of that name")
