"""Help: whole sentences at any width, words instead of Python's types, and examples that run as they are pasted."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fastsmc.facts.packaged import SAMPLES
from tests.cli.test_command_lines import commands
from tests.support.command import fastsmc

COMMANDS = [name for name, _ in commands()]
GROUPS = ["", "migrate", "plan"]
LONG = {"report"}
"""It measures for a minute; tests/cli/test_report.py runs it on a saved run."""
WRITING = {"new", "samples"}
"""What they write is what they are for."""


def helped(name: str) -> str:
    done = fastsmc(*name.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def examples(name: str) -> list[tuple[str, int]]:
    """The command lines under a help's Examples, and the exit code that the line below each tells."""
    text = re.split(r"^Examples?:\n", helped(name), flags=re.MULTILINE)[1]
    lines = text.rstrip("\n").split("\n")
    told = []
    for at, line in enumerate(lines):
        if line.startswith("  fastsmc "):
            after = lines[at + 1] if at + 1 < len(lines) else ""
            code = re.search(r"exit code (\d)", after) if after.startswith("    ") else None
            told.append((line.strip(), int(code[1]) if code else 0))
    assert len(told) + sum(line.startswith("    ") for line in lines) == len(lines)
    return told


EXAMPLES = [(command, code) for name in [*GROUPS, *COMMANDS] if name not in LONG for command, code in examples(name)]


@pytest.mark.parametrize("name", [*GROUPS, *COMMANDS])
def test_every_command_has_two_examples(name: str) -> None:
    assert len(examples(name)) >= 2
    assert all(command.split()[1:3] != ["migrate", "trace"] for command, _ in examples(name))
    if name:
        assert all(f"{command} ".startswith(f"fastsmc {name} ") for command, _ in examples(name))


@pytest.mark.parametrize(("command", "code"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_an_example_runs_as_pasted_in_any_folder(command: str, code: int, tmp_path: Path) -> None:
    done = fastsmc(*shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr
    if command.split()[1] not in WRITING:
        assert [path.name for path in tmp_path.iterdir()] == re.findall(r" --(?:figure|out) (\S+)", command)


@pytest.mark.parametrize("name", [*GROUPS, *COMMANDS])
@pytest.mark.parametrize("columns", ["80", "140"])
def test_help_is_whole_and_speaks_words(name: str, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    before, text = re.split(r"^Examples?:\n", helped(name), flags=re.MULTILINE)[0], helped(name)
    assert max(map(len, before.splitlines())) <= int(columns)
    assert set(re.findall(r"\S*\.\.\.", text)) <= {
        "[ARGS]...",
        "ID...",
        "FOLDER...",
        "[FOLDER]...",
        "[CALL]...",
        "B...",
        "...",
    }  # -M ...
    assert text.count(" ...") == text.count("-M ...")
    assert not re.search(r"<\w+", text), text
    assert "/site-packages/" not in text
    assert "/fastsmc/data" not in text


def test_the_list_of_commands_has_whole_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for group in GROUPS:
        listed = " ".join(helped(group).split("Commands:\n")[1].split("Example")[0].split())
        for name, command in commands():
            if name.startswith(group) and (" " in name) == bool(group):
                first = " ".join(command.help.split("\n\n")[0].split())
                assert first[-1] in ".?"
                assert f"{name.split()[-1]} {first}" in listed


def test_samples_are_named_in_help_and_are_there() -> None:
    assert all(path.exists() for path in SAMPLES.values())
    told = " ".join(helped("").split()).split("sample:NAME is one that fastsmc brings: ")[1].split(". ")[0]
    assert told.removesuffix(".").split(", ") == list(SAMPLES)


def test_a_sample_that_is_none_is_told_with_those_there_are() -> None:
    done = fastsmc("trace", "sample:boot.ftrace")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean sample:boot.ftrace.txt?" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "migrate inspect sample:vm6.18.bin.xz",
        "migrate check sample:vm6.18.bin.xz 6.6",
        "migrate encode sample:vm6.18.bin.xz -q",
        "migrate inspect sample:hosts.csv",
    ],
)
def test_a_sample_is_called_as_it_was_typed(words: str) -> None:
    name = next(word for word in words.split() if word.startswith("sample:"))
    done = fastsmc(*words.split())
    assert (done.stdout or done.stderr.removeprefix("fastsmc: ")).startswith(name)
    assert "/fastsmc/data" not in done.stdout + done.stderr
    file = SAMPLES[name.removeprefix("sample:")]
    told = fastsmc(*(str(file) if word == name else word for word in words.split()))
    assert str(file) in told.stdout + told.stderr


def test_two_files_cannot_both_be_standard_input() -> None:
    done = fastsmc("migrate", "diff", "-", "-")
    assert done.returncode == 2
    assert "- is standard input, which is read once" in done.stderr
