"""`fastsmc simulate`: a scenario's waiting times, or the packaged profiles they can rest on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.checks import escaped
from fastsmc.cli import known
from fastsmc.cli.costs import Force
from fastsmc.cli.output import Csv, FailIf, Figure, Form, Json, Markdown, Out, Quiet, Seed, check_writable, pictured
from fastsmc.cli.progress import progress
from fastsmc.errors import CheckError, InputError, UnknownError

if TYPE_CHECKING:
    from fastsmc.latency import Simulation

INTERRUPTED = 130
EXAMPLES = """
fastsmc simulate sample:entropy.toml
fastsmc simulate sample:entropy.toml --calls 50 --fail-if 'p99 > 10us'
  the 99th percentile is above: exit code 4
fastsmc simulate sample:entropy.toml --quiet --figure times.svg
"""


def _list_profiles(value: bool) -> None:
    if value:
        from fastsmc.results.layout import drawn, words
        from fastsmc.scenario.profiles import load_profile, profiles

        found = [load_profile(name) for name in profiles()]
        rows = [(one.name, one.title, f"{one.weakest[0]} {one.weakest[1]}") for one in found]
        print(*drawn([words("profile"), words("machine"), words("weakest figure")], rows), sep="\n")
        raise typer.Exit


def _show_profile(value: str | None) -> None:
    if value is not None:
        from fastsmc.results.layout import drawn, number, words
        from fastsmc.scenario.profiles import load_profile

        try:
            profile = load_profile(value, force=True)  # only shown, and marked
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
        print(f"{profile.name}: {profile.title}\nsource: {profile.source}")
        rows = [
            (name, f"{figure.value:g}", figure.unit, figure.kind, figure.source)
            for name, figure in profile.figures().items()
        ]
        heads = (words("figure"), number("value"), words("unit"), words("kind"), words("source"))
        print(*drawn(heads, rows), f"weakest figure: {profile.weakest[0]}", sep="\n")
        raise typer.Exit


_Scenario = Annotated[
    Path,
    typer.Argument(
        metavar="SCENARIO.toml",
        help="A scenario file; docs/scenarios.md has the form; - for standard input.",
        autocompletion=known.samples,
    ),
]
_Calls = Annotated[
    int | None,
    typer.Option(min=1, metavar="COUNT", help="Counted calls per vCPU, in place of the scenario's."),
]
_Profile = Annotated[
    str | None,
    typer.Option(
        metavar="PROFILE",
        help="Name or TOML file of a cost profile, in place of the scenario's; its overrides stay.",
        autocompletion=known.profiles,
    ),
]
_Threads = Annotated[
    int | None,
    typer.Option(min=1, metavar="COUNT", help="Default: every core. The outcome is the same."),
]
_PerVm = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a row per VM there too, as CSV.", dir_okay=False)
]
_ListProfiles = Annotated[
    bool,
    typer.Option("--list-profiles", callback=_list_profiles, is_eager=True, help="Show the packaged profiles and end."),
]
_ShowProfile = Annotated[
    str | None,
    typer.Option(
        callback=_show_profile,
        is_eager=True,
        metavar="PROFILE",
        help="Show every figure of a profile and its source, and end.",
        autocompletion=known.profiles,
    ),
]


def simulate(
    scenario: _Scenario,
    seed: Seed = None,
    calls: _Calls = None,
    profile: _Profile = None,
    force: Force = False,
    threads: _Threads = None,
    per_vm: _PerVm = None,
    list_profiles: _ListProfiles = False,
    show_profile: _ShowProfile = None,
    figure: Figure = None,
    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,
) -> None:
    """Simulate what guests wait for their hypercalls (modelled): service, waiting and response times, by service.

    Ctrl-C ends the run at the next chunk of work; what was counted is printed and saved, marked partial (exit code
    130). A second Ctrl-C ends it with nothing.
    """
    _check_apart({"--out": out, "--per-vm": per_vm, "--figure": figure, "the scenario": scenario})
    if per_vm is not None:
        check_writable("--per-vm", per_vm)
    from fastsmc.jit.threads import n_core
    from fastsmc.latency import simulate as simulated

    n_thread = threads or n_core()
    work = partial(simulated, scenario, seed=seed, calls=calls, profile=profile, force=force, threads=n_thread)
    done, is_interrupted = _interruptible(work)
    form = Form(as_json, csv, markdown, out, quiet, fail_if)
    try:
        form.show(done, files=lambda: {**_per_vm(done, per_vm), **pictured(done.figure, figure)()})
    except (CheckError, UnknownError):
        if not is_interrupted:
            raise
    if is_interrupted:
        raise typer.Exit(INTERRUPTED)


def _per_vm(done: Simulation, path: Path | None) -> dict[Path, bytes]:
    """The file with a row per VM, if it was asked for and there is one."""
    table = None if path is None else done.vm_table()
    if path is None or table is None:
        return {}
    return {path: escaped(table.to_csv()).encode()}


def _check_apart(paths: dict[str, Path | None]) -> None:
    """Refuses two names of one file, be it by a link: the later would take the place of the earlier."""
    named: dict[Path, str] = {}
    for name, path in paths.items():
        if path is None or str(path) in ("-", os.devnull):
            continue
        real = Path(os.path.realpath(path))
        if real in named:
            msg = f"{named[real]} and {name} are the same file: give each a path of its own"
            raise typer.BadParameter(msg)
        named[real] = name


def _interruptible(work: Callable[..., Simulation]) -> tuple[Simulation, bool]:
    """Runs the work in a second thread, because Python sees Ctrl-C only when the main thread is in no kernel.

    Returns:
        What came out, and whether Ctrl-C was pressed, be it too late to stop anything.
    """
    try:
        with progress("simulating") as show, _interrupts() as stop:
            return ThreadPoolExecutor(1).submit(work, progress=show, stop=stop).result(), stop()
    except (KeyboardInterrupt, SystemExit) as end:
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else INTERRUPTED
        sys.stderr.flush()
        os._exit(code)  # an orderly exit waits for threads, and they for their chunk


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. The first is only noted; the second is a KeyboardInterrupt, as always."""
    is_stopped = False

    def note(number: int, frame: Any) -> None:
        nonlocal is_stopped
        if is_stopped:
            raise KeyboardInterrupt
        is_stopped = True
        print("stopping at the next chunk of work; Ctrl-C again ends at once, with nothing", file=sys.stderr)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: is_stopped
    finally:
        signal.signal(signal.SIGINT, before)
