"""What tests of the page share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsmc.reporting import page
from fastsmc.results.files import load
from fastsmc.results.runs import Run
from tests.support.shared import made_once
from tests.support.small_report import measured


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty figures, for tests that look at something else: two dozen take seconds to draw."""
    monkeypatch.setattr(page, "to_svg", lambda figure, name: '<svg viewBox="0 0 1 1"></svg>')
    monkeypatch.setattr(page, "to_png", lambda figure: b"\x89PNG")


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "page-run", measured) / "data.json"


@pytest.fixture(scope="session")
def run(saved: Path) -> Run:
    return load(saved)
