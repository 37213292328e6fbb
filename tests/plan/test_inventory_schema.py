"""The schema of an inventory: as published, as documented, and of one mind with the rules on columns."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.plan.inventory import schema
from fastsmc.plan.inventory.columns import HOSTS, TABLES, VMS, Spec
from fastsmc.plan.inventory.inventory import Inventory
from tests.support.places import ROOT

PAGE = ROOT / "docs" / "planning" / "inventory.md"
FILE = ROOT / "docs" / "planning" / "inventory.schema.json"


def test_the_published_schema_is_that_of_the_models() -> None:
    assert FILE.read_text("utf-8") == json.dumps(Inventory.schema(), indent=1) + "\n", (
        "python -c 'import json, fastsmc.plan as plan; print(json.dumps(plan.Inventory.schema(), indent=1))'"
    )


def row(name: str, spec: Spec) -> str:
    empty = (
        "needed"
        if spec.is_needed
        else "stands for itself"
        if name in ("state", "moves", "pool", "apart")
        else "unknown"
    )
    return f"| `{name}` | {spec.type} | {spec.unit} | {spec.meaning} | {empty} |"


@pytest.mark.parametrize("table", TABLES)
def test_the_page_has_the_columns_with_their_meaning_and_unit(table: str) -> None:
    heading = {"hosts": "## Hosts", "vms": "## VMs"}[table]
    section = PAGE.read_text("utf-8").partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [row(name, spec) for name, spec in TABLES[table].items()]


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["", "a", "no", "down", "gone"]),
    "count": st.sampled_from([1, 4, 512, 513, 99_999, 1_000_000, -1]),
    "number": st.sampled_from([0.0, 0.5, 10.0, -1.0, 5e4, 1e12, float("inf")]),
}


@given(st.data(), st.sampled_from(sorted(TABLES)))
@settings(deadline=None, max_examples=300)
def test_a_row_is_fine_to_the_models_where_the_rules_find_nothing_wrong(data: st.DataObject, table: str) -> None:
    host, vm, _ = schema.models()
    texts = ("kernel", "vmm", "features", "host", "profile")  # judged by more than their form
    one = {
        name: data.draw(VALUES[spec.type])
        for name, spec in TABLES[table].items()
        if name not in texts or spec.is_needed
    }
    try:
        (host if table == "hosts" else vm)(**one)
        is_fine = True
    except pydantic.ValidationError:
        is_fine = False
    columns = {name: [value] for name, value in one.items()}
    hosts = columns if table == "hosts" else {"name": ["h"]}
    vms = columns if table == "vms" else {"name": [], "host": [], "vcpus": []}
    found = Inventory.of(hosts=hosts, vms=vms).problems()
    wrong = [p for p in found if p.file == table and p.severity == "wrong" and p.what != "no host has that name"]
    assert is_fine == (not wrong)


def test_models_take_what_columns_take_and_nothing_else() -> None:
    host, vm, whole = schema.models()
    assert set(host.model_fields) == set(HOSTS)
    assert set(vm.model_fields) == set(VMS)
    assert whole(hosts=[{"name": "h"}], vms=[{"name": "a", "host": "h", "vcpus": 4}])
    for wrong in ({"vcpus": "4"}, {"vcpu": 4}, {"memory_gib": float("nan")}):
        with pytest.raises(pydantic.ValidationError):
            vm(**{"name": "a", "host": "h", "vcpus": 4, **wrong})


def test_without_pydantic_the_schema_is_one_sentence() -> None:
    schema.models.cache_clear()
    with (
        mock.patch.dict("sys.modules", {"pydantic": None}),
        pytest.raises(InputError, match=r"the schema needs pydantic: install fastsmc\[schema\]"),
    ):
        Inventory.schema()
