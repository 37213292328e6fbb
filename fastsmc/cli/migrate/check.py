"""`fastsmc migrate check`: will a VM restore elsewhere, and back?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Figure, Form, Json, Markdown, Out, Quiet, pictured
from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError, UnknownError

if TYPE_CHECKING:
    from fastsmc.migrate.compat.matrix import Matrix
    from fastsmc.migrate.compat.result import Direction

EXAMPLES = """
fastsmc migrate check 6.12 6.18
fastsmc migrate check 6.18 6.12+pmu --vmm qemu:10.1
  the VM would not start there: exit code 4
fastsmc migrate check --matrix
"""


_Source = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="A release and features (6.12+pmu), a file, a recorded host, or its folder; - for standard input.",
        autocompletion=known.releases,
    ),
]
_Dest = Annotated[
    str | None,
    typer.Argument(metavar="DEST", help="Where the VM goes; the same kinds.", autocompletion=known.releases),
]
_Vmm = Annotated[
    str,
    typer.Option(metavar="VMM", help=f"{known.VMMS_HELP}. A version may follow: qemu:10.1.", autocompletion=known.vmms),
]
_SourceFeatures = Annotated[
    str | None,
    typer.Option(metavar="FEATURES", help="vCPU features of SOURCE: pmu+sve; none.", autocompletion=known.features),
]
_DestFeatures = Annotated[
    str | None, typer.Option(metavar="FEATURES", help="vCPU features of DEST.", autocompletion=known.features)
]
_SourceRelease = Annotated[
    str | None,
    typer.Option(
        metavar="RELEASE", help="Kernel of a SOURCE file that does not tell it.", autocompletion=known.releases
    ),
]
_DestRelease = Annotated[
    str | None,
    typer.Option(metavar="RELEASE", help="Kernel of a DEST file that does not tell it.", autocompletion=known.releases),
]
_SourceTemplate = Annotated[Path | None, typer.Option(metavar="FILE", help="Firecracker CPU template of SOURCE's VM.")]
_DestTemplate = Annotated[Path | None, typer.Option(metavar="FILE", help="Firecracker CPU template of DEST's VM.")]
_AcceptUnknown = Annotated[
    bool, typer.Option("--accept-unknown", help="Exit with 0, not 5, where the outlook is unknown.")
]
_Matrix = Annotated[
    bool, typer.Option("--matrix", help="Compare every known release with every other, in place of two.")
]
_Features = Annotated[
    str | None,
    typer.Option(metavar="FEATURES", help="With --matrix: vCPU features.", autocompletion=known.features),
]


def check(
    source: _Source = None,
    dest: _Dest = None,
    vmm: _Vmm = "qemu",
    source_features: _SourceFeatures = None,
    dest_features: _DestFeatures = None,
    source_release: _SourceRelease = None,
    dest_release: _DestRelease = None,
    source_template: _SourceTemplate = None,
    dest_template: _DestTemplate = None,
    accept_unknown: _AcceptUnknown = False,
    matrix: _Matrix = False,
    features: _Features = None,
    figure: Figure = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit by the worst direction of the matrix.")] = False,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell whether a VM restores on another kernel or host, in both directions, and what stands in the way.

    Every register that fails is named with its reason, the VMM's own error text and a remedy. Registers whose values
    are not known are counted, not guessed. Modelled: from recorded restores, source code and public reports.

    A side with +el2 is a guest with EL2, on a host that was booted with kvm-arm.mode=nested.

    Exits with 0 when the VM restores from SOURCE on DEST, with 4 when it fails, and with 5 when it cannot be known;
    --matrix exits with 0, or with --strict by its worst direction.
    """
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    if matrix:
        given = (source, dest, source_features, dest_features, source_release, dest_release)
        if any(value is not None for value in (*given, source_template, dest_template)):
            msg = "--matrix compares all known releases: leave out SOURCE, DEST and their options"
            raise typer.BadParameter(msg)
        _matrix(features, vmm, form, figure, strict=strict, accept_unknown=accept_unknown)
        return
    if source is None or dest is None:
        msg = "give SOURCE and DEST, or --matrix"
        raise typer.BadParameter(msg)
    if features is not None or figure is not None or strict:
        msg = "--features, --figure and --strict belong to --matrix; features of a side follow it: 6.12+pmu"
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
    form.show(found, failure=_failure(found.forward))


def _failure(forward: Direction) -> CheckError | UnknownError | None:
    """What the command ends with: exit code 4 if the direction fails, 5 if it is unknown and that is not accepted."""
    if forward.ok:
        return None
    return (CheckError if forward.outlook == "fails" else UnknownError)(forward.summary)


def _matrix(
    features: str | None, vmm: str, form: Form, figure: Path | None, *, strict: bool, accept_unknown: bool
) -> None:
    from fastsmc import migrate

    with progress("checking") as step:
        found = migrate.matrix(features=features, vmm=vmm, progress=step)

    form.show(found, failure=_worst(found, accept_unknown) if strict else None, files=pictured(found.figure, figure))


def _worst(found: Matrix, accept_unknown: bool) -> CheckError | UnknownError | None:
    """Exit code 4 if a direction of the matrix fails, 5 if one is unknown and that is not accepted."""
    n_fails, n_unknown = found.n_fails, found.n_unknown
    if n_fails:
        return CheckError(f"{n_fails} of {len(found.cells)} directions fail with {found.by}")
    if n_unknown and not accept_unknown:
        return UnknownError(f"of {n_unknown} of {len(found.cells)} directions it cannot be known whether they restore")
    return None
