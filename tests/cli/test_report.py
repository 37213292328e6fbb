"""`fastsmc report`: what goes where, on a saved run; its figures are empty here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.reporting import page as pages
from tests.support.command import fastsmc
from tests.support.places import ROOT

SAVED = ROOT / "reports" / "scaling" / "data.json"
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(pages, "PAGES", {name: (template, lambda run: []) for name, (template, _) in PAGES.items()})
    return lambda *options: fastsmc("report", "--data", SAVED, *options, cwd=tmp_path)


PAGES = dict(pages.PAGES)


def test_the_verdict_is_printed_and_the_page_named_on_stderr(run: Run, tmp_path: Path) -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "Bytes are little",
        "Ioctls weigh more",
        "What breaks is registers that do not match",
    ]
    page = tmp_path / "build" / "report" / "index.html"
    assert done.stderr == f"wrote build/report/index.html; a browser opens it: {page.as_uri()}\n"
    assert page.is_file()


def test_quiet_prints_nothing_but_the_verdict(run: Run) -> None:
    done = run("-q", "-o", "elsewhere")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 3)


def test_json_is_what_the_library_returns(run: Run, tmp_path: Path) -> None:
    done = run("--json", "-o", "page")
    found = json.loads(done.stdout)
    assert found == smc.report(data=SAVED, out=tmp_path / "page").as_dict() | {"page": "page/index.html"}
    assert {name: number["kind"] for name, number in found["verdict"][1]["numbers"].items()} == {
        "save_ioctls": "modelled",
        "save_low_ms": "assumed",
        "save_high_ms": "assumed",
        "ioctl_low_ns": "assumed",
        "ioctl_high_ns": "assumed",
        "saved_ioctls_share": "modelled",
        "saved_bytes_share": "modelled",
    }


@pytest.mark.usefixtures("run")
def test_markdown_is_the_mail_beside_the_page(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages.sections, "report", lambda run: [])
    done = run("--markdown", "-o", "page")
    assert done.stdout == (tmp_path / "page" / "report.md").read_text("utf-8")
    assert done.stdout.startswith("# What do a VM's registers cost")


def test_two_forms_at_once_are_refused(run: Run) -> None:
    done = run("--json", "-q")
    assert done.returncode == 2
    assert "give one of --json, --markdown and --quiet" in " ".join(done.stderr.split())
