"""The layers of the package, as pyproject.toml states them and import-linter checks them."""

from __future__ import annotations

import ast
import re
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


def contract() -> list[list[str]]:
    """The rooms of each line of the contract, top first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[name.strip(" ()") for name in line.split("|")] for line in lines]


def test_no_layer_is_named_twice() -> None:
    names = [name for line in contract() for name in line]
    assert len(names) == len(set(names))


def test_there_are_few_layers() -> None:
    assert len(contract()) <= 12


def test_design_tells_the_layers_of_the_contract() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    _, _, section = text.partition("\n## How the code is laid out\n")
    rows = re.findall(r"^\| (\d+) \| ([a-z, ]+) \|", section.partition("\n## ")[0], re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(len(rows)))[::-1]
    assert [names.split(", ") for _, names in rows] == contract()


def test_every_room_that_lints_is_a_room() -> None:
    """Import-linter passes over a name that is no module."""
    package = ROOT / "fastsmc"
    rooms = [path.parent.name for path in package.glob("*/__init__.py")]
    modules = [path.stem for path in package.glob("*.py") if path.stem not in ("__init__", "__main__")]
    assert sorted(name for line in contract() for name in line) == sorted(rooms + modules)


def test_a_kernel_imports_jit_other_kernels_and_nothing_else_of_ours() -> None:
    """But where the buckets of histograms lie. The contract has the rooms below; here are those above, and its own."""
    package = ROOT / "fastsmc"
    strangers = []
    for path in [package / "kernels.py", *package.rglob("kernels/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            strangers += [
                f"{path.relative_to(ROOT)}: {name}"
                for name in names
                if name.startswith("fastsmc") and not re.search(r"\.(jit|kernels|results\.log_linear)\b", name)
            ]
    assert strangers == []
