"""`fastsmc plan baseline`: what the hosts of a pool have in common, and what its VMs would lose if pinned to it."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli.plan.options import Csv, FailIf, Figure, Form, Hosts, Json, Markdown, Out, Quiet, Vms, pictured

EXAMPLES = """
fastsmc plan baseline --hosts sample:hosts.csv --vms sample:vms.csv
fastsmc plan baseline --hosts sample:hosts.csv --vms sample:vms.csv --pool blue --quiet
"""


def baseline(
    hosts: Hosts,
    vms: Vms,
    pool: Annotated[
        str | None, typer.Option(metavar="POOL", help="The one pool that is asked about. [default: each]")
    ] = None,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell what all hosts of a pool have in common, and what its VMs would lose if they were pinned to that (modelled).

    Services, firmware registers, bits, PSCI versions and vCPU features. `set_to` has the values of firmware registers
    with which a VM restores on every host. Exit code 4: a VM uses a feature that some host lacks; 5: an unknown kernel,
    a release in doubt or an unknown CPU decides.
    """
    from fastsmc import plan

    inventory = plan.Inventory.read(hosts=hosts, vms=vms)
    found = plan.baseline(inventory, pool=pool)
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))
