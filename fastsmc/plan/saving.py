"""Plans as files: JSON that is read back strictly, so that a damaged plan is refused and not believed.

Schema 1 of a plan:

    {"schema": 1, "plan": "largest_shape",
     "provenance": {"fastsmc": "0.1.0", ..., "seed": 0, "inputs": {...}},
     "answer": TEXT, "met": true | false | null, "bottleneck": TEXT, "weakest": {...} | null,
     "excuses": [{"why": TEXT, "rows": 3, "example": {...}}], "assumptions": [TEXT],
     "cube": {"coords": {NAME: [...]}, "values": {NAME: {"kind": KIND, "meaning": TEXT, "values": [[...]]}}} | null,
     "tables": {NAME: TABLE},
     "table": {"meaning": TEXT, "columns": {NAME: {"kind": KIND, "meaning": TEXT, "values": [...]}}}}

A plan without further tables has no member "tables".
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import InputError, ResultFileError
from fastsmc.files import strict_json
from fastsmc.files.limits import PLAN
from fastsmc.files.packed import Refused
from fastsmc.plan.result import Cube, Excuse, Plan, Values, Weakest
from fastsmc.results.files import item, provenance_of, table_of, write_each
from fastsmc.results.tables import KINDS, Table

SCHEMA = 1
_KEYS = (
    "schema",
    "plan",
    "provenance",
    "answer",
    "met",
    "bottleneck",
    "weakest",
    "excuses",
    "assumptions",
    "cube",
    "tables",
    "table",
)


def to_json(plan: Plan) -> str:
    """The file's text, a line per member and per column of the table."""
    told = plan.as_dict()
    members = {
        "schema": SCHEMA,
        "plan": plan.question,
        "provenance": asdict(plan.provenance),
        **{key: told[key] for key in ("answer", "met", "bottleneck", "weakest", "excuses", "assumptions", "cube")},
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in members.items()]
    more = [f"{json.dumps(name)}: {table.to_json()}" for name, table in plan.tables.items()]
    lines += [f'"tables": {{{", ".join(more)}}}'] if more else []
    return "{" + ",\n".join([*lines, f'"table": {plan.table.to_json()}']) + "}\n"


def file_text(plan: Plan, where: str) -> str:
    """The text of a plan's file; what could not be read back is refused.

    Raises:
        ResultFileError: it would be larger than is read back.
    """
    text = to_json(plan)
    try:
        if len(text) > PLAN.most_bytes:
            msg = f"{len(text) >> 20} MiB, of which {PLAN.most_bytes >> 20} are read"
            raise Refused(msg)
        plan_of(strict_json.parse(text, "the plan"))
    except InputError as error:
        msg = f"{where}: not saved, as it could not be read back ({error}); to_xarray() and to_arrow() take any size"
        raise ResultFileError(msg) from error
    return text


def save(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Writes a plan; what could not be read back is refused before anything is written.

    Raises:
        ResultFileError: the file cannot be written, or would be larger than is read back.
    """
    write_each({Path(path): file_text(plan, str(path)).encode()})


def load(path: str | os.PathLike[str]) -> Plan:
    """A saved plan.

    Raises:
        ResultFileError: missing, unreadable, damaged, of another schema, or no plan.
    """
    try:
        content = strict_json.read(path, PLAN)
    except Refused as error:
        remedy = "expected a saved plan" if "cannot be read" in str(error) else "save or copy the plan again"
        msg = f"{path}: {error}; {remedy}"
        raise ResultFileError(msg) from error
    if not isinstance(content, dict) or "plan" not in content:
        msg = f"{path}: no saved plan, which Plan.save or `fastsmc plan … --out FILE.json` writes"
        raise ResultFileError(msg)
    if content.get("schema") != SCHEMA or type(content["schema"]) is not int:
        msg = f"{path}: schema {shown(content.get('schema'))}, this version of fastsmc reads {SCHEMA}"
        raise ResultFileError(msg)
    try:
        return plan_of(content)
    except InputError as error:
        msg = f"{path}: damaged: {error}"
        raise ResultFileError(msg) from error


def plan_of(content: dict[str, Any]) -> Plan:
    """The plan of a file's content.

    Raises:
        InputError: something is missing, unknown, of another type, or contradicts something else.
    """
    _only(content, _KEYS, "the plan")
    question = _line(content, "plan", "the plan")
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", question):
        msg = f"plan is {shown(question)}: it must be the name of a question, such as largest_shape"
        raise InputError(msg)
    excuses = tuple(_excuse(one, number) for number, one in enumerate(item(content, "excuses", list, "the plan")))
    if [one.n_row for one in excuses] != sorted((one.n_row for one in excuses), reverse=True):
        msg = "excuses: the one with the most rows does not stand first"
        raise InputError(msg)
    made = provenance_of(item(content, "provenance", dict, "the plan"))
    seed = made.inputs.get("seed")
    if made.seed != (seed if type(seed) is int else 0):
        msg = f"provenance: the seed is {made.seed}, its inputs have {shown(seed)}"
        raise InputError(msg)
    assumptions = item(content, "assumptions", list, "the plan")
    if not all(isinstance(one, str) and one for one in assumptions) or len(set(assumptions)) < len(assumptions):
        msg = "assumptions: each must be a text, and stand there once"
        raise InputError(msg)
    return Plan(
        question=question,
        answer=_line(content, "answer", "the plan"),
        table=table_of("table", content.get("table")),
        is_met=_met(content),
        cube=None if content.get("cube", 0) is None else _cube(item(content, "cube", dict, "the plan")),
        excuses=excuses,
        bottleneck=item(content, "bottleneck", str, "the plan"),
        weakest=None if content.get("weakest", 0) is None else _weakest(item(content, "weakest", dict, "the plan")),
        inputs=made.inputs,
        assumptions=tuple(assumptions),
        provenance=made,
        tables=_tables(content),
    )


def _tables(content: dict[str, Any]) -> dict[str, Table]:
    """Further tables; none where the file has no such member."""
    given = item(content, "tables", dict, "the plan") if "tables" in content else {}
    if strange := [name for name in given if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name)]:
        msg = f"tables: {shown(strange[0])} is no name of a table, such as blocking"
        raise InputError(msg)
    return {name: table_of(name, table) for name, table in given.items()}


def _only(given: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    if unknown := sorted(given.keys() - set(keys)):
        msg = f"{where}: there is no {', '.join(map(shown, unknown[:3]))}"
        raise InputError(msg)


def _line(parent: object, key: str, where: str) -> str:
    text = item(parent, key, str, where)
    if not text.strip() or "\n" in text:
        msg = f"{where}: {key!r} is {shown(text)}: it must be one line"
        raise InputError(msg)
    return text


def _met(content: dict[str, Any]) -> bool | None:
    if content.get("met", 0) is None:
        return None
    return item(content, "met", bool, "the plan")


def _number(parent: dict[str, Any], key: str, where: str) -> float:
    value = parent.get(key)
    if type(value) is not int and type(value) is not float:
        msg = f"{where}: {key!r} is {shown(value)}: it must be a number"
        raise InputError(msg)
    return value


def _excuse(given: object, number: int) -> Excuse:
    where = f"excuses[{number}]"
    n_row = item(given, "rows", int, where)
    _only(cast(dict[str, Any], given), ("why", "rows", "example"), where)
    if not 1 <= n_row < 1 << 63:
        msg = f"{where}: 'rows' is {n_row}: an excuse holds for one row or more"
        raise InputError(msg)
    return Excuse(_line(given, "why", where), n_row, item(given, "example", dict, where))


def _weakest(given: dict[str, Any]) -> Weakest:
    _only(given, Weakest._fields, "weakest")
    low, high = _number(given, "low", "weakest"), _number(given, "high", "weakest")
    if low > high:
        msg = f"weakest: its low is {low:g} and its high {high:g}"
        raise InputError(msg)
    texts = [_line(given, key, "weakest") for key in ("figure", "at_low", "at_high")]
    return Weakest(texts[0], low, high, texts[1], texts[2])


def _cube(given: dict[str, Any]) -> Cube:
    _only(given, ("coords", "values"), "cube")
    coords = {}
    for name, labels in item(given, "coords", dict, "cube").items():
        where = f"cube, coordinate {shown(name)}"
        coords[name] = _labels(labels, where)
    shape = tuple(map(len, coords.values()))
    values = {}
    for name, one in item(given, "values", dict, "cube").items():
        where = f"cube, {shown(name)}"
        kind = item(one, "kind", str, where)
        _only(one, ("kind", "meaning", "values"), where)
        if kind not in KINDS:
            msg = f"{where}: kind {shown(kind)}: it must be one of {', '.join(KINDS)}"
            raise InputError(msg)
        array = _nested(item(one, "values", list, where), shape, where)
        values[name] = Values(array, kind, item(one, "meaning", str, where))
    return Cube(coords, values)


def _column(given: object) -> NDArray[Any]:
    """The values of a list, by the rules of a table's column: all text, all numbers, or all booleans."""
    column = {"kind": "input", "meaning": "", "values": given}
    return table_of("cube", {"meaning": "", "columns": {"list": column}})["list"]


def _labels(given: object, where: str) -> NDArray[Any]:
    """The labels of a dimension."""
    try:
        return _column(given)
    except InputError as error:
        msg = f"{where}: {error}"
        raise InputError(msg) from error


def _nested(given: list[Any], shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Lists in each other as an array: numbers, of which null is unknown; text; or true and false."""
    flat: list[Any] = [given]
    for axis, length in enumerate(shape):
        for one in flat:
            if not isinstance(one, list) or len(one) != length:
                msg = f"{where}: axis {axis} must have {length} entries, as its coordinate has"
                raise InputError(msg)
        flat = [entry for one in flat for entry in one]
    types = set(map(type, flat))
    if types <= {int, float, type(None)} and types != {int}:
        return np.array([np.nan if value is None else value for value in flat], np.float64).reshape(shape)
    if types == {int}:
        try:
            return np.array(flat, np.int64).reshape(shape)
        except OverflowError as error:
            msg = f"{where}: a number does not fit 64 bits with a sign"
            raise InputError(msg) from error
    if types == {bool} or types == {str}:
        return _labels(flat, where).reshape(shape)
    msg = f"{where}: its entries must be numbers, null for unknown ones, or all text, or all true and false"
    raise InputError(msg)
