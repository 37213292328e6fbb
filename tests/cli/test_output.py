"""What every command prints, in every form and at every width; thresholds and colour."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fastsmc.cli import terminal
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Out, Quiet, show
from fastsmc.errors import CheckError, UnknownError
from tests.cli.test_command_lines import BASE, OWN_FORMS, line
from tests.support.command import fastsmc
from tests.support.places import TESTS
from tests.support.plans import a_plan


@pytest.mark.parametrize("name", [name for name in BASE if name not in OWN_FORMS])
def test_every_form_of_a_result_can_be_printed_and_saved(name: str, tmp_path: Path) -> None:
    def printed(option: str) -> str:
        done = fastsmc(*line(name, {option: None}), "--out", f"{option.strip('-')}.{ENDINGS[option]}", cwd=tmp_path)
        assert done.returncode in (0, 4, 5), done.stderr
        assert f"wrote {option.strip('-')}.{ENDINGS[option]}\n" in done.stderr
        return done.stdout

    (answer,) = printed("--quiet").splitlines()
    assert answer
    table = printed("--csv")
    rows = list(csv.reader(io.StringIO(table)))
    assert rows
    assert len({len(row) for row in rows}) == 1
    markdown = printed("--markdown")
    assert "| " in markdown
    assert (tmp_path / "csv.csv").read_text() == table
    assert (tmp_path / "markdown.md").read_text() == markdown
    assert json.loads((tmp_path / "quiet.json").read_text())


LONG = {"report"}
"""It measures for a minute; tests/cli/test_report.py runs it on a saved run."""
ENDINGS = {"--quiet": "json", "--csv": "csv", "--markdown": "md"}


@pytest.mark.parametrize("name", [name for name in BASE if name not in LONG])
def test_at_80_columns_the_answer_is_first_and_no_number_is_broken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(columns: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(terminal, "width", lambda: columns)
        return fastsmc(*line(name, {})).stdout.splitlines()

    narrow, wide = shown(80), shown(400)
    answer = fastsmc(*line(name, {"--quiet": None})).stdout
    if name == "bench":  # it measures anew
        narrow, wide, answer = [re.sub(r"[\d.]+", "", text) for text in narrow], [], re.sub(r"[\d.]+", "", answer)
    if name != "explain":
        beginning = re.sub(r"\s", "", answer)[:60]
        assert beginning in re.sub(r"\s", "", "".join(narrow[:12]))
    assert {number for text in narrow for number in NUMBER.findall(text)} <= {
        number for text in wide for number in NUMBER.findall(text)
    }
    long = [text for text in narrow if len(text) > 80 and not text.startswith(("    -", "    |", "      -"))]
    assert [text for text in long if max(map(len, text.split())) < 60] == []


NUMBER = re.compile(r"(?<![\w.,])\d[\d,.]*\d(?![\w.,])")


app = typer.Typer()


@app.command()
def asked(
    met: str = "yes",
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    plan = a_plan(is_met={"yes": True, "no": False, "unknown": None}[met])
    show(plan, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)


@pytest.mark.parametrize(
    ("options", "error", "code"),
    [
        (["--fail-if", "downtime > 500ms"], None, 0),
        (["--fail-if", "downtime > 294ms"], CheckError, 4),
        (["--fail-if", "downtime > 500ms", "--fail-if", "n_vcpu < 391"], CheckError, 4),
        (["--fail-if", "perhaps > 1s"], UnknownError, 5),
        (["--fail-if", "perhaps > 1s", "--fail-if", "downtime_ms > 1"], CheckError, 4),
        (["--met", "no", "--fail-if", "downtime > 500ms"], None, 4),
        (["--met", "no", "--fail-if", "perhaps > 1s"], CheckError, 4),
        (["--met", "unknown", "--fail-if", "downtime > 500ms"], None, 5),
        (["--met", "unknown", "--fail-if", "downtime > 294ms"], CheckError, 4),
        (["--fail-if", "downtime > 1s parsec"], None, 2),
        (["--fail-if", "uptime > 1s"], None, 2),
    ],
)
def test_a_threshold_ends_with_4_and_what_it_cannot_know_with_5(
    options: list[str], error: type[Exception] | None, code: int
) -> None:
    done = CliRunner().invoke(app, options)
    if error is None:
        assert done.exit_code == code
    else:
        assert type(done.exception) is error
        assert error.exit_code == code  # type: ignore[attr-defined]
    if code != 2:
        assert done.stdout.startswith(a_plan().answer)


def test_the_sentence_of_a_threshold_names_the_number() -> None:
    done = fastsmc("migrate", "downtime", "--vcpus", "512", "--registers", "182", "-q", "--fail-if", "downtime > 0.3s")
    assert done.returncode == 4
    assert re.fullmatch(r"fastsmc: downtime > 0.3s holds: downtime_ms is 391\.\d+\n", done.stderr)
    done = fastsmc("trace", "sample:boot.ftrace.txt", "-q", "--fail-if", "calls > 40", "--fail-if", "percent < 0.5%")
    assert (done.returncode, done.stderr) == (4, "fastsmc: calls > 40 holds: calls is 41, 1 of 16\n")


def coloured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = fastsmc("migrate", "check", "6.18", "6.12", "--out", tmp_path / "a.md")
    assert "\x1b" not in (tmp_path / "a.md").read_text()
    assert "\x1b" not in done.stderr
    return done.stdout


def test_colour_is_for_terminals_and_can_be_forced_or_forbidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = coloured(monkeypatch, tmp_path)
    assert "\x1b" not in plain
    forced = coloured(monkeypatch, tmp_path, FORCE_COLOR="1")
    assert forced.startswith("\x1b[1m6.18 to 6.12 fails")
    assert "\x1b[31mFAILS\x1b[0m" in forced
    assert "\x1b[32mRESTORES\x1b[0m" in forced
    assert re.sub(r"\x1b\[\d*m", "", forced) == plain
    assert coloured(monkeypatch, tmp_path, FORCE_COLOR="1", NO_COLOR="1") == plain
    assert coloured(monkeypatch, tmp_path, FORCE_COLOR="0") == plain


def test_what_a_file_holds_is_never_a_colour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    path = tmp_path / "\x1b[31mred FAILS.txt"
    path.write_bytes((TESTS / "streams" / "max-1.bin.xz").read_bytes())
    told = fastsmc("migrate", "inspect", path).stdout
    assert r"\x1b[31mred" in told
    assert "\x1b[31mred" not in told
