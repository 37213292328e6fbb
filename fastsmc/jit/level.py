"""Which vector instructions kernels may use: those that both the CPU and LLVM, as Numba drives it, have."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import llvmlite.binding
import numba

WIDE, AVX512, AVX2, NEON, SCALAR = "avx512-vbmi2", "avx512", "avx2", "neon", "scalar"
"""Back ends, the names of their instructions: AVX-512 with VBMI and VBMI2 (Ice Lake, Zen 4 and later), AVX-512 without
(Skylake), AVX2 (Haswell, Zen), Advanced SIMD of arm64, and none."""

_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
FEATURES: Mapping[str, tuple[str, ...]] = {
    WIDE: (*_AVX512, "avx512vbmi", "avx512vbmi2"),
    AVX512: _AVX512,
    AVX2: ("avx2",),
}
"""What LLVM calls the features that each back end of x86-64 needs, the best one first."""
NAMES: Mapping[str, tuple[str, ...]] = {
    WIDE: (
        *("icelake-client", "icelake-server", "tigerlake", "rocketlake", "sapphirerapids", "emeraldrapids"),
        *("graniterapids", "graniterapids-d", "diamondrapids", "znver4", "znver5"),
    ),
    AVX512: ("skylake-avx512", "skx", "cascadelake", "cooperlake", "cannonlake", "x86-64-v4"),
    AVX2: (
        *("haswell", "core-avx2", "broadwell", "skylake", "alderlake", "raptorlake", "meteorlake", "arrowlake"),
        *("lunarlake", "pantherlake", "sierraforest", "grandridge", "gracemont", "bdver4"),
        *("znver1", "znver2", "znver3", "x86-64-v3"),
    ),
}
"""Names that NUMBA_CPU_NAME may have, by the best back end that such a CPU has. Source: LLVM, X86.td."""


def back_end(
    machine: str, own: Mapping[str, bool], own_name: str, name: str | None = None, features: str | None = None
) -> str:
    """The best back end that a CPU has and that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES allow.

    LLVM ends the process over an instruction that the CPU it compiles for lacks, so what is asked for counts as well as
    the CPU itself. Of a CPU that is named, what its name tells and what is spelled out count.

    Args:
        machine: as platform.machine() has it. own, own_name: the CPU's features and name, as LLVM has them.
        name, features: what Numba is told to compile for; None: this CPU.
    """
    switched = {} if features is None else {word[1:]: word[0] == "+" for word in features.split(",") if word}
    if machine in ("aarch64", "arm64"):
        return NEON if switched.get("neon", True) else SCALAR
    is_named = name is not None and name != own_name
    ranks = list(FEATURES)
    told = next((rank for rank in ranks if name in NAMES[rank]), SCALAR)
    for rank in ranks:
        if not all(own.get(feature, False) for feature in FEATURES[rank]):
            continue
        by_name = not is_named and features is None
        by_name |= is_named and told in ranks and ranks.index(told) <= ranks.index(rank)
        if all(switched.get(feature, by_name) for feature in FEATURES[rank]):
            return rank
    return SCALAR


def _back_end_here() -> str:
    config = numba.config
    if config.DISABLE_JIT:
        return SCALAR
    try:
        own_name, own = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features()
    except (RuntimeError, OSError):
        return SCALAR
    machine = platform.machine()
    if machine not in ("aarch64", "arm64") and not config.ENABLE_AVX:
        return SCALAR
    return back_end(machine, own, own_name, config.CPU_NAME, config.CPU_FEATURES)


BACK_END = _back_end_here()
"""The back end of this process."""
HAS_VECTORS, HAS_WIDE = BACK_END != SCALAR, BACK_END == WIDE
"""Whether there are vector passes at all, and whether a table of 128 bytes is looked up in two registers."""
