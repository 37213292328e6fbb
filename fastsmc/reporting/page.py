"""The pages: the report, calls under load and the simulator's speed; their figures, their data, and Markdown."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fastsmc.checks import escaped
from fastsmc.errors import ResultFileError
from fastsmc.reporting import agree, forms, needs, noise, sections
from fastsmc.reporting.markdown import markdown as as_markdown
from fastsmc.reporting.sections import Section
from fastsmc.reporting.style import SMALL, Picture, of_drawn, to_inline, to_png, to_svg
from fastsmc.reporting.verdict import verdict
from fastsmc.results.csv_rows import csv_text
from fastsmc.results.export import to_csv
from fastsmc.results.files import to_json, write_files
from fastsmc.results.runs import Run
from fastsmc.results.tables import KINDS
from fastsmc.results.units import in_si

PAGE, DATA, MAIL = "index.html", "data.json", "report.md"
PAGES = {
    PAGE: ("report.html.j2", sections.report),
    "load.html": ("more.html.j2", sections.load),
    "simulator.html": ("more.html.j2", sections.simulator),
}
"""Each page's file, its template, and what stands on it."""
TITLES = {"load.html": "Calls under load: locks and boots", "simulator.html": "How fast the simulator is"}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A page's figures, each wide and small, as elements of it."""

    wide: dict[str, str]
    small: dict[str, str]

    def both(self, name: str) -> list[tuple[str, Markup]]:
        """The forms of a figure, each with the class that says where it is shown."""
        return [("wide", Markup(self.wide[name])), ("small", Markup(self.small[name]))]

    def colours(self, *, is_dark: bool) -> Markup:
        """CSS that defines the colours of all of them."""
        return Markup(forms.colours([*self.wide.values(), *self.small.values()], is_dark=is_dark))


def write(run: Run, folder: Path) -> Path:
    """Write the pages, their figures as SVG and PNG, the report as Markdown, and the data that all is drawn from.

    Args:
        run: what scaling.run returns, measured now or loaded from a file.
        folder: made if missing; files of an earlier report are replaced, all of them or none.

    Returns:
        The report's page, which needs none of the other files to be read.

    Raises:
        ResultFileError: the folder cannot be written, or the run lacks a table or a column, or holds what cannot be
            drawn.
    """
    check(run)
    if "columns" in run.tables:
        msg = "table columns: columns.csv is the list of all columns, so no table may have that name"
        raise ResultFileError(msg)
    shown, texts = of_drawn(run), {DATA: to_json(run), "columns.csv": columns_csv(run)}
    content: dict[str, bytes] = {}
    with _what_is_there_stays():
        for page, (template, stands) in PAGES.items():
            parts = stands(shown)
            pictures = [picture for part in parts for picture in part.pictures]
            svgs = {picture.name: to_svg(picture.figure, picture.name) for picture in pictures}
            drawn = _draw(pictures, svgs, [picture for part in _small(stands, shown) for picture in part.pictures])
            texts[page] = render(run, page, template, parts, drawn)
            texts |= {f"{name}.svg": svg for name, svg in svgs.items()}
            content |= {f"{picture.name}.png": to_png(picture.figure) for picture in pictures}
            if page == PAGE:
                texts[MAIL] = as_markdown(verdict(run), parts, noise.told(run))
    texts |= {f"{name}.csv": to_csv(table) for name, table in run.tables.items()}
    content |= {name: escaped(text).encode() for name, text in texts.items()}
    write_files(Path(folder), content)
    return Path(folder) / PAGE


@contextmanager
def _what_is_there_stays() -> Iterator[None]:
    """Within it the garbage collector passes over what was there before, Numba above all: figures call it often."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def check(run: Run) -> None:
    """Whether the run can be drawn.

    Raises:
        ResultFileError: a table or a column is missing, or holds what cannot be.
    """
    needs.check(run)
    agree.check(run)


def markdown(run: Run) -> str:
    """The report as Markdown, for a mail.

    Raises:
        ResultFileError: as `check` says.
    """
    check(run)
    return escaped(as_markdown(verdict(run), sections.report(of_drawn(run)), noise.told(run)))


def columns_csv(run: Run) -> str:
    """What every column of every table is: its kind and its meaning."""
    columns = [(name, key, column) for name, table in run.tables.items() for key, column in table.columns.items()]
    rows = ((name, key, column.kind, column.meaning) for name, key, column in columns)
    return csv_text(("table", "column", "kind", "meaning"), rows)


def render(run: Run, page: str, template: str, parts: Sequence[Section], drawn: _Drawn) -> str:
    """A page's HTML."""
    return (
        _environment()
        .get_template(template)
        .render(
            heading=TITLES.get(page, sections.HEADING),
            about=sections.ABOUT,
            verdict=[(one.claim, _marked(one.text)) for one in verdict(run)],
            sections=parts,
            drawn=drawn,
            is_number=_is_number,
            tables=run.tables,
            limits=_limits(run),
            kinds=KINDS,
            noise=noise.told(run),
            is_noisy=noise.is_noisy(run),
            provenance=_provenance(run),
        )
    )


@cache
def _environment() -> Environment:
    """Of all pages, so that each template is compiled once."""
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(lambda name: (files("fastsmc.reporting") / "templates" / name).read_text("utf-8")),
    )


def _small(stands: Any, run: Run) -> list[Section]:
    with forms.small_form():
        parts: list[Section] = stands(run)
        return parts


def _draw(wide: Sequence[Picture], svgs: dict[str, str], small: Sequence[Picture]) -> _Drawn:
    names = {picture.name: picture.name + SMALL for picture in small}
    return _Drawn(
        {picture.name: to_inline(svgs[picture.name], picture.figure, picture.name) for picture in wide},
        {
            picture.name: to_inline(to_svg(picture.figure, name), picture.figure, name)
            for picture, name in zip(small, names.values(), strict=True)
        },
    )


def _marked(text: str) -> Markup:
    """A sentence with a badge in place of each word in brackets that says how a number came about."""
    html = Markup.escape(text)
    for kind in KINDS:
        html = html.replace(f"({kind})", Markup('<span class="kind">{}</span>').format(kind))
    return Markup(html)


_MOST_OF_NUMBER = 24
"""Characters: "8.39 MB (8,388,608)"."""


def _is_number(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns of a table hold numbers, and are set flush right."""
    columns = list(zip(*rows, strict=True))
    return [
        at > 0 and all(cell[:1].isdigit() and len(cell) <= _MOST_OF_NUMBER for cell in column)
        for at, column in enumerate(columns)
    ]


def _limits(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = [
        (row["limit"], f"{row['value']:,.10g}", row["unit"], row["obtained"], in_si(row["source"]))
        for row in run["limits"].rows()
    ]
    return ("what", "value", "unit", "how it was obtained", "source"), rows


def _provenance(run: Run) -> list[tuple[str, str]]:
    """Versions, machine, seed and what was chosen; the sizes of the job are in data.json."""
    labels = {"n_core": "cores", "date_utc": "date (UTC)", "cpu": "CPU"}
    rows = [
        (labels.get(key, key), str(getattr(run.provenance, key))) for key in run.provenance.__slots__ if key != "inputs"
    ]
    told = ((name, run.provenance.inputs.get(name)) for name in ("trace", "host"))
    return [*rows, *((name, text) for name, text in told if isinstance(text, str))]
