"""A part of a recording: every kind of every host in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from fastsmc.recordings.folder import Record, Recording

LARGE = ("calls", "filter", "a32", "fuzz_calls")
"""Kinds of which some lines stand for all: most of a host's records, and of the time that a replay takes."""


def some_of(records: Iterable[tuple[int, Record]], *, every: int) -> Iterator[tuple[int, Record]]:
    """Of plain answers one in so many; every exit, header and type; no summary, which counts the lines."""
    left = set()
    for number, (line, record) in enumerate(records):
        call = (record.get("id"), record.get("c"), *record.get("a", ()))
        is_answer = "x" in record or "r" in record
        if "exit" in record:
            left.add(call)
        if record.get("summary") is not True and (not is_answer or call in left or number % every == 0):
            yield line, record


def thin(monkeypatch: pytest.MonkeyPatch, *, every: int) -> None:
    """From here on, a recording's large kinds hold one answer in so many."""
    read = Recording.records

    def records(recording: Recording, kind: str) -> Iterator[tuple[int, Record]]:
        lines = read(recording, kind)
        yield from some_of(lines, every=every) if kind in LARGE else lines

    monkeypatch.setattr(Recording, "records", records)
