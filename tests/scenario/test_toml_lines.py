"""Line numbers of TOML keys, against marks in the text itself."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from fastsmc.scenario.toml_lines import Path, key_lines

# Every value is the number of the line it stands on.
MARKED = '''a = 1
"b c" = 2 # not = 9
[t]
x.y = 4
s = { k = 5, "l.m" = 5 }
[[v]]
n = 7
f = [ 8, 8,
  9, { p = 9 }, # ] }
  { p = 10, q = [
    11 ] } ]
[v.w]
z = 13
[[v]]
n = 15
text = """
[not] = 3
"""
after = 19
[[v.deep]]
m = 21
[[v.deep]]
m = 23
'''


def values(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    if isinstance(value, dict):
        return [found for key, child in value.items() for found in values(child, (*path, key))]
    if isinstance(value, list):
        return [found for index, child in enumerate(value) for found in values(child, (*path, index))]
    return [(path, value)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_value_is_found_on_its_line(end: str) -> None:
    lines = key_lines(MARKED.replace("\n", end))
    marked = [(path, value) for path, value in values(tomllib.loads(MARKED)) if isinstance(value, int)]
    assert len(marked) == 17
    assert [(path, lines.get(path)) for path, _ in marked] == marked


def test_tables_are_found_at_their_headers() -> None:
    lines = key_lines(MARKED)
    assert [lines[path] for path in [("t",), ("v", 0), ("v", 0, "w"), ("v", 1), ("v", 1, "deep", 1)]] == [
        3, 6, 12, 14, 22,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "=", "[[[", "a = [", "a = {", "]]", "a = '''", "\x00", "a.b.", '"'])
def test_text_that_is_no_toml_ends(text: str) -> None:
    key_lines(text)
