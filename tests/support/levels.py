"""Other back ends on this CPU: processes whose kernels are compiled for an older one."""

from __future__ import annotations

import os
import subprocess
import sys

import llvmlite.binding
import pytest

from fastsmc.jit.level import AVX2, AVX512, FEATURES, SCALAR
from tests.support.places import ROOT

LEVELS = {AVX512: "skylake-avx512", AVX2: "haswell", SCALAR: "generic"}
"""What NUMBA_CPU_NAME has to be for a back end of x86-64."""


def settings(level: str) -> dict[str, str]:
    """The environment in which a process has this back end; the calling test is skipped where this CPU lacks it."""
    own = llvmlite.binding.get_host_cpu_features()
    if not all(own.get(feature, False) for feature in FEATURES.get(level, ("sse2",))):
        pytest.skip(f"this CPU has no {level}")
    return {"NUMBA_CPU_NAME": LEVELS[level], "NUMBA_CPU_FEATURES": ""}


def run_tests(level: str, *arguments: str) -> str:
    """What pytest prints of a run with this back end, which has to pass."""
    told = "from fastsmc.jit.level import BACK_END; print(BACK_END)"
    environment = os.environ | settings(level)
    at = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True, "check": False}
    assert subprocess.run([sys.executable, "-c", told], **at).stdout.strip() == level  # type: ignore[call-overload]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n0", "-q", *arguments]
    done = subprocess.run(command, **at)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return str(done.stdout)
