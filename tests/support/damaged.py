"""Files damaged by bytes, as a disk, a copy or a person may: for readers of any text or format."""

from __future__ import annotations

import random
from collections.abc import Sequence


def damaged(data: bytes, draw: random.Random, words: Sequence[bytes]) -> bytes:
    """One to four of: a flipped bit, a word put in or over, a cut, a piece lost, twice, many times, or random bytes."""
    new = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(new) + 1)
        piece = slice(at, at + draw.choice((1, 2, 4, 8, 16, 64, 1024)))
        match draw.randrange(8):
            case 0 | 1:
                if at < len(new):
                    new[at] ^= 1 << draw.randrange(8)
            case 2 | 3:
                word = draw.choice(words)
                new[at : at + draw.choice((0, len(word)))] = word
            case 4:
                del new[at:]
            case 5:
                del new[piece]
            case 6:
                new[at:at] = new[piece] * draw.choice((1, 1, 1, 1, 1, 50))
            case 7:
                new[at:at] = draw.randbytes(draw.choice((1, 4, 16)))
    return bytes(new)
