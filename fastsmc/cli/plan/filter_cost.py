"""`fastsmc plan filter-cost`: what an SMCCC filter costs KVM (modelled), and this simulator (measured)."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.checks import whole_numbers
from fastsmc.cli.plan.options import Csv, Json, Markdown, Out, Quiet, show


def filter_cost(
    ranges: Annotated[str, typer.Option(help="Ranges of the filter: 0,1,10,100; 0 is no filter.")] = "0,1,10,100",
    profile: Annotated[str, typer.Option(help="A cost profile, by name or path.")] = "neoverse-n1",
    measure: Annotated[bool, typer.Option(help="Time this simulator too.")] = True,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Tell what an SMCCC filter of so many ranges costs a call: in KVM (modelled), and in this simulator (measured).

    KVM's time is that of a call that a service in the kernel answers, by a cost profile. The simulator's time says
    nothing of KVM.
    """
    from fastsmc import plan

    found = plan.filter_cost(n_range=whole_numbers("--ranges", ranges, first=0), profile=profile, measure=measure)
    show(found, as_json=as_json, csv=csv, markdown=markdown, out=out, quiet=quiet)
