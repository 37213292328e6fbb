"""Runs all cases, everybody in one process by turns, and writes reports/bench/latest.{json,md,svg,png}.

    python -m bench.side_by_side [--quick] [--case NAME]... [--out FOLDER]

Exit codes: 0 fine, 1 contestants disagree or the C compiler is missing, 2 usage.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import latency
from bench.baseline import N_SPIN, spin
from bench.cases import CASES, FULL, QUICK, LeftOut, Setup
from bench.figure import draw
from bench.outcome import environment, figures, load_average, to_json, to_markdown
from bench.payloads import PAYLOADS
from bench.simulate import SIMULATIONS
from bench.timing import Contestant, interleave
from fastsmc.reporting.style import to_png, to_svg
from fastsmc.results.files import write_files

OUT = Path(__file__).resolve().parents[1] / "reports" / "bench"
BUDGET_S = 7.0
"""Time for the rounds of a case; its slowest contestant may stretch it to five rounds."""
LOUD, REPEAT_BUDGETS = 1.12, 15
"""A case is measured again where the core was LOUD times slower than at its best, for REPEAT_BUDGETS budgets in all."""
BATCH = "batch-1024"


def run(
    names: Sequence[str] = (), *, sizes: dict[str, int] | None = None, budget_s: float = BUDGET_S, n_batch: int = 6000
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Environment and cases, measured now.

    Args:
        names: cases without their size; none: all. "latency" stands for all its batches.
        sizes: calls per batch by suffix; simulations make 8 times the smallest. n_batch: batches per latency case.

    Raises:
        AssertionError: two contestants disagree.
    """
    load_before, left_out = load_average(), {}
    cases: dict[str, Any] = {}
    sizes = sizes or FULL
    setups: dict[tuple[str, str], Callable[[], Setup]] = {
        (name, f"-{size}"): partial(build, n) for name, build in CASES.items() for size, n in sizes.items()
    }
    setups |= {(name, ""): partial(build, 8 * min(sizes.values())) for name, build in SIMULATIONS.items()}
    setups |= {(name, ""): build for name, build in PAYLOADS.items()}
    wanted = {name + size: build for (name, size), build in setups.items() if not names or name in names}
    for full, build in wanted.items():
        try:
            cases[full] = _measured(full, build, budget_s)
        except LeftOut as reason:
            left_out[full] = str(reason)
            print(f"{full:28} left out: {reason}", file=sys.stderr, flush=True)
    _repeat_loud(cases, wanted, budget_s)
    batches = {BATCH: (1024, False)} if not names or BATCH in names else {}
    if not names or "latency" in names:
        batches |= {f"latency-{n}": (n, True) for n in latency.N_VCPU}
    for name, (n_vcpu, ordered) in batches.items():
        started = time.perf_counter()
        cases[name] = latency.measure(n_vcpu, ordered=ordered, n_batch=n_batch, n_rotated=min(n_batch * 1024, 1 << 20))
        _say(name, cases[name], time.perf_counter() - started)
    env = environment() | {"load_before": load_before, "load_after": load_average()}
    return (env | {"left_out": left_out} if left_out else env), cases


def _measured(name: str, build: Callable[[], Setup], budget_s: float) -> dict[str, Any]:
    started, setup = time.perf_counter(), build()
    gc.collect()
    setup.contestants["spin"] = Contestant(spin, N_SPIN)
    is_cpu = setup.clock is time.process_time_ns
    wall, cpu = time.perf_counter(), time.process_time()
    times = interleave(setup.contestants, budget_s=budget_s, clock=setup.clock)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    case = figures(setup, times, wall / cpu if is_cpu else 0.0)
    _say(name, case, time.perf_counter() - started)
    return case


def _repeat_loud(cases: dict[str, Any], builds: Mapping[str, Callable[[], Setup]], budget_s: float) -> None:
    """Measures cases again during which the core was slow, the slowest first, and keeps the run with the faster core.

    The core decides, not the result: which of two runs is kept says nothing of ours.
    """
    _compare_cores(cases)
    started, loud = time.perf_counter(), [name for name in cases if cases[name]["core_slowdown"] > LOUD]
    for name in sorted(loud, key=lambda name: -float(cases[name]["core_slowdown"])):
        if time.perf_counter() - started > REPEAT_BUDGETS * budget_s:
            break
        print(f"{name:28} again, as the core was {cases[name]['core_slowdown']:.2f}x slow", file=sys.stderr)
        second = _measured(name, builds[name], budget_s)
        cases[name] = min(cases[name], second, key=lambda case: float(case["ns"]["spin"])) | {"n_run": 2}
    _compare_cores(cases)


def _compare_cores(cases: Mapping[str, dict[str, Any]]) -> None:
    best = min((case["spin_best_ns"] for case in cases.values()), default=1.0)
    for case in cases.values():
        case["core_slowdown"] = case["ns"]["spin"] / best


def _say(name: str, case: dict[str, Any], seconds: float) -> None:
    shown = ("of_stream", "vs_c_kernel_style", "vs_numpy", "vs_simpy", "vs_ciw")
    ratios = "  ".join(f"{key} {case[key]:.3g}" for key in shown if case.get(key) is not None)
    print(f"{name:28} {case['ns_per_call']:8.3f} ns/call  {ratios}  ({seconds:.0f} s)", file=sys.stderr, flush=True)


def write(folder: Path, env: dict[str, Any], cases: dict[str, Any]) -> None:
    """latest.json, .md, .svg and .png, all of them or none."""
    figure = draw(env, cases)
    files = {"json": to_json(env, cases), "md": to_markdown(env, cases), "svg": to_svg(figure, "bench")}
    encoded = {f"latest.{ending}": text.encode() for ending, text in files.items()}
    write_files(folder, encoded | {"latest.png": to_png(figure)})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.side_by_side", description=__doc__.splitlines()[0] if __doc__ else "")
    known = [*CASES, *SIMULATIONS, *PAYLOADS, BATCH, "latency"]
    parser.add_argument("--case", action="append", default=[], choices=known, help="only these; may be repeated")
    parser.add_argument("--quick", action="store_true", help="128K calls instead of 2M and 64M, under a minute")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the results (default: reports/bench)")
    given = parser.parse_args(arguments)
    quick: dict[str, Any] = {"sizes": QUICK, "budget_s": 1.0, "n_batch": 1000} if given.quick else {}
    try:
        env, cases = run(given.case, **quick)
    except (AssertionError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    write(given.out, env, cases)
    print(to_markdown(env, cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
