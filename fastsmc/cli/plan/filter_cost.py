"""`fastsmc plan filter-cost`: what an SMCCC filter costs KVM (modelled), and this simulator (measured)."""

from __future__ import annotations

from typing import Annotated

import typer

from fastsmc.cli import known, values
from fastsmc.cli.costs import Force, costs_given
from fastsmc.cli.plan.options import Csv, FailIf, Figure, Form, Json, Markdown, Out, Quiet, pictured

EXAMPLES = """
fastsmc plan filter-cost --ranges 0,1,10,100 --no-measure
fastsmc plan filter-cost --ranges 1..1000..x10 --no-measure --csv
"""


def filter_cost(
    n_range: Annotated[
        str,
        typer.Option("--ranges", metavar=values.COUNTS, help=f"Ranges of the filter, 0 being no filter; {values.HOW}"),
    ] = "0,1,10,100",
    profile: Annotated[
        str,
        typer.Option(metavar="PROFILE", help="A cost profile, by name or path.", autocompletion=known.profiles),
    ] = "neoverse-n1",
    force: Force = False,
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Time this simulator too.")] = True,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell what an SMCCC filter of so many ranges costs a call: in KVM (modelled), and in this simulator (measured).

    KVM's time is that of a call that a service in the kernel answers, by a cost profile. The simulator's time says
    nothing of KVM.
    """
    from fastsmc import plan

    counts, costs = values.counts("--ranges", n_range, first=0), costs_given(profile, force)
    found = plan.filter_cost(n_range=counts, profile=costs or profile, measure=measure)
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))
