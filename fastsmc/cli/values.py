"""Counts as a command line has them: one parser for every option and argument that takes a count."""

from __future__ import annotations

from fastsmc.checks import whole_numbers

COUNTS = "COUNT,…"
"""What help calls them."""
HOW = "several: 64,512; a range: 1..8; in steps: 64..1024..64; doubled: 1..1024..x2."
"""How help says that they are written."""


def counts(option: str, text: str, *, first: int = 1) -> list[int]:
    """Whole numbers: joined by commas, a range `1..8` or `1-8`, every 64th of it `64..1024..64`, doubled `1..64..x2`.

    Raises:
        InputError: written otherwise; the message names the option.

    >>> counts("--vcpus", "64,512"), counts("--vcpus", "64..256..64"), counts("--vcpus", "1..10..x3")
    ([64, 512], [64, 128, 192, 256], [1, 3, 9])
    """
    return whole_numbers(option, text, first=first)
