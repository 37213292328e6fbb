"""A long list in a JSON file, one entry at a time, each read strictly: a cluster's objects take gigabytes together."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from fastsmc.files.limits import MIB
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source
from fastsmc.files.strict_json import parse, uncollected
from fastsmc.files.text import encoding_of

_PIECE = 1 << 18
_MOST_ENTRY = 2 * MIB
"""Characters of one entry: etcd, which holds a cluster's objects, takes 1.5 MiB of each."""
_MOST_BEFORE = 64 * 1024
"""Characters of what stands before a list in its object."""
_BLANK = re.compile(r"[ \t\n\r]*")
_SCAN = json.JSONDecoder()
"""Finds where a value ends; what it holds is read again, strictly."""


def items(source: Source, keys: tuple[str, ...]) -> Iterator[Any]:
    """The entries of a list that is the whole text, or stands under one of some keys in the object that is it.

    Raises:
        Refused: as `Source.read`; not JSON, cut short; neither a list nor an object with such a key; an entry that
            `strict_json.parse` refuses, or that is too long.
    """
    text = _Ahead(source)
    match text.sign():
        case "[":
            yield from _entries(text)
        case "{":
            yield from _under(text, keys)
        case _:
            msg = f"is no JSON of {' or '.join(keys)}: it begins with {text.shown()}"
            raise Refused(msg)
    if text.sign():
        msg = f"{text.place()}: text follows the end: {text.shown()}"
        raise Refused(msg)


class _Ahead:
    """A text of which some pieces are held, from what was not yet taken on."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding_of(source.head[:64]))()
        self._held, self._at, self._before, self._is_whole = "", 0, 0, False

    def more(self, n: int = _PIECE) -> bool:
        """Reads on, at most n bytes; whether there was more."""
        if self._is_whole:
            return False
        piece = self._source.read(n)
        try:
            decoded = self._decoder.decode(piece, not piece)
        except UnicodeError as error:
            msg = (
                f"{self.place()} or later: not {encoding_of(self._source.head[:64]).removesuffix('-sig').upper()} text"
            )
            raise Refused(msg) from error
        self._is_whole = not piece
        self._held, self._before, self._at = self._held[self._at :] + decoded, self._before + self._at, 0
        return True

    def sign(self) -> str:
        """The next sign that is no blank; "" at the end."""
        while True:
            found = _BLANK.match(self._held, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._held):
                return self._held[self._at]
            if not self.more():
                return ""

    def take(self, expected: str) -> str:
        """Takes the next sign, which is one of those expected."""
        sign = self.sign()
        if not sign or sign not in expected:
            what = self.shown() if sign else "the end: is the file whole?"
            msg = f"{self.place()}: not JSON: {' or '.join(expected)} should stand before {what}"
            raise Refused(msg)
        self._at += 1
        return sign

    def value(self) -> Any:
        """Takes the next value."""
        self.sign()
        is_long = False
        while True:
            try:
                with uncollected() if is_long else nullcontext():
                    _, end = _SCAN.raw_decode(self._held, self._at)
                if self._is_whole or (end < len(self._held) and self._held[end] not in ".eE"):  # a number may go on
                    break
            except (json.JSONDecodeError, RecursionError, ValueError) as error:
                if len(self._held) - self._at > _MOST_ENTRY or self._is_whole:
                    raise self._refused(error) from error
            is_long = self.more(max(_PIECE, len(self._held) - self._at))  # as much again, as all is scanned anew
        text, place = self._held[self._at : end], self.place()
        if len(text) > _MOST_ENTRY:
            msg = f"{place}: an entry of more than {_MOST_ENTRY // MIB} MiB"
            raise Refused(msg)
        self._at = end
        return parse(text, "an entry", self._before + self._at - len(text))

    def _refused(self, error: Exception) -> Refused:
        if isinstance(error, RecursionError):
            return Refused(f"{self.place()}: nested too deeply")
        if len(self._held) - self._at > _MOST_ENTRY:
            return Refused(f"{self.place()}: an entry of more than {_MOST_ENTRY // MIB} MiB, or none that ends")
        return Refused(f"{self.place()}: not JSON, or cut short ({getattr(error, 'msg', error)})")

    def place(self) -> str:
        """Where the next sign stands."""
        return f"character {self._before + self._at}"

    def shown(self) -> str:
        """What comes next, for a message."""
        return ascii(self._held[self._at : self._at + 20])


def _entries(text: _Ahead) -> Iterator[Any]:
    text.take("[")
    if text.sign() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return


def _under(text: _Ahead, keys: tuple[str, ...]) -> Iterator[Any]:
    """The entries of the first list under one of the keys; the rest of the object is read and left out."""
    text.take("{")
    names: list[Any] = []
    found = ""
    while text.sign() != "}" and (not names or text.take(",")):
        name = text.value()
        if not isinstance(name, str) or name in names or len(names) > 100:
            msg = f"{text.place()}: not JSON: a key that is no text, or stands twice"
            raise Refused(msg)
        names.append(name)
        text.take(":")
        if name in keys and not found and text.sign() == "[":
            found = name
            yield from _entries(text)
        else:
            text.value()
    text.take("}")
    if not found:
        msg = f"has no list under {' or '.join(keys)}: it has {', '.join(map(ascii, names[:10])) or 'nothing'}"
        raise Refused(msg)
