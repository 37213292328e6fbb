"""`fastsmc plan problems`: what is wrong with the tables of a fleet, before anything is planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: fastsmc plan problems --hosts hosts.csv --vms vms.csv"


def problems(
    hosts: Annotated[Path, typer.Option(help="Hosts: CSV with a header, or Parquet; docs/planning/inventory.md.")],
    vms: Annotated[Path, typer.Option(help="VMs, the same way.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: every problem.")] = False,
) -> None:
    """Tell all that is wrong with hosts and VMs, or unknown: file, line, column, value, what, and what to do.

    Names that are there twice, VMs on hosts that do not exist, sizes that are none, kernels, VMMs and vCPU features
    that do not exist or are not known, VMs larger than their host, hosts whose VMs have more memory than they.
    Exit code 4: something is wrong; 5: something is unknown, and nothing wrong.
    """
    from fastsmc.plan import problems as asked

    found = asked(hosts=hosts, vms=vms)
    print(json.dumps(found.as_dict(), indent=1, allow_nan=False) if as_json else found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)
