"""Names in scenarios: functions by name, short name or id, vCPU features, PSCI versions."""

from __future__ import annotations

import re

from fastsmc.facts.call_spellings import calls_alike, calls_meant
from fastsmc.facts.other_calls import call_name
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, VCPU_FEATURES
from fastsmc.scenario.problems import Problems, brief
from fastsmc.scenario.toml_lines import Path

FEATURES = {name: VCPU_FEATURES[name] for name in ("psci02", "pmu", "sve", "pauth", "el1_32bit", "el2", "e2h0")}
"""vCPU features a scenario may ask for. power_off is none of them: which vCPU is on, a workload says."""

_VERSION = re.compile(r"(\d)\.(\d{1,2})")


def function_id(value: object, path: Path, problems: Problems) -> int | None:
    """The id meant by a function's name, its unique end (PTP), or a number, also as text; else None, and a note."""
    number = value
    if isinstance(value, str):
        meant = calls_meant(value)
        if len(meant) == 1:
            return next(iter(meant.values()))
        try:
            number = int(value, 0)
        except ValueError:
            close = list(meant) or calls_alike(value)
            remedy = f"did you mean {' or '.join(close)}?" if close else "give a name of smccc.FUNCTIONS, or the id"
            problems.add(path, f"no function is called {brief(value)}", remedy)
            return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 0xFFFF_FFFF:
        problems.add(path, f"it is {brief(value)}", "it must be a function's name, or its id in 0..0xffffffff")
        return None
    return number


def function_name(func_id: int) -> str:
    """The name of a function id, known to KVM or not, or the id in hex."""
    return call_name(func_id) or f"0x{func_id:08x}"


def feature_word(value: object, path: Path, problems: Problems) -> int:
    """Word 0 of KVM_ARM_VCPU_INIT, from a list of feature names or from one text of names joined by +."""
    if value is None:
        return FEATURE_PSCI_0_2
    names = value.split("+") if isinstance(value, str) else value
    if not isinstance(names, list):
        problems.add(path, f"it is {brief(value)}", f'it must be a list of {", ".join(FEATURES)}, as ["psci02"]')
        return FEATURE_PSCI_0_2
    word = 0
    for index, name in enumerate(names):
        if name not in ("none", ""):
            where = path if isinstance(value, str) else (*path, index)
            word |= FEATURES.get(problems.choice(name, where, FEATURES, default="psci02"), 0)
    return word


def psci_word(value: object, path: Path, problems: Problems) -> int:
    """The word of PSCI_VERSION for a version such as "1.1"; 0 where none is given."""
    if value is None:
        return 0
    match = _VERSION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        problems.add(path, f"it is {brief(value)}", 'it must be a PSCI version as text, such as "1.1"')
        return 0
    return int(match[1]) << 16 | int(match[2])
