"""What real QEMU tells of its downtime, where it is installed, through the reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastsmc.migrate.link import Link
from fastsmc.migrate.switchover.measured import with_logs, with_query
from fastsmc.migrate.switchover.modelled import downtime
from fastsmc.migrate.switchover.query_migrate import read_query_migrate
from fastsmc.migrate.switchover.trace_log import read_downtime_log
from tests.support.places import TESTS
from tools import qemu_downtime as tool
from tools import qemu_migrate

VERSION = qemu_migrate.version()
SAMPLES = TESTS / "downtime"


@pytest.mark.soak("a migration of an installed QEMU; make test has recorded ones")
@pytest.mark.skipif(VERSION is None, reason=f"{qemu_migrate.PROGRAM} not found: no real query-migrate was read")
@pytest.mark.parametrize("n_vcpu", [1, 8])
def test_a_real_migrations_answer_is_read_and_used(n_vcpu: int, tmp_path: Path) -> None:
    told, load_ms = tool.measure(n_vcpu, tmp_path / "stream")
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"return": told}))
    query = read_query_migrate(path)
    assert query.downtime_ms == told["downtime"]
    assert query.transferred_bytes == told["ram"]["transferred"]
    assert 0 < query.transferred_bytes < (tmp_path / "stream").stat().st_size
    assert query.total_ms is not None
    assert query.downtime_ms <= query.total_ms
    after = with_query(downtime(258, n_vcpu=n_vcpu, link=Link(10)), query)
    assert sum(step.ms.mid for step in after.steps[:2]) == pytest.approx(query.downtime_ms)
    assert load_ms > 0


def test_logs_of_both_ends_of_a_real_migration_are_read() -> None:
    """Committed, as QEMU 7.2 has no such events: of 10.0.2, whose answer to query-migrate agrees with its log."""
    ends = [read_downtime_log(SAMPLES / f"{end}-10.0.2.log") for end in ("source", "destination")]
    assert [(log.n_event, log.n_skipped) for log in ends] == [(27, 0), (24, 0)]
    assert ends[0].save["iterable", "ram", 0] == 3719
    assert ends[0].save["non-iterable", "cpu", 1] == 93
    assert ends[1].load["non-iterable", "cpu", 0] == 83
    assert ends[0].between("src-downtime-start", "src-downtime-end") == 4627
    query = read_query_migrate(SAMPLES / "query-migrate-10.0.2.json")
    assert query.downtime_ms == 4
    after = with_query(with_logs(downtime(274, n_vcpu=2, link=Link(10)), ends), query)
    by_name = {step.name: (step.kind, step.ms.mid) for step in after.steps}
    saved = sum(ends[0].sections("save", "non-iterable").values()) / 1e3
    assert by_name["save of sections"] == ("measured", pytest.approx(saved))
    source = sum(by_name[name][1] for name in ("pause", "memory, last pass", "GETs, all state", "save of sections"))
    assert source == pytest.approx(4.627 - 0.021)  # all but the last checkpoint
    assert {name for name, (kind, _) in by_name.items() if kind != "measured"} == {"wire, state", "wire, description"}
