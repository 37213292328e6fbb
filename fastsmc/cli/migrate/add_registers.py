"""`fastsmc migrate add-registers`: what n more firmware registers change, and whether a map of globals is worth it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.cli.migrate.options import ioctl_cost, link_given, registers_of, whole_numbers, write_figure

if TYPE_CHECKING:
    from fastsmc.plan import ClaimPoint, Link, MapSavings, MoreRegisters, Span, VmmRow

EPILOG = "Example: fastsmc migrate add-registers 1 --release 6.18 --vcpus 8,512 --line-rate 25G"
_SIDES = (200, 200)


def add_registers(
    count: Annotated[int, typer.Argument(help="How many firmware registers are added.")],
    vcpus: Annotated[str, typer.Option(help="vCPUs of the VM, several joined by commas.")] = "8,64,192,512",
    release: Annotated[
        str, typer.Option(help="A release, whose register list is the base: recorded or inferred.")
    ] = "7.3",
    features: Annotated[
        str, typer.Option(help="vCPU features of that list, joined by +: pmu+sve; none is without PSCI 0.2 too.")
    ] = "psci02",
    size: Annotated[int, typer.Option(help="Bits of a new register: 32, 64 or 128.")] = 64,
    family: Annotated[str, typer.Option(help="bitmap, or fw for a single value such as PSCI_VERSION.")] = "bitmap",
    rate: Annotated[str, typer.Option("--line-rate", help="Of the network: 10Gb/s, 25G, 128MiB/s.")] = "10Gb/s",
    rtt: Annotated[str, typer.Option(help="Round trip, with its unit: 80us.")] = "0",
    ioctl_ns: Annotated[
        str | None, typer.Option(help="ns of one ioctl, or low,mid,high. [default: 200,500,1000, assumed]")
    ] = None,
    limit_ms: Annotated[float, typer.Option(help="QEMU's downtime-limit.")] = 300,
    share: Annotated[float, typer.Option(help="Percent of the limit from which on a saving counts.")] = 10,
    figure: Annotated[Path | None, typer.Option(help="Draw the break-even surface there, as .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what n more firmware registers change when a VM moves (modelled), VMM by VMM.

    Bytes are of the register arrays; ioctls and ms of both ends; limits that are crossed; migration directions that
    break. Then what a map of VM-global registers would save, and a verdict on what was said of it in 2022.
    """
    from fastsmc.migrate.link import require_number
    from fastsmc.plan import claim, map_savings, more_registers, registers_to_reach
    from fastsmc.plan.global_map import verdict

    require_number(share, "--share", above=0)
    link, each, counts = link_given(rate, rtt), ioctl_cost(ioctl_ns), whole_numbers("--vcpus", vcpus)
    base = registers_of(release, features)
    found = more_registers(base, count, n_vcpu=counts, link=link, size_bits=size, family=family, ioctl_ns=each)
    n_global = base.n_global + count
    counts = list(dict.fromkeys(counts))
    savings = [map_savings(n_global, one, link=link, ioctl_ns=each, limit_ms=limit_ms) for one in counts]
    needed = [registers_to_reach(share / 100, one, link=link, ioctl_ns=each, limit_ms=limit_ms) for one in counts]
    points = claim(link=link, ioctl_ns=each, limit_ms=limit_ms)
    sentence = verdict(points, share=share / 100)
    if figure is not None:
        _draw(figure, link, limit_ms, share / 100, savings, found.ioctl_ns)
    if as_json:
        print(json.dumps(_as_json(found, savings, needed, points, sentence, share, limit_ms), indent=1))
        return
    _print_rows(found, base.qemu_cpregs)
    _print_limits(found)
    _print_map(savings, needed, share, limit_ms)
    for point in points:
        print(f"claim: {point}")
    print(f"verdict: {sentence}.")
    print("assumes: the cost of an ioctl, QEMU's second write at load, crosvm's bytes; no VMM was traced.")


def _print_rows(found: MoreRegisters, n_reg: int) -> None:
    s = "s" * (found.n_new != 1)
    print(
        f"{found.subject}: {n_reg} registers carried by QEMU, and {found.n_new} more {found.size_bits}-bit firmware "
        f"register{s} ({found.family.value}), {found.link} (modelled)"
    )
    titles = f"{'bytes':>9} {'+':>8} {'ioctls':>8} {'+':>7} {'ms (low to high)':>18} {'+ ms (low to high)':>18}"
    print(f"{'vCPUs':>7}  {'VMM':17} {titles}")
    for row in found.rows:
        mark = "*" if row.is_hypothetical else " "
        print(f"{row.n_vcpu:6d}{mark}  {row.vmm:17} {row.n_byte.mid:9.0f} {_added(row)}")
    if any(row.is_hypothetical for row in found.rows):
        print(
            "* hypothetical: more vCPUs than the VMM runs (QEMU 512, Cloud Hypervisor 255, Firecracker 32) or KVM (512)"
        )


def _added(row: VmmRow) -> str:
    before = f"{row.ms.low:.3g} to {row.ms.high:.3g}"
    if row.n_byte_after is None or row.ioctls_after is None or row.ms_after is None:
        return f"{'-':>8} {row.ioctls:8d} {'-':>7} {before:>18} {row.refused}"
    more = f"{row.ms_after.low - row.ms.low:.3g} to {row.ms_after.high - row.ms.high:.3g}"
    n_byte = row.n_byte_after.mid - row.n_byte.mid
    return f"{n_byte:8.0f} {row.ioctls:8d} {row.ioctls_after - row.ioctls:7d} {before:>18} {more:>18}"


def _print_limits(found: MoreRegisters) -> None:
    for limit in found.limits:
        state = "CROSSED" if limit.is_crossed else "kept"
        most = f"{limit.what}: {limit.before} before, {limit.after} after, {limit.most} at most"
        room = "" if limit.room is None else f"; {max(limit.room, 0)} new registers fit"
        print(f"limit {state}: {limit.vmm}, {most}{room}")
    for way in found.directions:
        print(f"{way.vmm}, new kernel to old: {way.new_to_old}")
        print(f"{way.vmm}, old kernel to new: {way.old_to_new}")


def _print_map(savings: list[MapSavings], needed: list[Span], share: float, limit_ms: float) -> None:
    print(f"a map of {savings[0].n_global} VM-global registers would save QEMU (modelled)")
    print(
        f"{'vCPUs':>7} {'bytes':>10} {'ioctls':>8} {'low ms':>9} {'mid ms':>9} {'high ms':>9}  "
        f"{share:g} % of {limit_ms:g} ms from so many VM-global registers on"
    )
    for saved, least in zip(savings, needed, strict=True):
        columns = " ".join(f"{ms:9.3f}" for ms in saved.ms)
        reach = "never" if saved.n_vcpu == 1 else f"{least.low:,.0f} to {least.high:,.0f}"
        print(f"{saved.n_vcpu:7d} {saved.n_byte:10d} {saved.ioctls:8d} {columns}  {reach}")


def _draw(path: Path, link: Link, limit_ms: float, share: float, savings: list[MapSavings], ioctl_ns: Span) -> None:
    import numpy as np

    from fastsmc.plan.global_map import ORIGIN, saved_ms
    from fastsmc.reporting.break_even import picture

    ns, repeats = np.geomspace(50, 5000, _SIDES[0]), np.geomspace(100, 4e6, _SIDES[1])
    each = np.array([saved_ms(1, link=link, ioctl_ns=float(one)) for one in ns]) / limit_ms
    largest = max(savings, key=lambda saved: saved.repeats)
    points = [(f"{n_reg} x {n_vcpu} of 2022", float(n_reg * (n_vcpu - 1))) for n_reg, n_vcpu, _ in ORIGIN]
    points += [(f"{largest.n_global} x {largest.n_vcpu} now asked", float(largest.repeats))] * (largest.n_vcpu > 1)
    limit = f"{limit_ms:g}\N{NO-BREAK SPACE}ms"
    title = f"A map of VM-global registers saves QEMU {share * 100:g} % of {limit} above the thick line ({link})"
    drawn = picture(
        ns,
        repeats,
        repeats[:, None] * each,
        title=title,
        threshold=share,
        points=points,
        marked_ns=sorted({*ioctl_ns}),
    )
    write_figure(drawn, path)


def _as_json(
    found: MoreRegisters,
    savings: list[MapSavings],
    needed: list[Span],
    points: tuple[ClaimPoint, ...],
    sentence: str,
    share: float,
    limit_ms: float,
) -> dict[str, Any]:
    return {
        "kind": "modelled",
        "registers": found.subject,
        "added": found.n_new,
        "size_bits": found.size_bits,
        "family": found.family.value,
        "ioctl_ns": asdict(found.ioctl_ns),
        "ioctl_ns_kind": "assumed",
        "line_rate_gbit_per_s": found.link.gbit_per_s,
        "limit_ms": limit_ms,
        "rows": [{**asdict(row), "hypothetical": row.is_hypothetical} for row in found.rows],
        "limits": [{**asdict(limit), "crossed": limit.is_crossed} for limit in found.limits],
        "directions": list(map(asdict, found.directions)),
        "map": [
            {**asdict(saved), "break_even_percent": share, "break_even_registers": _finite(least)}
            for saved, least in zip(savings, needed, strict=True)
        ],
        "claim": list(map(asdict, points)),
        "verdict": sentence,
    }


def _finite(span: Span) -> dict[str, float] | None:
    return None if span.low == float("inf") else asdict(span)
