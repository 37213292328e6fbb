"""JSON trees changed in one to three places: what an editor, a script or a bad disk makes of a file of ours."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 0.5, -0.0, 1e300, 5e-324, 1 << 62, 1 << 63, 1 << 64, 10**30, -(1 << 63)),
    *(float("nan"), float("inf"), float("-inf")),
    *("", "x", "0", "1e999", "../x", "/etc/passwd", "..\\x", "a\0b", "\ud800", "\x1b[31m", "\n", "n" * 300, "é"),
    *([], {}, [[]], [1, "a"], [1.5, None], {"a": {"b": []}}, [True, 1]),
)


def tree_mutant(text: str, draw: random.Random) -> bytes:
    """A JSON text after one to three changes; some are packed in many lists besides, or have a key twice."""
    root = [json.loads(text)]
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        _change(root, draw)
    text = json.dumps(root[0], ensure_ascii=draw.random() < 0.9)
    if draw.random() < 0.02:
        depth = draw.choice((60, 70, 500, 100_000))
        text = "[" * depth + text + "]" * depth
    if draw.random() < 0.02:
        text = text.replace("{", '{"schema": 1, ', 1)  # a key that stands twice
    return text.encode("utf-8", "surrogatepass")


def _change(root: list[Any], draw: random.Random) -> None:
    parent: Any = root
    key: Any = 0
    while isinstance(parent[key], dict | list) and parent[key] and draw.random() < 0.93:
        parent = parent[key]
        key = draw.choice(list(parent)) if isinstance(parent, dict) else draw.randrange(len(parent))
    value = parent[key]
    match draw.randrange(8):
        case 0 | 1 | 2:
            parent[key] = copy.deepcopy(draw.choice(VALUES))
        case 3 if parent is not root:
            del parent[key]
        case 4 if isinstance(parent, list) and parent is not root:
            parent.insert(draw.randrange(len(parent) + 1), copy.deepcopy(value))
        case 5 if isinstance(parent, list):
            other = draw.randrange(len(parent))
            parent[key], parent[other] = parent[other], parent[key]
        case 6 if isinstance(parent, dict):
            parent[draw.choice((f"{key}x", "", str(key)[:-1], "schema"))] = parent.pop(key)
        case _:
            if isinstance(value, int | float) and not isinstance(value, bool):
                parent[key] = draw.choice((value + 1, value - 1, value * 2, -value, value / 3, str(value)))
            else:
                parent[key] = [value]
