"""Plans against arithmetic done by hand, and against a plain loop over vCPUs."""

from __future__ import annotations

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.register_sets import register_set
from fastsmc.migrate.counts import payload_cost
from fastsmc.migrate.link import Link
from fastsmc.migrate.payload import Codec
from fastsmc.plan.added import added_register, register_table
from fastsmc.plan.fits import max_vcpus


def test_transfer_is_a_round_trip_plus_bytes_at_line_rate() -> None:
    assert Link(8).transfer_ms(1_000_000) == pytest.approx(1.0)
    assert Link(8, rtt_us=250).transfer_ms([0, 1_000_000]).tolist() == pytest.approx([0.25, 1.25])
    assert str(Link(25, 80)) == "25 Gbit/s, 80 us round trip"


@pytest.mark.parametrize("codec", [Codec.QEMU, Codec.QEMU_GLOBAL_ONCE, Codec.VALUES])
@pytest.mark.parametrize("with_load", [True, False])
@pytest.mark.parametrize("downtime_ms", [1.0, 37.5, 300.0])
def test_a_plan_is_what_a_loop_over_vcpus_finds(codec: Codec, with_load: bool, downtime_ms: float) -> None:
    registers, link = register_set("6.18"), Link(10, rtt_us=100)
    plan = max_vcpus(registers, link=link, downtime_ms=downtime_ms, codec=codec, with_load=with_load)
    for fit, ioctl in zip(plan.fits, costs.IOCTL_NS, strict=True):
        most = 0
        for n_vcpu in range(1, 1025):
            cost = payload_cost(codec, n_reg=182, n_vcpu=n_vcpu, n_global=70)
            calls = int(cost.save_ioctls) + with_load * int(cost.load_ioctls)
            if 0.1 + int(cost.payload_bytes) * 8 / 1e7 + calls * ioctl.value / 1e6 > downtime_ms:
                break
            most = n_vcpu
        assert fit.n_vcpu == most


def test_the_high_ioctl_cost_alone_uses_up_the_default_downtime() -> None:
    plan = max_vcpus(182, link=Link(10), with_load=False)
    low, mid, high = plan.fits
    assert (low.n_vcpu, mid.n_vcpu, high.n_vcpu) == (1024, 1024, 676)
    assert (low.bound_by, high.bound_by) == ("limit", "ioctls")
    assert high.save_ioctls == 676 * 441
    assert high.load_ioctls == 0
    assert plan.downtime_ms == 300


@pytest.mark.parametrize(("limit", "expected"), [(512, False), (513, True)])
def test_more_vcpus_than_kvm_allows_are_hypothetical(limit: int, expected: bool) -> None:
    plan = max_vcpus(8, link=Link(100), ioctl_ns=1, limit=limit)
    assert plan.is_hypothetical is expected
    assert ("hypothetical, KVM stops at 512" in str(plan)) is expected


@pytest.mark.parametrize(
    ("link", "ioctl_ns", "bound_by"),
    [(Link(10, rtt_us=6000), 500, "round trip"), (Link(1e-6), 500, "bytes"), (Link(10), 1e6, "ioctls")],
)
def test_nothing_fits_for_a_named_reason(link: Link, ioctl_ns: float, bound_by: str) -> None:
    (fit,) = max_vcpus(182, link=link, downtime_ms=5, ioctl_ns=ioctl_ns).fits
    assert (fit.n_vcpu, fit.bound_by) == (0, bound_by)
    assert str(fit).endswith(f"not even 1 vCPU, bound by {bound_by}")


def test_a_plan_prints_its_inputs_and_its_weakest_assumption() -> None:
    text = str(max_vcpus(register_set("6.12"), link=Link(10)))
    lines = text.splitlines()
    assert lines[0] == "linux-6.12.107-max psci02: 184 registers as 'id+value' within 300 ms, 10 Gbit/s (modelled)"
    assert lines[1].startswith("  200 ns (assumed): ")
    assert lines[4] == "  assumes the cost of one ioctl: nobody has published it for arm64"
    assert "unverified" in lines[-1]


def test_sve_costs_seventeen_more_core_registers() -> None:
    plain = max_vcpus(register_set("6.12"), link=Link(10), limit=1).fits[0]
    sve = max_vcpus(register_set("6.12", features="psci02+sve"), link=Link(10), limit=1).fits[0]
    assert sve.save_ioctls - plain.save_ioctls == 17 + 2  # and ZCR_EL1, read twice


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
        ({"gbit_per_s": "25"}, "gbit_per_s is '25': it must be a number"),
        ({"gbit_per_s": None}, "gbit_per_s is None: "),
        ({"gbit_per_s": True}, "gbit_per_s is True: "),
        ({"gbit_per_s": 10**400}, "it must be a number above 0"),
        ({"gbit_per_s": 1, "rtt_us": -1}, "rtt_us is -1: it must be a number of 0 or more"),
    ],
)
def test_impossible_links_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Link(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"downtime_ms": 0}, "downtime_ms is 0: "),
        ({"ioctl_ns": -1}, "ioctl_ns is -1: "),
        ({"limit": 0}, "limit is 0"),
        ({"limit": "5"}, "limit is '5'"),
        ({"downtime_ms": "25"}, "downtime_ms is '25': "),
        ({"limit": 1 << 21}, "1..1048576"),
        ({"codec": "zip"}, "codec is 'zip': "),
        ({"n_global": 9}, "n_global is 9: "),
    ],
)
def test_impossible_questions_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        max_vcpus(8, link=Link(10), **arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reported beside"):
        added_register(register_set("7.3"), n_vcpu=1, codec=Codec.QEMU_GLOBAL_ONCE)


def test_every_figure_says_where_it_is_from() -> None:
    figures = [value for value in vars(costs).values() if isinstance(value, costs.Figure)] + list(costs.IOCTL_NS)
    assert len(figures) >= 10
    assert all(figure.source and figure.unit for figure in figures)
    assert {figure.kind for figure in costs.IOCTL_NS} == {"assumed"}
    assert str(costs.IOCTL_NS.mid) == "500 ns (assumed)"
