"""`fastsmc plan upgrade`: the waves of a rolling kernel upgrade, and the VMs that block it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli.plan.options import Csv, Figure, Hosts, Json, Markdown, Out, Quiet, Vms, pictured, show

if TYPE_CHECKING:
    from fastsmc.plan.rolling.question import Method, Pins

EPILOG = "Example: fastsmc plan upgrade --hosts hosts.csv --vms vms.csv --to 6.18 --hosts-at-once 20 --vmm qemu:10.1"


def upgrade(
    hosts: Hosts,
    vms: Vms,
    to: Annotated[str, typer.Option(help="The kernel that hosts get: a release, or what `uname -r` prints.")],
    hosts_at_once: Annotated[int, typer.Option(help="Hosts in a wave at most, of all pools together.")] = 1,
    per_tenant_at_once: Annotated[int | None, typer.Option(help="VMs of a tenant that move at once at most.")] = None,
    spare_hosts: Annotated[int, typer.Option(help="Empty hosts that each pool is given, with the new kernel.")] = 0,
    vcpus_per_core: Annotated[float, typer.Option(help="vCPUs that a core may carry.")] = 1.0,
    vmm: Annotated[str, typer.Option(help="The VMM of hosts that name none: qemu:10.1.")] = "",
    to_vmm: Annotated[str, typer.Option(help="The VMM that hosts have after the upgrade, if another.")] = "",
    pins: Annotated[str, typer.Option(help="suggest: name what would let blocked VMs move; none: do not.")] = "suggest",
    method: Annotated[str, typer.Option(help="greedy; optimal: CP-SAT on pools of up to 50 hosts.")] = "greedy",
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Plan a rolling kernel upgrade, and tell beforehand which VMs block it: register, value, remedy (modelled).

    In a wave hosts are emptied and upgraded. Their VMs move live to hosts of their pool where they restore and have
    room, or stop until their host is upgraded. A VM of which it cannot be known is planned to stop. JSON has all hosts,
    moves, and VMs that stop.

    Exit code 4: VMs must stop; 5: of some VMs it cannot be known.
    """
    from typing import cast

    from fastsmc import plan

    found = plan.upgrade(
        plan.Inventory.read(hosts=hosts, vms=vms),
        to=to,
        hosts_at_once=hosts_at_once,
        per_tenant_at_once=per_tenant_at_once,
        spare_hosts=spare_hosts,
        vcpus_per_core=vcpus_per_core,
        vmm=vmm,
        to_vmm=to_vmm,
        pins=cast("Pins", pins),
        method=cast("Method", method),
    )
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, files=pictured(found.figure, figure))
