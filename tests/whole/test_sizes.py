"""How large a file, a room and a function may be: what outgrows its subject hides a second one."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.places import ROOT

PACKAGE = ROOT / "fastsmc"
MEDIAN_LINES, MODULES_AT_THE_TOP = 150, 9
LONG_FUNCTION, N_LONG = 60, 5
PARAMETERS, KERNEL_PARAMETERS = 10, 8


class Function(NamedTuple):
    """A function or method as its source has it."""

    path: Path
    node: ast.FunctionDef | ast.AsyncFunctionDef

    def __str__(self) -> str:
        where = self.path.relative_to(ROOT).as_posix()
        return f"{where}:{self.node.lineno} {self.node.name}: {self.n_line} lines, {self.n_parameter} parameters"

    @property
    def n_line(self) -> int:
        return (self.node.end_lineno or 0) - self.node.lineno + 1

    @property
    def n_parameter(self) -> int:
        own = self.node.args
        return len(own.posonlyargs + own.args + own.kwonlyargs) + bool(own.vararg) + bool(own.kwarg)

    @property
    def decorators(self) -> list[str]:
        return [ast.unparse(decorator).partition("(")[0] for decorator in self.node.decorator_list]

    @property
    def is_kernel(self) -> bool:
        """Whether Numba compiles it, or it writes the code of one that Numba compiles."""
        return any(name.rpartition(".")[2].endswith(("kernel", "intrinsic")) for name in self.decorators)

    @property
    def is_command(self) -> bool:
        """Whether its parameters are the options of a command."""
        if not self.path.is_relative_to(PACKAGE / "cli"):
            return False
        return self.node.name in registered() or any(name.endswith(".command") for name in self.decorators)


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def functions() -> tuple[Function, ...]:
    return tuple(
        Function(path, node)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@cache
def registered() -> set[str]:
    """Names of functions that the command line makes commands of without a decorator: add(app, name, examples=...)."""
    return {
        ast.unparse(node.args[1]).rpartition(".")[2]
        for path in (PACKAGE / "cli").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "add" and len(node.args) > 1
    }


@cache
def called_by_kernels() -> set[str]:
    """Names of functions that a kernel calls: those are inner kernels, the others are drivers."""

    def names() -> Iterator[str]:
        for function in functions():
            if function.is_kernel:
                for node in ast.walk(function.node):
                    if isinstance(node, ast.Call):
                        yield ast.unparse(node.func).rpartition(".")[2]

    return set(names())


def test_few_modules_stand_outside_a_room() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES_AT_THE_TOP


def test_half_of_the_modules_are_short() -> None:
    lengths = [len(path.read_text("utf-8").splitlines()) for path in sources()]
    assert statistics.median(lengths) <= MEDIAN_LINES


def test_few_functions_are_long() -> None:
    long = [str(function) for function in functions() if function.n_line > LONG_FUNCTION]
    assert len(long) <= N_LONG, "\n".join(long)


def test_no_function_takes_many_parameters() -> None:
    """But the options of a command are what a user may say, and a kernel's driver takes its tables one by one."""
    many = [each for each in functions() if each.n_parameter > PARAMETERS and not each.is_command]
    assert [str(each) for each in many if not each.is_kernel or each.node.name in called_by_kernels()] == []


def test_no_inner_kernel_takes_many_parameters() -> None:
    inner = [each for each in functions() if each.is_kernel and each.node.name in called_by_kernels()]
    assert [str(each) for each in inner if each.n_parameter > KERNEL_PARAMETERS] == []
