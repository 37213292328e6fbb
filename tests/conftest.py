"""What every test runs under: no deadline, no terminal, no home folder; and what `make soak` adds to `make test`."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.support.examples import FULL, QUICK

# Before anything imports fastsmc or Matplotlib, which look for their cache folders once. All workers share the folder,
# so that each kernel is compiled once: fastsmc/jit/compiled.py lets them take turns at writing.
_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "cache"
os.environ["XDG_CACHE_HOME"] = str(_CACHE)
os.environ["MPLCONFIGDIR"] = str(_CACHE / "matplotlib")

# What tests compare with the reference are kernels; tests/dispatcher/test_first.py has what a process does before it
# takes any.
os.environ["FASTSMC_JIT_AT_ONCE"] = "1"

# Typer looks once, too: a CI service's variables would draw colours into what a test compares.
for _name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS"):
    os.environ.pop(_name, None)
os.environ |= {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}

# A shell without job control starts what runs in the background with Ctrl-C ignored, and tests send it to programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example includes compiling the kernel, which is over any deadline.
settings.register_profile("soak", deadline=None, max_examples=FULL)
settings.register_profile("quick", deadline=None, max_examples=QUICK)
for _name in ("soak", "quick"):
    settings.register_profile(f"{_name}-ci", settings.get_profile(_name), derandomize=True, print_blob=True)
# tools/mutate.py only asks whether a test fails; half a minute would go by until Hypothesis has its smallest example.
settings.register_profile("mutants", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])


def is_soak(config: pytest.Config) -> bool:
    """Whether this is `make soak`."""
    return str(config.getoption("markexpr")) == "soak"


def pytest_configure(config: pytest.Config) -> None:
    """`make test` tries a quarter of the examples of each Hypothesis test, and `make soak` all of them."""
    profile = "soak" if is_soak(config) else "quick"
    settings.load_profile(f"{profile}-ci" if os.environ.get("CI") else profile)


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder in memory where that can be: to write over a file takes a disk longer than reading it takes us."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


LONG = ("fleet/test_shared.py", "plan/test_upgrade_optimal.py", "whole/test_killed.py", "plan/test_upgrade_checked.py")
"""Files with a test of minutes: begun last, one of them would leave the other workers idle for as long."""


@pytest.hookimpl(tryfirst=True)  # before those left out are gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each soak test says what it adds, and its report carries the text to the summary; the longest come first."""
    if is_soak(config):
        items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))
    for item in items:
        is_sampled = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_soak(config) and is_sampled and item.get_closest_marker("soak") is None:
            item.add_marker(pytest.mark.soak("all examples; make test tries a quarter of them"))
        for mark in item.iter_markers("soak"):
            if len(mark.args) != 1 or not isinstance(mark.args[0], str):
                msg = f"{item.nodeid}: say what it adds to make test, soak('2**32 ids; make test tries 5,000')"
                raise pytest.UsageError(msg)
            item.user_properties.append(("adds", mark.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of the soak tests that ran: what each added to make test."""
    n_case: Counter[tuple[str, str]] = Counter()
    seconds: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.getreports(outcome):
            for name, adds in getattr(report, "user_properties", ()):  # a module skipped whole has none
                if name == "adds":
                    key = (report.nodeid.partition("[")[0], f"{adds}")
                    n_case[key] += report.when == "call" or outcome == "skipped"
                    seconds[key] += report.duration
    if n_case:
        terminalreporter.section("what these added to make test")
    for (test, adds), n in n_case.items():
        cases = f"{n} cases, " if n > 1 else ""
        terminalreporter.write_line(f"{test}: {adds} ({cases}{seconds[test, adds]:.0f} s)")
