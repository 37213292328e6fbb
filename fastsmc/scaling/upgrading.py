"""What the rolling upgrade of a drawn fleet comes to."""

from __future__ import annotations

from dataclasses import dataclass

from fastsmc.plan import Inventory, upgrade
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import Heading, table
from fastsmc.scaling.moves import KERNELS

FLEET, KERNEL_SHARES = "azure-2017", {"6.1": 0.3, "6.12": 0.5, "6.18": 0.2}
TO_VMM = "qemu:11.1"
"""The first QEMU that lets hidden registers be missing. Source: docs/planning/upgrade.md."""


@dataclass(frozen=True, slots=True)
class FleetSizes:
    """The drawn fleet: hosts, and how many of them are upgraded at once."""

    n_host: int = 1000
    hosts_at_once: int = 20


def fleet_upgrade(sizes: FleetSizes | None = None, *, seed: int = 1) -> dict[str, Table]:
    """A drawn fleet's rolling upgrade to the newest kernel: with the VMM it has, and with a newer one.

    Args:
        seed: of the drawn fleet.

    Returns:
        The tables upgrade, upgrade_waves and upgrade_assumed.

    Raises:
        InputError: no hosts, or none at once.

    Cost: under a second for a thousand hosts.
    """
    sizes = sizes or FleetSizes()
    fleet = Inventory.like(FLEET, n_host=sizes.n_host, seed=seed, kernels=KERNEL_SHARES)
    totals: list[tuple[object, ...]] = []
    waves: list[tuple[object, ...]] = []
    for to_vmm in ("", TO_VMM):
        plan = upgrade(fleet, to=KERNELS[-1], hosts_at_once=sizes.hosts_at_once, to_vmm=to_vmm)
        vmm, blocking = to_vmm or fleet.assumed["hosts.vmm"], plan.tables["blocking"]
        sums = [int(plan.table[name].sum()) for name in _SUMMED]
        failing = ";".join(dict.fromkeys(blocking["register"].tolist()))
        totals.append((vmm, not to_vmm, KERNELS[-1], len(fleet.vms["name"]), *sums, plan.table.n_row, failing))
        columns = (plan.table[name].tolist() for name in ("wave", *_SUMMED))
        waves += [(vmm, *row) for row in zip(*columns, strict=True)]
    drawn = list(fleet.assumed.items())
    return {
        "upgrade": table("A drawn fleet's upgrade; a row per VMM after it.", _UPGRADE, totals),
        "upgrade_waves": table("Its waves; a row per VMM and wave.", _WAVES, waves),
        "upgrade_assumed": table("What the drawn fleet rests on; a row per assumption.", _ASSUMED, drawn),
    }


_SUMMED = ("hosts", "moved", "stopped", "unknown")
_UPGRADE: tuple[Heading, ...] = (
    ("vmm", "assumed", "of the hosts after the upgrade"),
    ("is_as_before", "input", "the VMM that the drawn fleet has"),
    ("to", "input", "the kernel that all hosts get"),
    ("n_vm", "assumed", "VMs of the drawn fleet"),
    ("hosts", "modelled", "hosts that are upgraded"),
    ("moved", "modelled", "VMs that move live"),
    ("stopped", "modelled", "VMs that must stop"),
    ("unknown", "modelled", "VMs of which it cannot be known"),
    ("waves", "modelled", "waves of hosts"),
    ("failing", "modelled", "registers in the way"),
)
_WAVES: tuple[Heading, ...] = (
    ("vmm", "assumed", "of the hosts after the upgrade"),
    ("wave", "modelled", "number of the wave"),
    ("hosts", "modelled", "hosts that are upgraded in it"),
    ("moved", "modelled", "VMs that move live"),
    ("stopped", "modelled", "VMs that must stop"),
    ("unknown", "modelled", "VMs of which it cannot be known"),
)
_ASSUMED: tuple[Heading, ...] = (
    ("what", "", "a table of the fleet and its column"),
    ("assumed", "assumed", "what is taken for it"),
)
