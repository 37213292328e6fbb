"""`fastsmc releases`: what it prints, and its exit codes."""

from __future__ import annotations

import json

import fastsmc as smc
from tests.support.command import fastsmc


def test_each_option_shows_its_table_and_json_has_all() -> None:
    for option in ("vendors", "vmms", "features"):
        found = smc.releases(what=option)
        assert fastsmc("releases", f"--{option}", "--csv").stdout == found.table.to_csv()
        assert fastsmc("releases", f"--{option}").stdout.splitlines()[0] == found.answer
    assert json.loads(fastsmc("releases", "--json").stdout) == smc.releases().as_dict()


def test_two_tables_at_once_are_a_usage_error() -> None:
    done = fastsmc("releases", "--vmms", "--features")
    assert (done.returncode, done.stdout) == (2, "")
