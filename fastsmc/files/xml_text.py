"""XML read safely: no entities, no document types, a few levels, a bounded size."""

from __future__ import annotations

from xml.etree import ElementTree

from fastsmc.files.packed import Refused
from fastsmc.files.source import Source
from fastsmc.files.text import text_of

_MOST_DEEP = 64
"""Elements within each other; a domain's XML has some ten."""


def tree(source: Source) -> ElementTree.Element:
    """The root of a document.

    Raises:
        Refused: as `Source.read`; not text; not XML, cut short; with a document type, the only place where entities are
            declared; nested too deeply.
    """
    text = text_of(source.all())
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        msg = "has a document type, which may make much of little (entities): what libvirt writes has none"
        raise Refused(msg)
    builder = _Shallow()
    parser = ElementTree.XMLParser(target=builder)
    try:
        parser.feed(text)
        root: ElementTree.Element = parser.close()
    except ElementTree.ParseError as error:
        line, column = error.position
        msg = f"line {line}, column {column}: not XML, or cut short ({str(error).partition(':')[0]})"
        raise Refused(msg) from error
    except (UnicodeEncodeError, ValueError) as error:
        msg = f"holds what no XML has ({str(error)[:80]})"
        raise Refused(msg) from error
    return root


class _Shallow(ElementTree.TreeBuilder):
    """Builds a tree that is not deep."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self._depth += 1
        if self._depth > _MOST_DEEP:
            msg = f"elements lie more than {_MOST_DEEP} deep in each other: a domain's XML has some ten levels"
            raise Refused(msg)
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)
