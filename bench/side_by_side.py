"""Runs all cases, everybody in one process by turns, and writes reports/bench/latest.{json,md,svg,png}.

A full run also writes the file of this kind of machine, and the README's table; a part of one goes to build/bench.

    python -m bench.side_by_side [--quick] [--case NAME]... [--level NAME]... [--out FOLDER]

Each level is a process of its own, started here: native, and what the CPU can do less (bench/levels.py).

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

from bench import latency, readme
from bench.baseline import N_SPIN, spin
from bench.cases import CASES, FULL, ON_LEVELS, QUICK, LeftOut, Setup
from bench.figure import draw
from bench.levels import LEVELS, NATIVE, here, to_run
from bench.merge import measured_on, merged_levels
from bench.outcome import environment, figures, kind, load_average, to_json, to_markdown
from bench.payloads import PAYLOADS
from bench.simulate import SIMULATIONS
from bench.timing import Contestant, interleave
from fastsmc.reporting.style import to_png, to_svg
from fastsmc.results.files import write_files

OUT = Path(__file__).resolve().parents[1] / "reports" / "bench"
PARTS = OUT.parents[1] / "build" / "bench"
BUDGET_S = 7.0
"""Time for the rounds of a case; its slowest contestant may stretch it to five rounds."""
LEVEL_BUDGET_S, LEVEL_REPEATS = 4.0, 6
"""The same on other levels than the native one, and for how many budgets cases are measured again there."""
LEVEL_NAMES = ["native", *(level.name for level in LEVELS)]
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
    level = here().name
    wanted = _setups(names, sizes) if not level else _on_level(level, names, sizes)
    for full, build in wanted.items():
        try:
            cases[full] = _measured(full, build, budget_s)
        except LeftOut as reason:
            left_out[full] = str(reason)
            print(f"{full:28} left out: {reason}", file=sys.stderr, flush=True)
    if not level or budget_s >= LEVEL_BUDGET_S:  # a quick run is to be quick
        _repeat_loud(cases, wanted, budget_s)
    else:
        _compare_cores(cases)
    batches = {BATCH: (1024, False)} if not level and (not names or BATCH in names) else {}
    if not level and (not names or "latency" in names):
        batches |= {f"latency-{n}": (n, True) for n in latency.N_VCPU}
    for name, (n_vcpu, ordered) in batches.items():
        started = time.perf_counter()
        cases[name] = latency.measure(n_vcpu, ordered=ordered, n_batch=n_batch, n_rotated=min(n_batch * 1024, 1 << 20))
        _say(name, cases[name], time.perf_counter() - started)
    env = environment() | {"load_before": load_before, "load_after": load_average()}
    return (env | {"left_out": left_out} if left_out else env), cases


def _setups(names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, Callable[[], Setup]]:
    """What the native level measures, by full name."""
    setups: dict[tuple[str, str], Callable[[], Setup]] = {
        (name, f"-{size}"): partial(build, n) for name, build in CASES.items() for size, n in sizes.items()
    }
    setups |= {(name, ""): partial(build, 8 * min(sizes.values())) for name, build in SIMULATIONS.items()}
    setups |= {(name, ""): build for name, build in PAYLOADS.items()}
    return {name + size: build for (name, size), build in setups.items() if not names or name in names}


def _on_level(level: str, names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, Callable[[], Setup]]:
    """What another level measures: some of the cases, most at the smallest size only."""
    least = min(sizes, key=lambda size: sizes[size])
    return {
        f"{name}@{level}-{size}": partial(CASES[name], n)
        for name, at_all_sizes in ON_LEVELS.items()
        for size, n in sizes.items()
        if (not names or name in names) and (size == least or level in at_all_sizes)
    }


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
        if time.perf_counter() - started > (LEVEL_REPEATS if here().name else REPEAT_BUDGETS) * budget_s:
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


def write(folder: Path, env: dict[str, Any], cases: dict[str, Any], *, is_full: bool = False) -> None:
    """latest.json, .md, .svg and .png, all of them or none; of a full run also the file of this kind of machine."""
    figure = draw(env, cases)
    files = {"json": to_json(env, cases), "md": to_markdown(env, cases), "svg": to_svg(figure, "bench")}
    encoded = {f"latest.{ending}": text.encode() for ending, text in files.items()}
    if is_full:
        encoded[f"{kind(env)}.json"] = encoded["latest.json"]
    write_files(folder, encoded | {"latest.png": to_png(figure)})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.side_by_side", description=__doc__.splitlines()[0] if __doc__ else "")
    known = [*CASES, *SIMULATIONS, *PAYLOADS, BATCH, "latency"]
    parser.add_argument("--case", action="append", default=[], choices=known, help="only these; may be repeated")
    parser.add_argument("--quick", action="store_true", help="128K calls instead of 2M and 64M, about a minute")
    parser.add_argument("--level", action="append", default=[], choices=LEVEL_NAMES, help="only these; may be repeated")
    parser.add_argument("--out", type=Path, help="folder for results (default: reports/bench, of a part build/bench)")
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)  # where a level's own process leaves its result
    given = parser.parse_args(arguments)
    try:
        env, cases = _all_levels(given)
    except (AssertionError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if given.part:
        given.part.write_text(to_json(env, cases), encoding="utf-8")
        return 0
    is_full = not (given.case or given.quick or given.level)
    write(given.out or (OUT if is_full else PARTS), env, cases, is_full=is_full)
    if is_full and given.out is None:
        readme.main()
    print(to_markdown(env, cases))
    return 0


def _all_levels(given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """This process's level, then the others, each in a process of its own."""
    wanted = [level for level in to_run() if not given.level or (level.name or "native") in given.level]
    if not wanted:
        able = ", ".join(level.name or "native" for level in to_run())
        raise RuntimeError(f"--level {' '.join(given.level)}: this machine has {able}")
    quick: dict[str, Any] = {"sizes": QUICK, "budget_s": 1.0, "n_batch": 1000} if given.quick else {}
    if here().name:
        return run(given.case, **(quick | {"budget_s": 0.5} if quick else {"budget_s": LEVEL_BUDGET_S}))
    ours = run(given.case, **quick) if wanted[0] == NATIVE else (environment() | {"load_before": load_average()}, {})
    others = wanted[1:] if wanted[0] == NATIVE else wanted
    asked = [*(f"--case={name}" for name in given.case), *(["--quick"] if given.quick else [])]
    if given.case and not set(given.case) & set(ON_LEVELS):
        others = []
    merged = merged_levels(ours, {level.name: measured_on(level, asked) for level in others})
    return merged[0] | {"load_after": load_average()}, merged[1]


if __name__ == "__main__":
    sys.exit(main())
