"""Tables as text: nothing is wider than asked for, no number is broken, and nothing is lost on the way."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fastsmc.checks import escaped
from fastsmc.results.headings import cell, heading, kinds_line
from fastsmc.results.layout import NARROWEST, WIDTH, Head, drawn, laid_out_for, number, starred, text, width, words
from fastsmc.results.tables import Column, Table

TABLE = Table(
    "A row per shape.",
    {
        "n_vcpu": Column.of([64, 512], "input"),
        "link_gbit_per_s": Column.of([25.0, 10.0], "input"),
        "payload_bytes": Column.of([28_224, 225_792], "modelled"),
        "downtime_ms": Column.of([0.29214, None], "modelled", unknown=True),
        "is_hypothetical": Column.of([False, True]),
    },
)


def test_a_table_says_what_a_row_is_its_units_and_its_kinds_once() -> None:
    assert str(TABLE).splitlines() == [
        "A row per shape.",
        "vCPUs  link Gbit/s  payload bytes  downtime ms  is hypothetical",
        "   64         25.0         28,224        0.292  no",
        "  512         10.0        225,792      unknown  yes",
        "input: vCPUs, link Gbit/s; modelled: payload bytes, downtime ms",
    ]


def test_headings_are_broken_before_columns_are_moved() -> None:
    with laid_out_for(48):
        assert str(TABLE).splitlines() == [
            "A row per shape.",
            "         link  payload  downtime  is",
            "vCPUs  Gbit/s    bytes        ms  hypothetical",
            "   64    25.0   28,224     0.292  no",
            "  512    10.0  225,792   unknown  yes",
            "input: vCPUs, link Gbit/s; modelled: payload",
            "  bytes, downtime ms",
        ]


def test_columns_that_have_no_room_go_on_below_with_what_names_their_row() -> None:
    heads = [number("vCPUs", names_row=True), words("VMM", names_row=True), number("bytes"), number("ms"), words("why")]
    rows = [(64, "QEMU", 1_490_944, "11.4 to 56.6", "kept"), (512, "crosvm", 91_136, "6.52 to 32.5", "not known")]
    assert drawn(heads, rows, columns=40) == [
        "vCPUs  VMM         bytes            ms",
        "   64  QEMU    1,490,944  11.4 to 56.6",
        "  512  crosvm     91,136  6.52 to 32.5",
        "",
        "vCPUs  VMM     why",
        "   64  QEMU    kept",
        "  512  crosvm  not known",
    ]


def test_the_columns_before_the_first_that_was_found_out_name_the_row() -> None:
    columns = {
        "vm": Column.of(["web-1", "db-1"]),
        "n_vcpu": Column.of([64, 512], "input"),
        "downtime_ms": Column.of([11.4, 452.0], "modelled"),
        "why": Column.of(["it fits the limit", "registers alone take as long"], "modelled"),
        "remedy": Column.of(["", "fewer vCPUs per VM"]),
    }
    assert text(Table("A row per VM.", columns), columns=44).splitlines() == [
        "A row per VM.",
        "              downtime",
        "VM     vCPUs        ms  why",
        "web-1     64      11.4  it fits the limit",
        "db-1     512       452  registers alone take",
        "                        as long",
        "",
        "VM     vCPUs  remedy",
        "web-1     64",
        "db-1     512  fewer vCPUs per VM",
        "input: vCPUs; modelled: downtime ms, why",
    ]
    some = {name: columns[name] for name in ("vm", "n_vcpu")}
    assert text(Table("", some), columns=80).splitlines()[0] == "VM     vCPUs"


def test_a_text_goes_on_below_and_a_line_stands_between_rows() -> None:
    rows = ["all of QEMU:", ("saving, wire and loading at once", 17.023), ("pause", None)]
    assert drawn([words("step"), number("ms")], rows, columns=28, indent="  ") == [
        "  step                    ms",
        "  all of QEMU:",
        "  saving, wire and      17.0",
        "  loading at once",
        "  pause",
    ]


def test_whole_numbers_of_a_column_are_grouped_alike() -> None:
    assert drawn([number("a"), number("b")], [(1024, 1024), (99, 225_792)]) == [
        "   a        b",
        "1024    1,024",
        "  99  225,792",
    ]
    assert starred([64, 128], [False, False]) == ["64", "128"]
    assert starred([64, 225_792], [False, True]) == ["64 ", "225,792*"]


def test_more_rows_than_are_shown_are_counted() -> None:
    many = Table("A row per VM.", {"vm": Column.of(np.arange(1000), "input")})
    lines = str(many).splitlines()
    assert lines[-3:] == ["59", "and 940 more rows", "all columns: input"]
    assert len(text(many, most=None).splitlines()) == 1003
    none = Table("A row per VM.", {"vm": Column.of(np.zeros(0, np.int64), "input")})
    assert str(none).splitlines() == ["A row per VM.", "VM", "no rows", "all columns: input"]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
CELLS = st.one_of(st.none(), st.integers(-(10**12), 10**12), st.floats(-1e9, 1e9, allow_nan=False), st.booleans())


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Head], list[list[Any]]]:
    are_numbers = draw(st.lists(st.booleans(), min_size=1, max_size=8))
    titles = st.text("abc DEF ms", min_size=1, max_size=24).map(str.strip).filter(bool)
    heads = [Head(draw(titles), is_number, draw(st.booleans())) for is_number in are_numbers]
    rows = draw(
        st.lists(st.tuples(*(CELLS if is_number else TEXTS for is_number in are_numbers)).map(list), max_size=5)
    )
    return heads, rows


@given(tables(), st.integers(NARROWEST, 160))
def test_no_line_is_too_wide_and_no_number_is_broken_or_lost(
    table: tuple[list[Head], list[list[Any]]], columns: int
) -> None:
    heads, rows = table
    lines = drawn(heads, rows, columns=columns)
    assert [line for line in lines if line != line.rstrip() or escaped(line) != line or "\n" in line] == []
    # One word of 24 letters beside what names the row has room in 60 columns; a narrower one may have to give way.
    assert all(cell_len(line) <= max(columns, 76) for line in lines)
    printed = "\n".join(lines).replace(",", "")
    for row in rows:
        for head, value in zip(heads, row, strict=True):
            if head.is_number and value is not None:
                told = cell(value).replace(",", "")
                assert re.search(rf"(?:^|\s){re.escape(told)}(?:$|\s)", printed), told


@given(tables(), st.integers(NARROWEST, 160))
def test_no_letter_of_a_text_is_lost(table: tuple[list[Head], list[list[Any]]], columns: int) -> None:
    heads, rows = table
    for k, head in enumerate(heads):
        if not head.is_number:
            lines = drawn([head], [[row[k]] for row in rows], columns=columns)
            told = "".join(cell(row[k]) for row in rows)
            below = "".join(lines).removeprefix(head.title)
            assert "".join(below.split()) == "".join(told.split())


def test_letters_that_take_two_columns_are_counted_as_two() -> None:
    lines = drawn([words("name"), number("ms")], [("漢字", 1), ("abcdef", 2)])
    assert [cell_len(line) for line in lines] == [10, 10, 10]
    folded = drawn([words("name"), number("ms")], [("漢字" * 30, 1)], columns=40)
    assert max(map(cell_len, folded)) <= 40


def test_what_a_terminal_would_obey_is_shown() -> None:
    lines = drawn([words("name")], [("\x1b[31mred\r\u202e\n",)])
    assert lines == ["name", r"\x1b[31mred\r\u202e\n"]
    assert drawn([number("\x1b[31m"), number("b")], ["\x9b\n", (1, 2)]) == [r"\x1b[31m  b", r"\x9b\n", "       1  2"]


def test_the_width_is_100_or_what_is_said() -> None:
    assert width() == WIDTH == 100
    with laid_out_for(140):
        assert width() == 140
        with laid_out_for(3):
            assert width() == NARROWEST
        assert width() == 140
    assert width() == WIDTH


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("n_vcpu", "vCPUs"),
        ("n_vm", "VMs"),
        ("n_forwarded", "forwarded"),
        ("payload_bytes", "payload bytes"),
        ("link_gbit_per_s", "link Gbit/s"),
        ("calls_per_s", "calls/s"),
        ("share_percent", "share %"),
        ("memory_gib", "memory GiB"),
        ("rtt_us", "rtt us"),
        ("n", "n"),
        ("\x1b[31m", "\\x1b[31m"),
    ],
)
def test_a_heading_ends_in_its_unit(name: str, shown: str) -> None:
    assert heading(name) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (9999, "9999"), (10_000, "10,000"), (-225_792, "-225,792"), (0.0, "0"), (-0.0, "0"), (7.0351, "7.04"),
        (-7.0351, "-7.04"), (12_345.6, "12,346"), (1e-7, "1.00e-07"), (-1e-7, "-1.00e-07"), (None, "unknown"),
        (True, "yes"), (False, "no"), ("a\tb", "a\\tb"),
    ],
)  # fmt: skip
def test_a_value_has_three_digits_or_all_before_the_point(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_columns_without_a_kind_are_left_out_of_the_line() -> None:
    assert kinds_line(Table("", {"a": Column.of([1], "input"), "b": Column.of(["x"])})) == "input: a"
    assert kinds_line(Table("", {"b": Column.of(["x"])})) == ""
