"""Where a key stands in TOML text, as tomllib does not say: paths of keys and array elements to line numbers.

It follows valid TOML only (tomllib has read the text before) and forgives what it does not know, as a line number that
is missing costs a reader less than one that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r'(?P<string>"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<comment>\#[^\n]*)|(?P<newline>\n)|(?P<space>[ \t\r]+)"
    r"|(?P<mark>[\[\]{},=.])|(?P<bare>[^\s\[\]{},=.\"'#]+)",
    re.DOTALL,
)


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every table, key and array element; paths are those of tomllib's result.

    >>> key_lines('[[vm]]\\nname = "a"\\nfilter = [\\n  { base = 1 },\\n]')[("vm", 0, "filter", 0, "base")]
    4
    """
    return _Reader(text).lines


class _Reader:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._tokens = list(_tokens(text))
        self._at = 0
        table: Path = ()
        while (token := self._peek()) is not None:
            kind, _, line = token
            if kind == "newline":
                self._at += 1
            elif kind == "mark" and token[1] == "[":
                table = self._header(line)
            else:
                self._pair(table)

    def _peek(self) -> tuple[str, str, int] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is(self, text: str) -> bool:
        token = self._peek()
        return token is not None and token[:2] == ("mark", text)

    def _take(self, text: str) -> bool:
        found = self._is(text)
        self._at += found
        return found

    def _header(self, line: int) -> Path:
        """`[a.b]` or `[[a.b]]`: the table that follows."""
        self._take("[")
        is_array = self._take("[")
        path: Path = ()
        *most, last = self._key() or ["?"]
        for key in most:
            path = self._element((*path, key))
        path = (*path, last)
        while self._take("]"):
            pass
        if is_array:
            self.lines.setdefault(path, line)
            self._counts[path] = self._counts.get(path, -1) + 1
            path = (*path, self._counts[path])
        self.lines.setdefault(path, line)
        return path

    def _element(self, path: Path) -> Path:
        """The newest element where the path is an array of tables."""
        return (*path, self._counts[path]) if path in self._counts else path

    def _key(self) -> list[str]:
        """A key and its dots, up to what is no part of it."""
        parts: list[str] = []
        while (token := self._peek()) is not None and (token[0] in ("string", "bare") or token[:2] == ("mark", ".")):
            if token[0] != "mark":
                parts.append(_unquoted(token[1]))
            self._at += 1
        return parts

    def _pair(self, table: Path) -> None:
        """`a.b = value`; every part of the key stands on this line."""
        start, line = self._at, self._tokens[self._at][2]
        path = table
        for key in self._key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        if self._take("="):
            self._value(path)
        elif self._at == start:
            self._at += 1

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            while not self._take("}") and self._skip_newlines():
                self._pair(path)
                self._take(",")
        else:
            self._key()  # a string, or a number with its dots

    def _array(self, path: Path) -> None:
        index = 0
        while self._skip_newlines() and not self._take("]"):
            self.lines.setdefault((*path, index), self._tokens[self._at][2])
            before = self._at
            self._value((*path, index))
            self._skip_newlines()
            self._take(",")
            index += 1
            if self._at == before:
                self._at += 1

    def _skip_newlines(self) -> bool:
        """Whether there is anything after the line ends here."""
        while (token := self._peek()) is not None and token[0] == "newline":
            self._at += 1
        return self._peek() is not None


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, line) of everything but spaces and comments."""
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind not in ("space", "comment"):
            yield kind, match.group(), line
        line += match.group().count("\n")


def _unquoted(token: str) -> str:
    return token[1:-1] if token[:1] in ("'", '"') else token
