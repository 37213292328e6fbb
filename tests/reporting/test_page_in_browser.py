"""The report's pages in headless Chromium: widths, light and dark, on paper, for all readers, and without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from tests.support.places import ROOT
from tests.support.shared import made_once

SAVED = ROOT / "reports" / "scaling" / "data.json"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDTHS = {390: 844, 800: 800, 1280: 800}
"""Widths of a window in CSS pixels, and the heights that go with them."""
PAGES = ("index.html", "load.html", "simulator.html")
LEAST_TEXT_PX = 9

pytestmark = pytest.mark.soak("the pages in headless Chromium; make test reads them as text")

TEXT_SIZES = """() => [...document.querySelectorAll('figure svg text')].flatMap(text => {
    const to_screen = text.getScreenCTM();
    if (!to_screen || !text.textContent.trim() || !text.getClientRects().length) return [];
    return [parseFloat(getComputedStyle(text).fontSize) * Math.hypot(to_screen.a, to_screen.b)];
})"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT = """() => [...document.querySelectorAll('figure svg')].flatMap(svg => {
    const box = svg.getBoundingClientRect();
    return box.width ? [...svg.querySelectorAll('text')].filter(text => {
        const own = text.getBoundingClientRect();
        return own.width && (own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1);
    }).map(text => text.textContent) : [];
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the committed run, drawn."""
    return made_once(tmp_path_factory, "browser-page", lambda made: smc.report(data=SAVED, out=made / "page")) / "page"


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Any]:
    """Chromium, once the pages are drawn."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make soak installs it")
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with driver.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Any]:
    """A function that opens a page in a window of some width, light or dark, and the complaints heard since."""
    contexts, heard = [], []

    def opens(name: str, width: int, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url) if request.url != address else None)
        address = (folder / name).as_uri()
        page.goto(address)
        return page

    yield opens
    for context in contexts:
        context.close()
    assert heard == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_small_or_out_of_reach(opened: Any, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe()
    for name in PAGES if scheme == "light" else PAGES[:1]:  # the others have the same style
        page = opened(name, width, scheme)
        assert page.evaluate(SIDEWAYS) <= 0, f"{name} scrolls sideways as a whole"
        sizes = page.evaluate(TEXT_SIZES)
        assert len(sizes) > 20
        assert min(sizes) >= LEAST_TEXT_PX, name
        assert page.evaluate(CUT) == [], f"{name}: text beyond its figure"
        found = axe.run(page).response["violations"]
        told = json.dumps([(one["id"], [node["html"][:100] for node in one["nodes"]]) for one in found], indent=1)
        assert found == [], f"{name}: {told}"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_screen_holds_the_verdict(opened: Any, width: int) -> None:
    page = opened("index.html", width)
    box = page.locator("#verdict").bounding_box()
    assert box["y"] > 0
    assert box["y"] + box["height"] <= WIDTHS[width]
    assert page.locator("#verdict li").count() == 3
    assert page.locator("#about").bounding_box()["y"] < WIDTHS[width]


def test_figures_are_dark_on_a_dark_page(opened: Any) -> None:
    paper = """() => [...document.querySelectorAll('figure svg > g > g:first-of-type path')].map(path =>
        [getComputedStyle(path).fill, getComputedStyle(document.body).backgroundColor])"""
    for scheme in ("light", "dark"):
        for fill, background in opened("index.html", 1280, scheme).evaluate(paper):
            assert fill == background, scheme


def test_paper_has_every_table_and_each_figure_once(opened: Any) -> None:
    """What is folded away on a screen is open on paper."""
    page = opened("index.html", 1280)
    folded = "() => [...document.querySelectorAll('details table')].map(table => table.checkVisibility())"
    assert set(page.evaluate(folded)) == {False}
    page.emulate_media(media="print")
    assert set(page.evaluate(folded)) == {True}
    shown = "() => [...document.querySelectorAll('figure svg')].filter(svg => svg.checkVisibility()).length"
    assert page.evaluate(shown) == page.locator("figure").count()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_table_that_scrolls_can_be_scrolled_with_the_keyboard(opened: Any) -> None:
    page = opened("index.html", 390)
    table = page.locator("#title-failures ~ .scroll")
    assert table.evaluate("one => one.scrollWidth > one.clientWidth")
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    assert "gradient" in table.evaluate("one => getComputedStyle(one).backgroundImage")
