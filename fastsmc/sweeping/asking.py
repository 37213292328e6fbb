"""A question's table as the arguments of its function: keywords by the function's names, values as TOML has them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fastsmc import plan
from fastsmc.checks import not_among, shown
from fastsmc.errors import InputError
from fastsmc.migrate.link import Link
from fastsmc.plan.limits import Limits
from fastsmc.plan.result import Plan

QUESTIONS = ("baseline", "evacuate", "filter_cost", "largest_shape", "migration_table", "upgrade")
"""Functions of `smc.plan` that a sweep can ask."""
INVENTORY = ("hosts", "vms")
"""Keys of the two tables of questions about an inventory, as on the command line."""
_UNSWEPT = {"filter_cost": {"measure": False}}
"""Arguments that are the same in every sweep: what a clock measures differs each time, and cells are to be the same."""
_DRAIN = "drain"
"""What the command line calls the hosts that `evacuate` empties, as `hosts` is the table there."""
_QUOTED = "in TOML, and in what is varied, text that looks like a number stands in quotes"


@cache
def keywords(question: str) -> Mapping[str, inspect.Parameter]:
    """The keys that a question's table may have, with the parameters of its function."""
    given = dict(inspect.signature(getattr(plan, question)).parameters)
    if is_of_inventory(question):
        first = given.pop(next(iter(given)))
        if "hosts" in given:
            given = {_DRAIN if name == "hosts" else name: one for name, one in given.items()}
        given = dict.fromkeys(INVENTORY, first) | given
    return {name: one for name, one in given.items() if name not in _UNSWEPT.get(question, {})}


@cache
def is_of_inventory(question: str) -> bool:
    """Whether hosts and VMs are asked about."""
    first = next(iter(inspect.signature(getattr(plan, question)).parameters.values()))
    return first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def checked(question: object) -> str:
    """The name of a question.

    Raises:
        InputError: none that can be swept.
    """
    if not isinstance(question, str) or question not in QUESTIONS:
        raise InputError(not_among("question", question, list(QUESTIONS)))
    return question


def check_keys(question: str, table: Mapping[str, Any]) -> None:
    """Refuses a key that the question does not have.

    Raises:
        InputError: naming it, and the nearest that it has.
    """
    for key in table:
        if key != "question" and key not in keywords(question):
            if key in _UNSWEPT.get(question, {}):
                msg = (
                    f"{question}: {key}: a sweep keeps nothing that a clock measures, so it has no choice: leave it out"
                )
                raise InputError(msg)
            raise InputError(not_among(f"{question}: key", key, list(keywords(question))))


def with_tables(table: Mapping[str, Any]) -> dict[str, Any]:
    """A question's table with links and limits that are text as tables, so that a path leads into them."""
    own = dict(table)
    if isinstance(own.get("limits"), str):
        own["limits"] = {"preset": own["limits"]}
    links = own.get("link")
    if isinstance(links, str):
        own["link"] = {"gbit_per_s": links}
    elif isinstance(links, list | tuple):
        own["link"] = [{"gbit_per_s": one} if isinstance(one, str) else one for one in links]
    return own


def arguments(question: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a question's function; those of its inventory are left out.

    Raises:
        InputError: a key that it does not have, one that it needs and that is missing, or a value of another type.
    """
    check_keys(question, table)
    known = keywords(question)
    if missing := [key for key, one in known.items() if one.default is one.empty and key not in table]:
        msg = f"{question} needs {' and '.join(missing)}: give it in its table, or vary it"
        raise InputError(msg)
    found: dict[str, Any] = dict(_UNSWEPT.get(question, {}))
    for key, value in table.items():
        if key not in ("question", *INVENTORY):
            may_be_none = value is None and known[key].default is None
            name = "hosts" if key == _DRAIN else key
            read = _OF_ONE.get((question, key)) or READERS.get(key, _number)
            found[name] = None if may_be_none else read(f"{question}: {key}", value)
    return found


def asked(question: str, inventory: object, its: Mapping[str, Any]) -> Plan:
    """The answer to a question.

    Raises:
        FastsmcError: why there is none.
    """
    function: Callable[..., Plan] = getattr(plan, question)
    return function(*([inventory] if is_of_inventory(question) else []), **its)


# -- values ----------------------------------------------------------------------------------------------------


def _number(name: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} is {shown(value)}: it must be a number"
        raise InputError(msg)
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{name} is {shown(value)}: it must be text; {_QUOTED}"
        raise InputError(msg)
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        msg = f"{name} is {shown(value)}: it must be true or false"
        raise InputError(msg)
    return value


def _method(name: str, value: object) -> str:
    if value == "optimal":
        msg = (
            f"{name} is 'optimal': its solver is given a time, so a cell would not be the same twice: ask it by itself"
        )
        raise InputError(msg)
    return _text(name, value)


def _names(name: str, value: object) -> str | list[str]:
    return [_text(name, one) for one in value] if isinstance(value, list) else _text(name, value)


def _numbers(name: str, value: object) -> Any:
    return [_number(name, one) for one in value] if isinstance(value, list) else _number(name, value)


def _spans(name: str, value: object) -> Any:
    """A cost, low, mid and high ones, or several such triples."""
    if isinstance(value, list) and all(isinstance(one, list) and len(one) == 3 for one in value):
        return [_numbers(name, one) for one in value]
    return _numbers(name, value)


def _registers(name: str, value: object) -> Any:
    return [_register(name, one) for one in value] if isinstance(value, list) else _register(name, value)


def _register(name: str, value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        msg = f"{name} is {shown(value)}: give a release as text, or a number of registers; {_QUOTED}"
        raise InputError(msg)
    return value


def _link(name: str, value: object) -> Link:
    its = {"gbit_per_s": value} if isinstance(value, str) else value
    if not isinstance(its, Mapping) or "gbit_per_s" not in its or not {"gbit_per_s", "rtt_us"}.issuperset(its):
        msg = f'{name} is {shown(value)}: give a line rate such as "25G", or a table of gbit_per_s and rtt_us'
        raise InputError(msg)
    return Link(**its)


def _links(name: str, value: object) -> Link | list[Link]:
    return [_link(name, one) for one in value] if isinstance(value, list) else _link(name, value)


def _limits(name: str, value: object) -> Limits:
    """A preset, or a table of limits that are otherwise than in its `preset`; "none" is no limit."""
    its = {"preset": value} if isinstance(value, str) else value
    if not isinstance(its, Mapping):
        msg = f"{name} is {shown(value)}: give the name of a preset, or a table of limits"
        raise InputError(msg)
    preset = _text(f"{name}.preset", its.get("preset", keywords("evacuate")["limits"].default))
    limits = Limits() if preset == "none" else Limits.preset(preset)
    changed = {str(key): one for key, one in its.items() if key != "preset"}
    return limits.having(**changed) if changed else limits


READERS: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("to", "vmm", "to_vmm", "pins", "discipline", "profile", "pool"), _text),
    "drain": _names,
    "has_sve": _flag,
    "ioctl_ns": _spans,
    "limits": _limits,
    "link": _links,
    "method": _method,
    "registers": _registers,
    **dict.fromkeys(("downtime_ms", "n_range"), _numbers),
}
"""How a keyword's value is read; all others are numbers. A keyword means the same in every question."""
_OF_ONE: Mapping[tuple[str, str], Callable[[str, Any], Any]] = {
    ("evacuate", "downtime_ms"): _number,
    ("evacuate", "link"): _link,
    ("migration_table", "registers"): _register,
}
"""Keywords of which other questions take several."""
