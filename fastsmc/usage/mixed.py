"""One's own mix of calls: functions by name or id, perhaps with arguments, each with a weight."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fastsmc.calls.counts import Counts
from fastsmc.calls.trace import Trace
from fastsmc.checks import LAST_U32, LAST_U64, shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.call_spellings import call_named
from fastsmc.traces.text import trace as read

Mix = Mapping[str | int, float] | Iterable[str | int]
"""Calls with weights, or calls alone; a text may have both, "TRNG_RND64=3"."""
_FORM = re.compile(r"\s*(?P<call>[^()=]+?)\s*(?:\((?P<arguments>[^()]*)\))?\s*(?:=\s*(?P<weight>[^()=]*?))?\s*")
_HOW = "give NAME, NAME=WEIGHT or NAME(X1, X2, X3)=WEIGHT, such as TRNG_RND64=3"


class Call(NamedTuple):
    """A call of the mix.

    Attributes:
        func_id: low 32 bits of x0.
        arguments: x1, x2, x3.
        weight: how many calls there are of it, on any scale.
    """

    func_id: int
    arguments: tuple[int, int, int] = (0, 0, 0)
    weight: float = 1.0


def calls_of(mix: Mix, trace: str | os.PathLike[str] | Trace | Counts | None = None) -> list[Call]:
    """The calls of a mix, then those of a trace; equal calls are one, their weights added.

    Raises:
        TraceError: a trace that cannot be read.
        InputError: nothing at all, no such function, or a weight or argument that is none.

    >>> [(hex(one.func_id), one.weight) for one in calls_of(["TRNG_RND64=3", 0x86000001])]
    [('0xc4000053', 3.0), ('0x86000001', 1.0)]
    """
    if isinstance(mix, Mapping):
        found = [_call(what, weight) for what, weight in mix.items()]
    else:
        found = [_call(what, None) for what in ([mix] if isinstance(mix, str) else mix)]
    if trace is not None:
        seen = trace if isinstance(trace, Trace | Counts) else read(trace)
        if isinstance(seen, Counts):
            ids, counts = seen.func_id, seen.n_call
        else:
            ids, counts = np.unique(np.asarray(seen.r0, np.uint64).astype(np.uint32), return_counts=True)
        found += [Call(int(i), weight=float(n)) for i, n in zip(ids.tolist(), counts.tolist(), strict=True)]
    if not any(one.weight for one in found):
        msg = f"no call to dispatch: {_HOW}, or a trace"
        raise InputError(msg)
    weights: dict[tuple[int, tuple[int, int, int]], float] = {}
    for one in found:
        key = (one.func_id, one.arguments)
        weights[key] = weights.get(key, 0.0) + one.weight
    return [Call(*key, weight) for key, weight in weights.items()]


def _call(what: str | int, weight: float | None) -> Call:
    if not isinstance(what, str):
        return Call(whole("function id", what, last=LAST_U32), weight=_weight(what, 1.0 if weight is None else weight))
    form = _FORM.fullmatch(what)
    if form is None or (weight is not None and form["weight"] is not None):
        msg = f"{shown(what)} is no call of a mix: {_HOW}"
        raise InputError(msg)
    if weight is None:
        weight = 1.0 if form["weight"] is None else _number(what, form["weight"])
    words = [word.strip() for word in form["arguments"].split(",")] if form["arguments"] else []
    if len(words) > 3:
        msg = f"{shown(what)} has {len(words)} arguments: a call has x1, x2 and x3"
        raise InputError(msg)
    x1, x2, x3 = (*(_id(word, LAST_U64) for word in words), 0, 0, 0)[:3]
    return Call(_id(form["call"], LAST_U32), (x1, x2, x3), _weight(what, weight))


def _id(text: str, last: int) -> int:
    """A number, or the id of a function by its name."""
    try:
        number = int(text, 0)
    except ValueError:
        return call_named(text)
    return whole("function id" if last == LAST_U32 else "argument", number, last=last)


def _number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        msg = f"{shown(what)}: weight {shown(text)} is no number; {_HOW}"
        raise InputError(msg) from None


def _weight(what: object, weight: object) -> float:
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < math.inf:
        msg = f"{shown(what)}: weight {shown(weight)}: give a finite number from 0 up"
        raise InputError(msg)
    return float(weight)
