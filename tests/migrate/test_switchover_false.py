"""Logs and answers whose lines contradict each other: refused, and nothing impossible is told as measured."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmc.errors import FastsmcError, InputError, TraceError
from fastsmc.migrate.link import Link
from fastsmc.migrate.switchover.measured import with_logs, with_query
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.migrate.switchover.query_migrate import read_query_migrate
from fastsmc.migrate.switchover.steps import Waterfall
from fastsmc.migrate.switchover.trace_log import read_downtime_log
from fastsmc.migrate.switchover.trace_order import LOADED, STARTED
from tests.support.places import TESTS

SAMPLES = TESTS / "downtime"
SOURCE, DESTINATION = ((SAMPLES / f"{end}.log").read_text() for end in ("source", "destination"))
REAL = (SAMPLES / "query-migrate-7.2.22.json").read_text()
JOB = (
    "Job type: Completed\nTime elapsed: 5120 ms\nMemory processed: 312.5 MiB\nTotal downtime: 41 ms\nSetup time: 7 ms\n"
)
HMP = (SAMPLES / "info-migrate-7.2.22.txt").read_text()
N_MUTATED = 100_000


def checkpoint(name: str, at: float | None = None) -> str:
    stamp = "" if at is None else f"1@{1700000000 + at:.6f}:"
    return f"{stamp}vmstate_downtime_checkpoint {name}\n"


def section(side: str, us: int, at: float | None = None, kind: str = "non-iterable", name: str = "cpu") -> str:
    stamp = "" if at is None else f"1@{1700000000 + at:.6f}:"
    return f"{stamp}vmstate_downtime_{side} type={kind} idstr={name} instance_id=0 downtime={us}\n"


START, STOPPED, SAVED = (checkpoint(f"src-{name}") for name in ("downtime-start", "vm-stopped", "non-iterable-saved"))
WHOLE = START + STOPPED + section("save", 5) + SAVED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            checkpoint("src-vm-stopped", 0) + checkpoint("src-downtime-start", 5),
            "line 2: src-downtime-start comes after src-vm-stopped .line 1., which QEMU writes later",
        ),
        (START, "line 1: src-downtime-start, and no src-vm-stopped in any line after it: the pause has no end"),
        (WHOLE + START, "line 5: src-downtime-start, and no src-vm-stopped"),
        (START + STOPPED + section("save", 5), "line 2: src-vm-stopped, and no src-non-iterable-saved in any line"),
        (STOPPED + STOPPED, "line 2: src-vm-stopped stands on line 1 too: two migrations are mixed here; give one"),
        (SAVED + STOPPED, "line 2: src-vm-stopped comes after src-non-iterable-saved .line 1."),
        (section("save", 5) + STOPPED, "line 2: src-vm-stopped comes after a section that was saved .line 1."),
        (WHOLE + section("save", 5, name="timer"), "line 5: the save of 'timer' instance 0 .non-iterable. comes after"),
        (
            checkpoint("dst-precopy-loadvm-completed") + section("load", 5),
            "line 2: the load of 'cpu' instance 0 .non-iterable. comes after dst-precopy-loadvm-completed .line 1.",
        ),
        (
            checkpoint("dst-precopy-bh-vm-started", 1) + checkpoint("dst-precopy-loadvm-completed", 2),
            "line 2: dst-precopy-loadvm-completed comes after dst-precopy-bh-vm-started .line 1.",
        ),
        (
            section("save", 5, 1) + section("save", 5, 0.5, name="timer"),
            "line 2: the save of 'timer' instance 0 comes 500000 us before line 1 above it",
        ),
        (
            section("load", 5, 1) + section("load", 900, 1.0005, name="timer"),
            "line 2: the load of 'timer' instance 0 took 900 us, but line 1 is 500 us before its end",
        ),
        (
            checkpoint("src-downtime-start", 0) + checkpoint("src-vm-stopped", 1e8),
            "line 2: src-vm-stopped comes 100000000 s after line 1, over an hour: the clock jumped",
        ),
        (section("save", 3_600_000_001), "line 1: the save of 'cpu' instance 0 took 3600000001 us, which is over an"),
        (checkpoint("src-downtime-start", 0) + STOPPED, "line 2: src-vm-stopped has no time, but line 1 has one"),
        (START + checkpoint("src-vm-stopped", 0), "line 2: src-vm-stopped has a time, but line 1 has none"),
        (checkpoint("dst-postcopy-bh-enter", 0), "line 1: dst-postcopy-bh-enter is of a postcopy migration"),
        (section("load", 5, name="a\x1b[31m"), "no vmstate|line 1: .*must be"),
    ],
)
def test_lines_that_contradict_each_other_are_both_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "qemu.log"
    path.write_text(text)
    if "\x1b" in text:  # the name is fine for QEMU; it is shown escaped, if anything is said of it
        assert "\x1b" not in str(with_logs(downtime(182, n_vcpu=1, link=Link(10)), [read_downtime_log(path)]))
        return
    with pytest.raises(TraceError, match=rf"qemu\.log: {message}") as refused:
        read_downtime_log(path)
    assert refused.value.exit_code == 3


def test_a_migration_that_was_given_up_is_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "qemu.log"
    path.write_text(START + STOPPED + WHOLE)
    assert read_downtime_log(path).n_earlier == 1


def test_a_background_snapshot_has_no_start_and_may_come_first(tmp_path: Path) -> None:
    path = tmp_path / "qemu.log"
    path.write_text(STOPPED + section("save", 5) + SAVED + WHOLE)
    log = read_downtime_log(path)
    assert (log.n_earlier, log.lines["src-vm-stopped"]) == (1, 5)


def test_zero_is_a_time_that_may_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "qemu.log"
    text = "".join(checkpoint(f"src-{name}", 1) for name in ("downtime-start", "vm-stopped", "non-iterable-saved"))
    path.write_text(text)
    after = with_logs(downtime(182, n_vcpu=1, link=Link(10)), [read_downtime_log(path)])
    assert (after.steps[0].kind, after.steps[0].ms.mid) == ("measured", 0)


def test_checkpoints_of_two_logs_that_are_not_one_migrations_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_text(checkpoint("dst-precopy-loadvm-completed", 9))
    second.write_text(checkpoint("dst-precopy-bh-vm-started", 4))
    with pytest.raises(TraceError, match=r"dst-precopy-bh-vm-started .line 1. comes 5000000 us before dst-precopy"):
        with_logs(downtime(182, n_vcpu=1, link=Link(10)), [read_downtime_log(path) for path in (first, second)])


def answer(**told: object) -> str:
    return json.dumps({"status": "completed", "downtime": 5, "total-time": 50, "setup-time": 1} | told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (answer(downtime=60), '"downtime" 60 ms and "setup-time" 1 ms are more than "total-time", 50 ms'),
        (answer(downtime=3_600_001, **{"total-time": 1 << 40}), '"downtime" is 3.6e.06 ms, which is over an hour'),
        (answer(ram={"downtime-bytes": 9000, "transferred": 10}), '"downtime-bytes" 9000 are more than all'),
        ('{"status": "completed", "downtime": 3, "downtime": 9}', "the key 'downtime' stands twice in one object"),
        (JOB.replace("41", "5123"), '"downtime" 5123 ms are more than "total-time", 5120 ms'),
        (JOB + "Total downtime: 42 ms\n", "line 6: downtime is 42.0, but line 4 says 41.0"),
        (JOB.replace("41 ms", "-41 ms"), "line 4: 'Total downtime: -41 ms' is no time as QEMU or libvirt print it"),
        (JOB.replace("41 ms", "nan ms"), "line 4: 'Total downtime: nan ms' is no time"),
        (HMP.replace("downtime: 7 ms", "downtime: 7 h"), "line .*: 'downtime: 7 h' is no time"),
        (
            "Status: completed\nTime (ms): total=5120, down=41\nTime (ms): total=9, down=4\n",
            "line 3: .* but line 2 says",
        ),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_query_migrate(path)


def test_of_several_pasted_answers_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text(JOB + JOB.replace("41", "43"))
    assert read_query_migrate(path).downtime_ms == 43


def test_postcopy_is_told(tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text(answer(ram={"postcopy-requests": 7}))
    assert "postcopy: memory came after the guest went on" in read_query_migrate(path).notes


# -- mutants, line by line ----------------------------------------------------------------------------------------

EDGES = ("0", "1", "9", "-1", "1e9", "NaN", "inf", "999999", "3600000001", "9999999999999", "9" * 30, "0x10", "")
NUMBER = re.compile(r"\d+")
WORDS = ("save", "load", "checkpoint", "iterable", "non-iterable", "src-vm-stopped", "src-downtime-start", "cpu", "ram")
WORDS += ("src-iterable-saved", "src-non-iterable-saved", "src-downtime-end", "dst-precopy-loadvm-completed")
WORDS += (
    "dst-precopy-bh-vm-started",
    "dst-postcopy-bh-enter",
    "completed",
    "active",
    "downtime",
    "total-time",
    "setup",
)
WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def put(line: str, pattern: re.Pattern[str], draw: random.Random, words: tuple[str, ...]) -> str:
    places = list(pattern.finditer(line))
    if not places:
        return line
    place = draw.choice(places)
    new = draw.choice(words)
    if pattern is NUMBER and draw.random() < 0.5:
        new = str(max(0, int(place[0]) + draw.choice((-1, 1)) * 10 ** draw.randrange(8)))
    return line[: place.start()] + new + line[place.end() :]


def mutated(text: str, other: str, draw: random.Random) -> str:
    """One to three of: a number or word changed, a line lost, twice, moved, swapped, or of the other file."""
    lines = text.splitlines(keepends=True)
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(lines)) if lines else 0
        lines = lines or ["\n"]
        match draw.randrange(8):
            case 0 | 1:
                lines[at] = put(lines[at], NUMBER, draw, EDGES)
            case 2:
                lines[at] = put(lines[at], WORD, draw, WORDS)
            case 3:
                del lines[at]
            case 4:
                lines.insert(draw.randrange(len(lines) + 1), lines[at])
            case 5:
                lines.insert(draw.randrange(len(lines)), lines.pop(at))
            case 6:
                del lines[at:]
            case 7:
                lines.insert(at, draw.choice(other.splitlines(keepends=True)))
    return "".join(lines)


MODELLED = downtime(182, n_vcpu=4, link=Link(10))


def told_of_log(path: Path) -> Waterfall:
    log = read_downtime_log(path)
    after = with_logs(MODELLED, [log])
    for first, last in (("src-downtime-start", "src-downtime-end"), (LOADED, STARTED)):
        passed = log.between(first, last)
        assert passed is None or 0 <= passed <= 5 * 3.6e9
    lasted = log.between("src-vm-stopped", "src-non-iterable-saved")
    if lasted is not None:
        saved = [step for step in after.steps if step.name in ("save of sections", "GETs, all state")]
        assert all(step.kind != "measured" or step.ms.mid * 1e3 <= lasted * 1.02 + 1000 for step in saved)
    return after


def told_of_answer(path: Path) -> Waterfall:
    query = read_query_migrate(path)
    assert query.total_ms is None or query.downtime_ms <= query.total_ms + 2
    after = with_query(MODELLED, query)
    source = [step for step in after.steps[:2] if step.name != "decode"]
    assert sum(step.ms.mid for step in source) <= query.downtime_ms * 1.0001
    return after


FORMS: dict[str, tuple[str, str, Callable[[Path], Waterfall]]] = {
    "source": (SOURCE, DESTINATION, told_of_log),
    "destination": (DESTINATION, SOURCE, told_of_log),
    "both in one": (SOURCE + DESTINATION, SOURCE, told_of_log),
    "query-migrate": (json.dumps(json.loads(REAL), indent=1), JOB, told_of_answer),
    "domjobinfo": (JOB, HMP, told_of_answer),
    "info migrate": (HMP, JOB, told_of_answer),
}


def run(form: str, n: int, path: Path) -> int:
    """Checks n mutants; how many were read all the same."""
    text, other, told = FORMS[form]
    path.write_text(text)
    assert told(path), "the file is fine before it is changed"
    draw, n_read = random.Random(form), 0
    for _ in range(n):
        path.write_text(mutated(text, other, draw))
        try:
            after = told(path)
        except FastsmcError as error:
            message = str(error)
            assert 10 < len(message) < 600
            assert "\n" not in message
            assert error.exit_code == 3  # noqa: PT017
        else:
            n_read += 1
            assert all(0 <= step.ms.low <= step.ms.mid <= step.ms.high < 3.6e7 for step in after.steps)
            assert all(step.ms.mid <= after.total_ms.mid for step in after.steps)
    return n_read


@pytest.mark.parametrize("form", FORMS)
def test_some_mutants_tell_nothing_impossible(form: str, memory_folder: Path) -> None:
    assert 0 < run(form, 300, memory_folder / "mutant") < 300


@pytest.mark.soak(f"{N_MUTATED:,} mutants of logs and answers, a sixth of each form; make test tries 300 of each")
@pytest.mark.parametrize("form", FORMS)
def test_mutants_tell_nothing_impossible(form: str, memory_folder: Path) -> None:
    n = N_MUTATED // len(FORMS)
    assert 0 < run(form, n, memory_folder / "mutant") < n


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (START + STOPPED + SAVED, "no section; 3 checkpoints without a time (-msg timestamp=on gives it)"),
        (checkpoint("dst-precopy-loadvm-completed", 0), "no section; 1 checkpoint with a time, none of which ends"),
        (
            section("load", 5, name="timer") + checkpoint("dst-precopy-loadvm-completed"),
            "1 section, none of them of vCPUs; 1 checkpoint without a time",
        ),
    ],
)
def test_a_log_that_measures_nothing_says_so(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "q.log").write_text("a line of something else\n" + text)
    found = with_logs(MODELLED, [read_downtime_log(tmp_path / "q.log")])
    assert found.steps == MODELLED.steps
    told = [note for note in found.notes if "nothing was measured, every step is modelled or assumed" in note]
    assert len(told) == 1
    assert says in told[0]


def test_a_log_that_measures_something_does_not_say_so(tmp_path: Path) -> None:
    (tmp_path / "q.log").write_text(
        checkpoint("dst-precopy-loadvm-completed", 1) + checkpoint("dst-precopy-bh-vm-started", 2)
    )
    found = with_logs(MODELLED, [read_downtime_log(tmp_path / "q.log")])
    assert not [note for note in found.notes if "nothing was measured" in note]


@pytest.mark.parametrize("stamp", ["1@99999999999999.000000:", "1@-5.000000:", "1@1.5:", "9" * 90 + "@1.000000:"])
def test_a_time_that_cannot_be_read_is_refused(stamp: str, tmp_path: Path) -> None:
    (tmp_path / "q.log").write_text("other\n" + stamp + STOPPED)
    with pytest.raises(TraceError, match=r"q\.log: line 2: .*:vmstate_dow.* is no event as QEMU writes it"):
        read_downtime_log(tmp_path / "q.log")


def test_a_command_line_that_names_the_events_is_another_line(tmp_path: Path) -> None:
    line = (
        "qemu-system-aarch64 " + "-device virtio-net " * 9 + "-trace vmstate_downtime_save -trace vmstate_downtime_*\n"
    )
    (tmp_path / "q.log").write_text(line + START + STOPPED + SAVED)
    assert read_downtime_log(tmp_path / "q.log").n_skipped == 1
