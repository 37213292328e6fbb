"""`fastsmc plan evacuate`: are these hosts empty within a time, and if not, what holds it up?"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from fastsmc.checks import shown
from fastsmc.cli import known
from fastsmc.cli.plan.options import Csv, FailIf, Figure, Form, Hosts, Json, Markdown, Out, Quiet, Vms, pictured
from fastsmc.errors import InputError

EXAMPLES = """
fastsmc plan evacuate --hosts sample:hosts.csv --vms sample:vms.csv --drain h1 --within 30min
fastsmc plan evacuate --hosts sample:hosts.csv --vms sample:vms.csv --drain each --within 10s --quiet
  no host is empty so soon: exit code 4
"""
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(s|min|h)", re.ASCII)
_SECONDS = {"s": 1, "min": 60, "h": 3600}


_Drain = Annotated[
    str,
    typer.Option(metavar="HOST,…", help="Hosts to empty at the same time, joined by commas; each: one by one."),
]
_WithinS = Annotated[str, typer.Option("--within", metavar="TIME", help="The time, with its unit: 30min, 900s, 2h.")]
_DowntimeMs = Annotated[
    float, typer.Option(metavar="MS", help="Longest downtime tolerated, where a VM has none of its own.")
]
_Limits = Annotated[
    str,
    typer.Option(metavar="PRESET", help="Whose limits: kubevirt-1.6, hco-1.19, …; none.", autocompletion=known.limits),
]
_Outbound = Annotated[int | None, typer.Option(metavar="COUNT", help="Migrations at once out of a host, instead.")]
_Inbound = Annotated[int | None, typer.Option(metavar="COUNT", help="Migrations at once into a host, instead.")]
_Discipline = Annotated[
    str,
    typer.Option(
        metavar="WORD",
        help="window: the next when one ends; batches: when all have.",
        autocompletion=known.one_of("window", "batches"),
    ),
]
_GbitPerS = Annotated[
    str | None,
    typer.Option(
        "--line-rate",
        metavar="RATE",
        help="Line rate of hosts that do not tell theirs: 10Gb/s, 25G. [default: drawn]",
    ),
]
_RttUs = Annotated[
    str, typer.Option("--rtt", metavar="TIME", help="With --line-rate: the round trip, with its unit: 80us.")
]
_MissShare = Annotated[
    float, typer.Option(metavar="SHARE", help="Share of replicas, and of migrations, that may miss: 0.1.")
]


def evacuate(
    hosts: Hosts,
    vms: Vms,
    drain: _Drain,
    within_s: _WithinS,
    downtime_ms: _DowntimeMs = 300,
    limits: _Limits = "kubevirt-1.6",
    outbound: _Outbound = None,
    inbound: _Inbound = None,
    cluster: Annotated[int | None, typer.Option(metavar="COUNT", help="Migrations at once in all, instead.")] = None,
    discipline: _Discipline = "window",
    replicas: Annotated[int, typer.Option(metavar="COUNT", help="How often all is simulated.")] = 1000,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Of all random numbers.")] = 1,
    gbit_per_s: _GbitPerS = None,
    rtt_us: _RttUs = "0",
    miss_share: _MissShare = 0.1,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell whether hosts are empty within a time, by live migration, and what holds it up (modelled).

    Migrations share the hosts' network cards; an orchestrator's limits say how many run at once and when one is
    aborted. What the tables do not tell is drawn from ranges that are named, and where it decides, that is said.

    Exit code 4: a VM cannot leave, or too many replicas are late or migrations over their downtime; 5: what is not
    known decides.
    """
    from fastsmc import plan
    from fastsmc.migrate.link import Link, line_rate, microseconds

    own = {"outbound": outbound, "inbound": inbound, "cluster": cluster}
    allowed = plan.Limits() if limits == "none" else plan.Limits.preset(limits)
    if changed := {name: value for name, value in own.items() if value is not None}:
        allowed = allowed.having(**changed)
    found = plan.evacuate(
        plan.Inventory.read(hosts=hosts, vms=vms),
        hosts=drain if drain == "each" else drain.split(","),
        within_s=_seconds(within_s),
        downtime_ms=downtime_ms,
        limits=allowed,
        discipline=discipline,  # type: ignore[arg-type]  # it says so itself
        replicas=replicas,
        seed=seed,
        link=None if gbit_per_s is None else Link(line_rate(gbit_per_s), microseconds(rtt_us)),
        miss_share=miss_share,
    )
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    form.show(found, files=pictured(found.figure, figure))


def _seconds(text: str) -> float:
    """Seconds of a written time.

    >>> _seconds("30min"), _seconds("1.5 h"), _seconds("90s")
    (1800.0, 5400.0, 90.0)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        msg = f"--within {shown(text)}: give a time with its unit, such as 30min, 900s or 2h"
        raise InputError(msg)
    return float(match[1]) * _SECONDS[match[2]]
