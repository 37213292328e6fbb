"""Planners' questions about register state: how many vCPUs fit a downtime, what a register adds, what a map saves.

Everything here is modelled: bytes and ioctl counts in closed form, times from a link and an assumed cost per ioctl.
Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsmc.lazy import lazily

if TYPE_CHECKING:
    from fastsmc.migrate.growth.global_map import claim, map_savings, registers_to_reach
    from fastsmc.plan.added import added_register, register_table
    from fastsmc.plan.fits import max_vcpus
    from fastsmc.plan.inventory.inventory import Inventory
    from fastsmc.plan.rolling.question import upgrade

_HOME = {
    "Inventory": "plan.inventory.inventory",
    "added_register": "plan.added",
    "claim": "migrate.growth.global_map",
    "map_savings": "migrate.growth.global_map",
    "max_vcpus": "plan.fits",
    "register_table": "plan.added",
    "registers_to_reach": "migrate.growth.global_map",
    "upgrade": "plan.rolling.question",
}

__all__ = [
    "Inventory",
    "added_register",
    "claim",
    "map_savings",
    "max_vcpus",
    "register_table",
    "registers_to_reach",
    "upgrade",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
