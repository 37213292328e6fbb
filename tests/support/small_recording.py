"""A recording of one host, small enough to be copied and replayed many times."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

from tests.support.places import TESTS

SOURCE = TESTS / "recordings" / "linux-6.12.107-max"
NEIGHBOUR = "linux-6.16.12-max"
KINDS = {"calls": 12, "setreg": 6, "filter": 4, "danger": 3, "misc": 3}
"""Kinds of records, and how many of each from the first on."""


def records(kind: str, n: int, source: Path = SOURCE) -> list[dict[str, Any]]:
    """The first records of a kind."""
    lines = lzma.decompress((source / f"{kind}.jsonl.xz").read_bytes()).splitlines()
    return [json.loads(line) for line in lines[:n]]


def pack(lines: list[Any]) -> bytes:
    return lzma.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode(), preset=0)


def small_recording(root: Path, *, is_compact: bool = False) -> Path:
    """A host's folder below a root, and beside it the payload that one of its restores is from."""
    host = root / SOURCE.name
    host.mkdir(parents=True)
    meta = json.loads((SOURCE / "meta.json").read_text())
    (host / "meta.json").write_text(json.dumps(meta | {"compact": is_compact}))
    for kind, n in KINDS.items():
        (host / f"{kind}.jsonl.xz").write_bytes(pack(records(kind, n)))
    one = [r for r in records("reglist", 40) if r["feat"] == "none"]
    (host / "reglist.jsonl.xz").write_bytes(pack(one))
    restores = [r for r in records("restore", 400) if r["src"] == NEIGHBOUR and r["feat"] == "none"]
    (host / "restore.jsonl.xz").write_bytes(pack(restores[:1]))
    for folder in (host, root / NEIGHBOUR):
        folder.mkdir(exist_ok=True)
        payload = SOURCE.parent / folder.name / "payload-none.bin.xz"
        (folder / payload.name).write_bytes(payload.read_bytes())
    return host
