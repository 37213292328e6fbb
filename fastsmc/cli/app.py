"""The command line: parses, calls the library, prints. Results go to stdout, everything else to stderr.

Exit codes: 0 fine, 1 internal error, 2 usage, 3 bad input, 4 a check failed, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import explain as cli_explain
from fastsmc.cli import trace as cli_trace
from fastsmc.cli import verify as cli_verify
from fastsmc.cli.migrate import inspect as cli_migrate
from fastsmc.cli.progress import progress
from fastsmc.cli.simulate import simulate
from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.packaged import GUEST_BOOT_TRACE

EXIT_CODES = "Exit codes: 0 fine, 1 internal error, 2 usage, 3 bad input, 4 a check failed, 130 interrupted."

app = typer.Typer(
    name="fastsmc",
    help=f"How KVM on arm64 answers its guests' hypercalls, simulated for thousands of vCPUs.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_migrate.app, name="migrate")


def main() -> None:
    """Runs the command line; errors of ours end in one sentence and their exit code."""
    code: str | int | None = 0
    try:
        code = _ended()
        if sys.stdout is not None:  # closed from the start: fastsmc … >&-
            sys.stdout.flush()
    except OSError as error:
        code = _output_failed(error) or code
    sys.exit(code)


def _ended() -> str | int | None:
    """Runs a command and gives its exit code."""
    try:
        app()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # which Click makes exit code 1 of, without a word
            raise end.__context__ from None
        return end.code
    except FastsmcError as error:
        print(f"fastsmc: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _output_failed(error: OSError) -> int:
    """0 when the reader of our output has gone; 3 and a sentence when it cannot be written."""
    with suppress(OSError, ValueError):  # ValueError: a standard output that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered is dropped at exit
    if isinstance(error, BrokenPipeError):
        return 0
    print(f"fastsmc: the output cannot be written: {error}", file=sys.stderr)
    return 3


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(f"fastsmc {version('fastsmc')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and end.")
    ] = False,
) -> None:
    """Options of every command."""


app.command(epilog=cli_verify.EPILOG)(cli_verify.verify)
app.command(epilog=cli_trace.EPILOG)(cli_trace.trace)
app.command(epilog=cli_explain.EPILOG)(cli_explain.explain)


@app.command(epilog="Example: fastsmc scope --release 6.18 --vcpus 64,512")
def scope(
    release: Annotated[str, typer.Option(help="A release, whose register list counts.")] = "7.3",
    features: Annotated[str, typer.Option(help="vCPU features of that list, joined by +; or none.")] = "psci02",
    vcpus: Annotated[str, typer.Option(help="vCPUs of the VM, several joined by commas.")] = "1,64,512",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare what register scopes cost when a VM moves (modelled): ioctls to save and to load, and bytes.

    VM-global through per-vCPU accessors is KVM today; per vCPU is the bug that was feared; VM-scoped register ids
    are series v4's, for its own table of registers and for larger ones.
    """
    from fastsmc.cli.migrate.options import registers_of
    from fastsmc.scopes import compare_scopes
    from fastsmc.scopes.cost import ASSUMED, NOTES

    registers = registers_of(release, features)
    rows = compare_scopes(registers, _whole_numbers("--vcpus", vcpus))
    if as_json:
        notes = {scope.value: note for scope, note in NOTES.items()}
        head = {"registers": registers.name, "kind": "modelled", "assumes": ASSUMED, "notes": notes}
        print(json.dumps({**head, "rows": list(map(asdict, rows))}, indent=1))
        return
    print(f"{registers.name}: {registers.qemu_cpregs} registers carried per vCPU (modelled)")
    header = f"{'vCPUs':>7}  {'VMM':7}  {'scope':54} {'once':>4} {'save':>9} {'load':>9} {'bytes':>11} {'of today':>8}"
    print(header)
    for row in rows:
        what = row.scope + f": {row.marked}" * bool(row.marked)
        mark = "*" if row.is_hypothetical else " "
        counts = f"{row.n_marked:4d} {row.save_ioctls:9d} {row.load_ioctls:9d} {row.payload_bytes:11d}"
        print(f"{row.n_vcpu:6d}{mark}  {row.vmm:7}  {what:54} {counts} {row.of_today:8.1%}")
    if any(row.is_hypothetical for row in rows):
        print("* hypothetical: arm64 KVM stops at 512 vCPUs per VM")
    for name, note in NOTES.items():
        print(f"{name.value}: {note}.")
    print(f"assumes: {ASSUMED}.")


def _whole_numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        msg = f"{option} {text!r}: give whole numbers joined by commas, such as 1,64,512"
        raise InputError(msg) from None


app.command(epilog="Example: fastsmc simulate examples/trng_to_vmm.toml")(simulate)


@app.command(epilog="Example: fastsmc report --trace boot.txt --out /tmp/scaling")
def report(
    trace: Annotated[
        Path, typer.Option(help="A real guest's calls; as `fastsmc trace` reads them.")
    ] = GUEST_BOOT_TRACE,
    out: Annotated[Path, typer.Option(help="Folder of the page, its figures and data.")] = Path("reports/scaling"),
    data: Annotated[Path | None, typer.Option(help="Draw this saved run again instead of measuring.")] = None,
) -> None:
    """Run the main job and write the scaling report.

    A real guest's trace on 1024 vCPUs, what its migration payload is for 1 to 1024 registers and vCPUs, and how both
    scale. Takes about a minute.
    """
    from fastsmc import reporting as pages
    from fastsmc.results.tables import load

    if data is not None:
        run = load(data)
    else:
        from fastsmc import scaling
        from fastsmc.traces.text import trace as read_trace

        with progress("main job") as show:
            run = scaling.run(read_trace(trace), progress=show)
    page = pages.write(run, out)
    print(f"wrote {page}")
