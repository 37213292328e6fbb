"""The notebook runs from its first cell to its last, and prints what is committed in it."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest

from tests.support.places import ROOT

NOTEBOOK = ROOT / "examples" / "fleet_upgrade.ipynb"


@pytest.mark.soak("the notebook, cell by cell, as a reader would run it")
def test_each_cell_prints_what_stands_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    space: dict[str, Any] = {}
    n_output = 0
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), cell["id"], "exec"), space)
        assert printed.getvalue() == "".join("".join(output["text"]) for output in cell["outputs"])
        n_output += len(printed.getvalue())
    assert n_output > 500
