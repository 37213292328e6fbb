"""What a recording lacks, in words: what the tracer lost, and what reading skipped."""

from __future__ import annotations

from fastsmc.results.units import number_of


def how_many(n: int, *, is_least: bool) -> str:
    """A number of missing things as far as it is known; "" where nothing is missing.

    Args:
        is_least: there are more, and nothing says how many.

    >>> how_many(3, is_least=False), how_many(3, is_least=True), how_many(0, is_least=True), how_many(0, is_least=False)
    ('3', 'at least 3', 'an unknown number', '')
    """
    if is_least:
        return f"at least {n}" if n else "an unknown number"
    return str(n) if n else ""


def known(n: int, *, is_least: bool) -> int | str:
    """A number where it is exact, words where it is not: for a file that others read.

    >>> known(0, is_least=False), known(3, is_least=True)
    (0, 'at least 3')
    """
    return how_many(n, is_least=True) if is_least else n


def of_what(n: int, what: str, *, is_least: bool) -> str:
    """The same with what is missing.

    >>> of_what(1, "call", is_least=False), of_what(2, "call", is_least=True), of_what(0, "call", is_least=True)
    ('1 call', 'at least 2 calls', 'an unknown number of calls')
    """
    if is_least:
        return f"at least {number_of(n, what)}" if n else f"an unknown number of {what}s"
    return number_of(n, what) if n else ""


def lost(n: int, *, is_least: bool) -> str:
    """What a line about calls says of those that the tracer lost; "" where it lost none."""
    told = how_many(n, is_least=is_least)
    return f", {told} lost by the tracer" if told else ""


def lost_as_dict(n: int, *, is_least: bool) -> dict[str, int | None]:
    """The same for JSON: a number that is not known is null, never a number that looks exact."""
    return {"lost": None if is_least else n, "lost_at_least": n}


def skipped(n_line: int, first_line: int, calls: str = "") -> str:
    """What it says of lines that reading skipped; "" where it skipped none.

    Args:
        n_line: lines that were no call.
        calls: the calls among what was skipped, in words.
    """
    lines = number_of(n_line, "line") if n_line else ""
    told = " and ".join(filter(None, (calls, lines)))
    return f", {told} skipped, the first at line {first_line}" if told else ""
