"""`fastsmc compare`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastsmc as smc
from tests.support.command import fastsmc
from tests.support.places import TESTS

STREAM, OTHER = TESTS / "streams" / "cortex-a57-2.bin.xz", TESTS / "streams" / "max-1.bin.xz"


def bench(path: Path, factor: float) -> Path:
    rounds = [factor * (1 + 0.01 * k) for k in range(9)]
    case = {"ns_per_call": rounds[4], "rounds_ns": rounds}
    path.write_text(json.dumps({"schema": 1, "environment": {}, "cases": {"verdicts": case}}), encoding="utf-8")
    return path


def test_the_answer_stands_first_and_the_figures_below(tmp_path: Path) -> None:
    done = fastsmc("compare", bench(tmp_path / "a.json", 1.0), bench(tmp_path / "b.json", 1.5))
    assert done.returncode == 0
    answer = (
        f"{tmp_path}/b.json against {tmp_path}/a.json, 1 figure (measured): 1 higher; the most, verdicts call_ns 1.5x"
    )
    assert done.stdout.splitlines()[0].startswith(answer)
    quiet = fastsmc("compare", tmp_path / "a.json", tmp_path / "b.json", "--quiet")
    assert quiet.stdout == done.stdout.splitlines()[0] + "\n"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("call > +5%", 4, "call_percent is 50"),
        ("call_ns > +5%", 2, "no number call_ns here"),
        ("change >= 50%", 4, "change_percent is 50"),
        ("call > +60%", 0, ""),
        ("call > 1ms", 2, "not in ms"),
    ],
)
def test_a_threshold_of_a_ratio_ends_with_its_exit_code(text: str, code: int, said: str, tmp_path: Path) -> None:
    done = fastsmc("compare", bench(tmp_path / "a.json", 1.0), bench(tmp_path / "b.json", 1.5), "--fail-if", text)
    assert done.returncode == code
    assert said in done.stderr


def test_a_threshold_of_what_comes_from_nothing_holds(tmp_path: Path) -> None:
    a, b = bench(tmp_path / "a.json", 0.0), bench(tmp_path / "b.json", 1.5)
    done = fastsmc("compare", a, b, "--fail-if", "call > 5%")
    assert (done.returncode, "inf" in done.stderr) == (4, True)


def test_json_csv_and_markdown_are_those_of_the_library(tmp_path: Path) -> None:
    found = smc.compare(STREAM, OTHER)
    done = fastsmc("compare", STREAM, OTHER, "--json", "-o", tmp_path / "d.md")
    assert json.loads(done.stdout) == found.as_dict()
    assert done.stderr == f"wrote {tmp_path / 'd.md'}\n"
    assert (tmp_path / "d.md").read_text(encoding="utf-8") == found.to_markdown()
    assert fastsmc("compare", STREAM, OTHER, "--csv").stdout == found.to_csv()


def test_two_kinds_are_one_sentence_and_one_file_is_usage(tmp_path: Path) -> None:
    done = fastsmc("compare", bench(tmp_path / "a.json", 1.0), STREAM)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "of kind benchmark" in done.stderr
    assert fastsmc("compare", STREAM).returncode == 2
