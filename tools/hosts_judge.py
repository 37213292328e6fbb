"""Judges `migrate check` by real restores: what one emulated host's KVM said to the registers that another saved.

python -m tools.hosts_judge tests/migrate/judged.json.xz [RELEASE...]

A line per ordered pair of hosts tells how many verdicts there were, of them right, unknown and wrong; every wrong one
is told below. Exit code 0: all that was said is what KVM did. 4: a verdict was wrong. Unknown is never right.

The file holds what emulated hosts gave (tools/hosts_judge_inside.py): their host profiles, the registers that they
saved, and the errno of every register that was refused where they were loaded.
"""

from __future__ import annotations

import argparse
import json
import lzma
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fastsmc.facts.registers import CLASS_CORE, CLASS_SVE, SVE_VLS, reg_class, reg_size
from fastsmc.facts.vmm_features import never_given
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.migrate.compat.check import compare
from fastsmc.migrate.compat.filed import by_file
from fastsmc.migrate.compat.named import by_release
from fastsmc.migrate.compat.result import Direction, Outlook
from fastsmc.migrate.compat.side import Side, paired
from fastsmc.migrate.compat.vmms import RULES

FRESH = "fresh"
COUNTERS = (0x603000000013DF1A, 0x603000000013DF01)
"""TIMER_CNT and PTIMER_CNT, which go on between two saves, and of which KVM takes any value."""
LISTED, QEMU, EARLY = "kvm", "qemu:10.2", "firecracker"
"""Who restores: the ioctls alone, in list order; QEMU, in ascending order, core and SVE registers apart; and who writes
the lengths of SVE first. None of the three programs was run: each is the order of ioctls that its source has."""
PROFILES, FILES, RELEASES, FILE_TO_RELEASE = "profile-profile", "file-profile", "release-release", "file-release"
"""How the two sides were named to `migrate check`."""
Fails = dict[int, int]


def errnos(pairs: Iterable[tuple[str, int]]) -> Fails:
    """Refused registers of a record: errno by id."""
    return {int(reg, 16): code for reg, code in pairs}


@dataclass
class Judged:
    """Emulated hosts, what they saved, and what became of it.

    Attributes:
        hosts: host profiles by release, with "-n1" behind it where the CPU was QEMU's neoverse-n1 and not `max`.
        saved: by host, features and state, the registers that are otherwise than after the vCPU's reset.
        restores: a record per load: src, dest, feat, state, and the refused registers as [id, errno] in up to three
            orders (tools/hosts_judge_inside.py, `load`).
    """

    hosts: Mapping[str, dict[str, Any]]
    saved: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]
    restores: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Judged:
        """From a file that `collect` made."""
        content = json.loads(lzma.decompress(path.read_bytes()))
        return cls(content["hosts"], content["saved"], content["restores"])

    def payload(self, host: str, features: str, state: str) -> dict[int, int]:
        """What a vCPU in that state had, by id in list order."""
        sets = {one["features"]: one["registers"] for one in self.hosts[host]["register_sets"]}
        values = sets[features] | self.saved[host][features][state]
        return {int(reg, 16): int(value, 16) for reg, value in values.items()}


class Sides:
    """Sides of `migrate check`, each read once from a file as a user has it."""

    def __init__(self, judged: Judged, folder: Path) -> None:
        self.judged, self.folder, self.known = judged, folder, dict[tuple[str, ...], Side]()
        for release, profile in judged.hosts.items():
            (folder / release).mkdir()
            self.profile(release).write_text(json.dumps(profile), "utf-8")
            kernel = {name: profile["kernel"][name] for name in ("release", "version")}
            (folder / release / "meta.json").write_text(json.dumps(kernel), "utf-8")

    def profile(self, release: str) -> Path:
        """Where the host profile is."""
        return self.folder / release / "host.json"

    def payload(self, release: str, features: str, state: str) -> Path:
        """Where the registers are that a vCPU had, in the format of the recordings."""
        folder = self.folder / release if state == FRESH else self.folder / f"{release}-{state}"
        path = folder / f"payload-{features}.bin"
        if not path.exists():
            folder.mkdir(exist_ok=True)
            (folder / "meta.json").write_bytes((self.folder / release / "meta.json").read_bytes())
            values = self.judged.payload(release, features, state)
            body = [struct.pack("<Q", reg) + value.to_bytes(reg_size(reg), "little") for reg, value in values.items()]
            path.write_bytes(struct.pack("<Q", len(body)) + b"".join(body))
        return path

    def of(self, way: str, release: str, features: str, state: str | None) -> Side:
        """The side of a host; `state` is None where the VM goes to."""
        ours, _, theirs = way.partition("-")
        kind = theirs if state is None else ours
        key = (kind, release, features, state or "")
        if key not in self.known:
            if kind == "release":
                side = by_release(release.partition("-")[0], features)
            elif kind == "profile":
                side = by_file(str(self.profile(release)), features, None)
            else:
                side = by_file(str(self.payload(release, features, state or FRESH)), None, None)
            self.known[key] = side
        return self.known[key]


@dataclass(frozen=True)
class Verdict:
    """What was said of one restore, and what KVM did.

    Attributes:
        refused: errno by id of what KVM refused.
        judged: errno by id of what was said to be refused.
        missed: refused and said to be accepted.
        invented: said to be refused and accepted, or refused with another errno.
    """

    record: Mapping[str, Any]
    way: str
    vmm: str
    outlook: Outlook
    refused: Fails
    judged: Fails
    unjudged: frozenset[int] = field(default_factory=frozenset)

    @cached_property
    def missed(self) -> list[int]:
        return sorted(self.refused.keys() - self.judged.keys() - self.unjudged)

    @cached_property
    def invented(self) -> list[int]:
        return sorted(reg for reg, code in self.judged.items() if self.refused.get(reg) != code)

    @property
    def kind(self) -> str:
        """Right, wrong or unknown; an unknown of which a part was known and is otherwise is wrong."""
        is_refused = bool(self.refused) or "none" in self.record
        is_said = {Outlook.RESTORES: not is_refused, Outlook.FAILS: is_refused, Outlook.UNKNOWN: True}
        if self.missed or self.invented or not is_said[self.outlook]:
            return "wrong"
        return "unknown" if self.outlook is Outlook.UNKNOWN else "right"

    @property
    def is_exact(self) -> bool:
        """Right, and every register in the way was told."""
        return self.kind == "right" and self.judged == self.refused


def measured(record: Mapping[str, Any], vmm: str) -> Fails:
    """What such a VMM would have been refused; of several orders those that said the same are written once."""
    fails = errnos(record.get("fails", ()))
    early = {reg: code for reg, code in fails.items() if reg != SVE_VLS}
    if vmm == LISTED:
        return fails
    early = errnos(record["early"]) if "early" in record else early
    if vmm == EARLY:
        return early
    found = errnos(record["ascending"]) if "ascending" in record else early
    return {reg: code for reg, code in found.items() if reg_class(reg) not in (CLASS_CORE, CLASS_SVE)}


def said(way: Direction) -> tuple[Fails, frozenset[int]]:
    """Registers that are told to be refused, and those of which nothing is told."""
    return {fate.reg: fate.errno or 0 for fate in way.failing}, frozenset(fate.reg for fate in way.unjudged)


def verdicts(
    sides: Sides, records: Iterable[Mapping[str, Any]], by: Iterable[str] = (LISTED, QEMU, EARLY)
) -> Iterator[Verdict]:
    """Every way of asking of every restore; releases and profiles know a vCPU after its reset, and no other."""
    versions = {name: VmmVersion.of(name, tuple(RULES)) for name in by}
    for record in records:
        source, dest, features, state = (record[key] for key in ("src", "dest", "feat", "state"))
        for way in _ways(source, dest, state, has_vcpu="none" not in record):
            pair = paired(sides.of(way, source, features, state), sides.of(way, dest, features, None))
            for name, version in versions.items():
                if not never_given(version, features):
                    found = compare(*pair, version).forward
                    yield Verdict(record, way, name, found.outlook, measured(record, name), *said(found))


def _ways(source: str, dest: str, state: str, *, has_vcpu: bool) -> Iterator[str]:
    """A release names no machine: it is one of the same CPU, or that of the recordings, QEMU's `max`."""
    cpus = {name.partition("-")[2] for name in (source, dest)}
    yield FILES
    if state == FRESH:
        yield PROFILES
    if len(cpus) == 1 and has_vcpu:
        yield FILE_TO_RELEASE
    if cpus == {""} and state == FRESH and has_vcpu:
        yield RELEASES


def table(found: list[Verdict]) -> str:
    """A line per pair of hosts and way of asking, and a line per wrong verdict."""
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    for one in found:
        counts = rows.setdefault((one.record["src"], one.record["dest"], one.way), Counter())
        counts[one.kind] += 1
        counts["exact"] += one.is_exact
    lines = [f"{'from':10} {'to':10} {'sides':16} right (exact) unknown wrong"]
    for (source, dest, way), n in sorted(rows.items()):
        lines.append(f"{source:10} {dest:10} {way:16} {n['right']:5} {n['exact']:7} {n['unknown']:7} {n['wrong']:5}")
    for one in found:
        if one.kind == "wrong":
            case = " ".join(one.record[key] for key in ("src", "dest", "feat", "state"))
            missed, invented = (" ".join(f"{reg:#x}" for reg in regs) for regs in (one.missed, one.invented))
            lines.append(f"wrong: {case} {one.way} {one.vmm}: {one.outlook}; missed {missed}; invented {invented}")
    total = Counter(one.kind for one in found)
    lines.append(f"{len(found)} verdicts: {total['right']} right, {total['unknown']} unknown, {total['wrong']} wrong")
    return "\n".join(lines)


def judged(path: Path, releases: Iterable[str] = ()) -> int:
    """Prints the table of a file; returns the exit code, 4 where a verdict is wrong."""
    content = Judged.read(path)
    wanted = set(releases) or content.hosts.keys()
    records = [one for one in content.restores if {one["src"], one["dest"]} <= wanted]
    with tempfile.TemporaryDirectory() as folder:
        found = list(verdicts(Sides(content, Path(folder)), records))
    sys.stdout.write(table(found) + "\n")
    return 4 if any(one.kind == "wrong" for one in found) else 0


def main() -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("release", nargs="*", help="judge the pairs of these alone")
    given = parser.parse_args()
    return judged(given.file, given.release)


if __name__ == "__main__":
    sys.exit(main())
