"""`fastsmc migrate encode`: registers as the bytes of every form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Json, Markdown, Quiet, check_writable, show

EXAMPLES = """
fastsmc migrate encode sample:vm6.18.bin.xz
fastsmc migrate encode 6.18+pmu --vcpus 64 --form firecracker-like --out registers.bin
"""


def _checked(path: Path | None) -> Path | None:
    if path is not None:
        check_writable("--out", path)
    return path


def encode(
    registers: Annotated[
        str,
        typer.Argument(
            metavar="FILE|RELEASE",
            autocompletion=known.samples,
            help="A file that migrate inspect reads, - for standard input, or a release, 6.18+pmu.",
        ),
    ],
    n_vcpu: Annotated[
        int | None,
        typer.Option(
            "--vcpus",
            metavar="COUNT",
            help="vCPUs, each with the values of the file's first.  [default: the file's, or 1]",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(metavar="FEATURES", autocompletion=known.features, help="vCPU features of a release or a list."),
    ] = None,
    form: Annotated[
        str | None, typer.Option(metavar="FORM", help="The form that --out writes: a name of the table.")
    ] = None,
    zstd: Annotated[
        int | None, typer.Option(metavar="LEVEL", help="Tell packed sizes too, and pack what --out writes: -7 to 22.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", callback=_checked, help="Write the bytes of --form there."),
    ] = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Tell what a VM's registers are as bytes: the size of each form in which they cross the wire, and the bytes.

    Forms are QEMU's arrays and section, what Firecracker and Cloud Hypervisor write alike, and shorter ones that nobody
    writes. docs/payload-formats.md has them; each is built for real and read back by the tests.
    """
    from fastsmc.migrate.encoded import encode as encoded
    from fastsmc.migrate.formats import FORMATS

    if (form is None) != (out is None):
        msg = "--form and --out belong together: which bytes to write, and where"
        raise typer.BadParameter(msg)
    if form is not None and form not in FORMATS:
        msg = f"--form {form!r} is none of {', '.join(FORMATS)}"
        raise typer.BadParameter(msg)
    result = encoded(registers, n_vcpu=n_vcpu, features=features, zstd_level=zstd)

    def files() -> dict[Path, bytes]:
        return {} if out is None or form is None else {out: result.bytes_of(form, zstd_level=zstd).tobytes()}

    show(result, as_json=as_json, csv=csv, markdown=markdown, quiet=quiet, fail_if=fail_if, files=files)
