"""Values put into a scenario's table by the paths that its messages show."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.scenario.overrides import path_of, put
from fastsmc.scenario.problems import shown

TABLE: dict[str, Any] = {
    "vms": [{"vcpus": 4, "filter": [{"base": "PTP"}, {"base": "TRNG_RND64"}], "workload": "a.b"}],
    "workloads": {"a.b": {"kind": "closed", "think": {"mean_us": 20}}, "c[0]": {"kind": "open"}},
}

plain = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.from_regex("[a-z_-]{1,4}", fullmatch=True), inner)
    ),
    max_leaves=12,
)
tables = st.dictionaries(st.from_regex("[a-z_-]{1,4}", fullmatch=True), plain, min_size=1)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, entry in entries for p in paths(entry, (*path, key)))]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@given(tables)
def test_every_path_that_a_message_shows_is_read_back(table: dict[str, Any]) -> None:
    for path in paths(table)[1:]:
        assert path_of(shown(path), table) == path


@given(tables, st.data())
def test_a_value_is_put_there_and_nowhere_else(table: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(table)[1:]))
    before = copy.deepcopy(table)
    new = put(table, path, "new value")
    assert table == before
    assert at(new, path) == "new value"
    changed = copy.deepcopy(table)
    at(changed, path[:-1])[path[-1]] = "new value"
    assert json.dumps(new) == json.dumps(changed)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("vms[0].filter[1].base", ("vms", 0, "filter", 1, "base")),
        ("workloads.a.b.think.mean_us", ("workloads", "a.b", "think", "mean_us")),
        ("workloads.c[0].kind", ("workloads", "c[0]", "kind")),
        ("host.cores", ("host", "cores")),
        ("vms[0].vmm.lock", ("vms", 0, "vmm", "lock")),
    ],
)
def test_keys_with_dots_and_tables_that_are_not_there_yet(text: str, path: tuple[str | int, ...]) -> None:
    assert path_of(text, TABLE) == path
    assert at(put(TABLE, path, 1), path) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vms[1].vcpus", "vms has 1 entries; did you mean vms[0].vcpus?"),
        ("vm[0].vcpus", "vm is no list; did you mean vms[0].vcpus?"),
        ("vms[0].workload.x", "vms[0].workload is no table; did you mean vms[0].workload?"),
        ("vms.vcpus", "vms is no table; did you mean vms[0].vcpus?"),
        ("vms[0]..vcpus", "a part of it is empty; did you mean vms[0].vcpus?"),
        ("", "give a path such as vms[0].vcpus"),
        (7, "give a path such as vms[0].vcpus"),
    ],
)
def test_a_path_that_is_none_is_refused_with_a_near_one(text: object, told: str) -> None:
    with pytest.raises(InputError) as refused:
        path_of(text, TABLE)
    assert str(refused.value).endswith(told)
