"""The answer in three sentences, every number of them taken from the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastsmc.reporting import breaks, fleet_upgrade
from fastsmc.reporting.heatmap import origin_points
from fastsmc.reporting.sets import QEMU, QEMU_ONCE, at_limit, reference
from fastsmc.reporting.style import limit
from fastsmc.results.runs import Run
from fastsmc.results.units import NBSP, count, microseconds, milliseconds, percent, significant, size

LITTLE = 0.1
"""A share of the downtime limit that is called little."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the verdict.

    Attributes:
        claim: its first words; text: the rest, each number followed by how it came about, "(modelled)".
        numbers: the numbers by name, with their units in the names, and how each came about.
    """

    claim: str
    text: str
    numbers: dict[str, tuple[float, str]]

    def __str__(self) -> str:
        return f"{self.claim}: {self.text}".replace(NBSP, " ")

    def as_dict(self) -> dict[str, Any]:
        """The sentence and its numbers as plain values."""
        numbers = {name: {"value": value, "kind": kind} for name, (value, kind) in self.numbers.items()}
        return {"sentence": str(self), "numbers": numbers}


def verdict(run: Run) -> list[Sentence]:
    """What registers that every vCPU repeats cost, in bytes and in ioctls, and what really breaks."""
    return [_bytes(run), _ioctls(run), _breaks(run)]


def _bytes(run: Run) -> Sentence:
    row, (large, _) = at_limit(run, QEMU), origin_points(run)
    first = run["sets"].where(register_set=reference(run))
    budget = limit(run, "QEMU default downtime")
    wire_ms = row["payload_bytes"] / limit(run, "QEMU default rate limit") * 1e3
    exact = run["origin"]["is_round_trip_exact"].all() and run["payload"]["is_round_trip_exact"].all()
    text = (
        f"VM-global registers sent once per vCPU are {size(large['encoded_bytes'][0])} (measured) for "
        f"{count(large['n_reg'][0])} registers on {count(large['n_vcpu'][0])} vCPUs, and all {first['n_cpreg'][0]} "
        f"that QEMU carries of {reference(run)} are {size(row['payload_bytes'])} (modelled) on {row['n_vcpu']}, "
        f"{milliseconds(wire_ms)} of a {budget:g}{NBSP}ms downtime limit at QEMU's default rate"
    )
    text += "." if exact else ", BUT NOT ALL OF IT came back bit for bit."
    numbers = {
        "origin_registers": (int(large["n_reg"][0]), "input"),
        "origin_vcpus": (int(large["n_vcpu"][0]), "input"),
        "origin_bytes": (int(large["encoded_bytes"][0]), "measured"),
        "registers_per_vcpu": (int(first["n_cpreg"][0]), "recorded"),
        "vcpus": (row["n_vcpu"], "input"),
        "payload_bytes": (row["payload_bytes"], "modelled"),
        "wire_ms": (wire_ms, "modelled"),
        "limit_ms": (budget, "recorded"),
    }
    return Sentence("Bytes are little" if wire_ms <= LITTLE * budget else "Bytes matter", text, numbers)


def _ioctls(run: Run) -> Sentence:
    row, once = at_limit(run, QEMU), at_limit(run, QEMU_ONCE)
    budget = limit(run, "QEMU default downtime")
    low, high = (limit(run, f"one register ioctl, {end}") for end in ("low", "high"))
    saved_bytes, saved = (1 - once[column] / row[column] for column in ("payload_bytes", "save_ioctls"))
    text = (
        f"to save these {row['n_vcpu']} vCPUs QEMU makes {count(row['save_ioctls'])} (modelled), "
        f"{milliseconds(row['save_low_ms'])} to {milliseconds(row['save_high_ms'])} (assumed) of the "
        f"{budget:g}{NBSP}ms if one takes {significant(low / 1e3)} to {microseconds(high)}; sending VM-global "
        f"registers once would leave out {percent(saved)} of them and {percent(saved_bytes)} of the bytes (modelled)."
    )
    numbers = {
        "save_ioctls": (row["save_ioctls"], "modelled"),
        "save_low_ms": (row["save_low_ms"], "assumed"),
        "save_high_ms": (row["save_high_ms"], "assumed"),
        "ioctl_low_ns": (low, "assumed"),
        "ioctl_high_ns": (high, "assumed"),
        "saved_ioctls_share": (saved, "modelled"),
        "saved_bytes_share": (saved_bytes, "modelled"),
    }
    is_little = row["save_high_ms"] <= LITTLE * budget
    return Sentence("Ioctls are little too" if is_little else "Ioctls weigh more", text, numbers)


def _breaks(run: Run) -> Sentence:
    by, had = breaks.first_vmm(run), fleet_upgrade.as_before(run)
    every, back = breaks.counted(run, by), breaks.counted(run, by, is_back=True)
    vmm = breaks.vmm_name(had["vmm"].replace(":", " "))
    text = (
        f"with {breaks.vmm_name(by)}, {every.n_fail} of {every.n_move} moves between {len(breaks.kernels(run))} "
        f"kernels fail and {every.n_unknown} cannot be known (modelled), {back.n_fail} of the {back.n_move} that go "
        f"back to an older kernel among them; of {count(had['n_vm'])} VMs of a drawn fleet with {vmm}, "
        f"{count(had['stopped'])} must stop on the way to Linux {had['to']} (assumed)."
    )
    numbers = {
        "kernels": (len(breaks.kernels(run)), "input"),
        "moves": (every.n_move, "input"),
        "moves_fail": (every.n_fail, "modelled"),
        "moves_unknown": (every.n_unknown, "modelled"),
        "moves_back": (back.n_move, "input"),
        "moves_back_fail": (back.n_fail, "modelled"),
        "fleet_vms": (had["n_vm"], "assumed"),
        "fleet_stopped": (had["stopped"], "assumed"),  # modelled, of a fleet that is assumed
    }
    is_right = every.n_fail > 0
    return Sentence("What breaks is registers that do not match" if is_right else "Nothing breaks", text, numbers)
