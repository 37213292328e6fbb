"""What is wrong with a command line, and what with a file: one rule for every command and option.

An error of the library ends with exit code 2, and the usage line, where the shell line is to blame: its sentence names
an option, or quotes the value that one was given. Everything else keeps its own code: 3 for what files hold, whose
sentences begin with the file.

A sentence never has the name of a Python argument: a command's parameter is called as the library's keyword is, so
wherever the keyword stands, the option that was typed takes its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from fastsmc.checks import shown
from fastsmc.errors import (
    CheckError,
    FastsmcError,
    InputError,
    KvmError,
    RecordingError,
    RegisterFileError,
    ResultFileError,
    TraceError,
    UnknownError,
)

UsageError: Any = typer.BadParameter.__mro__[1]
"""Click's own, or the one of the copy that Typer brings."""
_OF_FILES = (RegisterFileError, RecordingError, TraceError, ResultFileError)
_BEFORE, _AFTER = r"(?<![\w'\"./-])", r"(?![\w'\"./:-])"
_PARTS = re.compile(r"[,+=\s]+")


def as_told(error: FastsmcError, context: Any) -> Exception:
    """The error as a command ends with it: the same with the names of options, or a usage error."""
    if isinstance(error, CheckError | UnknownError):
        return error
    text = with_options(str(error), context)
    is_of_file = any(text.startswith((str(path), path.name)) for path in _files(context))
    if isinstance(error, InputError | KvmError) and not isinstance(error, _OF_FILES) and not is_of_file:
        if any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for name in _names(context)):
            return _usage(text, context)
        if not any(_is_in(path.name, text) for path in _files(context)):
            name = next((name for name, values in _given(context) if any(_quotes(text, one) for one in values)), None)
            if name is not None:
                return _usage(f"{name}: {text}", context)
    error.args = (text, *error.args[1:])
    return error


def _usage(text: str, context: Any) -> Exception:
    made: Exception = typer.BadParameter(text, ctx=context)
    return made


def name_of(parameter: Any) -> str:
    """What a person calls a parameter: the option as it is typed, or the word of an argument in the usage line."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name).upper().strip("[]{}.")


def with_options(text: str, context: Any) -> str:
    """The sentence with the option in place of the library's keyword: of any with an underscore, and of one it begins
    with, if that option was given.

    Quoted text stays as it is. A count that has another word, n_reg, is the option that begins so: --registers.
    """
    for parameter in context.command.params:
        word, name = re.escape(parameter.name), name_of(parameter)
        if parameter.param_type_name == "option" and len(word) > 2:
            text = re.sub(rf"{_BEFORE}n_{word[:3]}\w*", name, text)
        if "_" in parameter.name:
            text = re.sub(rf"{_BEFORE}{word}{_AFTER}", name, text)
        elif _is_given(parameter, context):
            text = re.sub(rf"\A{word}{_AFTER}", name, text)
    return text


def _is_given(parameter: Any, context: Any) -> bool:
    return getattr(context.get_parameter_source(parameter.name), "name", "") == "COMMANDLINE"


def _names(context: Any) -> Iterator[str]:
    for parameter in context.command.params:
        yield from parameter.opts if parameter.param_type_name == "option" else [name_of(parameter)]


def _files(context: Any) -> Iterator[Path]:
    """The files that the command line names."""
    for value in context.params.values():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Path | str) and (path := _as_path(one)) is not None:
                yield path


def _as_path(value: Path | str) -> Path | None:
    """The path that a value is: of a parameter for files, of a file that is there, or written as only a path is."""
    path = Path(value)
    is_file = isinstance(value, Path) or "/" in value or (path.suffix[1:].isalpha() and len(path.suffix) > 2)
    return path if path.name and (is_file or _exists(path)) else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name, a zero byte
        return False


def _given(context: Any) -> Iterator[tuple[str, list[str]]]:
    """Each parameter and what it was given as text: the whole, then its parts, since one of several may be wrong.

    Options come first, as a sentence about one may quote an argument too.
    """
    for parameter in sorted(context.command.params, key=lambda one: one.param_type_name != "option"):
        value = context.params.get(parameter.name)
        if value is None or isinstance(value, bool) or not _is_given(parameter, context):
            continue
        each = value if isinstance(value, list | tuple) else [value]
        whole = [str(one) for one in each if not isinstance(one, Path)]
        parts = [part for text in whole for part in _PARTS.split(text) if part and part != text]
        yield name_of(parameter), whole + parts


def _quotes(text: str, value: str) -> bool:
    return bool(value) and (shown(value) in text or _is_in(value, text))


def _is_in(value: str, text: str) -> bool:
    """Whether a word stands in a text by itself."""
    return re.search(rf"(?<![\w.+-]){re.escape(value)}(?![\w+-])", text) is not None
