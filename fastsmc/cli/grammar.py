"""How every command behaves: its help, its examples, its samples, and how it is told that a command line is wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fastsmc.checks import shown
from fastsmc.cli.refused import UsageError, as_told, name_of
from fastsmc.cli.terminal import by_name, call
from fastsmc.errors import FastsmcError

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 140}
SAMPLE = "sample:"
_ELSEWHERE = {"help": "--help", "version": "--version"}


def add(app: typer.Typer, function: Callable[..., None], *, examples: str, name: str | None = None) -> None:
    """Adds a command to a group.

    Args:
        examples: command lines, one a line, that run as they are pasted. A line that begins with a space says what the
            one above ends with, if not with exit code 0.
    """
    app.command(name, cls=Command, epilog=examples)(function)


class Command(TyperCommand):
    """A command of ours."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the arguments; samples among them become paths."""
        with _told(ctx):
            rest: list[str] = super().parse_args(ctx, args)
            _place_samples(ctx)
            _check_one_stdin(ctx)
            return rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; an error names options, not arguments of Python."""
        with _told(ctx):
            return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line; what must be given stands without braces."""
        return [re.sub(r"\{([^}]*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes arguments and options in words, not in types of Python."""
        for kind in ("argument", "option"):
            told = [one.get_help_record(ctx) for one in self.get_params(ctx) if one.param_type_name == kind]
            rows = [(re.sub(r" <[^>]*>", "", name), _in_words(text)) for name, text in filter(None, told)]
            if rows:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples."""
        _write_examples(self.epilog, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, whole."""
        return _first_sentence(self.help)


class Group(TyperGroup):
    """Commands of ours."""

    def main(  # type: ignore[override]  # it has one argument more, for Windows
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line; what is wrong with it is one sentence, and below it the usage."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except UsageError as error:
            _say(error)
            sys.exit(error.exit_code)
        except typer.Abort:
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is meant; one that another group has is named."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = _near(name, ctx)
            meant = f" Did you mean {near!r}?" if near else ""
            ctx.fail(f"No such command {name!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes each command with its first sentence, whole."""
        rows = [(name, _first_sentence(self.commands[name].help)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples."""
        _write_examples(self.epilog, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, whole."""
        return _first_sentence(self.help)


@contextmanager
def _told(context: Any) -> Iterator[None]:
    try:
        yield
    except FastsmcError as error:
        told = as_told(error, context)
        if told is error:
            raise
        raise told from error
    except UsageError as error:
        if error.ctx is None:
            error.ctx = context
        raise


def _say(error: Any) -> None:
    """Prints what is wrong with a command line, and how the command is used."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    text = error.format_message()
    if type(error) is typer.BadParameter:
        text = error.message if error.param is None else f"{name_of(error.param)}: {error.message}"
    lines = [f"fastsmc: {by_name(_plain(text))}"]
    if error.ctx is not None:
        lines += [error.ctx.get_usage(), f"Help: {error.ctx.command_path} --help"]
    with suppress(OSError):
        print("\n".join(lines), file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    """What a parser says of a value, in our words and on one line."""
    text = re.sub(r"Input should be a valid integer[^;]*", "give a whole number", " ".join(text.split()))
    text = re.sub(r"Input should be a valid number[^;]*", "give a number", text)
    return text.replace("Input should be", "it must be")


def _in_words(text: str) -> str:
    """A help text whose bounds read as words: [x>=1] is [1 or more]."""
    return re.sub(r"\bx>=(\d+)", r"\1 or more", text)


def _first_sentence(text: str | None) -> str:
    """The first paragraph of a help text on one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def _write_examples(text: str | None, formatter: Any) -> None:
    if not text:
        return
    lines = [line for line in re.sub(r"\AExamples?:\s*", "", text.strip()).splitlines() if line.strip()]
    formatter.write("\n" + ("Examples" if len(lines) > 1 else "Example") + ":\n")
    for line in lines:
        formatter.write(f"  {line.rstrip()}\n")


def _near(name: str, context: Any) -> str | None:
    """The command line that a word which is no command here may stand for."""
    top = context.find_root().command
    known: dict[str, str] = {}
    here = "" if context.command is top else "fastsmc "
    for words in _paths(top, ()):
        known.setdefault(words[-1], here + " ".join(words))
    known |= {one: one for one in getattr(context.command, "commands", {})} | _ELSEWHERE
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    return known[close[0]] if close else None


def _paths(group: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*above, name)
        if hasattr(command, "commands"):
            yield from _paths(command, (*above, name))


def _check_one_stdin(context: Any) -> None:
    """Refuses to read two files from standard input, as the second would be empty."""
    given = [one for value in context.params.values() for one in (value if isinstance(value, list) else [value])]
    if sum(isinstance(one, str | Path) and str(one) == "-" for one in given) > 1:
        msg = "- is standard input, which is read once: give a path for the other file"
        raise typer.BadParameter(msg, ctx=context)


def _place_samples(context: Any) -> None:
    """Puts the packaged file in the place of every `sample:NAME`; people read that name all the same."""
    given = [one for value in context.params.values() for one in (value if isinstance(value, list) else [value])]
    call({str(_sampled(one, context)): str(one) for one in given if str(one).startswith(SAMPLE)})
    for name, value in context.params.items():
        if isinstance(value, list):
            context.params[name] = [_sampled(one, context) for one in value]
        else:
            context.params[name] = _sampled(value, context)


def _sampled(value: Any, context: Any) -> Any:
    if not isinstance(value, str | Path) or not str(value).startswith(SAMPLE):
        return value
    from fastsmc.facts.packaged import SAMPLES

    name = str(value)[len(SAMPLE) :]
    if name not in SAMPLES:
        close = get_close_matches(name, SAMPLES, n=1)
        meant = f"; did you mean {SAMPLE}{close[0]}?" if close else ""
        msg = f"{shown(str(value))}: no such sample; there are {', '.join(SAMPLES)}{meant}"
        raise typer.BadParameter(msg, ctx=context)
    return type(value)(SAMPLES[name]) if isinstance(value, str) else SAMPLES[name]
