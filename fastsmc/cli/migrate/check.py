"""`fastsmc migrate check`: will a VM restore elsewhere, and back?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli.migrate.options import show, write_figure
from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError, InputError

if TYPE_CHECKING:
    from fastsmc.migrate.compat.result import Direction


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
    from fastsmc import migrate

    found = migrate.check(
        source,
        dest,
        vmm=vmm,
        source_features=source_features,
        dest_features=dest_features,
        source_release=source_release,
        dest_release=dest_release,
    )
    try:
        show(found, as_json=as_json)
    except BrokenPipeError:
        _require(found.forward)  # the outlook outlives a reader that has seen enough: | head
        raise
    _require(found.forward)


def _require(forward: Direction) -> None:
    """Ends with exit code 4 if the direction fails."""
    if not forward.ok:
        raise CheckError(forward.summary)


def _matrix(features: str | None, vmm: str, as_json: bool, csv_file: Path | None, figure: Path | None) -> None:
    from fastsmc import migrate

    with progress("checking") as step:
        found = migrate.matrix(features=features or "psci02", vmm=vmm, progress=step)
    if csv_file is not None:
        _write_csv(csv_file, found.as_csv())
    if figure is not None:
        from fastsmc.reporting.directions import picture

        write_figure(picture(**found.figure_data()), figure)
    show(found, as_json=as_json)


def _write_csv(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error})"
        raise InputError(msg) from error
