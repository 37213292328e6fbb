"""What a QEMU stream holds, found without the reader: for tests of the reader."""

from __future__ import annotations

import json
import struct
from typing import Any

from fastsmc.migrate.read.result import RegisterFile

IN_ROUNDS = ("ram", "block", "dirty-bitmap")


def plain_parse(data: bytes) -> list[tuple[list[int], list[int]]]:
    """Ids and values of every vCPU, found by nothing but the head of a cpu section of version 22 and QEMU's layout."""
    found, at = [], 0
    while (at := data.find(b"\x03cpu", at + 1)) >= 0:
        instance, version = struct.unpack_from(">II", data, at + 4)
        if data[at - 5] == 4 and version == 22 and instance == len(found):
            (count,) = struct.unpack_from(">I", data, at + 12 + 568)
            words = struct.unpack_from(f">{2 * count}Q", data, at + 12 + 572)
            found.append((list(words[:count]), list(words[count:])))
    return found


def description_of(data: bytes) -> dict[str, Any]:
    """The description, found as QEMU's own script finds it: behind the last zero byte."""
    text = data[data.rfind(b"\0") :]
    described: dict[str, Any] = json.loads(text[text.index(b"{") :])
    return described


def assert_adds_up(file: RegisterFile, data: bytes) -> None:
    """Parts in file order lie end to end, each device's from its type byte to the end of its footer."""
    at = 0
    for part in file.parts:
        piece = data[at : at + part.n_bytes]
        at += part.n_bytes
        if part.instance is not None and part.name not in IN_ROUNDS:
            head = bytes([4]) + piece[1:5] + bytes([len(part.name)]) + part.name.encode()
            assert piece.startswith(head + part.instance.to_bytes(4, "big"))
        if part.instance is not None:
            assert piece[-5:] == b"\x7e" + piece[1:5]
    assert at + file.description_bytes == len(data) == file.total_bytes
