"""`fastsmc migrate check`: will a VM restore elsewhere, and back?"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.cli.migrate.options import write_figure
from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError, InputError

if TYPE_CHECKING:
    from fastsmc.migrate.compat import Direction, MigrationCheck, RegisterFate, SideInfo
    from fastsmc.migrate.compat.matrix import Cell, Matrix

_SHOWN = 24
REFUSED = "no"
EPILOG = "Example: fastsmc migrate check 6.18 6.12+pmu --vmm qemu"


def check(
    source: Annotated[
        str | None, typer.Argument(help="A release and features (6.12+pmu), a file, a recorded host, or its folder.")
    ] = None,
    dest: Annotated[str | None, typer.Argument(help="Where the VM goes; the same kinds.")] = None,
    vmm: Annotated[str, typer.Option(help="qemu, firecracker, cloud-hypervisor, crosvm, or kvm: no VMM.")] = "qemu",
    source_features: Annotated[str | None, typer.Option(help="vCPU features of SOURCE: pmu+sve; none.")] = None,
    dest_features: Annotated[str | None, typer.Option(help="vCPU features of DEST.")] = None,
    source_release: Annotated[str | None, typer.Option(help="Kernel of a SOURCE file that does not tell it.")] = None,
    dest_release: Annotated[str | None, typer.Option(help="Kernel of a DEST file that does not tell it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Every known release against every other.")] = False,
    features: Annotated[str | None, typer.Option(help="vCPU features of the matrix.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the matrix there, one row a direction.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the matrix there, as .svg or .png.")] = None,
) -> None:
    """Tell whether a VM restores on another kernel or host, in both directions, and what stands in the way.

    Every register that fails is named with its reason, the VMM's own error text and a remedy. Registers whose values
    are not known are counted, not guessed. Modelled: from recorded restores, source code and public reports.

    Exits with 0 when SOURCE to DEST passes (as far as known), with 4 when it fails; --matrix exits with 0.
    """
    if matrix:
        given = (source, dest, source_features, dest_features, source_release, dest_release)
        if any(value is not None for value in given):
            msg = "--matrix compares all known releases: leave out SOURCE, DEST and their options"
            raise typer.BadParameter(msg)
        _matrix(features, vmm, as_json, csv_file, figure)
        return
    if source is None or dest is None:
        msg = "give SOURCE and DEST, or --matrix"
        raise typer.BadParameter(msg)
    if features is not None or csv_file is not None or figure is not None:
        msg = "--features, --csv and --figure belong to --matrix; features of a side follow it: 6.12+pmu"
        raise typer.BadParameter(msg)
    from fastsmc.migrate.compat import check_migration

    found = check_migration(
        source,
        dest,
        vmm,
        source_features=source_features,
        dest_features=dest_features,
        source_release=source_release,
        dest_release=dest_release,
    )
    try:
        print(json.dumps(_as_json(found), indent=1)) if as_json else _print(found)
    except BrokenPipeError:
        _end(found.forward)  # the verdict outlives a reader that has seen enough: | head
        raise
    _end(found.forward)


def _end(forward: Direction) -> None:
    """Ends with exit code 4 if forward fails."""
    if not forward.ok:
        msg = f"{forward.source} to {forward.dest} fails with {forward.vmm}: {_in_the_way(forward)}"
        raise CheckError(msg)


def _in_the_way(direction: Direction) -> str:
    count = len(direction.failing)
    if not count:
        return f"stopped by {direction.stopped_by}"
    return f"{count} registers stand in the way" if count > 1 else "1 register stands in the way"


# -- as text ---------------------------------------------------------------------------------------------------


def _print(found: MigrationCheck) -> None:
    for what, side in (("source", found.source), ("dest", found.dest)):
        _print_side(what, side)
    for name, direction in (("forward", found.forward), ("backward", found.backward)):
        _print_direction(name, direction)


def _print_side(what: str, side: SideInfo) -> None:
    kernel = f"Linux {side.release}" if side.release else "no kernel's rules"
    counts = f"{side.n_register} registers, {side.n_value} values"
    print(f"{what:6}  {side.name} ({side.basis}: {kernel}, {side.features}, {counts})")
    for note in side.notes:
        print(f"        note: {note}")


def _print_direction(name: str, direction: Direction) -> None:
    print(f"\n{name}: {direction.source} -> {direction.dest} with {direction.vmm}: {direction.verdict.upper()}")
    if direction.lengths is not None:
        print(f"  {direction.lengths[0]} registers in the stream, {direction.lengths[1]} at the destination")
    _print_fates("failing", direction.failing)
    if direction.stopped_by:
        print(f"  stopped by {direction.stopped_by}" + ":" * bool(direction.error))
    for line in direction.error:
        print(f"    | {line}")
    _print_fates("cannot be judged", direction.unjudged)
    for warning in direction.warnings:
        print(f"  warning: {warning.text}")
    for remedy in direction.remedies:
        count = len(remedy.registers)
        print(f"  remedy ({count} register{'s' * (count != 1)}): {remedy.text}")
        if remedy.command:
            print(f"    {remedy.command}")


def _print_fates(head: str, fates: tuple[RegisterFate, ...]) -> None:
    """Registers, those with one reason together when they are many."""
    if not fates:
        return
    print(f"  {head}, {len(fates)} register{'s' * (len(fates) > 1)}:")
    by_reason: dict[str, list[RegisterFate]] = {}
    for fate in fates:
        by_reason.setdefault(fate.reason, []).append(fate)
    for reason, group in by_reason.items():
        if len(group) < 4:
            for fate in group:
                print(f"    {fate}")
            continue
        names = ", ".join(fate.name or f"{fate.reg:#x}" for fate in group[:_SHOWN])
        more = f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else ""
        print(f"    {len(group)} registers: {reason}:\n      {names}{more}")


# -- as JSON ---------------------------------------------------------------------------------------------------


def _as_json(found: MigrationCheck) -> dict[str, Any]:
    return {
        "kind": "modelled",
        "vmm": found.vmm,
        "source": _side_json(found.source),
        "dest": _side_json(found.dest),
        "forward": _direction_json(found.forward),
        "backward": _direction_json(found.backward),
    }


def _side_json(side: SideInfo) -> dict[str, Any]:
    return {
        "name": side.name,
        "basis": side.basis,
        "release": side.release or None,
        "features": side.features,
        "registers": side.n_register,
        "values": side.n_value,
        "notes": list(side.notes),
    }


def _direction_json(direction: Direction) -> dict[str, Any]:
    lengths = direction.lengths
    return {
        "ok": direction.ok,
        "verdict": direction.verdict,
        "failing": [_fate_json(fate) for fate in direction.failing],
        "unjudged": [_fate_json(fate) for fate in direction.unjudged],
        "stopped_by": direction.stopped_by or None,
        "error": list(direction.error),
        "lengths": {"incoming": lengths[0], "own": lengths[1]} if lengths else None,
        "warnings": [{"kind": w.kind, "text": w.text, "names": list(w.names)} for w in direction.warnings],
        "remedies": [
            {"text": r.text, "command": r.command or None, "registers": [f"{reg:#018x}" for reg in r.registers]}
            for r in direction.remedies
        ],
    }


def _fate_json(fate: RegisterFate) -> dict[str, Any]:
    value = None if fate.value is None else f"{fate.value:#x}"
    return {
        "id": f"{fate.reg:#018x}",
        "name": fate.name or None,
        "value": value,
        "errno": fate.errno,
        "reason": fate.reason,
    }


# -- the matrix ------------------------------------------------------------------------------------------------


def _matrix(features: str | None, vmm: str, as_json: bool, csv_file: Path | None, figure: Path | None) -> None:
    from fastsmc.migrate.compat.matrix import COLUMNS, migration_matrix

    with progress("checking") as show:
        found = migration_matrix(features=features or "psci02", vmm=vmm, progress=show)
    if csv_file is not None:
        _write_csv(csv_file, found)
    if figure is not None:
        _draw(figure, found)
    if as_json:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in found.table()]
        head = {"kind": "modelled", "vmm": found.vmm, "features": found.features}
        print(json.dumps({**head, "releases": list(found.releases), "directions": rows}, indent=1))
    else:
        _print_matrix(found)


def _write_csv(path: Path, found: Matrix) -> None:
    from fastsmc.migrate.compat.matrix import COLUMNS

    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(found.table())
    except OSError as error:
        raise _unwritable(path, error) from error


def _draw(path: Path, found: Matrix) -> None:
    import numpy as np

    from fastsmc.reporting.directions import picture

    names, cells = _grouped(found)
    n_fail = sum(cell.verdict == "fail" for cell in found.cells)
    title = f"{found.vmm}: {n_fail} of {len(found.cells)} directions between kernels fail (vCPUs with {found.features})"
    marks = np.array([[_mark(cell) for cell in row] for row in cells], np.str_)
    n_failing = np.array([[cell.n_failing for cell in row] for row in cells], np.int64)
    write_figure(picture(names, marks, n_failing, title=title), path)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written ({error.strerror or error})")


def _grouped(found: Matrix) -> tuple[list[str], list[list[Cell]]]:
    """Names of groups of like releases, and the cells between their first members."""
    from fastsmc.migrate.compat.matrix import groups

    like = groups(found)
    firsts = {group[0] for group in like}
    names = [group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}" for group in like]
    cells = [[cell for cell in row if cell.dest in firsts] for row in found.rows() if row[0].source in firsts]
    return names, cells


def _print_matrix(found: Matrix) -> None:
    names, cells = _grouped(found)
    width = max(len("source"), *map(len, names))
    print(f"{found.vmm}, vCPUs with {found.features}: registers in the way, source down, destination across (modelled)")
    print(f"{'source':{width}}" + "".join(f" {name.partition(' ')[0]:>5}" for name in names))
    for name, row in zip(names, cells, strict=True):
        print(f"{name:{width}}" + "".join(f" {_mark(cell):>5}" for cell in row))
    print("ok: restores; ~: restores as far as known, some values are not; releases that behave alike share a line")
    if any(_mark(cell) == REFUSED for row in cells for cell in row):
        print(f"{REFUSED}: {found.vmm} refuses such a vCPU before it writes a register")


def _mark(cell: Cell) -> str:
    """How a direction is shown in one cell."""
    from fastsmc.migrate.compat import Verdict

    if cell.verdict is Verdict.FAIL:
        return str(cell.n_failing) if cell.n_failing else REFUSED
    return "~" if cell.verdict is Verdict.AS_FAR_AS_KNOWN else "ok"
