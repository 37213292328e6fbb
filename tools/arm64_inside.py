"""What one emulated process of tools/arm64.py does: subjects of tools/same_bytes.py, then tests, with the same kernels.

python -m tools.arm64_inside SUBJECTS FOLDER [PYTEST'S ARGUMENTS]
"""

from __future__ import annotations

import platform
import sys
import time
import tomllib
from pathlib import Path

import numba
import numpy as np

from fastsmc.jit import level
from tools.arm64_install import ROOT

NOT_HERE = ("--doctest-modules", "--benchmark-disable")
"""Options of pyproject.toml that are about other tests, or a plugin which the emulated Python lacks."""


def back_end() -> str:
    """Which kernels decide, by fastsmc's own word."""
    return str(getattr(level.BACK_END, "name", level.BACK_END))


def options() -> list[str]:
    """pytest's options: those of pyproject.toml, and no cache, as two processes run in one folder."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]["addopts"]
    kept = " ".join(f'"{one}"' for one in configured if one not in NOT_HERE)
    return ["-o", f"addopts={kept}", "-p", "no:cacheprovider", "-q", "--no-header"]


def main(arguments: list[str]) -> int:
    """Computes, tests, and returns pytest's exit code."""
    subjects, folder, *tests = arguments
    machine = (
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}"
    )
    print(f"{machine}; kernels: {back_end()}", flush=True)
    if subjects:
        from tools import same_bytes

        same_bytes.write(Path(folder), getattr(same_bytes, subjects))
        print(f"{subjects.lower()}: computed after {time.process_time():.0f} s of CPU time", flush=True)
    if not tests:
        return 0
    import pytest

    code = int(pytest.main([*options(), *tests]))
    print(f"{time.process_time():.0f} s of CPU time in all", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
