"""The name of the folder of compiled kernels: another one whenever anything below the package changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fastsmc.jit.compiled import source_digest
from tests.support.places import ROOT


def package(folder: Path) -> Path:
    (folder / "room" / "kernels").mkdir(parents=True)
    for name in ("a.py", "room/b.py", "room/kernels/c.py"):
        (folder / name).write_text("X = 1\n")
    return folder


@pytest.mark.parametrize("name", ["a.py", "room/b.py", "room/kernels/c.py"])
def test_a_change_anywhere_changes_it(name: str, tmp_path: Path) -> None:
    folder = package(tmp_path)
    before = source_digest(folder)
    assert source_digest(folder) == before
    (folder / name).write_text("X = 2\n")
    assert source_digest(folder) != before


def test_a_file_that_moves_or_comes_changes_it(tmp_path: Path) -> None:
    folder = package(tmp_path)
    before = source_digest(folder)
    (folder / "room" / "b.py").rename(folder / "room" / "kernels" / "b.py")
    assert source_digest(folder) != before
    (folder / "room" / "kernels" / "b.py").rename(folder / "room" / "b.py")
    assert source_digest(folder) == before
    (folder / "room" / "d.py").touch()
    assert source_digest(folder) != before


def test_it_is_that_of_the_whole_package(tmp_path: Path) -> None:
    sources = [path.relative_to(ROOT / "fastsmc") for path in (ROOT / "fastsmc").rglob("*.py")]
    for path in sources:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / "fastsmc" / path).read_bytes())
    assert source_digest(tmp_path) == source_digest(ROOT / "fastsmc")


def test_a_change_in_any_file_of_the_package_names_another_cache(tmp_path: Path) -> None:
    """In a copy: a file of every folder is changed in turn, one is renamed, one is new; no digest is seen twice."""
    package = tmp_path / "fastsmc"
    shutil.copytree(ROOT / "fastsmc", package, ignore=shutil.ignore_patterns("data", "__pycache__"))
    before = source_digest(package)
    assert source_digest(package) == before
    seen = {before}
    first_of_folder = {path.parent: path for path in sorted(package.rglob("*.py"), reverse=True)}
    assert {"kernels", "jit", "facts"} <= {folder.name for folder in first_of_folder}
    for number, path in enumerate(first_of_folder.values(), 1):
        source = path.read_bytes()
        path.write_bytes(source + b"# changed\n")
        seen.add(source_digest(package))
        assert len(seen) == number + 1, path
        path.write_bytes(source)
    assert source_digest(package) == before
    path.rename(path.with_name("another_name.py"))
    (package / "plan" / "new.py").touch()
    assert source_digest(package) not in seen
