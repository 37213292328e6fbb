"""Hostile files: small ones that once took minutes or gigabytes. Counted work is bounded here, and memory."""

from __future__ import annotations

import io
import json
import lzma
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import pytest

from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read import banks, limits, lines, snapshot_editor, source
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.qemu import framing, ram, sections
from fastsmc.migrate.read.result import RegisterFile
from tests.support import hostile
from tests.support.memory import forget_peak, peak_mib
from tests.support.places import TESTS
from tests.support.read_samples import described_stream, fingerprint, small_stream

SMALL = 2000
RECORDINGS = TESTS / "recordings"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of counts lowered to what a quick test reaches; all else is as it is."""
    monkeypatch.setattr(source, "MAX_SMALL_RECORDS", SMALL)
    monkeypatch.setattr(framing, "MAX_PARTS", SMALL)
    monkeypatch.setattr(sections, "MAX_DEVICES", SMALL)
    monkeypatch.setattr(ram, "MAX_PAGES", 1 << 20)


def refuse(data: bytes, match: str) -> str:
    with pytest.raises(RegisterFileError, match=match) as caught:
        inspect(io.BytesIO(data))
    assert str(caught.value).isprintable()
    return str(caught.value)


def n_call(data: bytes) -> int:
    """Calls, resumed generators among them, that reading a file takes."""
    n = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal n
        n += event in ("call", "c_call")

    sys.setprofile(count)
    with suppress(RegisterFileError):
        inspect(io.BytesIO(data))
    sys.setprofile(None)
    return n


def grown(data: bytes, match: str) -> float:
    """MiB that a file takes, beside what is there, until it is refused."""
    file, before = io.BytesIO(data), forget_peak()
    with pytest.raises(RegisterFileError, match=match):
        inspect(file)
    return peak_mib() - before


@pytest.mark.parametrize(
    "make",
    [
        lambda n: hostile.many_in_rounds(12, 20 * n),
        lambda n: hostile.many_rounds(n, n),
        hostile.many_devices,
        lambda n: hostile.many_devices(n, b"n" * 255),
        lambda n: hostile.records_of_nothing(b"ram", n),
        lambda n: hostile.records_of_nothing(b"block", n),
        lambda n: hostile.records_of_nothing(b"dirty-bitmap", n),
        lambda n: hostile.memory((hostile.zero_pages(1) + hostile.pages(1)) * n),
    ],
)
def test_the_work_for_a_stream_grows_as_the_stream_does(make: Callable[[int], bytes]) -> None:
    inspect(io.BytesIO(small_stream("cortex-a57-2-caps.bin.xz")))  # what is done once
    once, twice = n_call(make(500)), n_call(make(1000))
    assert twice < 2.2 * once + 500


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("packing", hostile.PACKERS)
@pytest.mark.parametrize("kind", [b"ram", b"block", b"dirty-bitmap"])
def test_records_of_nothing_come_to_an_end(kind: bytes, packing: str) -> None:
    packed = hostile.PACKERS[packing](hostile.records_of_nothing(kind, 100_000))
    refuse(packed, f"section {kind.decode()}: more than {SMALL} records that carry no page")
    assert n_call(packed) < 100 * SMALL


@pytest.mark.usefixtures("few")
def test_sections_and_devices_come_to_an_end() -> None:
    refuse(hostile.many_in_rounds(17, 0), "more than 16 devices in rounds at once")
    refuse(hostile.many_rounds(SMALL, 0), f"more than {SMALL} sections")
    refuse(hostile.many_rounds(0, SMALL), f"more than {SMALL} sections")
    refuse(hostile.many_devices(SMALL + 1), f"more than {SMALL} sections of devices")
    refuse(hostile.memory((b"\0" * 6 + b"\x00\x22\0") * (1 << 20) + b"\xff" * 8), "more than 1048576 pages")
    refuse(hostile.memory(hostile.pages(1) + bytes(7) + b"\x60\x01\0\0" * 1), "is it whole")
    xbzrle = (0x60).to_bytes(8, "big") + b"\1\0\0"
    refuse(hostile.memory(xbzrle * 10_000), "one that lies alone counts as 128")


def test_memory_is_skipped_in_runs_whatever_kinds_of_pages_alternate() -> None:
    for records in (
        hostile.zero_pages(20_000),
        hostile.pages(2000),
        (hostile.zero_pages(1) + hostile.pages(1)) * 1000,
        (hostile.zero_pages(65) + hostile.pages(1)) * 300,
    ):
        data = hostile.memory(records + hostile.END_OF_RECORDS + hostile.footer(1))
        assert f"byte {len(data)}," in refuse(data, "the file ends where a section would begin")
        assert n_call(data) < len(data) // 250 + 3000
        for place, byte in ((7, b"\x2a"), (6, b"\xff")):
            at = len(data) - len(records) - 13 + place
            refuse(data[:at] + byte + data[at + 1 :], "has flags")


@pytest.mark.parametrize(
    ("text", "most", "match"),
    [
        (b"vcpu 0:\n" + b"0x1 0x1\n" * 200_000, 12, "register 0x1 is there twice"),
        (b"ARM64_SYS_REG(3,0,0,0,0)\n" + b"a:\n" * 100_000, 8, "more than 65536 lines"),
        (b"".join(b'{"feat":"%d","regs":[%s[]]}\n' % (n, b"[]," * 20_000) for n in range(20)), 12, "is not .id, value"),
        (b"vcpu 0:\n" + b"a" * 20_000_000, 72, "20000000 characters"),
        (b"{" + b",".join(b'"%07d":1' % n for n in range(1_000_000)) + b"}", 40, "1000000 keys, .* take"),
        (b'{"a":' * 400_000, 40, "400000 objects"),
        (b'{"a":"' + b"a" * 15_000_000 + "😀".encode() + b'"}', 40, "letters that take 4 bytes each"),
        (b"\0" * 10_000_000, 40, "like no known format"),
        (b'{"feat":"a","regs":["' + b"a " * 4_000_000 + b'"]}', 60, "is not .id, value"),
    ],
)
def test_texts_take_memory_as_their_length_does(
    text: bytes, most: int, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINES", 1 << 16 if b"a:" in text else 1 << 20)
    assert grown(text, match) < most


@pytest.mark.parametrize("packing", hostile.PACKERS)
def test_packed_texts_take_no_more(packing: str) -> None:
    lists = b"".join(b'{"feat":"%d","regs":[%s[]]}\n' % (n, b"[]," * 40_000) for n in range(20))
    assert grown(hostile.PACKERS[packing](lists), "is not .id, value") < 24


@pytest.mark.soak("texts at the limits of their size, each below 256 MiB altogether")
@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"vcpu 0:\n" + b"0x1 0x1\n" * 4_000_000, "more than 1048576 lines"),
        (b"ARM64_SYS_REG(3,0,0,0,0)\n" + b"a:\n" * 11_000_000, "more than 1048576 lines"),
        (b"".join(b'{"feat":"%d","regs":[%s[]]}\n' % (n, b"[]," * 250_000) for n in range(10)), "is not .id, value"),
        (b'{"sys_regs":[' + b'"ab",' * 1_600_000 + b"1]}", "must be an object"),
        (b"{" + b",".join(b'"%07d":1' % n for n in range(690_000)) + b"}", "no known shape"),
        (b"vcpu 0:\n" + b"a" * 100_000_000, "more than 33554432 bytes"),
    ],
)
def test_texts_at_their_limits_stay_below_256_mib(text: bytes, match: str) -> None:
    assert grown(hostile.PACKERS["xz"](text), match) < 200


def test_what_vcpus_list_is_bounded_altogether(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {"REGISTERS": 80, "VALUES": 500, "LISTED": 320, "WIDE_BYTES": 8192, "VCPUS": 40}.items():
        monkeypatch.setattr(banks, f"MAX_{name}", most)
    monkeypatch.setattr(snapshot_editor, "MAX_VCPUS", 40)

    def listed(n_vcpu: int, ids: Callable[[int], range], first: int = 0x6030000000130000) -> bytes:
        each = (f"vcpu {v}:\n" + "".join(f"{first + i:#x} 0x1\n" for i in ids(v)) for v in range(n_vcpu))
        return "".join(each).encode()

    refuse(listed(1, lambda _: range(81)), "more than 80 registers in vcpu 0")
    refuse(listed(7, lambda _: range(80)), "more than 500 registers of 7 vCPUs")
    refuse(listed(8, lambda v: range(v, v + 50)), "8 vCPUs list 400 registers, each in its own way: at most 320")
    refuse(listed(9, lambda v: range(10 * v, 10 * v + 10)), "list 90 different registers: at most 80")
    refuse(listed(41, lambda _: range(1)), "where vcpu 40 would come")
    refuse(listed(1, lambda _: range(40), 0x6080000000150000), "more than 8192 bytes of registers over 64 bits")


def test_lists_of_nothing_end_at_the_limit_of_lists() -> None:
    """Every line of a list is parsed, so 32 MiB of them would be ten lines of the most that one text may hold."""
    line = b'{"feat":"a%d","regs":[' + b"[]," * 300_000 + b"[]]}\n"
    refuse(b"".join(line % n for n in range(12)), "more than 8 MiB of register lists; those of a recorded host have")
    refuse(b"".join(line % n for n in range(2)), r"line 1, regs\[0\]: \[\] is not \[id, value, errno\]")


def test_a_recorded_host_is_far_below_the_limit_of_lists() -> None:
    largest = max(len(lzma.decompress(path.read_bytes())) for path in RECORDINGS.glob("*/reglist.jsonl.xz"))
    assert 0 < largest < limits.MAX_LIST_BYTES // 8


def test_all_limits_are_above_what_512_vcpus_have() -> None:
    assert limits.MAX_VALUES > 2 * 512 * 421
    assert limits.MAX_LISTED > 2 * 421
    assert limits.MAX_WIDE_BYTES > 512 * (32 * 256 + 17 * 32)
    assert limits.MAX_LINES > 4 * 512 * 424
    assert limits.MAX_DEVICES > 2 * 2 * 512


ESCAPE = "\x1b]0;owned\x07\x1b[31mred"


@pytest.mark.parametrize("spoilt", ["kernel_version", "microcode_version"])
def test_what_a_file_says_of_its_maker_reaches_no_terminal_raw(spoilt: str) -> None:
    told = json.loads(fingerprint())
    file = inspect(io.BytesIO(json.dumps(told | {spoilt: ESCAPE}).encode()))
    assert isinstance(file, RegisterFile)
    assert file.provenance.told_by[spoilt] == "?]0;owned??[31mred"
    assert "\x1b" not in str(file) + file.listed() + repr(file) + file.banks[0].registers.name
    refuse(json.dumps(told | {spoilt: "\ud800"}).encode(), "half of a surrogate pair")


def test_names_out_of_files_reach_no_message_raw() -> None:
    name = json.dumps(ESCAPE).encode()
    line = b'{"feat":%s,"n":%s,"regs":[["0x6030000000130000","0x0",0]]}'
    refuse(line % (name, name), "n is ")
    refuse(b'{"feat":"a","regs":[%s]}' % name, "is not .id, value, errno")
    lists = b"\n".join((line.replace(b'"n":%s,', b"") % b'"psci02"', line.replace(b'"n":%s,', b"") % name))
    assert "\x1b" not in str(inspect(io.BytesIO(lists)))
    refuse(b'{"reg_modifiers":[],%s:1}' % name, "has no key")
    refuse(b'{"return":{"model":{"name":"a","props":{%s:[%s]}}}}' % (name, name), "the model's property")
    refuse(b"{%s:1}" % name, "JSON of no known shape")
    field = b'{"name":"cpreg_vmstate_indexes","array_len":%s}' % name
    refuse(b'{"devices":[{"name":"cpu","fields":[%s]}]}' % field, "a description")
    data = described_stream()
    begin = data.rindex(b"\0\x06") + 2
    for devices in (
        b'"page_size":%s,"devices":[]' % name,
        b'"devices":[{"name":%s,"instance_id":0,"fields":[]}]' % name,
    ):
        text = b"{%s}" % devices
        refuse(data[:begin] + len(text).to_bytes(4, "big") + text, "the description")
    twice = b'{"devices":[%s,%s]}' % ((b'{"name":%s,"instance_id":0,"fields":[]}' % name,) * 2)
    refuse(data[:begin] + len(twice).to_bytes(4, "big") + twice, "is described twice")
