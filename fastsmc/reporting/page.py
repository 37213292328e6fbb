"""The page: a lead that answers the origin's question, figures with captions and tables, the data and its columns."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fastsmc.checks import escaped
from fastsmc.errors import ResultFileError
from fastsmc.reporting import agree, heatmap, needs, sets, study, timing, trace
from fastsmc.reporting.lead import lead
from fastsmc.reporting.style import Picture, of_drawn, to_png, to_svg
from fastsmc.results.csv_rows import csv_text
from fastsmc.results.export import to_csv
from fastsmc.results.files import to_json, write_files
from fastsmc.results.runs import Run
from fastsmc.results.tables import KINDS

PAGE, DATA = "index.html", "data.json"


def write(run: Run, folder: Path) -> Path:
    """Write the page, its figures as SVG and PNG, and the data they are drawn from.

    Args:
        run: what scaling.run returns, measured now or loaded from a file.
        folder: made if missing; files of an earlier report are replaced, all of them or none.

    Returns:
        The page, which needs none of the other files to be read.

    Raises:
        ResultFileError: the folder cannot be written, or the run lacks a table or a column, or holds what cannot be
            drawn.
    """
    needs.check(run)
    agree.check(run)
    if "columns" in run.tables:
        msg = "table columns: columns.csv is the list of all columns, so no table may have that name"
        raise ResultFileError(msg)
    shown = of_drawn(run)
    pictures = [
        heatmap.picture(shown),
        sets.bytes_picture(shown),
        sets.ioctls_picture(shown),
        timing.dispatch_picture(shown),
        trace.picture(shown),
        timing.latency_picture(shown),
        *study.pictures(shown),
    ]
    svgs = {picture.name: to_svg(picture.figure, picture.name) for picture in pictures}
    texts = {f"{name}.svg": svg for name, svg in svgs.items()}
    texts |= {f"{name}.csv": to_csv(table) for name, table in run.tables.items()}
    texts |= {DATA: to_json(run), "columns.csv": columns_csv(run), PAGE: render(run, pictures, svgs)}
    content = {name: escaped(text).encode() for name, text in texts.items()}
    content |= {f"{picture.name}.png": to_png(picture.figure) for picture in pictures}
    write_files(Path(folder), content)
    return Path(folder) / PAGE


def columns_csv(run: Run) -> str:
    """What every column of every table is: its kind and its meaning."""
    columns = [(name, key, column) for name, table in run.tables.items() for key, column in table.columns.items()]
    rows = ((name, key, column.kind, column.meaning) for name, key, column in columns)
    return csv_text(("table", "column", "kind", "meaning"), rows)


def render(run: Run, pictures: list[Picture], svgs: dict[str, str]) -> str:
    """The page's HTML."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string((files("fastsmc.reporting") / "page.html.j2").read_text(encoding="utf-8"))
    inline = {p.name: Markup(_inline(svgs[p.name], p)) for p in pictures}
    return template.render(
        lead=lead(run),
        pictures=pictures,
        study_intro=study.intro(run),
        study_first=next((picture.name for picture in pictures if picture.takeaway), ""),
        is_number={picture.name: _is_number(picture) for picture in pictures},
        svgs=inline,
        tables=run.tables,
        limits=run["limits"],
        kinds=KINDS,
        provenance=_provenance(run),
    )


def _inline(svg: str, picture: Picture) -> str:
    """An SVG as an element of the page: sized by it, named for those who do not see it, no style of its own."""
    head, rest = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    rest = re.sub(r"<style[^>]*>.*?</style>", "", rest, count=1, flags=re.DOTALL)
    return f'<svg {box[0] if box else ""} role="img" aria-labelledby="title-{picture.name}">{rest}'


def _is_number(picture: Picture) -> list[bool]:
    """Which columns of a picture's table hold numbers, and are set flush right."""
    columns = list(zip(*picture.rows, strict=True))
    return [column is not columns[0] and all(cell[:1].isdigit() for cell in column) for column in columns]


def _provenance(run: Run) -> list[tuple[str, str]]:
    labels = {"n_core": "cores", "date_utc": "date (UTC)", "cpu": "CPU"}
    rows: list[tuple[str, str]] = []
    for key in run.provenance.__slots__:
        value: Any = getattr(run.provenance, key)
        if key != "inputs":
            rows.append((labels.get(key, key), str(value)))
            continue
        texts = ((name, item if isinstance(item, str) else json.dumps(item)) for name, item in value.items())
        rows += [(f"input: {name}", text) for name, text in texts]
    return rows
