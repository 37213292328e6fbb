"""What every command of `fastsmc plan` takes: how a plan is printed and saved, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fastsmc.cli.plan.options import Csv, Json, Markdown, Out, Quiet, show
from fastsmc.errors import ResultFileError
from fastsmc.files.limits import PLAN
from fastsmc.plan.result import Plan
from tests.support.plans import a_plan

app = typer.Typer()


@app.command()
def asked(
    met: str = "yes",
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    plan = a_plan(is_met={"yes": True, "no": False, "unknown": None}[met])
    show(plan, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet)


@pytest.mark.parametrize(("met", "code"), [("yes", 0), ("no", 4), ("unknown", 5)])
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["-q"]])
def test_the_exit_code_is_the_plans_in_every_form(met: str, code: int, form: list[str]) -> None:
    assert CliRunner().invoke(app, ["--met", met, *form]).exit_code == code


def test_each_form_prints_what_the_plan_says() -> None:
    def printed(*options: str) -> str:
        return CliRunner().invoke(app, list(options)).stdout

    plan = a_plan(is_met=True)
    assert printed() == f"{plan}\n"
    assert printed("-q") == f"{plan.answer}\n"
    assert printed("--csv") == plan.to_csv()
    assert printed("--markdown") == plan.to_markdown()
    assert json.loads(printed("--json"))["rows"] == plan.as_dict()["rows"]


@pytest.mark.parametrize("ending", [".json", ".csv", ".md"])
def test_a_file_is_saved_beside_what_is_printed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"plan{ending}"
    done = CliRunner().invoke(app, ["--met", "no", "-q", "-o", str(path)])
    assert (done.exit_code, done.stdout) == (4, f"{a_plan().answer}\n")
    if ending == ".json":
        assert Plan.load(path).compare(a_plan()).is_same
    else:
        assert path.read_text() == (a_plan().to_csv() if ending == ".csv" else a_plan().to_markdown())


def test_forms_that_exclude_each_other_are_a_usage_error() -> None:
    done = CliRunner().invoke(app, ["--json", "--csv"])
    assert done.exit_code == 2
    assert "give one of --json, --csv, --markdown and --quiet" in " ".join(done.output.replace("│", " ").split())


def test_a_file_that_cannot_be_is_refused_before_any_work(tmp_path: Path) -> None:
    wrong = CliRunner().invoke(app, ["--out", str(tmp_path / "plan.txt")])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "ends in .json" in " ".join(wrong.output.replace("│", " ").split())
    done = CliRunner().invoke(app, ["--out", str(tmp_path / "no/plan.csv")])
    assert isinstance(done.exception, ResultFileError)
    assert "cannot be written" in str(done.exception)
    assert done.stdout == ""


def test_a_plan_that_cannot_be_saved_is_printed_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("fastsmc.plan.saving.PLAN", PLAN._replace(most_bytes=10))
    done = CliRunner().invoke(app, ["--out", str(tmp_path / "plan.json")])
    assert isinstance(done.exception, ResultFileError)
    assert done.stdout == f"{a_plan(is_met=True)}\n"
    assert list(tmp_path.iterdir()) == []
