"""What every command shares: its options of output, and how a result is printed, saved and ended with its exit code.

A command takes these, and ends with `show`:

    as_json: Json = False,
    csv: Csv = False,
    markdown: Markdown = False,
    out: Out = None,
    quiet: Quiet = False,
    fail_if: FailIf = None,

A result has `as_dict()` for programs and `str` for people; where it has them, `answer`, one sentence, `table` or
`table()`, `exit_code`, and `numbers()`, what --fail-if compares.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

import typer

from fastsmc.cli.printing import printed_all_the_same
from fastsmc.cli.terminal import by_name, tell
from fastsmc.errors import CheckError, FastsmcError, InputError, ResultFileError, UnknownError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from fastsmc.results.tables import Table

_ENDINGS = (".json", ".csv", ".md")
_PIECES = 1 << 14
_FORMS = "give one of --json, --csv, --markdown and --quiet; --out FILE saves another form beside it"


class Result(Protocol):
    """What a function of the library returns."""

    def as_dict(self) -> Any: ...


def _checked_out(path: Path | None) -> Path | None:
    """Refuses, before any work, a file that could not be written."""
    if path is not None:
        if path.suffix not in _ENDINGS:
            msg = f"{path}: give a name that ends in .json, .csv or .md"
            raise typer.BadParameter(msg)
        check_writable("--out", path)
    return path


def _checked_figure(path: Path | None) -> Path | None:
    """Refuses, before any work, a figure that could not be drawn or written."""
    if path is not None:
        if path.suffix not in (".svg", ".png"):
            msg = f"{path}: give a name that ends in .svg or .png"
            raise typer.BadParameter(msg)
        check_writable("--figure", path)
    return path


def _checked_thresholds(texts: list[str] | None) -> list[str] | None:
    """Refuses, before any work, what is no threshold."""
    from fastsmc.results.thresholds import threshold

    for text in texts or ():
        try:
            threshold(text)
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
    return texts


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the answer and its table as Markdown.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        callback=_checked_out,
        help="Save the result too, in the form that the name ends in: .json, .csv or .md.",
    ),
]
Figure = Annotated[
    Path | None,
    typer.Option(
        "--figure",
        metavar="FILE",
        callback=_checked_figure,
        help="Draw a figure of it there too, as .svg or .png.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer only, one sentence.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, metavar="NUMBER", help="Of all random numbers.")]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="THRESHOLD",
        callback=_checked_thresholds,
        help="End with exit code 4 if a number of the result meets this, such as 'p99 > 2ms'. May be repeated.",
    ),
]


class Form(NamedTuple):
    """What the options of output say, for a command that hands them on."""

    as_json: bool
    csv: bool
    markdown: bool
    out: Path | None
    quiet: bool
    fail_if: Sequence[str] | None

    def check(self) -> None:
        """Refuses two forms to print, before any work.

        Raises:
            BadParameter: two are asked for.
        """
        if self.as_json + self.csv + self.markdown + self.quiet > 1:
            raise typer.BadParameter(_FORMS)

    def show(
        self,
        result: Result,
        *,
        failure: FastsmcError | None = None,
        files: Callable[[], Mapping[Path, bytes]] = dict,
    ) -> None:
        """As the function `show`."""
        show(result, **self._asdict(), failure=failure, files=files)


def show(
    result: Result,
    *,
    as_json: bool = False,
    csv: bool = False,
    markdown: bool = False,
    out: Path | None = None,
    quiet: bool = False,
    fail_if: Sequence[str] | None = None,
    failure: FastsmcError | None = None,
    files: Callable[[], Mapping[Path, bytes]] = dict,
    more: str = "",
) -> None:
    """Saves a result where that was asked for, prints it, and ends with its exit code.

    Args:
        failure: what the command ends with after it has printed: a CheckError or an UnknownError.
        files: what other options write, such as --figure; they are written together with --out, all or none.
        more: text that follows the result's own.

    Raises:
        BadParameter: two forms to print, or a form that the result does not have.
        ResultFileError: a file cannot be written; the result is printed all the same.
        CheckError, UnknownError: `failure`, or a threshold of --fail-if holds, or cannot be known.
    """
    if as_json + csv + markdown + quiet > 1:
        raise typer.BadParameter(_FORMS)
    form = "json" if as_json else "csv" if csv else "md" if markdown else "answer" if quiet else "text"
    end = _end(result, fail_if, failure)
    try:
        with printed_all_the_same(lambda: _print(result, form, more)):
            saved = {} if out is None else {out: _saved(result, out.suffix[1:])}
            write_asked(saved | dict(files()))
    except BrokenPipeError:
        end()  # the outcome outlives a reader that has seen enough: | head
        raise
    end()


def pictured(draw: Callable[[], Drawing], path: Path | None) -> Callable[[], Mapping[Path, bytes]]:
    """What --figure writes, for the `files` of `show`: nothing without it.

    Args:
        draw: makes the figure; called when the result is there and only if a figure was asked for.
    """

    def files() -> Mapping[Path, bytes]:
        if path is None:
            return {}
        from fastsmc.reporting.style import styled, to_png, to_svg

        figure = draw()
        with styled():
            return {path: to_svg(figure, path.stem).encode() if path.suffix == ".svg" else to_png(figure)}

    return files


def write_asked(contents: Mapping[Path, bytes]) -> None:
    """Writes the files that options ask for, all of them or none, and says so on standard error.

    Raises:
        ResultFileError: one of them cannot be written.
    """
    if not contents:
        return
    from fastsmc.results.files import write_each

    write_each(contents)
    for path in contents:
        print(f"wrote {path}", file=sys.stderr)


def check_writable(option: str, path: Path) -> None:
    """Refuses, before any work, a path that cannot be written.

    Raises:
        ResultFileError: it cannot.
    """
    place = path if path.exists() else path.parent
    number = errno.EISDIR if path.is_dir() else errno.EACCES if place.exists() else errno.ENOENT
    if number == errno.EISDIR or not os.access(place, os.W_OK):
        remedy = "give a file in a folder that exists and may be written to"
        msg = f"{option} {path}: cannot be written ({os.strerror(number)}): {remedy}"
        raise ResultFileError(msg)


def table_of(result: Any) -> Table:
    """The table of a result.

    Raises:
        BadParameter: it has none.
    """
    table = getattr(result, "table", None)
    table = table() if callable(table) else table
    if table is None:
        msg = "there is no table to print: leave out --csv and --markdown; --json has all of it"
        raise typer.BadParameter(msg)
    found: Table = table
    return found


def _print(result: Result, form: str, more: str) -> None:
    if form == "json":
        pieces = json.JSONEncoder(indent=1).iterencode(result.as_dict())
        while some := "".join(islice(pieces, _PIECES)):  # of a text that may have a million, each in memory else
            sys.stdout.write(some)
        print()
    elif form == "answer":
        print(by_name(answer_of(result)))
    elif form == "text":
        tell(by_name(str(result) + f"\n{more}" * bool(more)), by_name(answer_of(result)))
    else:
        sys.stdout.write(_text(result, form))


def answer_of(result: Any) -> str:
    """The one sentence that answers the question: the result's own, or the first line of its text."""
    return str(getattr(result, "answer", "")) or next(iter(str(result).splitlines()), "")


def _text(result: Any, form: str) -> str:
    """The result as CSV or Markdown: its own, or made of its answer and its table."""
    if form == "csv":
        return str(result.to_csv() if hasattr(result, "to_csv") else table_of(result).to_csv())
    if hasattr(result, "to_markdown"):
        return str(result.to_markdown())
    from fastsmc.results.markup import plain

    return f"{plain(answer_of(result))}\n\n{table_of(result).to_markdown()}"


def _saved(result: Any, form: str) -> bytes:
    """A result as a file has it. JSON is what the result's own `load` reads, if it has one, else what --json prints."""
    if form != "json":
        return _text(result, form).encode()
    if hasattr(result, "file_text"):
        return str(result.file_text()).encode()
    return json.dumps(result.as_dict(), indent=1).encode() + b"\n"


def _end(result: Any, fail_if: Sequence[str] | None, failure: FastsmcError | None) -> Callable[[], None]:
    """What the command does after it has printed."""

    def end() -> None:
        codes, said = {int(getattr(result, "exit_code", 0))}, []
        for error in (*_held(result, fail_if or ()), *([] if failure is None else [failure])):
            codes.add(error.exit_code)
            said.append(str(error))
        kind = next((one for one in (CheckError, UnknownError) if one.exit_code in codes), None)
        if said and kind is not None:
            raise kind("; ".join(said))
        if kind is not None:
            raise typer.Exit(kind.exit_code)

    return end


def _held(result: Any, texts: Sequence[str]) -> list[CheckError | UnknownError]:
    """The thresholds that hold, and those of which it cannot be known."""
    from fastsmc.results.thresholds import threshold

    found: list[CheckError | UnknownError] = []
    numbers = _numbers(result) if texts else {}
    for text in texts:
        try:
            crossed = threshold(text).crossed(numbers)
        except UnknownError as error:
            found.append(error)
        except InputError as error:
            msg = f"--fail-if {error}"
            raise typer.BadParameter(msg) from None
        else:
            if crossed is not None:
                found.append(CheckError(str(crossed)))
    return found


def _numbers(result: Any) -> Any:
    """The numbers that a result names: its own word for it, or the columns of its table and the plain values told."""
    if hasattr(result, "numbers"):
        return result.numbers()
    from fastsmc.results.thresholds import numbers_of

    table = getattr(result, "table", None)
    table = table() if callable(table) else table
    columns = {} if table is None else {n: c.plain() for n, c in table.columns.items() if c.values.dtype.kind in "if"}
    told = result.as_dict()
    return numbers_of(told if isinstance(told, Mapping) else {}, columns)
