"""What files and arguments bring is never obeyed by a terminal: shown escaped, on every way out."""

from __future__ import annotations

import io
import sys
import unicodedata
from pathlib import Path

import pytest

from fastsmc.checks import escaped, shown
from fastsmc.cli import progress, terminal
from tests.support.command import fastsmc
from tests.support.read_samples import fingerprint

RAW = "\x1b]0;owned\x07\x1b[31mred\u202egnp.exe\u2066\ud800\x9b\x7f\r\u200b\ufeff"
TOML = r"\u001b]0;owned\u0007\u001b[31mred\u202egnp.exe"


def test_all_that_a_terminal_obeys_or_does_not_show_is_escaped() -> None:
    told = escaped(RAW)
    assert told.isascii()
    assert told.isprintable()
    assert told.startswith(r"\x1b]0;owned\x07\x1b[31mred\u202egnp.exe\u2066\ud800\x9b\x7f\r")
    assert escaped(told) == told
    assert escaped("größer … µs\ttab\nline → 😀") == "größer … µs\ttab\nline → 😀"


def test_of_all_characters_only_assigned_printable_ones_are_left() -> None:
    for number in range(0x11_0000):
        character = chr(number)
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in (
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
        ):
            assert (escaped(character) != character) == (character not in "\n\t"), hex(number)


def test_a_wrong_value_is_shown_on_one_line_whatever_it_is() -> None:
    for value in (RAW, [RAW], {RAW: 1}, RAW.encode("utf-8", "surrogatepass"), 1 << 20_000, [1 << 20_000], "x" * 10**7):
        told = shown(value)
        assert len(told) <= 61
        assert told.isprintable()
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    assert shown(deep) == "[" * 60 + "…"


def test_streams_are_escaped_and_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with terminal.shown():
        sys.stdout.write(f"{RAW}\n")
        sys.stderr.write(f"{RAW}\n")
        sys.stdout.writelines([RAW])
        with terminal.shown():
            assert isinstance(sys.stdout, terminal.Shown)
            assert not isinstance(sys.stdout.stream, terminal.Shown)
    assert (sys.stdout, sys.stderr) == before
    out, errors = capsys.readouterr()
    assert out == f"{escaped(RAW)}\n{escaped(RAW)}"
    assert errors == f"{escaped(RAW)}\n"


def test_a_stream_of_another_locale_escapes_what_it_has_not() -> None:
    inner = io.BytesIO()
    stream = terminal.Shown(io.TextIOWrapper(inner, "ascii"))
    stream.write("µs … \ud800")
    stream.flush()
    assert inner.getvalue() == rb"\xb5s \u2026 \ud800"


def test_a_closed_stream_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with terminal.shown(), progress.progress("x") as show:
        show("a", 1, 2)
        assert (sys.stdout, sys.stderr, terminal.width()) == (None, None, None)


def test_the_progress_line_shows_a_groups_name_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", terminal.Shown(stream))
    with progress.progress("simulating") as show:
        show(f"[/b]{RAW}", 1, 2)
    assert r"[/b]\x1b]0;owned" in stream.getvalue()
    assert "\x1b]0;owned" not in stream.getvalue()


@pytest.mark.parametrize("columns", ["0", "1", "20", "x"])
def test_no_terminal_is_too_narrow(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    found = terminal.width()
    assert found is not None
    assert found >= 40


def test_names_in_files_are_shown_escaped(tmp_path: Path) -> None:
    path, scenario = tmp_path / "print.json", tmp_path / "s.toml"
    path.write_bytes(fingerprint().replace(b'"kernel_version": "', b'"kernel_version": "\\u001b[31m\\ud800'))
    scenario.write_text(
        f'[[vms]]\nname = "{TOML}"\nvcpus = 1\nworkload = "w"\n[workloads.w]\nkind = "closed"\n'
        'think = { law = "exponential", mean_us = 20 }\nmix = { PTP = 1.0 }\n'
    )
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(f'"{TOML}" = 1\n')
    for arguments in (
        ("migrate", "inspect", path),
        ("migrate", "inspect", "--registers", path),
        ("simulate", scenario, "--calls", "5", "--per-vm", tmp_path / "vms.csv"),
        ("simulate", wrong),
        ("migrate", "downtime", "--vcpus", "4", "--release", RAW[:20]),
    ):
        done = fastsmc(*arguments)
        assert "\x1b" not in done.stdout + done.stderr
        assert r"\x1b" in done.stdout + done.stderr, arguments
        assert "Traceback" not in done.stderr
    assert b"\x1b" not in (tmp_path / "vms.csv").read_bytes()
