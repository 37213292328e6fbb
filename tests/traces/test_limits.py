"""How much of a trace is taken: lines, tasks, functions, and the memory of what is kept."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmc.errors import TraceError
from fastsmc.traces.text import parse_trace
from fastsmc.traces.text import trace as read_trace
from tests.support.memory import forget_peak, peak_mib

MOST_MIB = 80


def calls(n: int, *, tasks: int = 1, functions: int = 1, before: str = "") -> Iterator[str]:
    """Lines of calls that go round some tasks and some functions."""
    for k in range(n):
        yield (
            f"{before.format(k)} CPU 0/KVM-{1000 + k % tasks} [000] .... {k}.000000: kvm_hvc_arm64: "
            f"HVC at 0x1 (r0: 0x{0x8400_0000 + k % functions:x}, imm: 0x0)\n"
        )


def test_line_feeds_are_lines_of_which_there_is_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "feeds.xz"
    path.write_bytes(lzma.compress(b"\n" * ((1 << 20) + 1)))
    with pytest.raises(TraceError, match=r"more than 1048576 lines; cut it .*, or count in the kernel"):
        read_trace(path)


def test_tasks_have_a_limit_and_little_memory() -> None:
    begin = forget_peak()
    with pytest.raises(TraceError, match=r"more than 65536 tasks, .* by name; see whether"):
        parse_trace(calls(100_000, tasks=100_000, functions=100_000))
    assert peak_mib() - begin < MOST_MIB


@pytest.mark.parametrize(("tasks", "functions"), [(1, 65_537), (2000, 2001)])
def test_functions_and_their_table_have_a_limit(tasks: int, functions: int) -> None:
    says = f"{functions} functions called by {tasks} task"
    with pytest.raises(TraceError, match=says):
        parse_trace(calls(functions, tasks=tasks, functions=functions))


def test_lines_that_take_long_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmc.traces.text._MOST_RARE", 1000)
    rare = [line.replace("[000]", "").replace("....", "") for line in calls(1001)]
    assert len(parse_trace(rare[:1000])) == 1000
    with pytest.raises(TraceError, match=r"more than 1000 lines in rare forms.*grep kvm_hvc_arm64"):
        parse_trace(rare)
    assert len(parse_trace(calls(1001))) == 1001


def test_lines_that_are_skipped_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmc.traces.text._MOST_SKIPPED", 1000)
    with pytest.raises(TraceError, match=r"more than 1000 lines that are not understood; see whether"):
        parse_trace(["a\n"] * 3000, lenient=True)


def test_numbers_before_lines_are_no_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmc.traces.text._MOST_NAMES", 100)
    assert len(parse_trace(calls(3000, before="{}:" + " " * 8))) == 3000


def test_a_thread_of_many_names_keeps_them_in_order() -> None:
    named = (line.replace("0/KVM", f"{k}/KVM") for k, line in enumerate(calls(3000)))
    assert parse_trace(named).comm == {1000: tuple(f"CPU {k}/KVM" for k in range(3000))}


def test_a_link_to_itself_is_not_what_was_meant(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to(link)
    with pytest.raises(TraceError) as told:
        read_trace(link)
    assert "did you mean" not in str(told.value)
