"""A design's files as whoever computes a cell reads them: in memory, under paths that no other process sees."""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Mapping

from fastsmc.errors import InputError


class Held:
    """Files of a design, unpacked.

    Args:
        files: packed content by name. most_bytes: of one of them.

    Attributes:
        places: the path of each by its name.

    Raises:
        InputError: one is damaged, or has more bytes.
    """

    def __init__(self, files: Mapping[str, str], most_bytes: int) -> None:
        self.places: dict[str, str] = {}
        self._held: list[int] = []
        for name, content in files.items():
            # A file without a name, which the kernel drops however the process ends.
            held = os.memfd_create("fastsmc")
            self._held.append(held)
            with os.fdopen(os.dup(held), "wb") as file:
                file.write(unpacked(content, most_bytes))
            self.places[name] = f"/proc/self/fd/{held}"

    def __del__(self) -> None:
        for held in self._held:
            os.close(held)

    def named(self, text: str) -> str:
        """A message with the names of files in place of their paths."""
        for name, place in sorted(self.places.items(), key=lambda item: -len(item[1])):  # /7 begins /75
            text = text.replace(place, name)
        return text


def packed(content: bytes) -> str:
    """A file's content as a design has it."""
    return base64.b64encode(zlib.compress(content, 6)).decode()


def unpacked(text: str, most_bytes: int) -> bytes:
    """Undoes `packed`.

    Raises:
        InputError: it is damaged, or has more bytes.
    """
    inflated = zlib.decompressobj()
    try:
        content = inflated.decompress(base64.b64decode(text), most_bytes)
    except (ValueError, zlib.error):
        content = b""
    if not inflated.eof:
        msg = f"a file of a sweep is damaged, or larger than {most_bytes >> 20} MiB: sweep again"
        raise InputError(msg)
    return content
