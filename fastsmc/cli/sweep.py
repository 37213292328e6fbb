"""`fastsmc sweep`: a scenario or a question over a grid, on all cores or a cluster; its journal survives kills."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.checks import shown
from fastsmc.cli import known
from fastsmc.cli.output import Csv, FailIf, Form, Json, Markdown, Out, Quiet, check_writable
from fastsmc.cli.progress import progress
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.sweeping.result import Sweep

EXAMPLES = """
fastsmc sweep sample:entropy.toml --over 'vms[0].vcpus=1,4' --workers 1
fastsmc sweep sample:entropy.toml --over 'vms[0].vmm.lock=vm,none' --workers 1 --quiet --fail-if 'response_p99 > 1us'
  a call to the VMM takes longer: exit code 4
"""


def _checked_netcdf(path: Path | None) -> Path | None:
    """Refuses, before any work, a file that could not be written."""
    if path is not None:
        check_writable("--netcdf", path)
    return path


_Subject = Annotated[
    Path | None,
    typer.Argument(
        help="A scenario file, or one of a question (docs/sweeps.md); may be left out where a journal has it.",
        metavar="FILE.toml",
        autocompletion=known.samples,
    ),
]
_Over = Annotated[
    list[str] | None,
    typer.Option(help="Values of a path: 'vms[0].vcpus=64,256'. May be repeated.", metavar="PATH=VALUE,…"),
]
_Where = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Keep points that meet a condition: 'vms[0].vcpus * calls <= 4096'."),
]
_Repeats = Annotated[int, typer.Option(min=1, metavar="COUNT", help="Of each point, with seeds that all points share.")]
_Seed = Annotated[
    int | None, typer.Option(min=0, metavar="NUMBER", help="Of the first repeat, in place of the file's.")
]
_Measure = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A number to keep, such as response_p99_ns or GROUP.calls. May be repeated."),
]
_To = Annotated[Path | None, typer.Option(help="The journal, one file.", dir_okay=False, metavar="FILE")]
_Workers = Annotated[int | None, typer.Option(min=1, metavar="COUNT", help="Processes here. [default: one per core]")]
_Scheduler = Annotated[
    str | None, typer.Option(help="A Dask scheduler, in place of processes here.", metavar="tcp://HOST:PORT")
]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with the journal, and try failed cells again.")]
_ListFailed = Annotated[
    bool, typer.Option("--list-failed", help="Show the journal's failed cells, and compute nothing.")
]
_Netcdf = Annotated[
    Path | None,
    typer.Option(metavar="FILE", callback=_checked_netcdf, help="Write the labelled arrays there too, as NetCDF-4."),
]


def sweep(
    subject: _Subject = None,
    over: _Over = None,
    where: _Where = None,
    repeats: _Repeats = 1,
    seed: _Seed = None,
    measure: _Measure = None,
    to: _To = None,
    workers: _Workers = None,
    scheduler: _Scheduler = None,
    resume: _Resume = False,
    list_failed: _ListFailed = False,
    netcdf: _Netcdf = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Simulate a scenario, or ask a planner's question, over a grid of values (modelled).

    Every point has the same random numbers. A question's file has question = "upgrade" and the keywords beside it.

    Cells that are done are in the journal at once: a sweep that was stopped, killed or that lost its cluster goes on
    with --resume. Cells that fail are kept with what was wrong (exit code 4). --fail-if is about every cell.
    """
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    _check(subject, over, to, workers, scheduler, needs_journal=resume or list_failed)
    form.check()
    if list_failed and (csv or markdown or quiet or fail_if or out is not None or netcdf is not None):
        msg = "--list-failed prints failed cells: of the forms of a result it has --json only"
        raise typer.BadParameter(msg)
    from fastsmc.sweeping.run import open_sweep
    from fastsmc.sweeping.run import sweep as swept

    if list_failed:
        _list_failed(open_sweep(_given(to)), as_json)
        return
    run_on: Any = scheduler or workers or "processes"
    try:
        with progress("sweeping") as show:
            if subject is None:
                done = open_sweep(_given(to)).resume(run_on=run_on, progress=show)
            else:
                _check_new(to, resume)
                more = {"measure": measure} if measure else {}
                done = swept(
                    subject,
                    over=_values(over or []),
                    where=where,
                    repeats=repeats,
                    seed=seed,
                    to=to,
                    run_on=run_on,
                    progress=show,
                    **more,  # type: ignore[arg-type]
                )
    except (KeyboardInterrupt, SystemExit):
        if to is not None:
            print(f"fastsmc: stopped; what is done is in {to}: fastsmc sweep --to {to} --resume", file=sys.stderr)
        raise
    with done:
        form.show(done, files=lambda: {} if netcdf is None else {netcdf: done.netcdf()})


def _check(
    subject: Path | None, over: list[str] | None, to: Path | None, workers: int | None, scheduler: str | None,
    *, needs_journal: bool,
) -> None:  # fmt: skip
    """Refuses what does not go together."""
    if workers is not None and scheduler is not None:
        msg = "--workers and --scheduler: give one of them"
        raise typer.BadParameter(msg)
    if needs_journal and to is None:
        msg = "--resume and --list-failed need the journal: give --to FILE"
        raise typer.BadParameter(msg)
    if subject is None and not needs_journal:
        msg = "give a scenario and what to vary, or a question's file, or --to FILE with --resume or --list-failed"
        raise typer.BadParameter(msg)
    if subject is None and over:
        msg = "--over without a file: the journal has the values; give the file too, or leave --over out"
        raise typer.BadParameter(msg)
    if scheduler is not None and "://" not in scheduler:
        msg = f"--scheduler {shown(scheduler)}: give an address such as tcp://10.0.0.1:8786"
        raise typer.BadParameter(msg)


def _check_new(to: Path | None, resume: bool) -> None:
    if to is not None and not resume and to.is_file() and to.stat().st_size:
        msg = f"{to}: it is there already: give --resume to go on with it, or another file"
        raise InputError(msg)


def _given(to: Path | None) -> Path:
    assert to is not None  # _check saw to it
    return to


def _values(over: list[str]) -> dict[str, list[Any]]:
    """The values by path that --over gives, as TOML has them; what is no TOML is text: vm,none."""
    found: dict[str, list[Any]] = {}
    for text in over:
        path, equals, values = text.partition("=")
        path = path.strip()
        if not equals or not values.strip():
            msg = f"--over {shown(text)}: give a path and values, such as 'vms[0].vcpus=64,256'"
            raise InputError(msg)
        if path in found:
            msg = f"--over {shown(path)} is there twice: give all values at once"
            raise InputError(msg)
        found[path] = _toml(f"[{values}]") or [(_toml(part) or [part.strip()])[0] for part in values.split(",")]
    return found


def _toml(text: str) -> list[Any] | None:
    """The values that a text is in TOML, in a list; None where it is none that a scenario can hold."""
    try:
        value = tomllib.loads(f"v = {text}")["v"]
        json.dumps(value)
    except (tomllib.TOMLDecodeError, TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else [value]


def _list_failed(found: Sweep, as_json: bool) -> None:
    with found:
        if as_json:
            print(json.dumps(found.as_dict()["failed"], indent=1))
        elif not found.failed:
            print(f"no cell failed; {found.done} done, {found.left} left")
        for cell in () if as_json else found.failed:
            print(" ".join(str(cell).split()))
