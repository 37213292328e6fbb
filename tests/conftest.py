"""What every test runs under: no deadline, no terminal, no home folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports fastsmc or Matplotlib, which look for their cache folders once. One folder per worker, as
# Numba's cache does not survive two processes writing it (numba#4807).
_CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache" / "cache"
os.environ["XDG_CACHE_HOME"] = str(_CACHE / os.environ.get("PYTEST_XDIST_WORKER", "main"))
os.environ["MPLCONFIGDIR"] = str(_CACHE / "matplotlib")

# The first example includes compiling the kernel, which is over any deadline.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True, scope="session")
def _plain_terminal() -> Iterator[None]:
    """A CI service's variables make rich and typer draw colours into what a test compares."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "dumb")
        patch.setenv("COLUMNS", "120")
        yield
