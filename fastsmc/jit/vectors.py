"""The operations on 64 bytes that the vector passes are written with, as this process' back end spells them.

A back end has `look_up_128` and `look_up_64`, tables of bytes looked up in registers; `byte_planes`, words taken apart;
`logic`; `list_bits`, places of set bits; and `N_TOGETHER`. What is not named here is LLVM's own, for any CPU.
"""

from __future__ import annotations

from fastsmc.jit.level import AVX512, BACK_END, NEON, WIDE

if BACK_END == WIDE:
    from fastsmc.jit.simd_wide import byte_planes, list_bits, logic, look_up_64, look_up_128

    N_TOGETHER = 4
elif BACK_END == NEON:
    from fastsmc.jit.bits import list_bits
    from fastsmc.jit.simd import logic
    from fastsmc.jit.simd_neon import byte_planes, look_up_64, look_up_128

    N_TOGETHER = 1
elif BACK_END == AVX512:
    from fastsmc.jit.bits import list_bits
    from fastsmc.jit.simd_shuffle import byte_planes, look_up_64, look_up_128
    from fastsmc.jit.simd_wide import logic

    N_TOGETHER = 2
else:
    from fastsmc.jit.bits import list_bits
    from fastsmc.jit.simd import logic
    from fastsmc.jit.simd_shuffle import byte_planes, look_up_64, look_up_128

    N_TOGETHER = 2
"""Steps whose instructions are interleaved when classes are found, as the way from id to class takes three steps' time
by wide registers; others have more to do in each."""

__all__ = ["N_TOGETHER", "byte_planes", "list_bits", "logic", "look_up_64", "look_up_128"]
