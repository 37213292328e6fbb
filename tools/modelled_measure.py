"""Cycles that the wide kernels' loops take on this machine, by turns with a chain of additions that tells the clock.

    NUMBA_CPU_NAME=haswell python -m tools.modelled_measure codes < arguments.pickle

Standard output is a JSON object: cycles per 64 calls by the name of the loop, and the clock in GHz. rdtsc would count a
clock of its own, so cycles are nanoseconds of this thread's CPU time times the clock measured beside them.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from typing import Any

import numpy as np

from fastsmc.dispatcher.kernels.passes import CHUNK, STEP
from fastsmc.jit.compiled import borrowing_kernel
from fastsmc.jit.level import BACK_END
from tools.modelled_loops import chosen

N_ROUND, SAMPLE_S, FEW = 600, 0.00025, 4 * STEP
CHAIN = 2
"""Cycles of a link of the chain: a rotation and an exclusive or, each of which waits for the one before. They take one
cycle each on every CPU named here."""


PAGE = 4096
PHASE = {"out": 2048, "bit_row": 1024, "listed": 1024, "group": 3072, "some_verdicts": 3072}
"""Where in a page columns begin, 0 unless told: a load waits for a store before it that lies as far into another page,
on Intel's CPUs, and the short loops then take half as long again. llvm-mca knows nothing of addresses."""


@borrowing_kernel
def chain(n: int, word: np.uint64) -> np.uint64:
    """So many links, which nothing can do side by side."""
    for k in range(n):
        word = (word << np.uint64(7) | word >> np.uint64(57)) ^ np.uint64(k)
    return word


def repeated(kernel: Any) -> Any:
    """A function that runs a kernel so many times."""

    @borrowing_kernel
    def run(n: int, arguments: Any) -> None:
        for _ in range(n):
            kernel(*arguments)

    return run


def clock_ghz() -> float:
    """The clock now, from a chain that takes about a sample's time."""
    n = int(SAMPLE_S * 1e9)
    start = time.thread_time_ns()
    chain(n, np.uint64(18))
    return CHAIN * n / (time.thread_time_ns() - start)


def measured(given: dict[str, Any], names: str, n_round: int = N_ROUND) -> dict[str, float]:
    """Cycles per 64 calls by loop, and "clock_ghz".

    The time of a chunk less that of FEW calls, so that what a call of the kernel costs is no part of it. The shortest
    of some rounds, in which each loop and the chain have a turn: another thread on the same core may double a time.
    """
    given = {name: placed(argument, PHASE.get(name, 0)) for name, argument in given.items()}
    runs = {}
    for loop in chosen(names, BACK_END):
        for n_call in (CHUNK, FEW):
            run, arguments = repeated(loop.kernel), loop.arguments(given, n_call)
            took_ns(run, 10, arguments)
            runs[loop.name, n_call] = run, max(1, int(1e11 * SAMPLE_S / took_ns(run, 100, arguments))), arguments
    ghz = clock_ghz()
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(n_round):
        for key, (run, n, arguments) in runs.items():
            run(n // 2, arguments)  # wide registers are asleep after a while without, and wake slowly
            least[key] = min(least[key], took_ns(run, n, arguments) / n)
            ghz = max(ghz, clock_ghz())
    of_step = ghz * STEP / (CHUNK - FEW)
    found = {loop.name: of_step * (least[loop.name, CHUNK] - least[loop.name, FEW]) for loop in chosen(names, BACK_END)}
    return {**found, "clock_ghz": ghz}


def placed(argument: Any, phase: int) -> Any:
    """A copy of an array, or of named tuples' arrays, that begins so many bytes into a page; anything else as it is."""
    if isinstance(argument, tuple):
        return type(argument)(*(placed(one, phase) for one in argument))
    if not isinstance(argument, np.ndarray):
        return argument
    memory = np.empty(argument.nbytes + 2 * PAGE, np.uint8)
    start = -memory.ctypes.data % PAGE + phase
    copy = memory[start : start + argument.nbytes].view(argument.dtype).reshape(argument.shape)
    copy[...] = argument
    return copy


def took_ns(run: Any, n: int, arguments: Any) -> int:
    start = time.thread_time_ns()
    run(n, arguments)
    return time.thread_time_ns() - start


if __name__ == "__main__":
    json.dump(measured(pickle.load(sys.stdin.buffer), sys.argv[1]), sys.stdout)
