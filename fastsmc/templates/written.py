"""`new`: writes a file to begin with, and says what to do with it next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fastsmc.checks import shown, word_of
from fastsmc.errors import InputError
from fastsmc.facts.packaged import PROBE, RECORDER, packaged
from fastsmc.results.files import write_each


class Template(NamedTuple):
    """A kind of file.

    Attributes:
        files: names of what is written.
        is_folder: several files lie in a folder that may be named.
        what: what it holds, in a sentence.
        then: the command that takes it; {} stands for the paths, one each.
        at: where it lies, if not among the files to begin with.
    """

    files: tuple[str, ...]
    is_folder: bool
    what: str
    then: str
    at: Path | None = None


KINDS: Mapping[str, Template] = {
    "scenario": Template(
        ("scenario.toml",),
        False,
        "a scenario of 80 VMs with 1280 vCPUs: random numbers from the VMM in one group, from the kernel in the other",
        "fastsmc simulate {}",
    ),
    "inventory": Template(
        ("hosts.csv", "vms.csv"),
        True,
        "an inventory of 4 hosts and 4 VMs; what you do not know may be left empty, and is unknown then",
        "fastsmc plan upgrade --hosts {} --vms {} --to 6.18",
    ),
    "profile": Template(
        ("profile.toml",),
        False,
        "a cost profile of made-up figures, each to be replaced by one of your own with its source",
        "fastsmc simulate --show-profile {}",
    ),
    "question": Template(
        ("question.toml",),
        False,
        "a planner's question to be asked over a grid: the largest VM that moves within a downtime",
        "fastsmc sweep {} --over downtime_ms=100,300",
    ),
    "probe": Template(
        ("fastsmc_probe.py",),
        False,
        "the probe, one file for an arm64 host with Python 3.8 or later and /dev/kvm: copy it there and run it",
        "python3 {} -o host.json",
        PROBE,
    ),
    "recorder": Template(
        ("fastsmc_recorder.py",),
        False,
        "the recorder, which the probe loads from beside itself: copy both to an arm64 host, under these names",
        "python3 fastsmc_probe.py --record FOLDER",
        RECORDER,
    ),
}
"""What can be begun, by its word."""


@dataclass(frozen=True, slots=True, repr=False)
class Begun:
    """Files that were written.

    Attributes:
        kind: scenario, inventory, profile, question, probe or recorder.
        files: their paths, as they were named.
        then: the command that takes them.
    """

    kind: str
    files: tuple[str, ...]
    then: str

    @property
    def answer(self) -> str:
        """What was written, and the next command, in one line."""
        return f"{' and '.join(self.files)}: {KINDS[self.kind].what}. Next: {self.then}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": self.kind, "files": list(self.files), "what": KINDS[self.kind].what, "next": self.then}

    def __str__(self) -> str:
        return self.answer

    def __repr__(self) -> str:
        return f"<Begun {self.kind}: {', '.join(map(shown, self.files))[:150]}>"


def new(kind: str, path: str | os.PathLike[str] | None = None, *, force: bool = False) -> Begun:
    """Writes a commented file that works as it is, to be changed into one's own.

    Args:
        kind: "scenario", "profile" or "question", each a TOML file; "inventory", hosts.csv and vms.csv; "probe", the
            program that asks an arm64 host's KVM, as it is; "recorder", what that needs to record answers.
        path: where; of an inventory, the folder. By default scenario.toml and so on, in the current folder.
        force: take the place of files that are there.

    Raises:
        InputError: another kind, or a file that is there, unless `force`.
        ResultFileError: it cannot be written.
    """
    template = KINDS[word_of("kind", kind, KINDS)]
    if template.is_folder:
        folder = Path(path or "")
        paths = [folder / name for name in template.files]
    else:
        paths = [Path(path or template.files[0])]
    there = [one for one in paths if one.exists() or one.is_symlink()]
    if there and not force:
        msg = f"{there[0]} is there already: name another path, or let it be replaced (--force)"
        raise InputError(msg)
    contents = [(template.at or packaged("new", name)).read_bytes() for name in template.files]
    write_each(dict(zip(paths, contents, strict=True)))
    then = template.then.format(*(shlex.quote(str(one)) for one in paths))
    return Begun(kind, tuple(map(str, paths)), then)
