"""The answer to the origin's question in plain words, every number taken from the run."""

from __future__ import annotations

from fastsmc.reporting import study
from fastsmc.reporting.heatmap import QEMU as WITH_IDS
from fastsmc.reporting.heatmap import origin_points
from fastsmc.reporting.sets import QEMU, QEMU_ONCE, at_limit, reference
from fastsmc.reporting.style import limit
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import NBSP, count, duration, microseconds, milliseconds, percent, significant, size


def lead(run: Run) -> list[tuple[str, str]]:
    """Paragraphs as (what it is about, text)."""
    load = [("Under load", _load(run))] if study.is_in(run) else []
    return [
        ("The question", _question(run)),
        ("Bytes", _bytes(run)),
        ("Ioctls", _ioctls(run)),
        ("Dispatch", _dispatch(run)),
        *load,
    ]


def _question(run: Run) -> str:
    row = at_limit(run, QEMU)
    first = run["sets"].where(register_set=reference(run))
    return (
        "A VM's firmware registers hang off each of its vCPUs, so migration carries the same values once per vCPU. In "
        "April 2022 it was asked whether that is waste. It is, was the answer, and it does not matter. In numbers: the "
        f"{first['n_cpreg'][0]} registers that QEMU carries per vCPU of {reference(run)}, {first['n_firmware'][0]} of "
        f"them firmware registers, are {size(row['payload_bytes'])} for a VM of {row['n_vcpu']} vCPUs, and "
        f"{count(row['save_ioctls'])} ioctls to read them (both modelled)."
    )


def _point(point: Table) -> str:
    return f"{count(point['n_reg'][0])} registers on {count(point['n_vcpu'][0])} vCPUs"


def _bytes(run: Run) -> str:
    large, small = origin_points(run)
    with_ids = run["origin"].where(codec=WITH_IDS, n_reg=large["n_reg"][0], n_vcpu=large["n_vcpu"][0])
    times = [milliseconds(float(t["encode_ms"][0] + t["decode_ms"][0])) for t in (large, with_ids)]
    rate = limit(run, "QEMU default rate limit")
    now = milliseconds(at_limit(run, QEMU)["payload_bytes"] / rate * 1e3)
    flag = " (hypothetical)" if large["is_hypothetical"][0] else ""
    exact = run["origin"]["is_round_trip_exact"].all() and run["payload"]["is_round_trip_exact"].all()
    back = "came back bit for bit" if exact else "DID NOT all come back bit for bit"
    return (
        f"The origin's extreme, {_point(large)}{flag}, is {size(large['encoded_bytes'][0])} of values, "
        f"{size(with_ids['encoded_bytes'][0])} with the ids that QEMU sends beside them; its realistic end, "
        f"{_point(small)}, is {size(small['encoded_bytes'][0])}. All of it was encoded for real and {back}; writing "
        f"and reading the extreme takes {times[0]}, {times[1]} with ids (measured). Today's set above takes {now} even "
        f"at QEMU's default rate limit of {size(rate)}/s (modelled)."
    )


def _ioctls(run: Run) -> str:
    row, once = at_limit(run, QEMU), at_limit(run, QEMU_ONCE)
    budget = limit(run, "QEMU default downtime")
    low, mid, high = (limit(run, f"one register ioctl, {end}") for end in ("low", "mid", "high"))
    shares = [percent(row[f"save_{end}_ms"] / budget) for end in ("low", "high")]
    bytes_ms = row["payload_bytes"] / limit(run, "QEMU default rate limit") * 1e3
    weigh = "more" if row["save_low_ms"] > bytes_ms else "less" if row["save_high_ms"] < bytes_ms else "more or less"
    saved = [percent(1 - once[column] / row[column]) for column in ("payload_bytes", "save_ioctls")]
    return (
        f"What one takes nobody has published; assumed are {low / 1e3:g} to {microseconds(high)}. In that span they "
        f"weigh {weigh} than the bytes: the {count(row['save_ioctls'])} take {milliseconds(row['save_low_ms'])} to "
        f"{milliseconds(row['save_high_ms'])} ({milliseconds(row['save_mid_ms'])} at {microseconds(mid)}), which is "
        f"{shares[0]} to {shares[1]} of the {budget:g}{NBSP}ms that QEMU allows for downtime by default. Carrying "
        "VM-global registers once, as the answer of 2022 proposes should it ever matter, would leave out "
        f"{saved[0]} of the bytes and {saved[1]} of the ioctls."
    )


def _dispatch(run: Run) -> str:
    row = min(run["replay"].rows(), key=lambda row: row["is_hypothetical"])
    large = run["dispatch_by_vcpu"].where(pattern="real trace")
    n_vcpu = count(row["n_vcpu"])
    return (
        f"To find the verdicts of a real guest's calls on {n_vcpu} vCPUs takes this simulator "
        f"{duration(row['dispatch_ns'])} per call, {significant(row['calls_per_s'] / 1e6)} million calls per second on "
        f"one core; on {count(large['n_vcpu'][-1])} vCPUs {duration(large['dispatch_ns'][-1])}. A batch in which each "
        f"of {n_vcpu} vCPUs makes one call takes {duration(row['batch_p50_ns'])} at the median and "
        f"{duration(row['batch_p99_9_ns'])} at the 99.9th percentile (all measured). KVM's own path was not timed."
    )


def _load(run: Run) -> str:
    table = run["study_vcpus"].where(lock="vm")
    row = list(table.where(is_hypothetical=False).rows())[-1]
    service, think = study.weakest(run), duration(study.figure_of(run, "think_ns"))
    return (
        f"What a filter forwards waits in the VMM. One lock per VM serves {count(row['most_forwarded_hz'])} forwarded "
        f"calls a second, if the VMM works {duration(service['value'])} for each ({service['obtained']}): with "
        f"{row['n_vcpu']} vCPUs that run {think} between calls, of which {percent(row['share'])} are forwarded, half "
        f"of these take {duration(row['p50_ns'])} or longer, where one alone takes {duration(row['alone_ns'])} "
        "(modelled)."
    )
