"""`fastsmc sweep`: a scenario or a question over a grid, on all cores or a cluster; its journal survives kills."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.checks import escaped, shown
from fastsmc.cli.progress import progress
from fastsmc.errors import InputError

if TYPE_CHECKING:
    from fastsmc.sweeping.result import Sweep

EPILOG = (
    "Examples: fastsmc sweep storm.toml --over 'vms[0].vcpus=64,256,1024' --over 'vms[0].vmm.lock=vm,none' --repeats 8"
    " --to storm.db"
    "\n\n"
    "fastsmc sweep upgrade.toml --over hosts_at_once=1,5,20"
    "\n\n"
    "fastsmc sweep --to storm.db --resume --scheduler tcp://10.0.0.1:8786"
)
FAILED = 4


def sweep(
    subject: Annotated[
        Path | None,
        typer.Argument(
            help="A scenario file, or one of a question (docs/sweeps.md); may be left out where a journal has it.",
            metavar="FILE.toml",
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(help="Values of a path: 'vms[0].vcpus=64,256'. May be repeated.", metavar="PATH=VALUE,…"),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Keep points that meet a condition: 'vms[0].vcpus * calls <= 4096'.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Of each point, with seeds that all points share.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the first repeat, in place of the file's.")] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(help="A number to keep, such as response_p99_ns or GROUP.calls. May be repeated."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The journal, one file.", dir_okay=False, metavar="FILE")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes here. Default: one per core.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, in place of processes here.", metavar="tcp://HOST:PORT")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the journal, and try failed cells again.")
    ] = False,
    list_failed: Annotated[
        bool, typer.Option("--list-failed", help="Show the journal's failed cells, and compute nothing.")
    ] = False,
    netcdf: Annotated[Path | None, typer.Option(help="Write the labelled arrays there.", dir_okay=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a row per cell that is done, as CSV.")] = False,
) -> None:
    """Simulate a scenario, or ask a planner's question, over a grid of values (modelled).

    Every point has the same random numbers. A question's file has question = "upgrade" and the keywords beside it.

    Cells that are done are in the journal at once: a sweep that was stopped, killed or that lost its cluster goes on
    with --resume. Cells that fail are kept with what was wrong (exit code 4).
    """
    _check(subject, over, to, workers, scheduler, needs_journal=resume or list_failed)
    if as_json and as_csv:
        msg = "--json and --csv: give one of them"
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
        if netcdf is not None:
            done.to_netcdf(netcdf)
        _show(done, as_json, as_csv)
        if done.failed:
            raise typer.Exit(FAILED)


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


def _show(done: Sweep, as_json: bool, as_csv: bool) -> None:
    if as_csv:
        from fastsmc.results.export import to_csv

        if done.done:
            sys.stdout.write(escaped(to_csv(done.table())))
        return
    print(done.to_json() if as_json else done)
