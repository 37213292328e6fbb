"""A table's names and values as a person reads them: in text, Markdown and HTML alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsmc.checks import escaped
from fastsmc.results.units import count, three_digits

if TYPE_CHECKING:
    from fastsmc.results.tables import Table

UNKNOWN = "unknown"
"""What stands for a number that is not known."""
_COUNTED = {"vcpu": "vCPUs", "vm": "VMs", "host": "hosts", "reg": "registers", "call": "calls", "range": "ranges"}
_WORDS = {
    "vcpu": "vCPU", "vcpus": "vCPUs", "vm": "VM", "vms": "VMs", "vmm": "VMM", "gib": "GiB", "mib": "MiB", "kib": "KiB",
    "gbit": "Gbit", "mbit": "Mbit", "percent": "%", "hz": "Hz", "kvm": "KVM",
}  # fmt: skip


def heading(name: str) -> str:
    """A column's name as a heading, its unit at the end.

    >>> heading("n_vcpu"), heading("downtime_ms"), heading("link_gbit_per_s"), heading("n_vcpu_per_vm")
    ('vCPUs', 'downtime ms', 'link Gbit/s', 'vCPUs per VM')
    """
    words = name.removesuffix("_per_s").split("_")
    if words[0] == "n" and words[1:]:
        words = [_COUNTED.get(words[1], words[1]), *words[2:]]
    told = " ".join(_WORDS.get(word, word) for word in words if word)
    return cell(told + "/s" * name.endswith("_per_s"))


def cell(value: Any) -> str:
    """A value as a table shows it: whole numbers grouped from 10,000 on, others with three digits.

    >>> [cell(value) for value in (225792, 0.29214, None, True, "6.12")]
    ['225,792', '0.292', 'unknown', 'yes', '6.12']
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value) if value >= 0 else f"-{count(-value)}"
    if isinstance(value, float):
        return _fraction(value)
    return escaped(str(value)).replace("\n", "\\n").replace("\t", "\\t")


def _fraction(value: float) -> str:
    text = three_digits(abs(value))
    if float(text) >= 10_000:
        text = count(float(text))
    elif value and not float(text):
        text = f"{abs(value):.2e}"  # too small for four places
    return f"-{text}" if value < 0 and float(text.replace(",", "")) else text


def kinds_line(table: Table) -> str:
    """How the columns came about, in one line; columns without a kind are left out.

    >>> from fastsmc.results.tables import Column, Table
    >>> kinds_line(Table("", {"n_vcpu": Column.of([1], "input"), "downtime_ms": Column.of([2.5], "modelled")}))
    'input: vCPUs; modelled: downtime ms'
    """
    by_kind: dict[str, list[str]] = {}
    for name, kind in table.kinds.items():
        if kind:
            by_kind.setdefault(kind, []).append(heading(name))
    if len(by_kind) == 1 and all(table.kinds.values()):
        return f"all columns: {next(iter(by_kind))}"
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in by_kind.items())
