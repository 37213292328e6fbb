"""Which CPUs this machine can be: what runs here is also timed as compiled for lesser ones, and C beside it.

A level is a process of its own, as Numba and our kernels choose their instructions once, when they are loaded.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import llvmlite.binding

VARIABLE = "BENCH_LEVEL"
"""Environment variable: the level that a process is told to be; without it, the native one."""


@dataclass(frozen=True, slots=True)
class Level:
    """A CPU that the harness compiles for.

    Attributes:
        name: what stands behind @ in a case's name; the native level has none.
        cpu_name: LLVM's name of the CPU, for NUMBA_CPU_NAME. march: GCC's name of it.
        needs: LLVM's names of the features that its code may use.
    """

    name: str
    cpu_name: str
    march: str
    needs: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """What a process of this level has in its environment besides; the native one has it as it is."""
        if not self.name:
            return {}
        return {VARIABLE: self.name, "NUMBA_CPU_NAME": self.cpu_name, "NUMBA_CPU_FEATURES": ""}


NATIVE = Level("", "", "native")
_AVX2 = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_WIDE = (*_AVX512, "avx512vbmi", "avx512vbmi2")
LEVELS = (
    Level("avx512-vbmi2", "icelake-server", "icelake-server", _WIDE),
    Level("avx512", "skylake-avx512", "skylake-avx512", _AVX512),
    Level("avx2", "haswell", "haswell", _AVX2),
    Level("generic", "generic", "x86-64"),
)
"""Of x86-64, the best first: AVX-512 with byte look-ups, without, AVX2, and what every one of them has."""


def features() -> frozenset[str]:
    """LLVM's names of what this CPU has; none where it cannot tell."""
    try:
        return frozenset(name for name, has in llvmlite.binding.get_host_cpu_features().items() if has)
    except (RuntimeError, OSError):
        return frozenset()


def is_x86(machine: str) -> bool:
    """Whether platform.machine() names an x86-64."""
    return machine.lower() in ("x86_64", "amd64")


def own_name(machine: str, has: frozenset[str]) -> str:
    """The name of the level that a machine is natively: one of LEVELS, or "neon", or "" where nothing is known."""
    if not is_x86(machine):
        return "neon" if machine.lower() in ("aarch64", "arm64") else ""
    return next(level.name for level in LEVELS if has.issuperset(level.needs))


def below(machine: str, has: frozenset[str]) -> tuple[Level, ...]:
    """The levels that this machine can run besides its own, the best first; other machines than x86-64 have none."""
    if not is_x86(machine):
        return ()
    own = own_name(machine, has)
    names = [level.name for level in LEVELS]
    return LEVELS[names.index(own) + 1 :]


def to_run() -> tuple[Level, ...]:
    """The native level and those below it. Whoever sets NUMBA_CPU_NAME measures that CPU alone."""
    if here().name or os.environ.get("NUMBA_CPU_NAME"):
        return (here(),)
    return (NATIVE, *below(platform.machine(), features()))


def here() -> Level:
    """The level of this process.

    Raises:
        RuntimeError: BENCH_LEVEL names none.
    """
    name = os.environ.get(VARIABLE, "")
    found = next((level for level in (NATIVE, *LEVELS) if level.name == name), None)
    if found is None:
        raise RuntimeError(f"{VARIABLE}={name!r}: no such level; there are {', '.join(level.name for level in LEVELS)}")
    return found
