"""`fastsmc migrate …`: register state on the move."""

from __future__ import annotations

import json
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.cli.migrate import add_registers as cli_migrate_add_registers
from fastsmc.cli.migrate import check as cli_migrate_check
from fastsmc.cli.migrate import downtime as cli_migrate_downtime
from fastsmc.cli.migrate import size as cli_migrate_size

if TYPE_CHECKING:
    from fastsmc.migrate.read import Part, RegisterFile, Scopes

app = typer.Typer(
    help="Register state on the move: what a file of a real system holds, and what it costs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SHOWN_PARTS, _SHOWN_IDS, _SHOWN_NAMES = 40, 20, 16
_COUNTERS = (0x603000000013DF01, 0x603000000013DF1A)
"""PTIMER_CNT and TIMER_CNT: one offset per VM, but they go on counting from one read to the next."""
_SCOPE_WORDS = {
    "equal_global": "equal on all vCPUs and declared VM-global",
    "equal_undeclared": "equal on all vCPUs, not declared VM-global",
    "conflicts": "CONFLICT: declared VM-global, but different on some vCPU",
    "different": "different on some vCPU, not declared VM-global",
    "untold": "with values that the file does not tell",
    "not_everywhere": "that some vCPU does not have",
}


@app.callback()
def migrate() -> None:
    """Options of every command."""


app.command(epilog=cli_migrate_check.EPILOG)(cli_migrate_check.check)
app.command(epilog=cli_migrate_size.EPILOG)(cli_migrate_size.size)
app.command(epilog=cli_migrate_downtime.EPILOG)(cli_migrate_downtime.downtime)
app.command(epilog=cli_migrate_add_registers.EPILOG)(cli_migrate_add_registers.add_registers)


@app.command(epilog="Example: fastsmc migrate inspect vm.migration --json")
def inspect(
    file: Annotated[str, typer.Argument(help="The file, or - for standard input; xz is unpacked.")],
    format: Annotated[
        str | None, typer.Option(help="Its format, if the content shall not decide: qemu-stream, analyze-migration, …")
    ] = None,
    features: Annotated[str | None, typer.Option(help="Which feature set of a recorded reglist: psci02+sve.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a file of registers is, what it holds, and its bytes by part.

    Reads QEMU migration streams (version 3), the JSON of analyze-migration.py, Firecracker fingerprints, the text of
    snapshot-editor and of the kernel's get-reg-list, Cloud Hypervisor's state.json, recorded lists and payloads.
    Registers equal on all vCPUs are compared with those that fastsmc declares VM-global (derived).
    """
    from fastsmc.migrate.read import read_registers, scopes

    found = read_registers(file, format=format, features=features)
    equality = scopes(found)
    if as_json:
        print(json.dumps(_as_json(found, equality), indent=1))
        return
    _print_head(found)
    _print_parts(found)
    _print_scopes(found, equality)
    for note in found.notes:
        print(f"note: {note}")


def _print_head(found: RegisterFile) -> None:
    told = ", ".join(f"{key} {value}" for key, value in found.provenance.told_by.items())
    print(f"{found.provenance.path}: {found.format}" + f" ({told})" * bool(told))
    for bank in found.banks:
        n_vcpu, registers = bank.vcpus.size, bank.registers
        print(f"{n_vcpu} vCPU{'s' * (n_vcpu != 1)} with {registers.n_reg} registers, {registers.n_global} VM-global:")
        for name, (count, size) in registers.by_class().items():
            print(f"  {name:16} {count:5d} registers {size:7d} B per vCPU")
        if bank.values is None:
            print("  ids only, no values")


def _print_parts(found: RegisterFile) -> None:
    print(f"\n{'part':32} {'sections':>8} {'bytes each':>16} {'bytes':>12}")
    rows = _by_name(found.parts)
    for name, count, smallest, largest, size in rows[:_SHOWN_PARTS]:
        each = str(smallest) if smallest == largest else f"{smallest}..{largest}"
        print(f"{name:32} {count:8d} {each:>16} {size:12d}")
    if rows[_SHOWN_PARTS:]:
        print(f"{len(rows) - _SHOWN_PARTS} more names {sum(row[4] for row in rows[_SHOWN_PARTS:]):38d}")
    if found.description_bytes:
        print(f"{'description (JSON)':32} {1:8d} {found.description_bytes:16d} {found.description_bytes:12d}")
    print(f"{'total':32} {'':8} {'':16} {found.total_bytes:12d}")


def _by_name(parts: tuple[Part, ...]) -> list[tuple[str, int, int, int, int]]:
    """(name, sections, smallest, largest, all bytes), in the order of their first section."""
    order = {name: number for number, name in enumerate(dict.fromkeys(part.name for part in parts))}
    ordered = sorted(parts, key=lambda part: order[part.name])
    rows = []
    for name, group in groupby(ordered, lambda part: part.name):
        sizes = [part.n_bytes for part in group]
        rows.append((name, len(sizes), min(sizes), max(sizes), sum(sizes)))
    return rows


def _print_scopes(found: RegisterFile, equality: Scopes) -> None:
    from fastsmc.facts.register_names import name_of

    print()
    if not found.has_values:
        return
    if found.n_vcpu == 1:
        print("one vCPU: nothing to compare its values with")
        return
    for key, words in _SCOPE_WORDS.items():
        ids = getattr(equality, key)
        if ids or key in ("equal_global", "conflicts"):
            print(f"{len(ids):5d} registers {words}")
        if key in ("equal_global", "equal_undeclared"):
            _print_names(ids)
        if key in ("conflicts", "different", "not_everywhere"):
            for reg in ids[:_SHOWN_IDS]:
                print(f"      {reg:#018x} {name_of(reg) or ''}".rstrip())
            if key == "conflicts" and set(ids) & set(_COUNTERS):
                print("      (the counters go on from one vCPU's read to the next)")
            if ids[_SHOWN_IDS:]:
                print(f"      and {len(ids) - _SHOWN_IDS} more")


def _print_names(ids: tuple[int, ...]) -> None:
    """The first of many registers by name, a few to a line."""
    from fastsmc.facts.register_names import name_of

    names = [name_of(reg) or f"{reg:#018x}" for reg in ids[:_SHOWN_NAMES]]
    names += [f"and {len(ids) - _SHOWN_NAMES} more (--json has all)"] * (len(ids) > _SHOWN_NAMES)
    if names:
        print(fill("; ".join(names), 100, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False))


def _as_json(found: RegisterFile, equality: Scopes) -> dict[str, Any]:
    from fastsmc.facts.register_names import name_of

    def listed(ids: tuple[int, ...]) -> list[dict[str, str | None]]:
        return [{"id": f"{reg:#018x}", "name": name_of(reg)} for reg in ids]

    keys = ("equal_global", "equal_undeclared", "different", "untold")
    return {
        "file": found.provenance.path,
        "format": found.format,
        "told_by": dict(found.provenance.told_by),
        "sha256": found.provenance.sha256,
        "vcpus": found.n_vcpu,
        "registers_per_vcpu": found.registers_per_vcpu,
        "register_sets": [{"vcpus": bank.vcpus.tolist(), "registers": bank.registers.n_reg} for bank in found.banks],
        "has_values": found.has_values,
        "parts": [{"name": part.name, "instance": part.instance, "bytes": part.n_bytes} for part in found.parts],
        "description_bytes": found.description_bytes,
        "total_bytes": found.total_bytes,
        "declared_global": sum(len(ids) for ids in (equality.equal_global, equality.conflicts)),
        "equality": {key: len(getattr(equality, key)) for key in keys} if found.n_vcpu > 1 else None,
        **{key: [f"{reg:#018x}" for reg in getattr(equality, key)] for key in keys if found.n_vcpu > 1},
        "conflicts": listed(equality.conflicts),
        "not_everywhere": listed(equality.not_everywhere),
        "notes": list(found.notes),
    }
