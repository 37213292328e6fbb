"""JSON Schema of typed definitions: TypedDicts, lists, mappings, literals and unions of them.

An object has the keys of its TypedDict and no others, so that a result that says more, or less, does not validate.
"""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    None: {"type": "null"},
    Any: {},
}


def json_schema(of: Any, *, title: str, description: str) -> dict[str, Any]:
    """The JSON Schema of a definition.

    >>> json_schema(list[int | None], title="t", description="d")["items"]
    {'anyOf': [{'type': 'integer'}, {'type': 'null'}]}
    """
    definitions: dict[str, Any] = {}
    found = _of(of, definitions)
    head = {"$schema": DRAFT, "title": title, "description": description}
    return {**head, **found, **({"$defs": dict(sorted(definitions.items()))} if definitions else {})}


def _of(of: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of one type; objects are put among the definitions, and referred to."""
    if is_typeddict(of):
        name = of.__name__
        if name not in definitions:
            definitions[name] = {}  # it may hold itself
            definitions[name] = _object(of, definitions)
        return {"$ref": f"#/$defs/{name}"}
    origin, arguments = get_origin(of), get_args(of)
    if origin in (Union, UnionType):
        return {"anyOf": [_of(one, definitions) for one in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    if origin is NotRequired:
        return _of(arguments[0], definitions)
    return dict(_PLAIN[of])


def _object(of: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(of, include_extras=True)  # with NotRequired as it is written, be the annotations text or not
    said = inspect.cleandoc(of.__doc__ or "")
    return {
        "type": "object",
        **({"description": said} if said else {}),
        "properties": {key: _of(hint, definitions) for key, hint in hints.items()},
        "required": [key for key, hint in hints.items() if get_origin(hint) is not NotRequired],
        "additionalProperties": False,
    }
