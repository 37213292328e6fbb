"""Links, added registers and the table of recorded sets against arithmetic done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.register_sets import register_set
from fastsmc.migrate.link import Link
from fastsmc.migrate.payload import Codec
from fastsmc.plan.added import added_register, register_table


def test_a_link_is_written_as_on_the_command_line() -> None:
    assert Link("25G", "80us") == Link(25, 80)
    assert Link("128MiB/s") == Link(1.073741824)


def test_transfer_is_a_round_trip_plus_bytes_at_line_rate() -> None:
    assert Link(8).transfer_ms(1_000_000) == pytest.approx(1.0)
    assert Link(8, rtt_us=250).transfer_ms([0, 1_000_000]).tolist() == pytest.approx([0.25, 1.25])
    assert str(Link(25, 80)) == "25 Gbit/s, 80 us round trip"


def test_one_more_register_adds_its_bytes_per_vcpu_or_once() -> None:
    added = added_register(register_set("7.3"), n_vcpu=[8, 512])
    assert added.per_vcpu.payload_bytes.tolist() == [128, 8192]
    assert added.per_vcpu.save_ioctls.tolist() == [16, 1024]
    assert added.once.payload_bytes.tolist() == [16, 16]
    assert added.once.load_ioctls.tolist() == [2, 2]
    assert added.share.tolist() == pytest.approx([1 / 182] * 2)
    assert added.list_room == 500 - 258
    assert added_register(register_set("7.3"), n_vcpu=100, codec="values").per_vcpu.payload_bytes == 800


def test_the_table_has_every_recorded_set() -> None:
    rows = {(row.release, row.cpu, row.features): row for row in register_table()}
    row = rows["6.18.15", "max", "psci02"]
    assert (row.n_reg, row.value_bytes, row.n_global, row.qemu_cpregs, row.qemu_bytes) == (257, 2248, 70, 182, 2912)
    assert rows["7.3.4", "n1", "psci02+pmu"].qemu_cpregs == 257
    assert np.all([row.value_bytes > 8 * row.n_global for row in rows.values()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gbit_per_s": 0}, "gbit_per_s is 0: it must be a number above 0"),
        ({"gbit_per_s": float("nan")}, "gbit_per_s is nan: "),
        ({"gbit_per_s": "25"}, "line rate '25': give it as 10Gb/s, 25G or 128MiB/s"),
        ({"gbit_per_s": "0G"}, "gbit_per_s is 0.0: it must be a number above 0"),
        ({"gbit_per_s": 1, "rtt_us": "80"}, "time '80': give it with its unit, such as 80us or 0.2ms"),
        ({"gbit_per_s": None}, "gbit_per_s is None: "),
        ({"gbit_per_s": True}, "gbit_per_s is True: "),
        ({"gbit_per_s": 10**400}, "it must be a number above 0"),
        ({"gbit_per_s": 1, "rtt_us": -1}, "rtt_us is -1: it must be a number of 0 or more"),
    ],
)
def test_impossible_links_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Link(**arguments)


def test_what_is_sent_once_is_no_codec_of_an_added_register() -> None:
    with pytest.raises(InputError, match="reported beside"):
        added_register(register_set("7.3"), n_vcpu=1, codec=Codec.QEMU_GLOBAL_ONCE)


def test_every_figure_says_where_it_is_from() -> None:
    figures = [value for value in vars(costs).values() if isinstance(value, costs.Figure)] + list(costs.IOCTL_NS)
    assert len(figures) >= 10
    assert all(figure.source and figure.unit for figure in figures)
    assert {figure.kind for figure in costs.IOCTL_NS} == {"assumed"}
    assert str(costs.IOCTL_NS.mid) == "500 ns (assumed)"
