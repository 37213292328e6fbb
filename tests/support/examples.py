"""How many examples a Hypothesis test tries: all under `make soak`, a quarter of them under `make test`."""

from __future__ import annotations

from hypothesis import settings

FULL, QUICK = 100, 25
"""What the profiles try of a test that says nothing; tests/conftest.py loads one before it reads the tests."""


def examples(n: int) -> settings:
    """For a test whose full number is not 100: that number, or the part of it that the profile tries."""
    return settings(max_examples=max(1, n * settings().max_examples // FULL))
