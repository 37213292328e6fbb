"""Planners' questions about register state: how many vCPUs fit a downtime, what more registers add, what a map saves.

Everything here is modelled: bytes and ioctl counts in closed form, times from a link and an assumed cost per ioctl.
"""

from __future__ import annotations

from fastsmc.migrate.link import Link, line_rate, microseconds
from fastsmc.migrate.span import Span
from fastsmc.plan.added import AddedRegister, RegisterRow, added_register, register_table
from fastsmc.plan.by_vmm import MoreRegisters, VmmRow, more_registers
from fastsmc.plan.fits import Fit, Plan, max_vcpus
from fastsmc.plan.global_map import ClaimPoint, MapSavings, claim, map_savings, registers_to_reach

__all__ = [
    "AddedRegister",
    "ClaimPoint",
    "Fit",
    "Link",
    "MapSavings",
    "MoreRegisters",
    "Plan",
    "RegisterRow",
    "Span",
    "VmmRow",
    "added_register",
    "claim",
    "line_rate",
    "map_savings",
    "max_vcpus",
    "microseconds",
    "more_registers",
    "register_table",
    "registers_to_reach",
]
