"""Planners' questions: which VMs fit a downtime, how long they take to move, what a register adds, what a map saves.

Everything here is modelled: bytes and ioctl counts in closed form, times from a link and an assumed cost per ioctl.
Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsmc.lazy import lazily

if TYPE_CHECKING:
    from fastsmc.migrate.growth.global_map import claim, map_savings, registers_to_reach
    from fastsmc.plan.added import added_register, register_table
    from fastsmc.plan.common.asked import baseline
    from fastsmc.plan.evacuation.evacuate import evacuate
    from fastsmc.plan.filters import filter_cost
    from fastsmc.plan.inventory.asked import problems
    from fastsmc.plan.inventory.inventory import Inventory
    from fastsmc.plan.limits import Limits
    from fastsmc.plan.migrations import migration_table
    from fastsmc.plan.result import Plan
    from fastsmc.plan.rolling.question import upgrade
    from fastsmc.plan.shapes import largest_shape

_HOME = {
    "Inventory": "plan.inventory.inventory",
    "Limits": "plan.limits",
    "Plan": "plan.result",
    "added_register": "plan.added",
    "baseline": "plan.common.asked",
    "claim": "migrate.growth.global_map",
    "evacuate": "plan.evacuation.evacuate",
    "filter_cost": "plan.filters",
    "largest_shape": "plan.shapes",
    "map_savings": "migrate.growth.global_map",
    "migration_table": "plan.migrations",
    "problems": "plan.inventory.asked",
    "register_table": "plan.added",
    "registers_to_reach": "migrate.growth.global_map",
    "upgrade": "plan.rolling.question",
}

__all__ = [
    "Inventory",
    "Limits",
    "Plan",
    "added_register",
    "baseline",
    "claim",
    "evacuate",
    "filter_cost",
    "largest_shape",
    "map_savings",
    "migration_table",
    "problems",
    "register_table",
    "registers_to_reach",
    "upgrade",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
