"""What tests of the page share."""

from __future__ import annotations

import pytest

from fastsmc.reporting import page


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty figures, for tests that look at something else: two dozen take seconds to draw."""
    monkeypatch.setattr(page, "to_svg", lambda figure, name: '<svg viewBox="0 0 1 1"></svg>')
    monkeypatch.setattr(page, "to_png", lambda figure: b"\x89PNG")
