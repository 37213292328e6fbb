"""The register question against arithmetic done by hand: more registers, a map of globals, the claim of 2022."""

from __future__ import annotations

import numpy as np
import pytest

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import register_set
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.counts import payload_cost
from fastsmc.migrate.growth.by_vmm import MoreRegisters, VmmRow, add_registers
from fastsmc.migrate.growth.global_map import claim, conclusion, map_savings, registers_to_reach
from fastsmc.migrate.link import Link
from fastsmc.migrate.payload import Codec

LINK = Link(10)


def rows(found: MoreRegisters) -> dict[tuple[str, int], VmmRow]:
    return {(row.vmm, row.n_vcpu): row for row in found.rows}


def added(row: VmmRow) -> tuple[float, int]:
    assert row.n_byte_after is not None
    assert row.ioctls_after is not None
    return row.n_byte_after.mid - row.n_byte.mid, row.ioctls_after - row.ioctls


def test_the_claims_two_points_come_out_exactly() -> None:
    extreme, realistic = claim(link=LINK)
    assert (extreme.value_bytes, realistic.value_bytes) == (8_388_608, 8_000)
    assert (extreme.qemu_bytes, realistic.qemu_bytes) == (16_777_216, 16_000)
    assert (extreme.ioctls, realistic.ioctls) == (4 * 1024 * 1024, 4 * 10 * 100)
    assert extreme.bytes_ms == pytest.approx(16.777216 * 8 / 10)
    assert tuple(extreme.ioctl_ms) == pytest.approx((838.8608, 2097.152, 4194.304))
    assert tuple(realistic.ioctl_share) == pytest.approx((0.8 / 300, 2 / 300, 4 / 300))
    assert str(extreme).startswith(
        "1024 registers x 1024 vCPUs, said to be noticeable but no real problem: 8,388,608 B"
    )


def test_the_verdict_says_which_axis_reaches_the_share() -> None:
    text = conclusion(claim(link=LINK), share=0.1)
    assert "at 10 x 100 the bytes stay below 10 % of the limit, the ioctls stay below it" in text
    assert "at 1024 x 1024 the bytes stay below 10 % of the limit, the ioctls exceed it" in text
    assert "a factor of 5" in text
    assert "at 1024 x 1024 the bytes exceed 4 % of the limit" in conclusion(claim(link=LINK), share=0.04)
    assert "10 x 100 the bytes stay below 1 % of the limit, the ioctls may or may not" in conclusion(
        claim(link=LINK), share=0.01
    )
    assert "a single number" in conclusion(claim(link=LINK, ioctl_ns=0), share=0.1)


@pytest.mark.parametrize(("vmm", "calls"), [(Vmm.QEMU, 4), (Vmm.MINIMAL, 2)])
@pytest.mark.parametrize(("n_global", "n_vcpu"), [(71, 512), (8, 64), (1024, 1024), (3, 2), (5, 1)])
def test_a_map_saves_the_closed_form_and_what_sending_once_leaves_out(
    vmm: Vmm, calls: int, n_global: int, n_vcpu: int
) -> None:
    saved = map_savings(n_global=n_global, n_vcpu=n_vcpu, link=Link(25), vmm=vmm, ioctl_ns=(200, 500, 1000))
    for ns, ms in zip((200, 500, 1000), saved.ms, strict=True):
        seconds = (n_vcpu - 1) * n_global * (calls * ns * 1e-9 + 16 / (25e9 / 8))
        assert ms == pytest.approx(seconds * 1e3)
    now = payload_cost(Codec.QEMU, n_reg=n_global, n_vcpu=n_vcpu, vmm=vmm)
    once = payload_cost(Codec.QEMU_GLOBAL_ONCE, n_reg=n_global, n_vcpu=n_vcpu, n_global=n_global, vmm=vmm)
    assert saved.n_byte == now.payload_bytes - once.payload_bytes
    assert saved.ioctls == now.save_ioctls + now.load_ioctls - once.save_ioctls - once.load_ioctls


def test_break_even_is_where_the_saving_reaches_the_share() -> None:
    least = registers_to_reach(0.1, n_vcpu=512, link=LINK)
    # 30 ms over 511 repeats of 4 x 1000 ns, or 4 x 200 ns, and 12.8 ns of wire
    assert least.low == pytest.approx(30e6 / 511 / (4000 + 12.8))
    assert least.high == pytest.approx(30e6 / 511 / (800 + 12.8))
    for n_global, reaches in ((int(least.mid), False), (int(least.mid) + 1, True)):
        assert (map_savings(n_global=n_global, n_vcpu=512, link=LINK).share.mid >= 0.1) is reaches
    assert registers_to_reach(0.1, n_vcpu=1, link=LINK).low == np.inf


def test_one_more_bitmap_register_by_hand() -> None:
    found = rows(add_registers(register_set("6.18"), n_new=1, n_vcpu=[8, 512], link=LINK))
    assert added(found["QEMU", 512]) == (16 * 512, 4 * 512)
    assert added(found["QEMU", 8]) == (16 * 8, 4 * 8)
    assert added(found["Firecracker", 8]) == (16 * 8, 2 * 8)
    assert added(found["Cloud Hypervisor", 8]) == (40 * 8, 2 * 8)
    assert added(found["crosvm", 8]) == (0, 0), "crosvm saves no bitmap registers"
    qemu = found["QEMU", 512]
    assert (qemu.n_byte.mid, qemu.ioctls) == (16 * 182 * 512, 2 * 225_792)
    assert qemu.ms.mid == pytest.approx(2 * 225_792 * 5e-4 + 16 * 182 * 512 * 8 / 1e7)
    assert qemu.ms_after is not None
    assert qemu.ms_after.high - qemu.ms.high == pytest.approx(2048e-3 + 8192 * 8 / 1e7)
    fire = found["Firecracker", 8]
    assert (fire.n_byte.mid, fire.ioctls) == ((8 * 257 + 2248) * 8, 2 * 257 * 8)
    assert found["Cloud Hypervisor", 8].n_byte.low == 36 * 182 * 8
    assert found["Cloud Hypervisor", 8].n_byte.high == 43 * 182 * 8
    assert found["crosvm", 8].ioctls == 2 * (257 - 4) * 8
    assert {vmm for (vmm, n_vcpu), row in found.items() if row.is_hypothetical} == {"Firecracker", "Cloud Hypervisor"}


def test_crosvm_carries_single_firmware_values() -> None:
    found = add_registers(register_set("6.18"), n_new=2, n_vcpu=[4], link=LINK, family="fw")
    assert added(rows(found)["crosvm", 4]) == (2 * 8 * 4, 2 * 2 * 4)
    ways = {way.vmm: way for way in found.directions}
    assert all(way.new_to_old.startswith("fails") and way.old_to_new.startswith("restores") for way in ways.values())
    bitmap = {way.vmm: way for way in add_registers(register_set("6.18"), n_new=1, n_vcpu=[4], link=LINK).directions}
    assert "value is lost" in bitmap["crosvm"].new_to_old
    assert "cpreg_vmstate_array_len" in bitmap["QEMU"].new_to_old


@pytest.mark.parametrize(("n_new", "is_crossed"), [(243, False), (244, True)])
def test_rust_vmms_list_ends_at_five_hundred(n_new: int, is_crossed: bool) -> None:
    found = add_registers(register_set("6.18"), n_new=n_new, n_vcpu=[8], link=LINK)
    limit = found.limits[0]
    assert (limit.before, limit.after, limit.most, limit.room) == (257, 257 + n_new, 500, 243)
    assert limit.is_crossed is is_crossed
    refused = {row.vmm for row in found.rows if row.refused}
    assert refused == ({"Firecracker", "Cloud Hypervisor"} if is_crossed else set())


def test_firecrackers_state_file_has_ten_million_bytes() -> None:
    before, each = 32 * (8 * 257 + 2248), 32 * 16
    room = (10_000_000 - before) // each
    limits = {
        n_new: add_registers(register_set("6.18"), n_new=n_new, n_vcpu=[1], link=LINK).limits[1]
        for n_new in (room, room + 1)
    }
    assert [limits[n_new].is_crossed for n_new in (room, room + 1)] == [False, True]
    assert (limits[room].before, limits[room].room) == (before, room)


def test_a_wide_register_stops_qemu_and_others() -> None:
    found = add_registers(register_set("6.18"), n_new=1, n_vcpu=[8], link=LINK, size_bits=128)
    by_vmm = {row.vmm: row for row in found.rows}
    assert {vmm for vmm, row in by_vmm.items() if row.refused} == {"QEMU", "Cloud Hypervisor"}
    assert by_vmm["QEMU"].n_byte_after is None
    assert added(by_vmm["Firecracker"]) == (24 * 8, 16)
    assert found.limits[2].is_crossed
    narrow = add_registers(register_set("6.18"), n_new=1, n_vcpu=[8], link=LINK, size_bits=32)
    assert added(rows(narrow)["QEMU", 8]) == (128, 32), "QEMU's slots have 64 bits"
    assert added(rows(narrow)["Firecracker", 8]) == (96, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_new": 0}, "n_new is 0: "),
        ({"n_new": 1.5}, "n_new is 1.5: "),
        ({"n_new": 1 << 17}, "65536 registers"),
        ({"size_bits": 256}, "size_bits is 256: it must be 32, 64 or 128"),
        ({"n_vcpu": []}, "n_vcpu is empty"),
        ({"n_vcpu": [0]}, "n_vcpu is 0: "),
        ({"family": "sve"}, "family is 'sve': it must be one of bitmap, fw"),
        ({"ioctl_ns": (2.0, 1.0, 3.0)}, "ascending"),
    ],
)
def test_impossible_registers_are_refused(arguments: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"n_new": 1, "n_vcpu": [8], "link": LINK} | arguments
    with pytest.raises(InputError, match=message):
        add_registers(register_set("6.18"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: map_savings(n_global=0, n_vcpu=8, link=LINK), "n_global is 0: "),
        (lambda: map_savings(n_global=8, n_vcpu=0, link=LINK), "n_vcpu is 0: "),
        (lambda: map_savings(n_global=8, n_vcpu=8, link=LINK, limit_ms=0), "limit_ms is 0: "),
        (lambda: registers_to_reach(0, n_vcpu=8, link=LINK), "share is 0: "),
        (lambda: claim(link=LINK, limit_ms=-1), "limit_ms is -1: "),
        (lambda: claim(link=LINK, ioctl_ns=1e10), "at most 1e"),
        (lambda: conclusion((), share=0.1), "0 points given"),
        (lambda: map_savings(n_global=8, n_vcpu=8, link=LINK, vmm="xen"), "vmm is 'xen': "),
    ],
)
def test_impossible_maps_are_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError, match=message):
        call()
