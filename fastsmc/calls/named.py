"""The names under which recorded calls are told."""

from __future__ import annotations

from fastsmc.facts.smccc import FUNCTION_BY_ID, Service


def name_of(func_id: int) -> tuple[str, str]:
    """Service and function of an id; one without a name is itself, in hexadecimal, under UNKNOWN."""
    function = FUNCTION_BY_ID.get(func_id)
    if function is None:
        return Service.UNKNOWN.name, f"0x{func_id:08x}"
    return function.service.name, function.name
