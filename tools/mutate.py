"""Breaks one rule at a time in a copy of the project, and asks whether the tests notice.

    python tools/mutate.py            # all mutants, one at a time per core
    python tools/mutate.py PATTERN    # those whose description matches

A mutant (tools/mutants.py) is one replacement in one file. It is caught when the chosen tests fail, crash or hang; each
must be. Exit 0 only then.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
OF_DISPATCH = ("test_workload", "test_grouped", "test_dispatcher", "test_parts", "test_kernels_wide")
# Cheap and telling ones first: -x stops at the first that fails.
TESTS = (
    *("test_reference", "test_releases", "test_smccc", "test_filters", "test_vm", "test_kernels", "test_power"),
    "test_bit_rows",
    *OF_DISPATCH,
    *("test_answering", "test_verification", "test_qemu_size"),
    *("test_compat", "test_compat_files"),
    *("test_vm_global", "test_qemu_section", "test_formats", "test_formats_bad"),
    *("test_downtime", "test_downtime_bad", "test_more_registers"),
)
FIRST = {
    **dict.fromkeys(("columns", "workload", "grouped", "deciding", "dispatcher"), OF_DISPATCH),
    **dict.fromkeys(("dispatch_times", "kernels_blocks"), OF_DISPATCH),
    **dict.fromkeys(("kernels_wide", "kernels_steps", "rows"), OF_DISPATCH[::-1]),
}
"""What runs first of all where a file is broken; else the test of its own name does."""
HANGS = 900
"""Seconds after which tests that still run are taken for a loop without end; all of them need a third of that."""
NO_SHRINKING = """
from hypothesis import Phase
settings.register_profile("mutants", deadline=None, phases=[Phase.explicit, Phase.generate])
settings.load_profile("mutants")
"""
"""That a test fails is all that is asked; half a minute would go by until Hypothesis has its smallest example."""
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*cache*", "__pycache__", "reports")


def fails(mutant: Mutant | None) -> bool:
    """Whether the tests fail in a copy of the project, with a rule broken or, for None, as it is."""
    with tempfile.TemporaryDirectory(prefix="fastsmc-mutant-") as folder:
        copy = Path(folder) / "project"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        with (copy / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(NO_SHRINKING)
        if mutant is not None:
            path = copy / mutant.path
            path.write_text(mutant.applied(path.read_text()))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"]
        stem = Path(mutant.path).stem if mutant else ""
        first = FIRST.get(stem, (f"test_{stem}",))
        command += [f"tests/{name}.py" for name in dict.fromkeys((*first, *TESTS)) if name in TESTS]
        environment = os.environ | {"PYTHONPATH": str(copy), "XDG_CACHE_HOME": folder}
        try:
            done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False, timeout=HANGS)
        except subprocess.TimeoutExpired:
            return True
        if done.returncode == -signal.SIGTERM:
            msg = "the tests were ended from outside; nothing can be learned"
            raise RuntimeError(msg)
        return done.returncode != 0


def _n_core() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> int:
    """Runs the mutants asked for and prints the survivors."""
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [mutant for mutant in MUTANTS if re.search(pattern, str(mutant))]
    for mutant in chosen:
        mutant.applied((ROOT / mutant.path).read_text())
    if fails(None):
        print("the tests fail without a mutant; nothing can be learned")
        return 2
    survivors = 0
    with ThreadPoolExecutor(max_workers=_n_core()) as pool:
        for mutant, was_caught in zip(chosen, pool.map(fails, chosen), strict=True):
            survivors += not was_caught
            print(f"{'caught  ' if was_caught else 'SURVIVED'}  {mutant}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
