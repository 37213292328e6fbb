"""The table of speeds in the README, made of the committed result: `python -m bench.readme` writes it again.

A full `make bench` does so too; tests/whole/test_bench.py compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.compare import load
from bench.levels import LEVELS
from fastsmc.results.files import write_each

ROOT = Path(__file__).resolve().parents[1]
PAGE, RESULT = ROOT / "README.md", ROOT / "reports" / "bench" / "latest.json"
BEGIN, END = "<!-- speeds: made by python -m bench.readme -->\n", "<!-- end of speeds -->\n"
ROWS = {
    "mixed-known": "any VM, any known id",
    "mixed-filter": "the same with 100 ranges a VM and 2 % unknown ids",
    "grouped-known": "calls grouped by VM",
    "trace": "real guests' calls on 1024 vCPUs",
}
NAMES = {"avx512-vbmi2": "AVX-512", "avx512": "AVX-512 without VBMI", "avx2": "AVX2", "generic": "x86-64 baseline"}
NAMES |= {"neon": "NEON"}
_BEFORE_LEVELS = "avx512-vbmi2"
"""What the machines had whose results do not say what their CPU can do; all of them are of such CPUs."""
_KEYS = ("vs_c_kernel_style", "vs_c_table", "vs_c_vector")


def table(env: Mapping[str, Any], cases: Mapping[str, Any]) -> str:
    """Cases by level: how many times as fast as each C; a dash where nothing was measured."""
    own = str(env.get("cpu_level", _BEFORE_LEVELS))
    below = [level.name for level in LEVELS]
    shown = [own, *below[below.index(own) + 1 :]] if own in below else [own]
    shown = [name for name in shown if name != "avx512" or name == own]
    size = "2M"
    lines = [
        "Times as fast as C: C that branches like a kernel / C by table / the best C with vector instructions.",
        f"All of a column is compiled for one CPU. Measured on {env['cpu']} ({env['cpu_family_model']}), one core,",
        f"2 million calls, {str(env['date_utc'])[:10]}; a dash is not measured yet.",
        "",
        f"| calls | {' | '.join(NAMES.get(name, 'native') for name in shown)} |",
        "|---|" + "--:|" * len(shown),
    ]
    for case, words in ROWS.items():
        names = [f"{case}-{size}" if name == own else f"{case}@{name}-{size}" for name in shown]
        lines.append(f"| {words} | {' | '.join(_cell(cases.get(name)) for name in names)} |")
    return "\n".join(lines) + "\n"


def _cell(case: Mapping[str, Any] | None) -> str:
    if case is None:
        return "-"
    return " / ".join("-" if case.get(key) is None else f"{case[key]:.3g}" for key in _KEYS)


def with_table(page: str, made: str) -> str:
    """The page with the table in its place.

    Raises:
        ValueError: the page has no place for it.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN.strip()} and {END.strip()}")
    return before + BEGIN + made + END + after


def main() -> int:
    """Writes README.md again."""
    content = load(RESULT)
    page = with_table(PAGE.read_text("utf-8"), table(content["environment"], content["cases"]))
    write_each({PAGE: page.encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
