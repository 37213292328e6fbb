"""Long lists in JSON, entry by entry: what the json module reads as a whole, in pieces of any size."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.files import json_items
from fastsmc.files.json_items import items
from fastsmc.files.limits import Kind
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source

KIND = Kind("a list", 1 << 26, "it is small")


def read(data: bytes, piece: int = 1 << 18) -> list[Any]:
    with mock.patch.object(json_items, "_PIECE", piece):
        return list(items(Source(io.BytesIO(data), KIND), ("items", "data")))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=5), st.sampled_from([1, 2, 7, 1 << 18]), st.sampled_from([None, 4]))
@settings(deadline=None)
def test_entries_are_those_of_the_list(values: list[Any], piece: int, indent: int | None) -> None:
    whole = {"kind": "List", "n": 12, "items": values, "metadata": {"items": [1]}}
    for data in (values, whole):
        text = json.dumps(data, indent=indent, ensure_ascii=False)
        assert read(text.encode(), piece) == values
        assert read(b"\xef\xbb\xbf" + text.encode() + b"\n", piece) == values
    assert read(json.dumps(whole).encode("utf-16"), piece) == values


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no JSON of items or data: it begins with ''"),
        (b"x: 1", "is no JSON of items or data: it begins with 'x: 1'"),
        (b"{}", "has no list under items or data: it has nothing"),
        (b'{"a": [], "items": {}}', "has no list under items or data: it has 'a', 'items'"),
        (b'{"items": [1], "items": [2]}', "stands twice"),
        (b"{1: 2}", "a key that is no text"),
        (b"[1, 2", "character 5: not JSON: , or ] should stand before the end: is the file whole"),
        (b"[1 2]", "character 3: not JSON: , or ] should stand before '2]'"),
        (b"[1, ]", "character 4: not JSON, or cut short"),
        (b'[{"a": 1, "a": 2}]', "the key 'a' stands twice in one object"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[1] x", "character 4: text follows the end: 'x'"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["' + b"x" * 5_000_000, "an entry of more than 2 MiB"),
        (b'["' + b"x" * 3_000_000 + b'"]', "an entry of more than 2 MiB"),
        (b'["\xff"]', "not UTF-8 text"),
    ],
)
def test_what_is_no_list_is_refused_with_its_place(data: bytes, words: str) -> None:
    for piece in (1 << 18, 1 << 10):
        with pytest.raises(Refused, match=words.replace("[", r"\[")):
            read(data, piece)
