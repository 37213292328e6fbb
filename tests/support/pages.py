"""The blocks of a page in Markdown: what a reader would paste, and what the page says that comes back.

- A line that begins with "$ " in a ```console block is a command; the lines up to the next one are its standard output.
  A command that ends with another code than 0 says so: `# exit code 4`.
- A ```python block goes on from those before it on the page. A ```text block right after it is what it prints.
- "…" alone on a line stands for any lines, at the end of a line for the rest of it.
- `<!-- not run: why -->` before a block: it is shown and not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")
_CODE = re.compile(r"# exit code (\d+)")
REST = "…"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its lines, where its first line stands, and why it is not run, if it is not."""

    language: str
    lines: tuple[str, ...]
    at: int
    not_run: str = ""
    follows: bool = False
    """Whether nothing but empty lines stands between it and the block before."""


@dataclass(slots=True)
class Command:
    """One command of a session, and what is expected of it."""

    text: str
    at: int
    output: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        found = _CODE.search(self.text)
        return int(found[1]) if found else 0


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.read_text("utf-8").splitlines()
    at, not_run, follows = 0, "", False
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if marked := _NOT_RUN.match(lines[at]):
            not_run = marked[1]
        elif opening:
            indent, fence, language = opening.groups()
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == fence)
            body = tuple(line.removeprefix(indent) for line in lines[at + 1 : end])
            yield Block(language.strip(), body, at + 2, not_run, follows)
            at, not_run, follows = end, "", True
        elif lines[at].strip():
            not_run, follows = "", False
        at += 1


def commands(block: Block) -> list[Command]:
    """The commands of a console block. A line that ends in a backslash goes on in the next."""
    found: list[Command] = []
    for number, line in enumerate(block.lines, block.at):
        if line.startswith("$ "):
            found.append(Command(line[2:], number))
        elif found and found[-1].text.endswith("\\"):
            found[-1].text = f"{found[-1].text[:-1].rstrip()} {line.strip()}"
        else:
            assert found, f"line {number}: output before any command"
            found[-1].output.append(line)
    for one in found:
        while one.output and not one.output[-1].strip():
            one.output.pop()
    return found


def _plain(line: str) -> str:
    """A line as it is pasted: a space that keeps a number and its unit together is one like any."""
    return line.replace("\N{NO-BREAK SPACE}", " ").rstrip()


def agrees(expected: list[str], printed: str) -> bool:
    """Whether what was printed is what the page says, as far as it says it; spaces at the end of a line aside."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line == REST
        else f"{re.escape(line[:-1])}.*\n"
        if line.endswith(REST)
        else f"{re.escape(line)}\n"
        for line in map(_plain, expected)
    )
    told = "".join(f"{_plain(line)}\n" for line in printed.rstrip().splitlines())
    return re.fullmatch(pattern, told) is not None


def renewed(expected: list[str], printed: str) -> list[str]:
    """What the page should say instead: as much of the beginning and of the end as before."""
    told = [_plain(line) for line in printed.rstrip().splitlines()]
    if REST not in expected:
        return told
    head, tail = expected.index(REST), len(expected) - 1 - expected.index(REST)
    if REST in expected[head + 1 :]:
        return expected
    return [*told[:head], REST, *(told[-tail:] if tail else [])]


def indented(page: Path) -> list[int]:
    """Lines of code blocks that four spaces make, which nothing runs: after an empty line, outside lists and fences."""
    found, is_fenced, is_list, before = [], False, False, ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if _FENCE.match(line):
            is_fenced = not is_fenced
        elif not is_fenced and line.strip():
            if not line.startswith(" "):
                is_list = bool(re.match(r"([-*]|\d+\.) ", line))
            elif line.startswith("    ") and not before.strip() and not is_list:
                found.append(number)
        before = line
    return found
