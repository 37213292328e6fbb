"""What a sweep is given: the file or the table of a scenario or of a question, told apart by the key `question`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.scenario import Scenario
from fastsmc.scenario.problems import read_toml
from fastsmc.sweeping.questions import Questions
from fastsmc.sweeping.scenarios import Scenarios
from fastsmc.sweeping.subject import Base, Subject, Word


def base_of(given: object) -> Base:
    """What is swept, without any value of the grid, as it is checked and as it is written.

    Raises:
        InputError: neither a scenario nor a question, or what is wrong with it.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        table = read_toml(path, "a scenario or a question")[1]
        if "question" in table:
            return _question(table, path.stem, path.parent)
        return _scenario(Scenario.load(path), table, path.parent)
    if isinstance(given, Mapping):
        if "question" in given:
            return _question(given, str(given["question"]), Path())
        return _scenario(Scenario.of(given), given, Path())
    msg = f"what to sweep is {shown(given)}: give the path of its file, or its table"
    raise InputError(msg)


def subject_of(word: Word, table: Mapping[str, Any], measures: Iterable[object]) -> Subject:
    """The subject of a design.

    Raises:
        InputError: a question that is none.
    """
    if word == "question":
        return Questions(table.get("question"))
    return Scenarios(str(name).rpartition(".")[0] for name in measures)


def _scenario(base: Scenario, table: Mapping[str, Any], folder: Path) -> Base:
    subject = Scenarios(group.name for group in base.groups)
    return Base(subject, base.name, _plain(table, base.name), base.seed, folder, {})


def _question(table: Mapping[str, Any], name: str, folder: Path) -> Base:
    subject = Questions(table["question"])
    own, held = subject.written(table)
    plain = _plain(own, name)
    return Base(subject, name, plain, subject.seed_of(plain), folder, held)


def _plain(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(table, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{name}: a value that no file of it can hold: {error}"
        raise InputError(msg) from None
    return plain
