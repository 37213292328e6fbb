"""`fastsmc migrate check`: will a VM restore elsewhere, and back?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli.migrate.options import check_figure, drawn
from fastsmc.cli.output import check_writable, show, write_asked
from fastsmc.cli.printing import printed_all_the_same
from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError, UnknownError

if TYPE_CHECKING:
    from fastsmc.migrate.compat.matrix import Matrix
    from fastsmc.migrate.compat.result import Direction


def check(
    source: Annotated[
        str | None, typer.Argument(help="A release and features (6.12+pmu), a file, a recorded host, or its folder.")
    ] = None,
    dest: Annotated[str | None, typer.Argument(help="Where the VM goes; the same kinds.")] = None,
    vmm: Annotated[
        str,
        typer.Option(help="qemu, firecracker, cloud-hypervisor, crosvm; kvm: none. A version may follow: qemu:10.1."),
    ] = "qemu",
    source_features: Annotated[str | None, typer.Option(help="vCPU features of SOURCE: pmu+sve; none.")] = None,
    dest_features: Annotated[str | None, typer.Option(help="vCPU features of DEST.")] = None,
    source_release: Annotated[str | None, typer.Option(help="Kernel of a SOURCE file that does not tell it.")] = None,
    dest_release: Annotated[str | None, typer.Option(help="Kernel of a DEST file that does not tell it.")] = None,
    source_template: Annotated[Path | None, typer.Option(help="Firecracker CPU template of SOURCE's VM.")] = None,
    dest_template: Annotated[Path | None, typer.Option(help="Firecracker CPU template of DEST's VM.")] = None,
    accept_unknown: Annotated[bool, typer.Option(help="Exit with 0, not 5, where the outlook is unknown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Every known release against every other.")] = False,
    features: Annotated[str | None, typer.Option(help="vCPU features of the matrix.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the matrix there, one row a direction.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the matrix there, as .svg or .png.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit by the worst direction of the matrix.")] = False,
) -> None:
    """Tell whether a VM restores on another kernel or host, in both directions, and what stands in the way.

    Every register that fails is named with its reason, the VMM's own error text and a remedy. Registers whose values
    are not known are counted, not guessed. Modelled: from recorded restores, source code and public reports.

    Exits with 0 when the VM restores from SOURCE on DEST, with 4 when it fails, and with 5 when it cannot be known;
    --matrix exits with 0, or with --strict by its worst direction.
    """
    if matrix:
        given = (source, dest, source_features, dest_features, source_release, dest_release)
        if any(value is not None for value in (*given, source_template, dest_template)):
            msg = "--matrix compares all known releases: leave out SOURCE, DEST and their options"
            raise typer.BadParameter(msg)
        _matrix(features, vmm, as_json, csv_file, figure, strict=strict, accept_unknown=accept_unknown)
        return
    if source is None or dest is None:
        msg = "give SOURCE and DEST, or --matrix"
        raise typer.BadParameter(msg)
    if features is not None or csv_file is not None or figure is not None or strict:
        msg = "--features, --csv, --figure and --strict belong to --matrix; features of a side follow it: 6.12+pmu"
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
        source_template=source_template,
        dest_template=dest_template,
        accept_unknown=accept_unknown,
    )
    try:
        show(found, as_json=as_json)
    except BrokenPipeError:
        _require(found.forward)  # the outlook outlives a reader that has seen enough: | head
        raise
    _require(found.forward)


def _require(forward: Direction) -> None:
    """Ends with exit code 4 if the direction fails, with 5 if it is unknown and that is not accepted."""
    if not forward.ok:
        raise (CheckError if forward.outlook == "fails" else UnknownError)(forward.summary)


def _matrix(
    features: str | None,
    vmm: str,
    as_json: bool,
    csv_file: Path | None,
    figure: Path | None,
    *,
    strict: bool,
    accept_unknown: bool,
) -> None:
    check_figure(figure)
    if csv_file is not None:
        check_writable("--csv", csv_file)
    if csv_file is not None and csv_file == figure:
        msg = "--csv and --figure are two files: give each a path of its own"
        raise typer.BadParameter(msg)
    from fastsmc import migrate

    with progress("checking") as step:
        found = migrate.matrix(features=features, vmm=vmm, progress=step)
    with printed_all_the_same(lambda: show(found, as_json=as_json)):
        files = {} if csv_file is None else {csv_file: found.as_csv().encode()}
        if figure is not None:
            from fastsmc.reporting.directions import picture

            files[figure] = drawn(picture(**found.figure_data()), figure)
        write_asked(files)
    if strict:
        _require_all(found, accept_unknown)


def _require_all(found: Matrix, accept_unknown: bool) -> None:
    """Ends with exit code 4 if a direction of the matrix fails, with 5 if one is unknown and that is not accepted."""
    n_fails, n_unknown = found.n_fails, found.n_unknown
    if n_fails:
        msg = f"{n_fails} of {len(found.cells)} directions fail with {found.by}"
        raise CheckError(msg)
    if n_unknown and not accept_unknown:
        msg = f"of {n_unknown} of {len(found.cells)} directions it cannot be known whether they restore"
        raise UnknownError(msg)
