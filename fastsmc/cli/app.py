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
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastsmc.cli.migrate.app import app as migrate
from fastsmc.cli.progress import progress
from fastsmc.cli.simulate import simulate
from fastsmc.errors import CheckError, FastsmcError, InputError
from fastsmc.facts.packaged import GUEST_BOOT_TRACE

if TYPE_CHECKING:
    from fastsmc.verification import Tally, Verification

EXIT_CODES = "Exit codes: 0 fine, 1 internal error, 2 usage, 3 bad input, 4 a check failed, 130 interrupted."

app = typer.Typer(
    name="fastsmc",
    help=f"How KVM on arm64 answers its guests' hypercalls, simulated for thousands of vCPUs.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(migrate, name="migrate")


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


@app.command(epilog="Example: fastsmc verify tests/recordings")
def verify(
    paths: Annotated[list[Path], typer.Argument(help="A recorded host's folder, or a folder of such folders.")],
    compact: Annotated[
        Path | None, typer.Option(help="Write a compact copy of the recordings there instead of replaying them.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Replay this kind of record only; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tallies as JSON.")] = False,
) -> None:
    """Replay recordings of real kernels: is every answer the one KVM gave?

    Answers and errnos are compared with the reference, verdicts and errnos with the vectorized path; a record
    matches when both agree with it. Exit 0 only if all records match.
    """
    from fastsmc import verification

    if compact is not None:
        if kind or as_json:
            msg = "--compact copies every kind and prints one line: leave out --kind and --json"
            raise typer.BadParameter(msg)
        with progress("copying") as show:
            size = verification.compact(paths, compact, progress=show)
        print(f"wrote {size / 1e6:.2f} MB of recordings to {compact}")
        return
    with progress("replaying") as show:
        result = verification.verify(paths, kinds=kind or verification.KINDS, progress=show)
    if as_json:
        print(json.dumps(_verification_json(result), indent=1))
    else:
        _print_verification(result)
    if not result.ok:
        msg = f"{result.n_record - result.n_match} of {result.n_record} records do not match"
        raise CheckError(msg)


def _print_verification(result: Verification) -> None:
    width = max([4, *(len(tally.host) for tally in result.tallies)])
    print(f"{'host':{width}}  {'kind':11} {'records':>9} {'match':>9} {'not judged':>10}")
    for tally in result.tallies:
        unjudged = sum(tally.unjudged.values())
        print(f"{tally.host:{width}}  {tally.kind:11} {tally.n_record:9d} {tally.n_match:9d} {unjudged:10d}")
    for tally in result.tallies:
        _print_differences(tally)
    for note in sorted({note for tally in result.tallies for note in tally.notes}):
        print(f"note: {sum(tally.notes[note] for tally in result.tallies)} {note}")
    for kind, hosts in sorted(result.not_looked_at.items()):
        print(f"not looked at: {kind} (of {hosts} host{'s' if hosts > 1 else ''})")
    print(f"{result.n_match} of {result.n_record} records match")


def _print_differences(tally: Tally) -> None:
    n_different = tally.n_record - tally.n_match - sum(tally.unjudged.values())
    if n_different:
        print(f"\n{tally.host} {tally.kind}: {n_different} differ, the first {len(tally.differences)}:")
        for difference in tally.differences:
            print(f"  {difference}")
    for reason, count in tally.unjudged.items():
        print(f"\n{tally.host} {tally.kind}: {count} not judged: the model has no rule for {reason}")


def _verification_json(result: Verification) -> dict[str, Any]:
    kinds = [
        {
            "host": tally.host,
            "kind": tally.kind,
            "records": tally.n_record,
            "match": tally.n_match,
            "not_judged": dict(tally.unjudged),
            "inferred": dict(tally.notes),
            "differences": tally.differences,
        }
        for tally in result.tallies
    ]
    return {
        "records": result.n_record,
        "match": result.n_match,
        "ok": result.ok,
        "kinds": kinds,
        "not_looked_at": dict(result.not_looked_at),
    }


@app.command(epilog="Example: trace-cmd report | fastsmc trace /dev/stdin")
def trace(
    file: Annotated[Path, typer.Argument(help="Text of kvm:kvm_hvc_arm64: trace-cmd report, perf script or ftrace.")],
    lenient: Annotated[bool, typer.Option(help="Count lines that are not understood instead of stopping.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which services a real guest called, and how often (recorded)."""
    from fastsmc.traces.text import read_trace

    events = read_trace(file, lenient=lenient)
    counts = events.by_service()
    if as_json:
        rows = [{"service": service, "function": name, "calls": n} for (service, name), n in counts.items()]
        print(
            json.dumps(
                {"calls": len(events), "lost": events.n_lost, "skipped": events.n_skipped, "rows": rows}, indent=1
            )
        )
        return
    print(f"{'service':12} {'function':32} {'calls':>8}")
    for (service, name), n in counts.items():
        print(f"{service:12} {name:32} {n:8d}")
    lost = f", {events.n_lost} lost by the tracer" if events.n_lost else ""
    skipped = (
        f", {events.n_skipped} lines skipped, the first at {events.first_skipped_line}" if events.n_skipped else ""
    )
    print(f"{len(events)} calls (recorded){lost}{skipped}")


@app.command(epilog="Example: fastsmc explain 0xC6000001 PTP STD_BMAP --release 6.12")
def explain(
    ids: Annotated[list[str], typer.Argument(help="Function or register ids: 0x86000001, PSCI_CPU_ON, STD_BMAP.")],
    release: Annotated[str | None, typer.Option(help="Say also what this release does, beside the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list as JSON.")] = False,
) -> None:
    """Tell everything known about function ids and register ids.

    A number of 32 bits is a function id, a longer one a register id. Names are those of fastsmc or of Linux.
    "default" is what a VM gets that nobody configured: vCPU feature PSCI_0_2, no filter, no capability.
    """
    from fastsmc.explanation import explain as explained

    told = [explained(what, release=release) for what in ids]
    if as_json:
        print(json.dumps([one.as_dict() for one in told], indent=1))
    else:
        print("\n\n".join(map(str, told)))


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
        from fastsmc.traces.text import read_trace

        with progress("main job") as show:
            run = scaling.run(read_trace(trace), progress=show)
    page = pages.write(run, out)
    print(f"wrote {page}")
