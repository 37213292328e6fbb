"""The command line: parses, calls the library, prints. Results go to stdout, everything else to stderr.

Exit codes: 0 fine, 1 internal error, 2 usage, 3 bad input, 4 a check failed, 5 unknown, 130 interrupted, 143
terminated.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from fastsmc.cli import bench as cli_bench
from fastsmc.cli import compare as cli_compare
from fastsmc.cli import dispatch as cli_dispatch
from fastsmc.cli import explain as cli_explain
from fastsmc.cli import new as cli_new
from fastsmc.cli import probe as cli_probe
from fastsmc.cli import releases as cli_releases
from fastsmc.cli import report as cli_report
from fastsmc.cli import samples as cli_samples
from fastsmc.cli import schema as cli_schema
from fastsmc.cli import scope as cli_scope
from fastsmc.cli import services as cli_services
from fastsmc.cli import simulate as cli_simulate
from fastsmc.cli import sweep as cli_sweep
from fastsmc.cli import terminal
from fastsmc.cli import trace as cli_trace
from fastsmc.cli import verify as cli_verify
from fastsmc.cli.grammar import SETTINGS, Group, add
from fastsmc.cli.migrate.app import app as migrate
from fastsmc.cli.plan.app import app as plan
from fastsmc.errors import FastsmcError
from fastsmc.facts.packaged import SAMPLES as NAMES_OF_SAMPLES
from fastsmc.results.layout import laid_out_for

EXIT_CODES = (
    "Exit codes: 0 fine, 1 internal error, 2 a wrong command line, 3 a file that cannot be used, 4 a check failed, "
    "5 unknown, 130 interrupted."
)
SAMPLES = (
    "Wherever a file is read, - is standard input, and sample:NAME is one that fastsmc brings: "
    f"{', '.join(NAMES_OF_SAMPLES)}."
)
EXAMPLES = """
fastsmc trace sample:boot.ftrace.txt
fastsmc migrate check 6.12 6.18
"""

app = typer.Typer(
    name="fastsmc",
    cls=Group,
    help=f"How KVM on arm64 answers its guests' hypercalls, simulated for thousands of vCPUs.\n\n{SAMPLES}"
    f"\n\n{EXIT_CODES}",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)
app.add_typer(migrate, name="migrate")
app.add_typer(plan, name="plan")


def main() -> None:
    """Runs the command line; errors of ours end in one sentence and their exit code."""
    code: str | int | None = 0
    with terminal.shown(), laid_out_for(terminal.columns()):
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
        _say(terminal.by_name(f"fastsmc: {error}"))
        return error.exit_code
    except MemoryError as error:
        _say(f"fastsmc: not enough memory: {str(error) or 'ask for less at a time'}")
        return FastsmcError.exit_code
    return 0


def _say(text: str) -> None:
    """Prints a sentence on standard error, if that can be: the exit code says the same."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _output_failed(error: OSError) -> int:
    """0 when the reader of our output has gone; 3 and a sentence when it cannot be written, or no folder is there."""
    with suppress(OSError, ValueError, AttributeError):  # ValueError: a standard output that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered is dropped at exit
    if isinstance(error, BrokenPipeError):
        return 0
    try:
        Path.cwd()
    except OSError:
        _say("fastsmc: the current folder was deleted: change to one that exists")
        return 3
    _say(f"fastsmc: the output cannot be written: {error}")
    return 3


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(f"fastsmc {version('fastsmc')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Options of every command."""


add(app, cli_explain.explain, examples=cli_explain.EXAMPLES)
add(app, cli_trace.trace, examples=cli_trace.EXAMPLES)
add(app, cli_services.services, examples=cli_services.EXAMPLES)
add(app, cli_dispatch.dispatch, examples=cli_dispatch.EXAMPLES)
add(app, cli_simulate.simulate, examples=cli_simulate.EXAMPLES)
add(app, cli_sweep.sweep, examples=cli_sweep.EXAMPLES)
add(app, cli_scope.scope, examples=cli_scope.EXAMPLES)
add(app, cli_verify.verify, examples=cli_verify.EXAMPLES)
add(app, cli_compare.compare, examples=cli_compare.EXAMPLES)
add(app, cli_releases.releases, examples=cli_releases.EXAMPLES)
add(app, cli_schema.schema, examples=cli_schema.EXAMPLES)
add(app, cli_probe.probe, examples=cli_probe.EXAMPLES)
add(app, cli_new.new, examples=cli_new.EXAMPLES)
add(app, cli_samples.samples, examples=cli_samples.EXAMPLES)
add(app, cli_bench.bench, examples=cli_bench.EXAMPLES)
add(app, cli_report.report, examples=cli_report.EXAMPLES)
