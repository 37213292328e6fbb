"""Summaries that close a configuration's calls: counts, and for a sweep of all ids, those that were answered -1."""

from __future__ import annotations

from fastsmc.facts.smccc import FUNCTION_BY_NAME, FUNCTIONS, SMC64, Service
from fastsmc.recordings.folder import Record
from fastsmc.reference.state import MASK64, FourWords
from fastsmc.verification.configurations import Configuration

SUMMARISED = ("calls", "random", "sweep", "fuzz_calls", "filter")
"""Kinds whose configurations are closed by a summary; a compact copy leaves most of them out."""

NOT_SUPPORTED: FourWords = (MASK64, 0, 0, 0)

SWEEP_NUMBERS = 0x180
"""A sweep calls numbers 0..0x17f of every type, convention and owner; some higher ones too, which it does not name."""

_POWER = (
    "CPU_SUSPEND",
    "CPU_OFF",
    "CPU_ON",
    "SYSTEM_OFF",
    "SYSTEM_RESET",
    "SYSTEM_SUSPEND",
    "SYSTEM_RESET2",
    "SYSTEM_OFF2",
)

_POWER_IDS = frozenset(FUNCTION_BY_NAME[f"PSCI_{name}"].func_id for name in _POWER)

SWEEP_LEFT_OUT = _POWER_IDS | {func_id | SMC64 for func_id in _POWER_IDS}
"""Ids a sweep leaves out, since they stop or start vCPUs or leave the guest."""

_HIGH_NUMBERS = {
    f.func_id & 0xFF00_0000: [g.func_id for g in FUNCTIONS if (f.func_id ^ g.func_id) < 1 << 24]
    for f in FUNCTIONS
    if f.service is not Service.PSCI
}
"""Ids with a name that lie above those numbers, by their upper byte; every sweep calls these too."""


def judge_summary(configuration: Configuration, kind: str, line: int, record: Record) -> str | None:
    """Whether the counts agree with the lines, and for a sweep, that every id it does not list is answered -1."""
    wrong = []
    if record["not_supported"] + record["other"] != record["calls"]:
        wrong.append("its counts do not add up")
    if kind == "sweep":
        if record["other"] != configuration.n_answer - configuration.n_not_supported:
            wrong.append(f"it counts {record['other']} answers, the lines {configuration.n_answer}")
        wrong += _unlisted(configuration)
    elif (record["calls"], record["not_supported"]) != (configuration.n_answer, configuration.n_not_supported):
        wrong.append(f"the lines hold {configuration.n_answer} answers, {configuration.n_not_supported} of them -1")
    return f"line {line}, summary {record}: " + "; ".join(wrong[:3]) if wrong else None


def _unlisted(configuration: Configuration) -> list[str]:
    listed = SWEEP_LEFT_OUT.union(configuration.listed)
    call = configuration.vm.call
    return [
        f"unlisted id {func_id:#010x} was answered -1, reference {call(0, func_id)}"
        for upper in range(0, 1 << 32, 1 << 24)
        for func_id in (*range(upper, upper + SWEEP_NUMBERS), *_HIGH_NUMBERS.get(upper, ()))
        if func_id not in listed and call(0, func_id).x != NOT_SUPPORTED
    ]
