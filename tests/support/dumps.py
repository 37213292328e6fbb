"""Recorded hosts as files of the form of Firecracker's CPU fingerprint, with values and fields that are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsmc.facts.registers import reg_size, sysreg
from fastsmc.migrate.compat import values

Fields = Mapping[tuple[int, int, int], int]
"""(id, lowest bit, bits) -> value."""


def field(op0: int, op1: int, crn: int, crm: int, op2: int, low: int, n_bit: int = 4) -> tuple[int, int, int]:
    """A field of a system register."""
    return sysreg(op0, op1, crn, crm, op2), low, n_bit


def dumped(
    host: str,
    *,
    kernel: str = "",
    features: str = "psci02",
    fields: Fields | None = None,
    whole: Mapping[int, int] | None = None,
    without: tuple[int, ...] = (),
) -> dict[str, Any]:
    """A recorded host's vCPU as a fingerprint.

    Args:
        host: "linux-6.12.107-max".
        kernel: its name in place of the recorded one.
        fields: values of fields in place of the recorded ones.
        whole: values of registers, also of such as it does not list.
        without: registers that are left out.
    """
    found = values.payload(values.PACKAGED / host, features)
    assert found is not None
    told = dict(found)
    for (reg, low, n_bit), value in (fields or {}).items():
        mask = (1 << n_bit) - 1 << low
        told[reg] = told[reg] & ~mask | value << low
    told |= dict(whole or {})
    modifiers = [
        {"addr": f"{reg:#x}", "bitmap": f"0b{value:0{8 * reg_size(reg)}b}"}
        for reg, value in told.items()
        if reg not in without
    ]
    config = {"kvm_capabilities": [], "vcpu_features": [], "reg_modifiers": modifiers}
    return {"kernel_version": kernel or host.split("-")[1], "guest_cpu_config": config}


def written(folder: Path, name: str, told: Mapping[str, Any]) -> Path:
    """The path of a fingerprint, written there."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path
