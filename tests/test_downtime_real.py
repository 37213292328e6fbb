"""What real QEMU tells of its downtime, where it is installed, through the reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastsmc.downtime import qemu_downtime, read_query_migrate, with_query
from fastsmc.planning import Link
from tools import qemu_downtime as tool
from tools import qemu_migrate

VERSION = qemu_migrate.version()


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
    after = with_query(qemu_downtime(258, n_vcpu, link=Link(10)), query)
    assert sum(step.ms.mid for step in after.steps[:2]) == pytest.approx(query.downtime_ms)
    assert load_ms > 0
