"""Streams of QEMU 10.0, and of kinds that the first samples had not: other boards, disks, virtio-mem, AArch32."""

from __future__ import annotations

import io
import lzma

import pytest

from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import PSTATE
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.qemu import ram as qemu_ram
from fastsmc.migrate.read.result import RegisterFile
from tests.support.places import TESTS
from tests.support.read_samples import memory_stream
from tests.support.stream_checks import IN_ROUNDS, assert_adds_up, description_of, plain_parse

STREAMS = TESTS / "streams"
N_REG = {
    "10.0/max-2": [328] * 2,
    "10.0/zcu102-6": [274] * 4 + [144] * 2,
    "10.0/cortex-a57-2-virtio-mem-bitmap": [274] * 2,
    "10.0/cortex-a57-1-xbzrle": [334],
    "10.0/cortex-a57-2-devices-only": [274] * 2,
    "cortex-a57-2-block-nodesc": [258] * 2,
    "cortex-a57-2-block-zero-nodesc": [258] * 2,
}
"""Registers of each vCPU, by stream (tests/streams/README.md)."""


def bytes_of(name: str) -> bytes:
    return lzma.decompress((STREAMS / f"{name}.bin.xz").read_bytes())


def refuse(data: bytes, match: str) -> None:
    with pytest.raises(RegisterFileError, match=match):
        inspect(io.BytesIO(data))


def names(file: RegisterFile) -> list[str]:
    return list(dict.fromkeys(part.name for part in file.parts))


@pytest.mark.parametrize("name", N_REG)
def test_every_byte_is_in_a_part_and_every_value_is_the_streams(name: str) -> None:
    data = bytes_of(name)
    file = inspect(STREAMS / f"{name}.bin.xz")
    assert_adds_up(file, data)
    assert [file.register_set(vcpu).n_reg for vcpu in range(file.n_vcpu)] == N_REG[name]
    for vcpu, (ids, values) in enumerate(plain_parse(data)):
        assert file.values_of(vcpu) == dict(zip(ids, values, strict=True))


@pytest.mark.parametrize("name", [name for name in N_REG if "nodesc" not in name and "only" not in name])
def test_devices_are_the_descriptions_and_without_it_the_footers_tell_the_same(name: str) -> None:
    data = bytes_of(name)
    file = inspect(io.BytesIO(data))
    sent = [(part.name, part.instance) for part in file.parts if part.instance is not None]
    described = [(device["name"], device["instance_id"]) for device in description_of(data)["devices"]]
    assert [one for one in sent if one[0] not in IN_ROUNDS] == described
    bare = inspect(io.BytesIO(data[: -file.description_bytes - 5]))
    assert list(bare.parts) == [part for part in file.parts if part.name != "description head"]


def test_boards_other_than_virt_have_pages_of_1_kib() -> None:
    assert b"target-page-bits" not in bytes_of("10.0/zcu102-6")
    assert inspect(STREAMS / "10.0/zcu102-6.bin.xz").provenance.told_by["machine"] == "xlnx-zcu102"


def test_names_may_have_spaces() -> None:
    """QEMU 10.0's boards have blocks of memory called "sram A1"."""
    data = memory_stream()
    spaced = inspect(io.BytesIO(data.replace(b"mach-virt.ram", b"sram A1 (SoC)")))
    assert spaced.parts == inspect(io.BytesIO(data)).parts


def test_pages_that_came_encoded_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    page = qemu_ram._page
    monkeypatch.setattr(qemu_ram, "_page", lambda cursor, kind, size: (kinds.append(kind), page(cursor, kind, size)))
    inspect(STREAMS / "10.0/cortex-a57-1-xbzrle.bin.xz")
    assert kinds.count(0x40) > 400  # xbzrle's flag


def test_devices_before_guest_memory_are_parts_at_their_place() -> None:
    early = "0000:00:01.0/virtio-mem-device-early"
    sent = [part.name for part in inspect(STREAMS / "10.0/cortex-a57-2-virtio-mem-bitmap.bin.xz").parts]
    assert sent.index("ram") < sent.index(early) < len(sent) - sent[::-1].index("ram")
    assert sent.count(early) == 1


def test_a_disks_content_is_a_part_of_its_name() -> None:
    whole, zero = (inspect(STREAMS / f"cortex-a57-2-block{kind}-nodesc.bin.xz") for kind in ("", "-zero"))
    sent, spared = (sum(part.n_bytes for part in file.parts if part.name == "block") for file in (whole, zero))
    assert sent - spared == 3 << 20


def test_a_stream_of_devices_only_is_read() -> None:
    """What QMP's xen-save-devices-state writes: no configuration, no guest memory, no description."""
    assert names(inspect(STREAMS / "10.0/cortex-a57-2-devices-only.bin.xz"))[:2] == ["header", "arm_gicv3"]


def test_of_a_vcpu_in_aarch32_only_pstate_is_told() -> None:
    core = inspect(STREAMS / "10.0/zcu102-6.bin.xz").core
    assert core is not None
    column = core.registers.ids.tolist().index(PSTATE)
    told = [[core.value(vcpu, reg) is not None for reg in range(core.registers.n_reg)] for vcpu in (0, 4)]
    assert all(told[0])
    assert [reg for reg, is_told in enumerate(told[1]) if is_told] == [column]
    assert core.value(4, column) == 0x400001D3  # SVC mode of 32 bits, interrupts masked


def test_what_is_not_read_is_said_in_a_sentence() -> None:
    data = bytes_of("10.0/cortex-a57-1-xbzrle")
    configuration = slice(8, data.index(b"\x01", 8))
    refuse(data[:8] + data[configuration.stop :], "byte 8, section ram: no configuration before it")
    footer = data.index(b"\x7e\0\0\0\x01")
    refuse(data[:footer] + data[footer + 5 :], f"byte {footer}, section ram: .* send-section-footer=off write none")
    other = data.replace(b"\x03ram\0\0\0\0", b"\x04vfio\0\0\0\0")
    refuse(other, "a section in rounds: 'vfio': what is sent in rounds has a form of its own")


def test_an_early_device_must_end_before_guest_memory() -> None:
    data = bytes_of("10.0/cortex-a57-2-virtio-mem-bitmap")
    at = data.index(b"virtio-mem-device-early")
    footer = data.index(b"\x7e", at)
    refuse(data[:footer] + b"\x7f" + data[footer + 1 :], "virtio-mem-device-early")
    refuse(data[: footer + 3], "is it whole|is the file whole")


@pytest.mark.parametrize(
    ("name", "device", "old", "new", "match"),
    [
        ("cortex-a57-2-block-zero-nodesc", "block", b"\x09\x01d", b"\x19\x01d", "flags 0x19, which no QEMU writes"),
        ("10.0/cortex-a57-2-virtio-mem-bitmap", "dirty-bitmap", b"\x1c\x01d", b"\x9c\x01d", "flags 0x9c, which no"),
    ],
)
def test_records_of_disks_that_cannot_be_are_refused(
    name: str, device: str, old: bytes, new: bytes, match: str
) -> None:
    data = bytes_of(name)
    at = data.index(old)
    refuse(data[:at] + new + data[at + len(old) :], f"section {device}: a record of .* {match}")


def test_a_description_of_another_shape_is_refused_with_its_place() -> None:
    data = bytes_of("10.0/max-2")
    at = data.index(b'{"configuration"')
    for old, new in ((b'"instance_id"', b'"instance_ie"'), (b'"size"', b'"sizf"'), (b'"devices"', b'"devicet"')):
        refuse(data[:at] + data[at:].replace(old, new), f"byte {at}, the description")
