"""How many cycles the wide kernels' loops should take on CPUs that are not here, and how far that can be trusted.

    python -m tools.modelled > modelled.md

LLVM compiles the loops for each back end and CPU (tools/modelled_emit.py), llvm-mca models the turns
(tools/modelled_mca.py), and the back ends that this machine can run are timed (tools/modelled_measure.py). What is
printed is Markdown; each number is marked modelled or measured.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import llvmlite.binding as llvm

from fastsmc.dispatcher.kernels.passes import STEP
from fastsmc.jit import level
from tools.modelled_apple import least_cycles
from tools.modelled_asm import NoLoop, cut
from tools.modelled_loops import Loop, chosen, inputs
from tools.modelled_mca import Modelled, NoTool, find, model
from tools.modelled_tables import Found, Times, tables

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


@dataclass(frozen=True, slots=True)
class BackEnd:
    """Instructions that the vector passes have a back end for.

    Attributes:
        name: as jit.level has it. compiled_for: the CPU that LLVM compiles for; empty: each CPU for itself.
        cpus: those whose model is asked.
    """

    name: str
    triple: str
    compiled_for: str
    cpus: tuple[str, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """What the back end is chosen by."""
        return level.FEATURES.get(self.name, ("neon",))

    def runs_here(self) -> bool:
        """Whether this CPU has its instructions."""
        own = llvm.get_host_cpu_features()
        return all(own.get(feature, False) for feature in self.features)


BACK_ENDS = (
    BackEnd(level.WIDE, X86, "icelake-server", ("icelake-server", "znver4")),
    BackEnd(level.AVX512, X86, "skylake-avx512", ("skylake-avx512",)),
    BackEnd(level.AVX2, X86, "haswell", ("haswell", "skylake", "icelake-server", "znver3")),
    BackEnd(level.NEON, ARM, "", ("neoverse-n1", "neoverse-v2", "apple-m1")),
)


class LeftOut(Exception):
    """Raised for a back end that cannot be compiled or timed here, with the reason."""


def run(module: str, given: bytes, *arguments: str, **environment: str) -> Any:
    """What a module prints as JSON, in a process of its own.

    Raises:
        LeftOut: it failed; with the last line that it said.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, env={**os.environ, **environment}, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {done.returncode}"]
        raise LeftOut(said[-1])
    return json.loads(done.stdout)


def of_64(loop: Loop, assembly: str, tool: str, end: BackEnd, cpu: str) -> Modelled:
    """What a loop takes for 64 calls."""
    stored = loop.stored_by(end.name)
    turn = cut(assembly, loop.at_once * stored)
    per_turn = turn.stored / (STEP * stored)
    whole = model(tool, turn, end.triple, cpu)
    if cpu == "apple-m1" and (least := least_cycles(turn)) > whole.cycles:
        whole = replace(whole, cycles=least, limit="vector operations counted (tools/modelled_apple.py)")
    return replace(whole, cycles=whole.cycles / per_turn, uops=whole.uops / per_turn)


def modelled(end: BackEnd, tool: str, given: bytes, names: str) -> Found:
    """The loops of a back end on its CPUs, and on this one."""
    found: Found = {}
    host = llvm.get_host_cpu_name()
    more = (host,) if end.triple == X86 and end.runs_here() and host not in end.cpus else ()
    assembly: dict[str, dict[str, str]] = {}
    for cpu in (*end.cpus, *more):
        target = end.compiled_for or cpu
        if target not in assembly:
            assembly[target] = run(
                "tools.modelled_emit", given, *(end.name, end.triple, target, ",".join(end.features), names)
            )
        for loop in chosen(names, end.name):
            try:
                found[loop.name, end.name, cpu] = of_64(loop, assembly[target][loop.name], tool, end, cpu)
            except NoLoop as error:
                print(f"{loop.name}, {end.name}, {cpu}: {error}", file=sys.stderr)
    return found


def main() -> int:
    """Prints the tables; 1, and why, where llvm-mca is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="LOOPS", help="names of loops, parted by semicolons")
    parser.add_argument("--no-timing", action="store_true", help="model only, time nothing")
    options = parser.parse_args()
    try:
        tool, version = find()
    except NoTool as error:
        print(error, file=sys.stderr)
        return 1
    given, found, times = pickle.dumps(inputs()), Found(), Times()
    for end in BACK_ENDS:
        try:
            found |= modelled(end, tool, given, options.only)
            if not options.no_timing and end.runs_here():
                times[end.name] = timed(end, given, options.only)
        except LeftOut as error:
            print(f"{end.name} left out: {error}", file=sys.stderr)
    print(tables(found, times, version, llvm.get_host_cpu_name()))
    return 0


def timed(end: BackEnd, given: bytes, names: str) -> dict[str, float]:
    """Cycles per 64 calls by loop, measured here, of code for the CPU that the back end is modelled with."""
    features = ",".join(f"+{feature}" for feature in end.features)
    cpu = end.compiled_for or llvm.get_host_cpu_name()
    return run("tools.modelled_measure", given, names, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features)


if __name__ == "__main__":
    raise SystemExit(main())
