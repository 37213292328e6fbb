"""Which figure a plan has, by its question."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from fastsmc.errors import InputError
from fastsmc.reporting.plans import common, drains, filters, migrations, shapes, waves
from fastsmc.reporting.plans.told import Told

PICTURES: dict[str, Callable[[Told], Figure]] = {
    "baseline": common.picture,
    "evacuate": drains.picture,
    "filter_cost": filters.picture,
    "largest_shape": shapes.picture,
    "migration_table": migrations.picture,
    "upgrade": waves.picture,
}


def picture(plan: Told) -> Figure:
    """The figure of a plan.

    Raises:
        InputError: a question of which there is no figure, or a plan in which there is nothing to draw.
    """
    if plan.question not in PICTURES:
        msg = f"there is no figure of {plan.question}: there is one of {', '.join(PICTURES)}"
        raise InputError(msg)
    return PICTURES[plan.question](plan)
