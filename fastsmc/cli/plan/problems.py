"""`fastsmc plan problems`: what is wrong with the tables of a fleet, before anything is planned."""

from __future__ import annotations

from fastsmc.cli.plan.options import Csv, FailIf, Hosts, Json, Markdown, Out, Quiet, Vms, show

EXAMPLES = """
fastsmc plan problems --hosts sample:hosts.csv --vms sample:vms.csv
fastsmc plan problems --hosts sample:hosts.csv --vms sample:vms.csv --quiet --fail-if 'unknown > 0'
"""


def problems(
    hosts: Hosts,
    vms: Vms,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell all that is wrong with hosts and VMs, or unknown: file, line, column, value, what, and what to do.

    Names that are there twice, VMs on hosts that do not exist, sizes that are none, kernels, VMMs and vCPU features
    that do not exist or are not known, VMs larger than their host, hosts whose VMs have more memory than they.
    Exit code 4: something is wrong; 5: something is unknown, and nothing wrong.
    """
    from fastsmc.plan import problems as asked

    found = asked(hosts=hosts, vms=vms)
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet, fail_if=fail_if)
