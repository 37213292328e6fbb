"""Which points of a grid are kept, as a condition over the names of its axes: read with `ast`, never run as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from fastsmc.checks import not_among, shown
from fastsmc.errors import InputError

_LONGEST = 1000
_FORM = "give a condition over the axes such as 'vms[0].vcpus * calls <= 4096 and profile != \"x-gene-2016\"'"
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, many: value in many,
    ast.NotIn: lambda value, many: value not in many,
}
_COMPUTED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class Condition:
    """A condition over the axes of a grid.

    Args:
        names: of the axes, as override paths.

    Raises:
        InputError: no condition, a name that is none of the axes, or anything beyond `and`, `or`, `not`, comparisons,
            arithmetic, numbers, texts and lists of them.

    >>> Condition("vms[0].vcpus * calls <= 100", ["vms[0].vcpus", "calls"])({"vms[0].vcpus": 4, "calls": 20})
    True
    """

    def __init__(self, text: str, names: list[str]) -> None:
        self.text, self.names = text, names
        if len(text) > _LONGEST:
            msg = f"where has {len(text)} characters: at most {_LONGEST} are read"
            raise InputError(msg)
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self._check(self._tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            msg = f"where {shown(text)}: {getattr(error, 'msg', error)}: {_FORM}"
            raise InputError(msg) from None

    def __call__(self, point: Mapping[str, Any]) -> bool:
        """Whether a point is kept, by its coordinates.

        Raises:
            InputError: the condition has no answer there, as for a text that is compared with a number.
        """
        try:
            return bool(self._value(self._tree, point))
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            msg = f"where {shown(self.text)}: at {shown(dict(point))}: {error}"
            raise InputError(msg) from None

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BoolOp(values=values):
                parts: list[ast.expr] = values
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                parts = [operand]
            case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _COMPARED for op in ops):
                parts = [left, *rest]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTED:
                parts = [left, right]
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                parts = elements
            case ast.Constant(value=bool() | int() | float() | str()):
                parts = []
            case ast.Name() | ast.Attribute() | ast.Subscript():
                self._named(node)
                parts = []
            case _:
                msg = f"where {shown(self.text)}: {shown(ast.unparse(node))} is no part of a condition: {_FORM}"
                raise InputError(msg)
        for part in parts:
            self._check(part)

    def _named(self, node: ast.expr) -> str:
        name = ast.unparse(node)
        if name not in self.names:
            raise InputError(not_among(f"where {shown(self.text)}: a name in it", name, self.names))
        return name

    def _value(self, node: ast.expr, point: Mapping[str, Any]) -> Any:
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                return all(self._value(value, point) for value in values)
            case ast.BoolOp(values=values):
                return any(self._value(value, point) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._value(operand, point)
            case ast.UnaryOp(operand=operand):
                return -_number(self._value(operand, point))
            case ast.Compare(left=left, ops=ops, comparators=rest):
                values = [self._value(value, point) for value in (left, *rest)]
                pairs = zip(ops, values, values[1:], strict=False)
                return all(_COMPARED[type(op)](one, other) for op, one, other in pairs)
            case ast.BinOp(left=left, op=op, right=right):
                return _COMPUTED[type(op)](_number(self._value(left, point)), _number(self._value(right, point)))
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return [self._value(element, point) for element in elements]
            case ast.Constant(value=value):
                return value
        return point[self._named(node)]


def _number(value: Any) -> int | float:
    """A number; of texts and lists there is no arithmetic, as 'a' * 10**9 would take a gigabyte."""
    if isinstance(value, int | float):
        return value
    msg = f"{shown(value)} is no number"
    raise TypeError(msg)
