"""llvm-mca: how many cycles a CPU's scheduling model in LLVM needs for a turn of a loop, and what holds it up.

It models the core: ports, dispatch and latencies, every load a hit in L1, every branch foretold. It says nothing
of caches, of addresses, or of how well a model fits the CPU. LLVM gives some CPUs the model of another: `owner_of`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from tools.modelled_asm import NoLoop, Turn, stored_by

N_TURN = 300
"""Turns that are modelled: the first fill the core, the others take as long as one another."""
LEAST_VERSION = 17
"""LLVM 17 is the first with a model of Neoverse N1, and LLVM 16 the first with one of Neoverse V2."""
_VERSIONS = range(40, LEAST_VERSION - 1, -1)

_OWNERS = {
    "Cy": "Apple Cyclone (2013)",
    "N1": "Neoverse N1",
    "N2": "Neoverse N2",
    "V1": "Neoverse V1",
    "V2": "Neoverse V2",
    "A57": "Cortex-A57",
    "HW": "Haswell",
    "SKL": "Skylake",
    "SKX": "Skylake-X",
    "ICX": "Ice Lake",
    "SPR": "Sapphire Rapids",
    "Zn2": "Zen 2",
    "Zn3": "Zen 3",
    "Zn4": "Zen 4",
    "SB": "Sandy Bridge",
}
"""Whose scheduling model it is, by how the names of its resources begin."""


class NoTool(Exception):
    """Raised where no llvm-mca can be found that knows the CPUs."""


@dataclass(frozen=True, slots=True)
class Modelled:
    """What llvm-mca says of a turn.

    Attributes:
        cycles: of one turn. uops: of one turn. limit: what holds it up, in words.
        model: whose scheduling model it is; LLVM gives some CPUs that of another.
    """

    cycles: float
    uops: float
    limit: str
    model: str


def find() -> tuple[str, str]:
    """The newest llvm-mca there is, and its version.

    Raises:
        NoTool: there is none, or it is older than LEAST_VERSION.
    """
    names = [f"llvm-mca-{n}" for n in _VERSIONS if shutil.which(f"llvm-mca-{n}")] + ["llvm-mca"]
    if shutil.which(names[0]) is None:
        msg = f"llvm-mca is not on PATH: install LLVM {LEAST_VERSION} or newer (on Debian 12, llvm-22)"
        raise NoTool(msg)
    told = subprocess.run([names[0], "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)[\d.]*", told)
    if version is None or int(version[1]) < LEAST_VERSION:
        has = version[0] if version else "one of no known version"
        msg = f"llvm-mca is {has}: it takes LLVM {LEAST_VERSION} or newer to know these CPUs"
        raise NoTool(msg)
    return names[0], version[0].removeprefix("version ")


def model(tool: str, turn: Turn, triple: str, cpu: str) -> Modelled:
    """What llvm-mca says of a turn that is repeated on a CPU.

    Raises:
        NoLoop: llvm-mca takes an instruction for a store that `modelled_asm.stored_by` does not know.
        subprocess.CalledProcessError: llvm-mca cannot read an instruction, or has no model of it.
    """
    command = [tool, f"-mtriple={triple}", f"-mcpu={cpu}", f"-iterations={N_TURN}", "-json"]
    said = subprocess.run(command, input="\n".join(turn.lines), capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    listed = found["CodeRegions"][0]["InstructionInfoView"]["InstructionList"]
    for line, one in zip(turn.lines, listed, strict=True):
        if one["mayStore"] and not stored_by(line, set()) and not line.startswith("pr"):  # but prefetches
            msg = f"it is not known how many bytes this stores: {line}"
            raise NoLoop(msg)
    return read(found)


def read(said: dict[str, Any]) -> Modelled:
    """What the JSON of llvm-mca says of its one region."""
    (region,), names = said["CodeRegions"], [_NUMBERED.sub(_number, name) for name in said["TargetInfo"]["Resources"]]
    summary, n_instruction = region["SummaryView"], len(region["Instructions"])
    n_turn = summary["Iterations"]
    cycles, uops = summary["TotalCycles"] / n_turn, summary["TotaluOps"] / n_turn
    used: dict[str, float] = {}
    for one in region["ResourcePressureView"]["ResourcePressureInfo"]:
        if one["InstructionIndex"] == n_instruction:  # the sum over the turn
            used[names[one["ResourceIndex"]]] = one["ResourceUsage"]
    used["dispatch"] = uops / summary["DispatchWidth"]
    return Modelled(cycles, uops, limit_of(used, cycles), owner_of(names))


_NUMBERED = re.compile(r"\.(.)$", re.DOTALL)


def _number(match: re.Match[str]) -> str:
    """llvm-mca numbers units of one kind by a byte of that value."""
    return f".{ord(match[1])}"


def limit_of(used: dict[str, float], cycles: float) -> str:
    """What holds a turn up: the resource that is busy longest, or that results are waited for.

    >>> limit_of({"HWPort5": 9.5, "HWPort0": 3.0}, 10.0), limit_of({"HWPort5": 4.0}, 10.0)
    ('HWPort5 95 %', 'latencies; HWPort5 40 %')
    """
    name = max(used, key=lambda one: used[one])
    share = used[name] / cycles
    said = f"{name} {100 * min(share, 1):.0f} %"
    return said if share > 0.85 else f"latencies; {said}"


def owner_of(resources: list[str]) -> str:
    """Whose model has resources of such names; the names themselves where it is none we know."""
    for begins in sorted(_OWNERS, key=len, reverse=True):
        if any(name.startswith(begins) for name in resources):
            return _OWNERS[begins]
    return f"a model with {', '.join(resources[:3])}"
