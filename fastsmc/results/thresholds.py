"""Thresholds over the numbers of a result: `p99 > 2ms`, `failing > 0`; read as data, and compared in one unit.

A metric is a number's name, `downtime_ms`, or that name without its unit, `downtime`. A threshold holds where any of
the numbers with that name meets it, such as one row of a table.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from fastsmc.checks import shown
from fastsmc.errors import InputError, UnknownError

Numbers = Mapping[str, Sequence[float | None]]
"""The numbers that a result names, by name; None stands for one that is not known."""

_FORM = re.compile(
    r"\s*([A-Za-z]\w{0,60}(?:[.-]\w{1,20}){0,4})\s*(<=|>=|==|!=|<|>)\s*"
    r"([-+]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][-+]?\d{1,2})?)\s*([A-Za-zµ%]{0,4})\s*",
    re.ASCII,
)
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_UNITS: dict[str, tuple[str, float]] = {
    "ns": ("time", 1.0), "us": ("time", 1e3), "µs": ("time", 1e3), "ms": ("time", 1e6), "s": ("time", 1e9),
    "min": ("time", 60e9), "h": ("time", 3600e9),
    "B": ("size", 1.0), "kB": ("size", 1e3), "MB": ("size", 1e6), "GB": ("size", 1e9), "TB": ("size", 1e12),
    "KiB": ("size", 2.0**10), "MiB": ("size", 2.0**20), "GiB": ("size", 2.0**30), "TiB": ("size", 2.0**40),
    "%": ("share", 1.0),
}  # fmt: skip
"""A unit's dimension, and how many of the smallest unit it has."""
_ENDINGS = {
    **{name: name for name in ("ns", "us", "ms", "s")},
    "bytes": "B", "kib": "KiB", "mib": "MiB", "gib": "GiB", "percent": "%",
}  # fmt: skip
"""Words of a number's name that say its unit."""
_MOST_TOLD = 20


class Crossed(NamedTuple):
    """That a threshold holds.

    Attributes:
        name: the number's whole name.
        value: of those that meet the threshold, the one that is furthest over it; in the name's own unit.
        n: how many meet it, of n_all.
    """

    threshold: Threshold
    name: str
    value: float
    n: int
    n_all: int

    def __str__(self) -> str:
        of = f" and {self.n - 1} more of {self.n_all}" if self.n > 1 else f", 1 of {self.n_all}" * (self.n_all > 1)
        return f"{self.threshold.text} holds: {self.name} is {self.value:.6g}{of}"


class Threshold(NamedTuple):
    """A metric, a comparison and a number with its unit.

    >>> threshold("p99 > 2ms").crossed({"p99_ns": [2.5e6]}).value
    2500000.0
    """

    text: str
    metric: str
    comparison: str
    number: float
    unit: str

    def crossed(self, numbers: Numbers) -> Crossed | None:
        """The number for which the threshold holds; None where it holds for none.

        Raises:
            InputError: no number has that name, or the units do not go together.
            UnknownError: it holds for none that is known, and some are not.
        """
        name = self._named(numbers)
        limit = self._limit(name)
        values = numbers[name]
        known = [float(value) for value in values if value is not None and not math.isnan(value)]
        meeting = [value for value in known if _COMPARE[self.comparison](value, limit)]
        if meeting:
            worst = min(meeting) if "<" in self.comparison else max(meeting)
            return Crossed(self, name, worst, len(meeting), len(values))
        if len(known) < len(values):
            msg = f"{self.text}: {name} is not known for {len(values) - len(known)} of {len(values)}"
            raise UnknownError(msg)
        return None

    def _named(self, numbers: Numbers) -> str:
        asked = _key(self.metric)
        named = [name for name in numbers if asked == _key(name)] or [
            name for name in numbers if asked == _key(_without_unit(name))
        ]
        if len(named) == 1:
            return named[0]
        if named:
            msg = f"{self.text}: {self.metric} may be {' or '.join(named)}: give one of these names"
            raise InputError(msg)
        likely = {_key(_without_unit(name)): name for name in numbers} | {_key(name): name for name in numbers}
        close = get_close_matches(asked, likely, n=1)
        meant = f"; did you mean {likely[close[0]]}?" if close else ""
        told = ", ".join(list(numbers)[:_MOST_TOLD]) + " and more" * (len(numbers) > _MOST_TOLD)
        msg = f"{self.text}: no number {self.metric} here; there are {told or 'none'}{meant}"
        raise InputError(msg)

    def _limit(self, name: str) -> float:
        """The threshold's number in the unit of the name."""
        own = unit_of(name)
        if not self.unit:
            if own and _key(self.metric) != _key(name):
                msg = f"{self.text}: {name} is in {own}: give the number a unit, such as {self.number:g}{own}"
                raise InputError(msg)
            return self.number
        dimension, scale = _UNITS[self.unit]
        if not own or _UNITS[own][0] != dimension:
            msg = f"{self.text}: {name} is {f'in {own}' if own else 'a number without a unit'}, not in {self.unit}"
            raise InputError(msg)
        return self.number * scale / _UNITS[own][1] if self.unit != own else self.number


def threshold(text: str) -> Threshold:
    """The threshold that a text such as "response_p99 > 2ms" states.

    Raises:
        InputError: written otherwise, or with a unit that is none.

    >>> threshold("failing>0")[1:]
    ('failing', '>', 0.0, '')
    """
    found = _FORM.fullmatch(text)
    if found is None:
        msg = f"{shown(text)}: give a metric, a comparison and a number with its unit, such as 'p99 > 2ms'"
        raise InputError(msg)
    metric, comparison, number, unit = found.groups()
    if unit and unit not in _UNITS:
        msg = f"{shown(text)}: no unit {shown(unit)}; there are {', '.join(_UNITS)}"
        raise InputError(msg)
    return Threshold(" ".join(text.split()), metric, comparison, float(number), unit)


def unit_of(name: str) -> str:
    """The unit that a number's name says; "" for none. "per" and what follows it make a rate of it, which has none.

    >>> unit_of("response_p99_ns"), unit_of("payload_bytes"), unit_of("n_vcpu"), unit_of("calls_per_s")
    ('ns', 'B', '', '')
    """
    at = _unit_at(name.split("_"))
    return "" if at is None else _ENDINGS[name.split("_")[at]]


def _unit_at(words: Sequence[str]) -> int | None:
    """Which of a name's words is its unit: the last that is one."""
    if "per" in words:
        return None
    return next((at for at in range(len(words) - 1, -1, -1) if words[at] in _ENDINGS), None)


def _without_unit(name: str) -> str:
    words = name.split("_")
    at = _unit_at(words)
    return name if at is None or len(words) == 1 else "_".join([*words[:at], *words[at + 1 :]])


def _key(name: str) -> str:
    return name.lower().replace(".", "_").replace("-", "_")


def numbers_of(told: Mapping[str, Any], columns: Mapping[str, Iterable[float | None]] | None = None) -> Numbers:
    """The numbers that a result names: columns of its table, then what it tells as plain values.

    A number within a mapping has the names of both, joined by `_`; lists are left to the table.

    >>> numbers_of({"failing": 2, "total_ms": {"low": 1.5, "high": None}, "rows": [1, 2]})
    {'failing': [2], 'total_ms_low': [1.5], 'total_ms_high': [None]}
    """
    found: dict[str, Sequence[float | None]] = {name: list(values) for name, values in (columns or {}).items()}
    for name, value in _leaves(told, ()):
        found.setdefault(name, [value])
    return found


def _leaves(told: Mapping[str, Any], above: tuple[str, ...]) -> Iterable[tuple[str, float | None]]:
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, str(name)))
        elif (value is None and above) or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield "_".join((*above, str(name))), value
