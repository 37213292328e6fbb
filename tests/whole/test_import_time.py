"""Starting up stays cheap. Checked by what is imported, as a clock would fail on a busy machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"llvmlite", "matplotlib", "numba", "pandas", "polars", "pyarrow", "scipy", "xarray"}

IMPORT = "import fastsmc"
HELP = """
import contextlib, io
import fastsmc.cli.start  # whose own end is the end of the process
from fastsmc.cli.app import main
sys.argv = ["fastsmc", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
"""


def imported_by(code: str) -> set[str]:
    """Top-level names in sys.modules after running the code in a fresh interpreter."""
    code = f"import sys\n{code}\nsys.stdout.write('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize(
    ("code", "unwanted"), [(IMPORT, HEAVY | {"rich", "typer"}), (HELP, HEAVY | {"numpy"})], ids=["import", "help"]
)
def test_start_up_leaves_heavy_packages_alone(code: str, unwanted: set[str]) -> None:
    names = imported_by(code)
    assert "fastsmc" in names
    assert not names & unwanted
