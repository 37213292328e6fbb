"""Damaged logs and answers: one sentence with the file and the line, and nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from fastsmc.errors import FastsmcError, InputError, TraceError
from fastsmc.migrate.link import Link
from fastsmc.migrate.switchover.measured import with_logs, with_query
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.migrate.switchover.query_migrate import read_query_migrate
from fastsmc.migrate.switchover.trace_log import read_downtime_log
from tests.support.places import TESTS

SAMPLES = TESTS / "downtime"
SOAK = pytest.mark.soak("50,000 and 100,000 damaged files; make test tries 500")
SAVE = "vmstate_downtime_save type=non-iterable idstr=cpu instance_id=0 downtime=5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no vmstate_downtime_"),
        ("hello\nthere\n", "no vmstate_downtime_.* event in 2 lines"),
        ("x\nvmstate_downtime_save type=non-iterable idstr=cpu", "line 2: .*must be type="),
        ("vmstate_downtime_save type=both idstr=cpu instance_id=0 downtime=5", "line 1: .*must be type="),
        ("vmstate_downtime_save type=iterable idstr=ram instance_id=0 downtime=-5", "line 1: .*must be type="),
        (f"vmstate_downtime_save type=iterable idstr=ram instance_id=0 downtime={'9' * 14}", "line 1: .*must be type="),
        ("vmstate_downtime_drop type=iterable", "line 1: .*no event as QEMU writes it"),
        ("12@1.5:vmstate_downtime_save", "line 1: .*no event as QEMU writes it"),
        ("1@2.000003:vmstate_downtime_checkpoint SRC gone", "line 1: .*no name of a checkpoint"),
        (f"{SAVE}\n{SAVE}", "line 2: a second save of 'cpu' instance 0"),
        (
            "1@5.000000:vmstate_downtime_checkpoint src-vm-stopped\n"
            "1@4.999999:vmstate_downtime_checkpoint src-iterable-saved",
            "line 2: src-iterable-saved comes 1 us before",
        ),
    ],
)
def test_a_bad_log_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "qemu.log"
    path.write_text(text)
    with pytest.raises(TraceError, match=rf"qemu\.log: .*{message}|qemu\.log: {message}"):
        read_downtime_log(path)


def test_a_missing_log_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", "a\0b"):
        with pytest.raises(TraceError, match=r"cannot be read|is a folder"):
            read_downtime_log(path)
        with pytest.raises(InputError, match=r"cannot be read|is a folder"):
            read_query_migrate(path)


def test_the_last_of_several_migrations_is_told(tmp_path: Path) -> None:
    path = tmp_path / "twice.log"
    text = (SAMPLES / "source.log").read_text()
    path.write_text(text.replace("downtime=900", "downtime=1") + text.replace("4711@17", "4711@18"))
    log = read_downtime_log(path)
    assert (log.n_earlier, log.save["non-iterable", "arm_gicv3", 0]) == (1, 900)
    assert log.between("src-downtime-start", "src-vm-stopped") == 2500


def test_names_with_spaces_and_crlf_are_read(tmp_path: Path) -> None:
    path = tmp_path / "crlf.log"
    path.write_bytes(b"vmstate_downtime_load type=iterable idstr=a b=c instance_id=-1 downtime=7\r\n" + b"x" * 9999)
    log = read_downtime_log(path)
    assert (log.load, log.n_skipped) == ({("iterable", "a b=c", -1): 7}, 1)


def test_logs_of_two_migrations_are_refused() -> None:
    log = read_downtime_log(SAMPLES / "source.log")
    with pytest.raises(TraceError, match="is in another log too"):
        with_logs(downtime(182, n_vcpu=4, link=Link(10)), [log, log])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; give what QMP answers"),
        ("{\n 'a': 1}", "line 2: not JSON"),
        ('{"status": "completed",\n"downtime": 3', "line 2: not JSON"),
        ("[]", "not an object"),
        ('{"return": 7}', '"return" is .*not an object'),
        ("{}", '"status" is'),
        ('{"status": "active", "expected-downtime": 300}', "only a completed migration"),
        ('{"status": "completed"}', '"downtime" is missing'),
        ('{"status": "completed", "downtime": -1}', '"downtime" is'),
        ('{"status": "completed", "downtime": true}', '"downtime" is'),
        ('{"status": "completed", "downtime": NaN}', "NaN is no number"),
        ('{"status": "completed", "downtime": 1e999}', '"downtime" is'),
        ('{"status": "completed", "downtime": "5"}', '"downtime" is'),
        ('{"status": "completed", "downtime": 5, "ram": []}', '"ram" is'),
        ('{"status": "completed", "downtime": 5, "ram": {"downtime-bytes": -2}}', '"downtime-bytes" is'),
        ("[" * 100_000, "too deep"),
        ("9" * 10_000, "not JSON as QEMU writes it"),
        (" " * (1 << 20) + "{}", "more than 1 MiB"),
    ],
)
def test_a_bad_answer_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"answer\.json: {message}|answer\.json: .*{message}"):
        read_query_migrate(path)


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(b'{"status":\n"\xff"}')
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        read_query_migrate(path)


def test_an_answer_within_return_and_one_without_memory_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"return": {"status": "completed", "downtime": 5}, "id": "libvirt-1"}))
    query = read_query_migrate(path)
    assert (query.downtime_ms, query.stopped_ram_bytes, query.total_ms) == (5, None, None)
    after = with_query(downtime(182, n_vcpu=4, link=Link(10)), query)
    assert (after.steps[0].name, after.steps[0].ms.mid) == ("source, to the last byte", 5)


@pytest.mark.parametrize(
    ("name", "n_file"),
    [
        *((name, 500) for name in ("source.log", "destination.log", "query-migrate-7.2.22.json")),
        *(pytest.param(name, 50_000, marks=SOAK) for name in ("source.log", "destination.log")),
        pytest.param("query-migrate-7.2.22.json", 100_000, marks=SOAK),
    ],
)
def test_mutated_files_are_read_or_refused_in_words(name: str, n_file: int, memory_folder: Path) -> None:
    """Files with bytes flipped, cut out or doubled; none may end in anything but a FastsmcError."""
    original, path, rng = (SAMPLES / name).read_bytes(), memory_folder / "mutant", random.Random(5)
    modelled = downtime(182, n_vcpu=4, link=Link(10))
    refused = 0
    for _ in range(n_file):
        content = bytearray(original)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(content))
            match rng.randrange(3):
                case 0:
                    content[at] ^= 1 << rng.randrange(8)
                case 1:
                    del content[at : at + rng.randint(1, 40)]
                case _:
                    content[at:at] = content[at : at + rng.randint(1, 40)]
        path.write_bytes(content)
        try:
            if name.endswith(".log"):
                after = with_logs(modelled, [read_downtime_log(path)])
            else:
                after = with_query(modelled, read_query_migrate(path))
        except FastsmcError as error:
            refused += "mutant" in str(error)
        else:
            assert all(0 <= step.ms.low <= step.ms.mid <= step.ms.high < 1e17 for step in after.steps)
    assert refused > n_file / 20
