"""Every block of README and docs does what the page says, pasted in order by somebody who has the sample files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from tests.support.command import fastsmc
from tests.support.pages import Block, agrees, blocks, commands, indented, renewed
from tests.support.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = {"text", "json", "csv", "cfg"}
"""Languages of blocks that nobody runs: figures of text, forms of files."""
MOST_NOT_RUN = 10
WRITES = bool(os.environ.get("WRITE_PAGES"))
"""WRITE_PAGES=1 writes what is printed now into the pages, where it differs: read the difference before committing."""
SHELL = set("|&;<>$(){}*?'\"`=")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_code() -> list[Path]:
    return [page for page in PAGES if any(one.language in ("python", "console", "toml") for one in blocks(page))]


class Reader:
    """Somebody who pastes a page's blocks one after another, in a folder with the sample files."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder, self.space, self.wrong = page, folder, dict[str, Any](), list[str]()
        self.renewed: list[tuple[int, list[str], list[str]]] = []
        smc.samples(folder)
        shim = folder / ".bin" / "fastsmc"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fastsmc "$@"\n')
        shim.chmod(0o755)
        self.path = f"{shim.parent}:{os.environ['PATH']}"

    def compare(self, expected: list[str], printed: str, at: int) -> None:
        if not agrees(expected, printed):
            self.wrong.append(f"{name(self.page)}:{at}: prints\n{printed}")
            self.renewed.append((at, expected, renewed(expected, printed)))

    def paste(self, command: str) -> subprocess.CompletedProcess[str]:
        """In this process where it is fastsmc alone: starting one takes a second."""
        if command.startswith("fastsmc ") and not SHELL & set(command.partition("#")[0]):
            return fastsmc(*shlex.split(command, comments=True)[1:], cwd=self.folder)
        environment = os.environ | {"PATH": self.path, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def console(self, block: Block) -> None:
        for one in commands(block):
            if one.text.startswith("cd "):
                self.folder /= one.text.removeprefix("cd ")
                continue
            done = self.paste(one.text)
            if done.returncode != one.code:
                self.wrong.append(f"{name(self.page)}:{one.at}: {one.text}: exit code {done.returncode}: {done.stderr}")
            elif one.output:
                self.compare(one.output, done.stdout, one.at + 1)

    def python(self, block: Block) -> str:
        out = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out):
            exec(compile("\n".join(block.lines), f"{name(self.page)}:{block.at}", "exec"), self.space)
        return out.getvalue()

    def read(self) -> None:
        printed, before = "", ""
        for block in blocks(self.page):
            is_printed = block.follows and before == "python"
            before = block.language
            if block.not_run:
                continue
            if block.language == "console":
                self.console(block)
            elif block.language == "python":
                printed = self.python(block)
            elif block.language == "toml":
                tomllib.loads("\n".join(block.lines))
            elif block.language == "text" and is_printed:
                self.compare(list(block.lines), printed, block.at)
            elif block.language == "json":
                json.loads("\n".join(block.lines))

    def write(self) -> None:
        lines = self.page.read_text("utf-8").splitlines()
        for at, expected, told in reversed(self.renewed):
            lines[at - 1 : at - 1 + len(expected)] = told
        self.page.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.soak("every command, script and file of README and docs, pasted; each output compared")
@pytest.mark.parametrize("page", with_code(), ids=name)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    reader = Reader(page, tmp_path)
    reader.read()
    if WRITES and reader.renewed:
        reader.write()
    assert reader.wrong == [], "\n".join(reader.wrong)


def test_every_block_is_run_or_says_why_not() -> None:
    found = [(page, block) for page in PAGES for block in blocks(page)]
    strange = [f"{name(page)}:{one.at}: {one.language}" for page, one in found if one.language not in
               {"console", "python", "toml", *SHOWN} and not one.language.startswith("{")]  # fmt: skip
    assert strange == []
    assert len([one for _, one in found if one.not_run]) <= MOST_NOT_RUN
    assert len([one for _, one in found if one.language in ("console", "python", "toml")]) > 50
    assert {f"{name(page)}:{line}" for page in PAGES for line in indented(page)} == set()


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a", "b"], "a\nc\n", False),
        (["a", "…"], "a\nb\nc\n", True),
        (["a", "…", "c"], "a\nb\nd\n", False),
        (["a…"], "abc\n", True),
        (["a…"], "abc\nd\n", False),
        ([], "a\n", False),
    ],
)
def test_what_is_printed_is_compared(expected: list[str], printed: str, same: bool) -> None:
    assert agrees(expected, printed) is same


def test_a_false_page_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "false.md"
    text = "```console\n$ fastsmc explain STD_BMAP\nno such thing\n$ fastsmc explain NO_SUCH\n```\n"
    (tmp_path / "page.md").write_text(text)
    reader = Reader(page, tmp_path / "folder")
    for block in blocks(tmp_path / "page.md"):
        reader.console(block)
    assert [one.split(":")[1] for one in reader.wrong] == ["3", "4"]


def asked() -> list[str]:
    """The commands of the README's table of questions."""
    rows = (line.split("|") for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("| "))
    return [row[2].strip().strip("`") for row in rows if len(row) == 4 and row[2].strip().startswith("`fastsmc ")]


@pytest.mark.soak("every command of the README's table of questions")
@pytest.mark.parametrize("command", asked())
def test_a_question_is_answered(command: str, tmp_path: Path) -> None:
    done = fastsmc(*shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode in (0, 4, 5), done.stderr
    assert done.stdout.strip()
    assert len(asked()) >= 15
