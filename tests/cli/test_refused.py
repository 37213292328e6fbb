"""Whose fault an error is, the command line's or a file's, on a command made for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from fastsmc.cli.refused import UsageError, as_told
from fastsmc.errors import CheckError, InputError

made = typer.Typer()


@made.command()
def asked(
    release: Annotated[str, typer.Argument(metavar="RELEASE")],
    file: Annotated[Path, typer.Option(metavar="FILE")] = Path("vm.bin"),
    features: Annotated[str, typer.Option(metavar="FEATURES")] = "",
    registers: Annotated[int, typer.Option(metavar="COUNT")] = 1,
) -> None:
    """Nothing: only its parameters count."""


@pytest.fixture
def context() -> Any:
    command: Any = typer.main.get_command(made)
    return command.make_context("asked", ["6.18", "--file", "my/vm.bin", "--features", "sve", "--registers", "7"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("n_reg is 7: too few", "--registers is 7: too few"),
        ("'6.18' has no 'sve'", "--features: '6.18' has no 'sve'"),
        ("'6.18' is too new", "RELEASE: '6.18' is too new"),
        ("give --features or none", "give --features or none"),
    ],
)
def test_what_the_line_says_wrongly_is_a_usage_error_that_names_the_option(text: str, told: str, context: Any) -> None:
    error = as_told(InputError(text), context)
    assert isinstance(error, UsageError)
    assert str(error) == told


@pytest.mark.parametrize(
    "error",
    [
        InputError("my/vm.bin: 'sve' is not in it; leave out --features"),
        InputError("vm.bin: 'sve' is not in it; leave out --features"),
        InputError("the machine has too few cores"),
        CheckError("'sve' is lost with --features"),
    ],
)
def test_what_a_file_holds_and_what_was_found_keep_their_own_code(error: Any, context: Any) -> None:
    assert as_told(error, context) is error
