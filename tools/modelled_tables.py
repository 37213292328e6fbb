"""Modelled and measured cycles as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable

from fastsmc.jit.level import AVX2, AVX512, NEON, WIDE
from tools.modelled_mca import Modelled

Found = dict[tuple[str, str, str], Modelled]
"""What llvm-mca says of 64 calls, by loop, back end and CPU."""
Times = dict[str, dict[str, float]]
"""Cycles per 64 calls that were measured, by back end and loop; and "clock_ghz"."""
LANES = {WIDE: 64, AVX512: 64, AVX2: 32, NEON: 16}
"""Bytes of a register."""
MOST = 1.5
"""How many times AVX2's cycles per lane NEON may take."""


def tables(found: Found, times: Times, version: str, host: str) -> str:
    """All of it, each number marked modelled or measured. `host`: this CPU's name in LLVM."""
    parts = [_cycles(found, version), _per_lane(found), _foretold(found, times, host), _limits(found)]
    return "\n\n".join(part for part in parts if part)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table.

    >>> print(table(["loop", "cycles"], [["codes", "1.9"]]))
    | loop | cycles |
    |---|---|
    | codes | 1.9 |
    """
    first, *rest = (f"| {' | '.join(cells)} |" for cells in (list(head), *rows))
    return "\n".join([first, "|" + "---|" * (first.count(" | ") + 1), *rest])


def _loops(found: Found) -> list[str]:
    return list(dict.fromkeys(loop for loop, _, _ in found))


def _columns(found: Found) -> list[tuple[str, str]]:
    return list(dict.fromkeys((end, cpu) for _, end, cpu in found))


def _cell(found: Found, loop: str, end: str, cpu: str) -> str:
    one = found.get((loop, end, cpu))
    return f"{one.cycles:.1f}" if one else "-"


def _cycles(found: Found, version: str) -> str:
    columns = _columns(found)
    models = {column: next(one.model for key, one in found.items() if key[1:] == column) for column in columns}
    head = ["cycles per 64 calls, modelled", *(f"{end}, {cpu} (model: {models[end, cpu]})" for end, cpu in columns)]
    rows = [[loop, *(_cell(found, loop, *column) for column in columns)] for loop in _loops(found)]
    return f"Modelled by llvm-mca {version}.\n\n{table(head, rows)}"


def per_lane(found: Found, loop: str, end: str) -> dict[str, float]:
    """Cycles per 64 calls for each 64 bytes of registers, by CPU: what is left when registers are all as wide."""
    return {cpu: one.cycles * LANES[end] / 64 for (name, its, cpu), one in found.items() if (name, its) == (loop, end)}


def _per_lane(found: Found) -> str:
    """NEON over AVX2: the least and the most over the CPUs that AVX2 was modelled on. Scalar loops have no lanes."""
    cpus = [cpu for end, cpu in _columns(found) if end == NEON]
    rows = []
    for loop in _loops(found):
        if loop.startswith("scalar"):
            continue
        of_avx2, of_neon = per_lane(found, loop, AVX2), per_lane(found, loop, NEON)
        if of_avx2 and of_neon:
            ratios = [[of_neon[cpu] / one for one in of_avx2.values()] for cpu in cpus]
            worst = max(max(each) for each in ratios)
            said = "yes" if worst <= MOST else "in part" if max(min(each) for each in ratios) <= MOST else "no"
            rows.append([loop, *(f"{min(each):.2f} to {max(each):.2f}" for each in ratios), said])
    if not rows:
        return ""
    head = ["neon / avx2 per lane, modelled", *cpus, f"within {MOST}"]
    return table(head, rows)


def _foretold(found: Found, times: Times, host: str) -> str:
    """Measured here over modelled for this CPU."""
    rows = []
    for end, of_loop in times.items():
        for loop, cycles in of_loop.items():
            one = found.get((loop, end, host))
            if one:
                rows.append([end, loop, f"{one.cycles:.1f}", f"{cycles:.1f}", f"{cycles / one.cycles:.2f}"])
    if not rows:
        return ""
    clocks = ", ".join(f"{end} {of_loop['clock_ghz']:.2f} GHz" for end, of_loop in times.items())
    head = ["back end", "loop", f"modelled for {host}", "measured here", "measured / modelled"]
    return f"Cycles per 64 calls; clock measured: {clocks}.\n\n{table(head, rows)}"


def _limits(found: Found) -> str:
    rows = [[loop, end, cpu, f"{one.uops:.0f}", one.limit] for (loop, end, cpu), one in found.items()]
    return table(["loop", "back end", "CPU", "uops per 64 calls, modelled", "limit, modelled"], rows)
