"""A second reader of QEMU streams, for tests only: knows frames and the description, nothing of fastsmc."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

CPREGS = "cpreg_vmstate_indexes"


@dataclass
class Stream:
    """What a stream with a description holds after its RAM."""

    parts: list[tuple[str, int, int]]
    """Device, instance, bytes from the type byte to the end of the footer."""
    description: str
    first: int
    """Where the first device begins: header, configuration, RAM and commands lie before it."""
    size: int

    @property
    def devices(self) -> list[dict[str, Any]]:
        devices: list[dict[str, Any]] = json.loads(self.description)["devices"]
        return devices

    @property
    def n_reg(self) -> int:
        """Registers in the array of every vCPU."""
        fields = [field for device in self.devices if device["name"] == "cpu" for field in device["fields"]]
        (n_reg,) = {field["array_len"] for field in fields if field["name"] == CPREGS}
        return int(n_reg)

    @property
    def has_sve(self) -> bool:
        return '"cpu/sve"' in self.description


def read(stream: bytes) -> Stream:
    """Finds each described section's head, and checks that its footer ends where the next head begins."""
    start = max(stream.rfind(b'{"page_size"'), stream.rfind(b'{"configuration"'))  # 10.0 describes that one too
    assert stream[start - 5 : start] == b"\x06" + (len(stream) - start).to_bytes(4, "big")
    end = start - 5 - 1
    assert stream[end] == 0, "no end mark before the description"
    heads: list[tuple[str, int, int]] = []
    at = 8
    for device in json.loads(stream[start:])["devices"]:
        name, instance = device["name"], device["instance_id"]
        tail = bytes([len(name)]) + name.encode() + instance.to_bytes(4, "big")
        found = re.compile(b"\x04.{4}" + re.escape(tail), re.DOTALL).search(stream, at)
        assert found, f"{name} {instance} is described, but not in the stream"
        heads.append((name, instance, found.start()))
        at = found.end()
    parts = []
    for (name, instance, first), after in zip(heads, [head[2] for head in heads[1:]] + [end], strict=True):
        assert stream[after - 5 : after] == b"\x7e" + stream[first + 1 : first + 5], f"{name} {instance}: no footer"
        parts.append((name, instance, after - first))
    return Stream(parts, stream[start:].decode(), heads[0][2], len(stream))
