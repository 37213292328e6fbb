"""Other levels than the native one: a process for each, and its result beside the others in one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.levels import Level

ROOT = Path(__file__).resolve().parents[1]
OF_LEVEL = ("numba_cpu_name", "cc_command", "back_end")
"""What of a level's environment differs from that of the native one."""

Result = tuple[dict[str, Any], dict[str, Any]]
"""Environment and cases."""


def measured_on(level: Level, arguments: Sequence[str]) -> Result:
    """The cases of a level, measured by a process that is told to be it.

    Raises:
        RuntimeError: it failed; what it said is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "part.json")
        command = [sys.executable, "-m", "bench.side_by_side", *arguments, f"--part={part}"]
        env = os.environ | level.environment()
        done = subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"level {level.name}: its process ended with {done.returncode}")
        content = json.loads(part.read_text(encoding="utf-8"))
    return content["environment"], content["cases"]


def merged_levels(native: Result, others: Mapping[str, Result]) -> Result:
    """One result of all levels.

    Raises:
        RuntimeError: two levels have a case of one name, so one of them did not know what it was.
    """
    env, cases = dict(native[0]), dict(native[1])
    for name, (its_env, its_cases) in others.items():
        if both := sorted(set(cases) & set(its_cases)):
            raise RuntimeError(f"level {name} has {both[0]}, which another level has too")
        cases |= its_cases
        left_out = env.get("left_out", {}) | its_env.get("left_out", {})
        env |= {"left_out": left_out} if left_out else {}
        env["levels"] = env.get("levels", {}) | {name: {key: its_env.get(key, "") for key in OF_LEVEL}}
    return env, cases
