"""Bytes as text: UTF-8, or UTF-16 and UTF-32 as editors and shells of other systems write them, told from the start."""

from __future__ import annotations

from fastsmc.files.packed import Refused


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins so, in the words of Python's codecs; a mark at the beginning is none of it."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):  # the first begins as UTF-16 does
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for name, at in (("utf-32-le", 0), ("utf-32-be", 3)):
        zeros = (head[k:64:4] for k in range(4) if k != at)
        if len(head) >= 16 and not any(map(any, zeros)) and all(head[at:64:4]):
            return name
    if len(head) >= 8 and not any(head[1:64:2]) and all(head[0:64:2]):
        return "utf-16-le"
    if len(head) >= 8 and not any(head[0:64:2]) and all(head[1:64:2]):
        return "utf-16-be"
    return "utf-8-sig"


def text_of(data: bytes) -> str:
    """The text.

    Raises:
        Refused: not in its encoding, with the byte and line.
    """
    encoding = encoding_of(data[:64])
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = encoding.removesuffix("-sig").upper()
        msg = f"byte {error.start}, line {line}: not {name} text"
        raise Refused(msg) from error
