"""The layers of the package, as pyproject.toml states them and import-linter checks them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.places import ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter as a command: its API leaves sys.path and the output settings changed."""
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_every_module_imports_only_from_below() -> None:
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


def test_an_import_from_above_is_found(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    package = tmp_path / "fastsmc"
    for source in (ROOT / "fastsmc").rglob("*.py"):
        copy = package / source.relative_to(ROOT / "fastsmc")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    with (package / "facts" / "smccc.py").open("a", encoding="utf-8") as facts:
        facts.write("\nimport fastsmc.reference.vm\n")
    run = lint_imports(tmp_path)
    assert run.returncode == 1
    assert "fastsmc.facts.smccc -> fastsmc.reference.vm" in run.stdout


def test_no_layer_is_named_twice() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name.strip(" ()") for line in layers for name in line.split("|")]
    assert len(names) == len(set(names))
