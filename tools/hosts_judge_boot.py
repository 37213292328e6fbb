"""Real moves between emulated hosts, for `tools.hosts_judge`: each host saves vCPUs, and loads those of all others.

    python -m tools.hosts --judge 6.1 6.12 7.3 [7.3:n1]     # evidence below build/hosts/judge, or in --out FILE

Two boots per host, of a minute or two each. A host that has saved is not booted for that again; --again boots it. Then
`tools.hosts_judge` prints what `migrate check` said of every move, and its exit code is this one's: 0 all as KVM did
it, 4 a verdict was wrong; 3 a host cannot be had.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.hosts_apt import Archive
from tools.hosts_boot import boot
from tools.hosts_judge import judged
from tools.hosts_judge_collect import collect
from tools.hosts_packages import HostsError, Kernel, newest

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "hosts_judge_inside.py"
SECONDS = 1800.0


class Judge:
    """Boots hosts and keeps what they gave."""

    def __init__(self, debian: Archive, *, again: bool) -> None:
        self.debian, self.again = debian, again
        self.folder = debian.folder / "judge"
        self.folder.mkdir(parents=True, exist_ok=True)

    def ran(self, name: str, kernel: Kernel, what: str, files: dict[str, bytes]) -> Path:
        """The file that a boot left, save.json or load.json.

        Raises:
            HostsError: the host did not come up, or its program failed.
        """
        path = self.folder / f"{name}-{what}.json"
        if path.is_file() and not self.again and what == "save":
            return path
        self.debian.say(f"{name} is booted to {what}")
        inside = {INSIDE: (ROOT / "tools" / INSIDE).read_bytes(), **files}
        command = [f"/{INSIDE}", *(f"/{one}" for one in files)]
        log, image = self.folder / f"{name}-{what}.log", self.debian.image(kernel)
        cpu = name.partition("-")[2] or "max"
        found = boot(self.debian, image, [command], log=log, cpu=cpu, files=inside, seconds=SECONDS)
        if found.codes != [0]:
            msg = f"{name} could not {what} (all it said is in {log})"
            raise HostsError(msg)
        path.write_bytes(found.files[f"{what}.json"])
        return path


def collected(judge: Judge, wanted: Sequence[str], kernels: Sequence[Kernel], out: Path) -> None:
    """Boots each host twice and puts what they gave into one file."""
    hosts = {}
    for text in wanted:
        series, _, cpu = text.partition(":")
        kernel = newest(kernels, series)
        hosts[f"{kernel.release}-{cpu}" if cpu and cpu != "max" else kernel.release] = kernel
    saves = {name: judge.ran(name, kernel, "save", {}) for name, kernel in hosts.items()}
    saved: dict[str, Any] = {name: json.loads(path.read_text("utf-8"))["saved"] for name, path in saves.items()}
    files = {"saved.json": json.dumps(saved).encode()}
    loads = [judge.ran(name, kernel, "load", files) for name, kernel in hosts.items()]
    collect([*saves.values(), *loads], out)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="hosts --judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("releases", nargs="+", metavar="RELEASE", help="7.2, 7.3.4; with :n1 on QEMU's neoverse-n1")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the evidence is written, as .json.xz")
    parser.add_argument("--again", action="store_true", help="boot hosts anew that saved already")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "hosts", help="where all that is made goes")
    parser.add_argument("--mirror", metavar="ADDRESS", help="a mirror of Debian, where apt knows none on this machine")
    given = parser.parse_args(arguments)
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        debian = Archive(given.folder, given.mirror, say)
        kernels = debian.kernels(refresh=False)
        judge = Judge(debian, again=given.again)
        out = given.out or judge.folder / "judged.json.xz"
        collected(judge, given.releases, kernels, out)
    except HostsError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 3
    return judged(out)


if __name__ == "__main__":
    sys.exit(main())
