"""HMP's and libvirt's texts of a migration say what query-migrate says of it, or are refused in one sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from fastsmc.errors import InputError, RegisterFileError
from fastsmc.migrate.link import Link
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.migrate.switchover.query_migrate import read_query_migrate
from tests.support.places import TESTS

OLD = (TESTS / "downtime" / "info-migrate-7.2.22.txt").read_text()
NEW = """Status:                 completed
Time (ms):              total=5120, setup=7, down=41
RAM info:
  Throughput (Mbps):    512.25
  Sizes:                pagesize=4 KiB, total=2.13 GiB
  Transfers:            transferred=312 MiB, remain=0 B
"""
"""In the form of QEMU 10.1 and later; no QEMU made these numbers."""
JOB = """Job type:         Completed
Operation:        Outgoing migration
Time elapsed:     5120         ms
Memory processed: 312.500 MiB
Memory bandwidth: 100.000 MiB/s
Total downtime:   41           ms
Setup time:       7            ms
"""
RAW = "operation: 3\ntime_elapsed: 5120\nmemory_processed: 327680000\ndowntime: 41\nsetup_time: 7\nsuccess: true\n"
VFIO = {"status": "completed", "downtime": 41, "ram": {"downtime-bytes": 8}, "vfio": {"transferred": 4096}}


def told(text: str, tmp_path: Path) -> object:
    path = tmp_path / "answer"
    path.write_text(text)
    return read_query_migrate(path)


def test_the_monitors_text_of_qemu_7_2_is_read(tmp_path: Path) -> None:
    """Measured: the text of `info migrate` by Debian's QEMU 7.2.22, tests/downtime/README.md."""
    found = told(OLD, tmp_path)
    assert (found.downtime_ms, found.setup_ms, found.total_ms, found.mbps) == (7, 1, 48, 86.82)  # type: ignore[attr-defined]
    assert (found.stopped_ram_bytes, found.told_by) == (456 << 10, "info migrate")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "by", "transferred"),
    [(NEW, "info migrate", 312 << 20), (JOB, "domjobinfo", 327_680_000), (RAW, "domjobinfo", 327_680_000)],
)
def test_other_texts_tell_the_same_numbers(text: str, by: str, transferred: int, tmp_path: Path) -> None:
    found = told(text, tmp_path)
    assert (found.told_by, found.downtime_ms, found.setup_ms, found.total_ms) == (by, 41, 7, 5120)  # type: ignore[attr-defined]
    assert (found.transferred_bytes, found.stopped_ram_bytes) == (transferred, None)  # type: ignore[attr-defined]


def test_libvirts_bandwidth_is_in_bytes(tmp_path: Path) -> None:
    assert told(JOB, tmp_path).mbps == pytest.approx(100 * (1 << 20) * 8 / 1e6)  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [NEW.replace("completed", "active"), JOB.replace("Completed", "Unbounded")])
def test_a_migration_that_goes_on_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="\"status\" is 'active'; only a completed migration tells its downtime"):
        told(text, tmp_path)
    with pytest.raises(InputError, match="'failed'"):
        told(RAW.replace("true", "false"), tmp_path)


def test_the_last_answer_of_a_qmp_session_counts(tmp_path: Path) -> None:
    session = [{"QMP": {"version": {}}}, {"return": {}}, {"return": {**VFIO, "downtime": 1}}, {"return": VFIO}]
    found = told("\n".join(map(json.dumps, session)) + "\n", tmp_path)
    assert found.downtime_ms == 41  # type: ignore[attr-defined]


def test_bytes_of_vfio_devices_are_said_and_not_counted(tmp_path: Path) -> None:
    """field-reports.md, kind 7: an answer with "vfio" beside "ram"."""
    told(json.dumps(VFIO), tmp_path)
    found = downtime(182, n_vcpu=4, link=Link(10), query_migrate=tmp_path / "answer")
    assert "4096 B of VFIO devices were sent too" in str(found)


def test_memory_that_is_not_told_is_no_step(tmp_path: Path) -> None:
    told(JOB, tmp_path)
    found = downtime(182, n_vcpu=4, link=Link(10), query_migrate=tmp_path / "answer")
    assert [step.name for step in found.steps if step.stage in ("before", "save", "wire")] == [
        "source, to the last byte"
    ]
    assert "libvirt's own count" in str(found)


@pytest.mark.parametrize("text", [OLD, NEW, JOB, RAW, json.dumps(VFIO)])
def test_inspect_names_the_command_that_takes_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "answer"
    path.write_text(text)
    with pytest.raises(RegisterFileError, match="times and bytes, no registers; fastsmc migrate downtime --query-mig"):
        inspect(path)


def damaged(n: int, folder: Path) -> None:
    draw, path = random.Random("monitor"), folder / "answer"
    for _ in range(n):
        text = list(draw.choice((OLD, NEW, JOB, RAW, json.dumps(VFIO))))
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(text) or 1)
            text[at : at + draw.choice((0, 1, 1, 8, 40))] = draw.choice(
                ("", "\n", "9" * 30, "-", ":", "ms", "=", "\0", "{")
            )
        path.write_text("".join(text))
        try:
            read_query_migrate(path)
        except InputError as error:
            if "\n" in str(error):
                raise


def test_some_damaged_texts(memory_folder: Path) -> None:
    damaged(500, memory_folder)


@pytest.mark.soak("100,000 damaged texts; make test tries 500")
def test_damaged_texts(memory_folder: Path) -> None:
    damaged(100_000, memory_folder)
