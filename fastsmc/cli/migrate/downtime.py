"""`fastsmc migrate downtime`: where the downtime of a migration goes, step by step."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.cli.migrate.options import ioctl_cost, link_given, registers_given, write_figure
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.migrate.switchover import Waterfall
    from fastsmc.plan import Span

EPILOG = "Example: fastsmc migrate downtime --vcpus 512 --release 6.18 --line-rate 25G --query-migrate answer.json"


def downtime(
    vcpus: Annotated[int, typer.Option(help="vCPUs of the VM.")],
    vmm: Annotated[str, typer.Option(help="Whose downtime: qemu.")] = "qemu",
    registers: Annotated[int | None, typer.Option(help="Registers in QEMU's cpreg array, per vCPU.")] = None,
    sve: Annotated[bool, typer.Option("--sve", help="With --registers: the vCPUs have SVE.")] = False,
    release: Annotated[
        str | None, typer.Option(help="A release, whose register list counts: recorded or inferred.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="With --release: vCPU features, joined by +; or none. [default: psci02]")
    ] = None,
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network: 10Gb/s, 25G, 128MiB/s.")] = "10Gb/s",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    limit_ms: Annotated[float, typer.Option(help="QEMU's downtime-limit.")] = 300,
    query_migrate: Annotated[
        Path | None, typer.Option(help="QMP's answer to query-migrate on the source: JSON.")
    ] = None,
    trace: Annotated[
        list[Path] | None, typer.Option(help="QEMU's log with vmstate_downtime_* events, of either end; repeatable.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the steps there, as .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where the downtime of a migration goes, step by step (modelled), against QEMU's downtime limit.

    For QEMU on a KVM host, GICv3, precopy. Times of ioctls, pausing and resuming are assumed. What --query-migrate and
    --trace tell replaces modelled steps and is marked measured.
    """
    from fastsmc.migrate.switchover import qemu_downtime, read_downtime_log, read_query_migrate, with_logs, with_query

    if vmm != "qemu":
        msg = f"--vmm {vmm!r}: only 'qemu' is modelled, as no other VMM's steps are known"
        raise InputError(msg)
    found, has_sve = registers_given(registers, sve, release, features)
    waterfall = qemu_downtime(
        found,
        vcpus,
        link=link_given(rate, rtt),
        has_sve=has_sve,
        ioctl_ns=ioctl_cost(ioctl_ns),
        limit_ms=limit_ms,
    )
    waterfall = with_logs(waterfall, [read_downtime_log(path) for path in trace or ()])
    if query_migrate is not None:
        waterfall = with_query(waterfall, read_query_migrate(query_migrate))
    if figure is not None:
        _draw(waterfall, figure)
    if as_json:
        print(json.dumps(_as_json(waterfall), indent=1))
    else:
        _print(waterfall)


def _draw(waterfall: Waterfall, path: Path) -> None:
    from fastsmc.reporting.waterfall import Bar, picture

    bars = [Bar(step.name, tuple(step.ms), step.kind, step.is_budgeted) for step in waterfall.steps]
    total = waterfall.total_ms
    title = (
        f"{waterfall.n_vcpu} vCPUs with {waterfall.n_reg} registers: {total.mid:.3g} ms one after another, "
        f"{waterfall.unseen_share:.0%} of it not in QEMU's estimate"
    )
    write_figure(picture(bars, title=title, limit_ms=waterfall.limit_ms), path)


def _print(waterfall: Waterfall) -> None:
    sve = ", SVE" * waterfall.has_sve
    print(
        f"QEMU, {waterfall.subject}: {waterfall.n_vcpu} vCPUs{'*' * waterfall.is_hypothetical}, {waterfall.n_reg} "
        f"registers carried per vCPU{sve}, {waterfall.link} ({', '.join(waterfall.kinds)})"
    )
    print(f"{'step':26} {'stage':6} {'ioctls':>8} {'bytes':>10} {'low ms':>9} {'mid ms':>9} {'high ms':>9}  kind")
    for step in waterfall.steps:
        counts = f"{step.ioctls or '':>8} {step.n_byte or '':>10}"
        print(f"{step.name:26} {step.stage.value:6} {counts} {_columns(step.ms)}  {step.kind}")
    for name, span in _sums(waterfall).items():
        print(f"{name:52} {_columns(span)}")
    share = waterfall.total_ms.times(1 / waterfall.limit_ms)
    print(f"{f'of the {waterfall.limit_ms:g} ms limit':52} " + " ".join(f"{one:9.1%}" for one in share))
    print(f"not in QEMU's estimate: {waterfall.unseen_share:.1%} of the middle sum")
    for text in waterfall.left_out:
        print(f"left out: {text}")
    sources: dict[str, list[str]] = {}
    for step in waterfall.steps:
        sources.setdefault(step.source, []).append(step.name)
    for source, names in sources.items():
        print(f"{'; '.join(names)}: {source}")
    for note in waterfall.notes:
        print(f"note: {note}")
    if waterfall.is_hypothetical:
        print("* hypothetical: QEMU's virt and arm64 KVM stop at 512 vCPUs per VM")


def _columns(span: Span) -> str:
    return " ".join(f"{one:9.3f}" for one in span)


def _sums(waterfall: Waterfall) -> dict[str, Span]:
    return {
        "one after another": waterfall.total_ms,
        "saving, wire and loading at once": waterfall.overlapped_ms,
        "not in QEMU's estimate": waterfall.unseen_ms,
    }


def _as_json(waterfall: Waterfall) -> dict[str, Any]:
    steps = []
    for step in waterfall.steps:
        told = asdict(step)
        told["bytes"] = told.pop("n_byte")
        told["in_estimate"] = told.pop("is_budgeted")
        steps.append(told)
    return {
        "kind": ", ".join(waterfall.kinds),
        "vmm": "qemu",
        "registers": waterfall.subject,
        "vcpus": waterfall.n_vcpu,
        "registers_per_vcpu": waterfall.n_reg,
        "sve": waterfall.has_sve,
        "hypothetical": waterfall.is_hypothetical,
        "line_rate_gbit_per_s": waterfall.link.gbit_per_s,
        "rtt_us": waterfall.link.rtt_us,
        "limit_ms": waterfall.limit_ms,
        "steps": steps,
        "total_ms": asdict(waterfall.total_ms),
        "overlapped_ms": asdict(waterfall.overlapped_ms),
        "unseen_ms": asdict(waterfall.unseen_ms),
        "unseen_share": waterfall.unseen_share,
        "share_of_limit": asdict(waterfall.total_ms.times(1 / waterfall.limit_ms)),
        "left_out": list(waterfall.left_out),
        "notes": list(waterfall.notes),
    }
