"""What commands print as JSON is held to the published schemas, and the schemas to what they should refuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NotRequired, TypedDict

import pytest
from jsonschema import Draft202012Validator

import fastsmc as smc
from fastsmc.schemas import KINDS
from fastsmc.schemas.convert import json_schema
from tests.support.command import fastsmc
from tests.support.places import ROOT
from tests.support.results import RESULTS, plain
from tests.whole.test_grammar import NO_JSON, commands

FOLDER = ROOT / "docs" / "schemas"
ALL = [(kind, number) for kind, calls in RESULTS.items() for number in range(len(calls))]


@cache
def validator(kind: str) -> Draft202012Validator:
    of = smc.schema(kind).as_dict()
    Draft202012Validator.check_schema(of)
    return Draft202012Validator(of)


@cache
def told(kind: str, number: int) -> Any:
    return plain(RESULTS[kind][number]())


@pytest.mark.parametrize(("kind", "number"), ALL, ids=lambda value: str(value))
def test_a_result_validates(kind: str, number: int) -> None:
    error = next(validator(kind).iter_errors(told(kind, number)), None)
    assert error is None, f"{list(error.absolute_path)}: {error.message[:300]}"


def damaged(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Places of objects in a result, some of each list."""
    if isinstance(value, dict):
        yield path, next(iter(value), "")
        for key, one in value.items():
            yield from damaged(one, (*path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value[:2]):
            yield from damaged(one, (*path, number))


@pytest.mark.parametrize("kind", ["dispatch", "compare", "trace", "check", "downtime", "size", "diff", "explain"])
def test_what_says_more_or_less_does_not_validate(kind: str) -> None:
    """A key that is no schema's, and a key that is missing, at every object; mappings by name may have any key."""
    result, n = told(kind, 0), 0
    for path, key in damaged(result):
        more, less = copy.deepcopy(result), copy.deepcopy(result)
        at, at_less = more, less
        for step in path:
            at, at_less = at[step], at_less[step]
        at["no_such_key"] = [None, {}]
        assert list(validator(kind).iter_errors(more)) != [], path
        if key and not is_mapping(path):
            del at_less[key]
            assert list(validator(kind).iter_errors(less)) != [], (path, key)
            n += 1
    assert n


def is_mapping(path: tuple[Any, ...]) -> bool:
    """Whether an object there has names of its own for keys."""
    names = {"lines", "counts", "vcpus", "exits", "forwarded", "files", "bitmaps"}
    return bool(path) and path[-1] in names


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "schema"])
def test_the_committed_schema_is_the_one_that_is_printed(kind: str) -> None:
    text = (FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert text == str(smc.schema(kind)) + "\n"


def test_every_kind_has_results_and_every_file_a_kind() -> None:
    assert RESULTS.keys() == KINDS.keys() - {"inventory"}
    assert {path.name.removesuffix(".schema.json") for path in FOLDER.iterdir()} == KINDS.keys() - {"schema"}


@pytest.mark.parametrize("words", [words for words in commands() if words not in NO_JSON], ids=" ".join)
def test_every_command_has_a_kind(words: tuple[str, ...]) -> None:
    kind = "plan" if words[0] == "plan" and words[-1] != "problems" else words[-1]
    assert kind in KINDS
    assert f"fastsmc {' '.join(words)} --json" in KINDS[kind].told_by or kind in ("plan", "schema")


def test_a_schema_is_printed_and_a_wrong_kind_refused() -> None:
    done = fastsmc("schema", "compare")
    assert json.loads(done.stdout) == smc.schema("compare").as_dict()
    assert json.loads(fastsmc("schema", "--json").stdout).keys() == KINDS.keys()
    assert fastsmc("schema", "compared").returncode == 2
    with pytest.raises(smc.FastsmcError, match="must be one of"):
        smc.schema("compared")


class Inner(TypedDict):
    """What it is."""

    a: int
    b: NotRequired[list[str]]


def test_a_definition_becomes_the_schema_that_it_says() -> None:
    found = json_schema(dict[str, Inner | None], title="t", description="d")
    check = Draft202012Validator(found)
    assert check.is_valid({"x": {"a": 1}, "y": None, "z": {"a": 2, "b": ["c"]}})
    for wrong in ({"x": {}}, {"x": {"a": "1"}}, {"x": {"a": 1, "c": 2}}, {"x": {"a": 1, "b": [1]}}, []):
        assert not check.is_valid(wrong)
    assert found["$defs"]["Inner"]["description"] == "What it is."
