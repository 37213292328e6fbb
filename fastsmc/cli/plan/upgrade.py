"""`fastsmc plan upgrade`: the waves of a rolling kernel upgrade, and the VMs that block it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.plan.options import Csv, FailIf, Figure, Form, Hosts, Json, Markdown, Out, Quiet, Vms, pictured

if TYPE_CHECKING:
    from fastsmc.plan.rolling.question import Method, Pins

EXAMPLES = """
fastsmc plan upgrade --hosts sample:hosts.csv --vms sample:vms.csv --to 6.18 --hosts-at-once 2
fastsmc plan upgrade --hosts sample:hosts.csv --vms sample:vms.csv --to 7.3 --to-vmm qemu:10.1 --quiet
  three VMs must stop: exit code 4
"""


_To = Annotated[
    str,
    typer.Option(
        metavar="RELEASE",
        help="The kernel that hosts get: a release, or what `uname -r` prints.",
        autocompletion=known.releases,
    ),
]
_HostsAtOnce = Annotated[int, typer.Option(metavar="COUNT", help="Hosts in a wave at most, of all pools together.")]
_PerTenantAtOnce = Annotated[
    int | None, typer.Option(metavar="COUNT", help="VMs of a tenant that move at once at most. [default: any]")
]
_SpareHosts = Annotated[
    int, typer.Option(metavar="COUNT", help="Empty hosts that each pool is given, with the new kernel.")
]
_VcpusPerCore = Annotated[float, typer.Option(metavar="NUMBER", help="vCPUs that a core may carry.")]
_Vmm = Annotated[str, typer.Option(metavar="VMM:VERSION", help="The VMM of hosts that name none: qemu:10.1.")]
_ToVmm = Annotated[
    str, typer.Option(metavar="VMM:VERSION", help="The VMM that hosts have after the upgrade, if another.")
]
_Pins = Annotated[
    str,
    typer.Option(
        metavar="WORD",
        help="suggest: name what would let blocked VMs move; none: do not.",
        autocompletion=known.one_of("suggest", "none"),
    ),
]
_Method = Annotated[
    str,
    typer.Option(
        metavar="WORD",
        help="greedy; optimal: CP-SAT on pools of up to 50 hosts.",
        autocompletion=known.one_of("greedy", "optimal"),
    ),
]


def upgrade(
    hosts: Hosts,
    vms: Vms,
    to: _To,
    hosts_at_once: _HostsAtOnce = 1,
    per_tenant_at_once: _PerTenantAtOnce = None,
    spare_hosts: _SpareHosts = 0,
    vcpus_per_core: _VcpusPerCore = 1.0,
    vmm: _Vmm = "",
    to_vmm: _ToVmm = "",
    pins: _Pins = "suggest",
    method: _Method = "greedy",
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
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
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))
