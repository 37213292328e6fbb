"""QEMU migration streams of real machines, against their own description and a plain parse of the bytes."""

from __future__ import annotations

import io
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.scopes import scopes
from tests.support.places import ROOT, TESTS
from tests.support.stream_checks import assert_adds_up, description_of, plain_parse

STREAMS = TESTS / "streams"
NAMES = sorted(path.name for path in STREAMS.glob("*.bin.xz"))
N_REG = {"cortex-a57": 258, "neoverse-n1": 260, "max": 304, "cortex-a53": 302}
"""Registers under TCG, by CPU (tests/streams/README.md)."""


def bytes_of(name: str) -> bytes:
    return lzma.decompress((STREAMS / name).read_bytes())


def cpu_and_count(name: str) -> tuple[str, int]:
    cpu = next(cpu for cpu in N_REG if name.startswith(cpu))
    return cpu, int(name.removeprefix(f"{cpu}-").split(".")[0].split("-")[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_is_in_a_part_and_every_value_is_the_streams(name: str) -> None:
    data = bytes_of(name)
    file = inspect(STREAMS / name)
    cpu, n_vcpu = cpu_and_count(name)
    assert (file.format, file.n_vcpu, file.registers_per_vcpu) == (Format.QEMU_STREAM, n_vcpu, N_REG[cpu])
    assert_adds_up(file, data)
    plain = plain_parse(data)
    assert len(plain) == n_vcpu
    for vcpu in {0, n_vcpu // 2, n_vcpu - 1}:
        ids, values = plain[vcpu]
        assert file.values_of(vcpu) == dict(zip(ids, values, strict=True))


@pytest.mark.parametrize("name", [name for name in NAMES if "nodesc" not in name])
def test_devices_are_the_descriptions(name: str) -> None:
    data = bytes_of(name)
    file = inspect(STREAMS / name)
    described = description_of(data)
    devices = [(device["name"], device["instance_id"]) for device in described["devices"]]
    sent = [(part.name, part.instance) for part in file.parts if part.instance is not None and part.name != "ram"]
    assert sent == devices
    assert file.description_bytes == len(data) - data.rindex(b"\0") - data[data.rindex(b"\0") :].index(b"{")


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_of_the_closed_forms(name: str) -> None:
    """Fitted on other streams of the same QEMU: 1276 + 16 R, 5417 + 16 R with SVE, 37, 10416 + 307 V."""
    file = inspect(STREAMS / name)
    sizes: dict[str, set[int]] = {}
    for part in file.parts:
        sizes.setdefault(part.name, set()).add(part.n_bytes)
    fixed = 5417 if name.startswith("max") else 1276
    assert sizes["cpu"] == {fixed + 16 * file.registers_per_vcpu}
    assert sizes["cpu_common"] == {37}
    if "gicv2" not in name and "a53" not in name:  # EL2 gives the redistributors more
        assert sizes["arm_gicv3"] == {10416 + 307 * file.n_vcpu}


def test_a_description_left_out_changes_nothing_but_itself() -> None:
    with_it = inspect(STREAMS / "cortex-a57-512.bin.xz")
    without = inspect(STREAMS / "cortex-a57-512-nodesc.bin.xz")
    parts = [part for part in with_it.parts if part.name not in ("configuration", "ram", "description head")]
    assert parts == [part for part in without.parts if part.name not in ("configuration", "ram")]
    assert with_it.description_bytes == 3_182_946
    assert without.description_bytes == 0


def test_the_register_that_differs_is_mpidrs_image_at_el2() -> None:
    found = scopes(inspect(STREAMS / "cortex-a53-8-el2.bin.xz"))
    assert [hex(reg) for reg in found.different] == ["0x603000000013e005"]  # op0 3, op1 4, CRn 0, CRm 0, op2 5
    assert found.conflicts == ()
    assert (len(found.equal_global), len(found.equal_undeclared)) == (58, 243)


def test_core_registers_are_read_beside_the_list() -> None:
    """A machine's boot: vCPU 0 starts at the reset vector with x0 to x3 zero; EL1h, DAIF masked, Z set."""
    core = inspect(STREAMS / "cortex-a57-2.bin.xz").core
    assert core is not None
    ids = core.registers.ids.tolist()
    assert core.values is not None
    assert core.values.shape == (2, 41)
    assert core.value(0, ids.index(0x6030000000100042)) == 0x4000_03C5
    assert core.value(1, ids.index(0x6030000000100000)) == 0


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    data = bytes_of("max-4.bin.xz")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(data))
    writer.start()
    piped = inspect(fifo)
    writer.join()
    assert piped.parts == inspect(io.BytesIO(data)).parts
    assert piped.values_of(3) == inspect(STREAMS / "max-4.bin.xz").values_of(3)


def test_guest_memory_is_not_held() -> None:
    """256 MiB of pages that are not zero, through a pipe, in a process that may not hold them."""
    code = f"""
import io, lzma
from tests.support.memory import forget_peak, peak_mib
from fastsmc.migrate.read.detect import inspect
data = lzma.decompress(open({str(STREAMS / "cortex-a57-2.bin.xz")!r}, "rb").read())
page = (0x28).to_bytes(8, "big") + bytes(range(1, 129)) * 32  # a page of the same block
at = data.index(b"\\x00" * 7 + b"\\x08" + b"\\x0dmach-virt.ram") + 8 + 14 + 4096
class Raw(io.RawIOBase):
    pieces = [data[:at], *[page * 256] * 256, data[at:]]
    def read(self, n=-1):
        return self.pieces.pop(0) if self.pieces else b""
base = forget_peak()
file = inspect(Raw())
assert file.n_vcpu == 2 and file.total_bytes == len(data) + 256 * 256 * 4104, file.total_bytes
print(peak_mib() - base)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) < 64


def edited(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_a_section_that_can_end_at_two_places_is_ambiguous() -> None:
    """Two sections in a row merge into one when the inner footer and head may be data: both readings are whole."""
    data = bytes_of("neoverse-n1-2-nodesc.bin.xz")
    file = inspect(io.BytesIO(data))
    at, starts = 0, []
    for part in file.parts:
        starts.append((at, part))
        at += part.n_bytes
    flash = [(start, part) for start, part in starts if part.name == "pflash_cfi01"]
    (first, one), (second, two) = flash
    same_id = edited(data, second + 1, data[first + 1 : first + 5])
    same_id = edited(same_id, second + two.n_bytes - 4, data[first + 1 : first + 5])
    with pytest.raises(RegisterFileError, match=f"byte {first}, section pflash_cfi01: ambiguous"):
        inspect(io.BytesIO(same_id))
    assert one.n_bytes == two.n_bytes
