"""Promises about the text of the repository: docstrings, file sizes, nothing private to one machine."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import fastsmc
from tests.support.places import ROOT

MAX_LINES = 400
LONG_FILES = dict.fromkeys(("fastsmc/probing/standalone.py", "fastsmc/probing/recorder.py"), 1499)
"""Files that may be longer: the probe and the recorder are copied to hosts that have nothing else of ours."""
_WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
MADE = set(_WHEEL["force-include"].values())
"""Files that are there in the wheel only."""

# In pieces, so that this file does not hold what it looks for.
MACHINE_TEXT = re.compile(
    r"(?<![\w.])/" + r"(work|root|tmp/w|home/\w+)/"
    r"|https?://[^/\s]*(pypi|npm|registry|mirror|artifact)"
    r"|--(extra-)?index-url|--find-link[s]"
)


def committed_files() -> list[Path]:
    """What git tracks or would add, as far as it exists."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"not a git checkout: {run.stderr.strip()}")
    return sorted(path for name in run.stdout.split("\0") if name and (path := ROOT / name).is_file())


def sources() -> list[Path]:
    return sorted((ROOT / "fastsmc").rglob("*.py"))


def lacks_docstring(value: object) -> bool:
    """Whether a class or function has no docstring of its own; a dataclass's generated one does not count."""
    if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
        return False
    text = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    return not text.strip() or text.startswith(f"{value.__name__}(")


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in fastsmc.__all__ if lacks_docstring(getattr(fastsmc, name))] == []


def test_public_names_are_listed_once_and_in_dir() -> None:
    assert len(fastsmc.__all__) == len(set(fastsmc.__all__))
    assert set(fastsmc.__all__) <= set(dir(fastsmc))


def test_every_module_has_a_docstring() -> None:
    assert [str(path) for path in sources() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        if not path.relative_to(ROOT / "fastsmc").parts[0].startswith("cli")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_no_file_outgrows_its_subject() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in committed_files() if path.suffix == ".py"}
    names = {str(path.relative_to(ROOT)): length for path, length in lengths.items()}
    long = {name: length for name, length in names.items() if length > LONG_FILES.get(name, MAX_LINES)}
    assert long == {}, f"over {MAX_LINES} lines: which second subject is hiding in there?"


def test_no_text_tells_where_it_was_written() -> None:
    telling = []
    for path in committed_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a recording or a picture
        telling += [f"{path.relative_to(ROOT)}: {match.group()}" for match in MACHINE_TEXT.finditer(text)]
    assert telling == []


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("see /work" + "/main", True),
        ("see /home" + "/someone/main", True),
        ("https://" + "pypi.example/simple", True),
        ("frameworks/work/x", False),
        ("/sys/devices/virtual", False),
        ("https://example.org/registry", False),
    ],
)
def test_the_search_for_private_text_finds_it(text: str, tells: bool) -> None:
    assert bool(MACHINE_TEXT.search(text)) is tells


def test_the_index_of_docs_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [path.relative_to(ROOT / "docs") for path in sorted((ROOT / "docs").rglob("*.md"))]
    unnamed = [str(page) for page in pages if f"]({page})" not in index and page.parts[0] != "planning"]
    assert unnamed == ["README.md"]


def test_the_site_has_every_page_once() -> None:
    """Of the pages of the folder, but for the index of the repository."""
    text = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = [
        line
        for tree in re.findall(r"```{toctree}(.*?)```", text, re.DOTALL)
        for line in tree.split()
        if "/" in line or (ROOT / "docs" / f"{line}.md").exists()
    ]
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(pages - {"index", "README"})


def test_links_to_files_lead_to_files() -> None:
    dead = []
    for page in committed_files():
        if page.suffix == ".md":
            links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
            dead += [f"{page.relative_to(ROOT)}: {link}" for link in links if not (page.parent / link).exists()]
    assert dead == []


def test_files_that_prose_names_exist() -> None:
    """Pages and comments that say where a rule is tested or a table stands."""
    named = re.compile(
        r"(?<![\w./-])((?:fastsmc|tests|tools|bench|docs|examples)/[\w./-]*\w\.(?:py|md|toml|log|txt))\b"
    )
    missing = []
    for page in committed_files():
        if page.suffix in (".md", ".py", ".toml") and page.name not in ("CHANGELOG.md", "test_docs.py"):
            names = named.findall(page.read_text("utf-8"))
            gone = (name for name in names if not (ROOT / name).exists() and name not in MADE)
            missing += [f"{page.relative_to(ROOT)}: {name}" for name in gone]
    assert missing == []
