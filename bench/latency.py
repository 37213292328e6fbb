"""One batch at a time through the public function: how long, how evenly, and where the time goes.

Batches rotate over many arrays and are timed by the wall clock. C answers a million calls at once, in CPU time: neither
the cost of calling it from Python nor its neighbours' turns are charged to it.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

import fastsmc
from bench import inputs
from bench.baseline import Baseline, aligned, stream, stream_name
from bench.cases import agree, one_thread
from bench.plain import Plain
from bench.rows import rows_of
from bench.timing import spread
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import batch as dispatcher
from fastsmc.jit.first import Awaited
from fastsmc.vm import Fleet

N_VCPU = (1, 16, 64, 256, 1024, 16384)
QUANTILES = {"p50_ns": 0.5, "p99_ns": 0.99, "p99.9_ns": 0.999, "max_ns": 1.0}
_ROUNDS = 20

KernelCall = tuple[Callable[..., Any], tuple[Any, ...]]
Samples = dict[str, NDArray[np.float64]]


def measure(n_vcpu: int, *, ordered: bool, n_batch: int = 6000, n_rotated: int = 1 << 20) -> dict[str, Any]:
    """A case: `n_vcpu` calls of random known ids, one by each vCPU in order, or by vCPUs at random.

    Args:
        n_batch: batches timed one by one. n_rotated: calls in all the arrays together.
    """
    fleet = inputs.fleet_of_policies(max(1, n_vcpu // 64), n_vcpu=min(64, n_vcpu), seed=7)
    n_array = min(max(64, n_rotated // n_vcpu), 1024)
    whole = inputs.random_calls(n_array * n_vcpu, n_vcpu, seed=7)
    if ordered:
        whole.vcpu[:] = np.tile(np.arange(n_vcpu, dtype=whole.vcpu.dtype), n_array)
    columns = (whole.vcpu.reshape(n_array, n_vcpu), whole.func_id.reshape(n_array, n_vcpu))
    batches = [Calls(vcpu, func_id) for vcpu, func_id in zip(*columns, strict=True)]
    rows = rows_of(fleet)
    c, plain, out = Baseline(fleet, rows), Plain(rows), aligned(len(whole), np.uint8)
    expected = np.concatenate([dispatcher.verdicts(fleet, batch) for batch in batches])
    for name, function in (("c_kernel_style", c.kernel_style), ("c_table", c.table), ("numpy", plain.table)):
        function(whole, out)
        agree(name, out, expected)
    only, small = one_thread(dispatcher.verdicts), np.empty(n_vcpu, np.uint8)
    timed: dict[str, tuple[Callable[[int], object], int]] = {
        "ours": (lambda i: dispatcher.verdicts(fleet, batches[i], **only), n_batch),
        "calls_object": (lambda i: Calls(batches[i].vcpu, batches[i].func_id), n_batch // 4),
        "numpy": (lambda i: plain.table(batches[i], small), n_batch // 20),
    }
    timed |= _prepared(fleet, batches, small, n_batch)
    kernels = [_kernel_calls(partial(dispatcher.verdicts, fleet, batch, **only)) for batch in batches]
    if kernels[0]:
        nothing = [[(_no_op(len(args)), args) for _, args in calls] for calls in kernels]
        timed["kernel_call"] = (lambda i: _run(kernels[i]), n_batch)
        timed["no_op_call"] = (lambda i: _run(nothing[i]), n_batch)
    whole_runs: dict[str, Callable[[], None]] = {
        "stream": lambda: stream(whole, out),
        "c_kernel_style": lambda: c.kernel_style(whole, out),
        "c_table": lambda: c.table(whole, out),
    }
    samples, per_batch = _interleaved(timed, whole_runs, n_array)
    return _figures(samples, per_batch, n_vcpu, ordered) | {"stream": stream_name(whole, out), "n_array": n_array}


def prepared_by(fleet: Fleet) -> Any:
    """A dispatcher for many batches; None in versions that have none."""
    return fastsmc.Dispatcher(fleet) if hasattr(fastsmc, "Dispatcher") else None


def _prepared(
    fleet: Fleet, batches: list[Calls], out: NDArray[np.uint8], n_batch: int
) -> dict[str, tuple[Callable[[int], object], int]]:
    """The dispatcher that is prepared for many batches, where there is one; it is given `out` or makes its own.

    Raises:
        AssertionError: it disagrees with the public function.
    """
    prepared = prepared_by(fleet)
    if prepared is None:
        return {}
    for batch in batches:
        expected = dispatcher.verdicts(fleet, batch)
        agree("prepared", prepared.verdicts(batch), expected)
        agree("prepared, into out", prepared.verdicts(batch, out), expected)
    return {
        "prepared": (lambda i: prepared.verdicts(batches[i]), n_batch),
        "prepared_out": (lambda i: prepared.verdicts(batches[i], out), n_batch),
    }


def _interleaved(
    timed: dict[str, tuple[Callable[[int], object], int]], whole: dict[str, Callable[[], None]], n_array: int
) -> tuple[Samples, Samples]:
    """Samples of single batches, and per round what the others took, in ns per batch."""
    rng = np.random.default_rng(7)
    single: dict[str, list[int]] = {name: [] for name in timed}
    rounds: dict[str, list[float]] = {name: [] for name in (*timed, *whole)}
    names, clock = list(rounds), time.perf_counter_ns
    for function, _ in timed.values():
        for i in range(n_array):
            function(i)
    at = 0
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(_ROUNDS):
            for k in rng.permutation(len(names)):
                name = names[k]
                if name in whole:
                    # Long enough to be interrupted, which single batches are not as a rule: CPU time.
                    start = time.process_time_ns()
                    whole[name]()
                    rounds[name].append((time.process_time_ns() - start) / n_array)
                    continue
                function, n = timed[name]
                taken = []
                for _ in range(max(1, n // _ROUNDS)):
                    at = (at + 1) % n_array
                    start = clock()
                    function(at)
                    taken.append(clock() - start)
                single[name] += taken
                rounds[name].append(float(np.median(taken)))
    finally:
        if was_enabled:
            gc.enable()
    as_arrays = tuple({n: np.array(v, np.float64) for n, v in each.items()} for each in (single, rounds))
    return as_arrays[0], as_arrays[1]


def _figures(single: Samples, rounds: Samples, n_vcpu: int, ordered: bool) -> dict[str, Any]:
    ours = single["ours"]
    p50 = float(np.quantile(ours, 0.5, method="higher"))
    middle = {name: float(np.median(values)) for name, values in single.items()}
    figures: dict[str, Any] = {
        "ns_per_call": p50 / n_vcpu,
        "of_stream": float(np.median(rounds["stream"] / rounds["ours"])),
        **{f"vs_{name}": float(np.median(rounds[name] / rounds["ours"])) for name in ("c_kernel_style", "numpy")},
        "spread": spread(ours),
        "vs_c_table": float(np.median(rounds["c_table"] / rounds["ours"])),
        **{name: float(np.quantile(ours, q, method="higher")) for name, q in QUANTILES.items()},
        "calls_object_ns": middle["calls_object"],
    }
    if "prepared" in middle:
        figures |= {
            "prepared_p50_ns": float(np.quantile(single["prepared"], 0.5, method="higher")),
            "prepared_out_p50_ns": float(np.quantile(single["prepared_out"], 0.5, method="higher")),
            "vs_public": float(np.median(rounds["ours"] / rounds["prepared"])),
        }
    if "kernel_call" in middle:
        figures |= {
            "python_ns": p50 - middle["kernel_call"],
            "call_ns": middle["no_op_call"],
            "kernel_ns": middle["kernel_call"] - middle["no_op_call"],
        }
    return figures | {
        "n_call": n_vcpu,
        "n_batch": int(ours.size),
        "clock": "wall",
        "pattern": f"random ids, {'each vCPU once, in order' if ordered else 'random vCPUs'}",
    }


def _run(calls: Sequence[KernelCall]) -> None:
    for function, arguments in calls:
        function(*arguments)


def _kernel_calls(run: Callable[[], object]) -> list[KernelCall]:
    """The jitted functions that `run` calls from Python, and with what; none when Numba is off."""
    found: list[KernelCall] = []
    with _watched(found):
        run()
    return found


@contextmanager
def _watched(found: list[KernelCall]) -> Iterator[None]:
    """Jitted functions that namespaces of fastsmc have, or wait for (`jit.first`), replaced by some that note calls."""
    replaced: list[tuple[Any, str, Any]] = []

    def noting(kernel: Any) -> Callable[..., Any]:
        def note(*arguments: Any) -> Any:
            found.append((kernel, arguments))
            return kernel(*arguments)

        return note

    try:
        for module in [m for name, m in sys.modules.items() if name.partition(".")[0] == "fastsmc"]:
            for name, value in list(vars(module).items()):
                space, what, kernel = (
                    (value, "kernel", value.kernel) if isinstance(value, Awaited) else (module, name, value)
                )
                if isinstance(kernel, Dispatcher):
                    replaced.append((space, what, kernel))
                    setattr(space, what, noting(kernel))
        yield
    finally:
        for space, what, kernel in reversed(replaced):  # what two modules name is put back as it was first
            setattr(space, what, kernel)


_NO_OPS: dict[int, Any] = {}


def _no_op(n_argument: int) -> Any:
    """A jitted function of so many arguments that does nothing: what remains is the cost of calling it."""
    if n_argument not in _NO_OPS:
        names = ", ".join(f"a{i}" for i in range(n_argument))
        space: dict[str, Any] = {}
        exec(f"def no_op({names}):\n    pass\n", space)  # Numba makes no specialised code for *args
        _NO_OPS[n_argument] = njit(error_model="numpy")(space["no_op"])
    return _NO_OPS[n_argument]
