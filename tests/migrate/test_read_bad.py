"""Bad files: each ends in one sentence that names the place, within bounded memory and time."""

from __future__ import annotations

import io
import itertools
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsmc.errors import InputError, RegisterFileError
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.snapshot_editor import _from_bytes
from tests.support.read_samples import (
    STREAMS,
    analyze_migration,
    cloud_hypervisor,
    expression,
    fingerprint,
    memory_stream,
    payload,
    small_stream,
    snapshot_editor,
)

NODESC, DESC = "neoverse-n1-2-nodesc.bin.xz", "max-1.bin.xz"


def refuse(data: bytes, match: str, **options: str) -> str:
    with pytest.raises(RegisterFileError, match=match) as caught:
        inspect(io.BytesIO(data), **options)  # type: ignore[arg-type]
    return str(caught.value)


def over(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def cpu_fields(data: bytes, instance: int = 0) -> int:
    """Where the fields of a cpu section begin."""
    return data.index(b"\x03cpu" + instance.to_bytes(4, "big") + (22).to_bytes(4, "big")) + 12


def section(data: bytes, name: bytes, instance: int) -> slice:
    """A device's section, up to the head of the next."""
    at = data.index(bytes([len(name)]) + name + instance.to_bytes(4, "big")) - 5
    footer = b"\x7e" + data[at + 1 : at + 5]
    return slice(at, data.index(footer, at) + 5)


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(RegisterFileError, match="is a folder"):
        inspect(tmp_path)
    with pytest.raises(RegisterFileError, match="No such file"):
        inspect(tmp_path / "none")
    with pytest.raises(RegisterFileError, match="cannot be read"):
        inspect("a\0b")
    (tmp_path / "empty").touch()
    with pytest.raises(RegisterFileError, match="empty: is empty"):
        inspect(tmp_path / "empty")
    with pytest.raises(RegisterFileError, match="open the file as binary"):
        inspect(io.StringIO("QEVM"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="format is 'elf': it must be one of qemu-stream, "):
        inspect(io.BytesIO(b"x"), format="elf")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x7fELF" + bytes(60), "begins with .* like no known format"),
        (b"\x80\x81\x82", "byte 0: not UTF-8"),
        (b"hello\n", "like no known format"),
        (b"[]", r"JSON of no known shape \(list\)"),
        (b'{"a": 1}', r"JSON of no known shape \('a'\)"),
        (b"[" * 1_000_000, "byte 0, the file: nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"sys_regs":[' + b"[]," * 2_000_000 + b"[]]}", "2000002 lists, .* take 200 MiB; at most 112 are read"),
        (b'{"sys_regs":[' + b'{"a":1},' * 2_000_000 + b"1]}", "2000001 keys, .* take 597 MiB; at most 112 are read"),
        (b'{"sys_regs":[' + b"{}," * 2_000_000 + b"1]}", "2000001 objects and .* take 291 MiB; at most 112 are read"),
        (b'{"sys_regs":[' + b"1," * 14_000_000 + b"1]}", "14000000 entries take 120 MiB; at most 112 are"),
        (b'{"sys_regs":[' + b"999," * 5_000_000 + b"1]}", "more numbers than 112 MiB have room for"),
        (b'{"reg_modifiers": [], "reg_modifiers": []}', "the key 'reg_modifiers' stands twice"),
        (b'{"reg_modifiers": NaN}', "NaN is not JSON"),
        (b'{"reg_modifiers": -Infinity}', "-Infinity is not JSON"),
        (b'{"reg_modifiers": 1e999}', "1e999 is not finite"),
        (b'{"reg_modifiers": %s}' % (b"9" * 5000), "does not fit 128 bits"),
        (b'{"reg_modifiers": [1]}', r"reg_modifiers\[0\] is 1: it must be an object"),
        (b'{"guest_cpu_config": {"reg_modifiers": []}}', "vCPU 0 has no registers"),
        (b'{"reg_modifiers"', "not JSON"),
        (b'{"reg_modifiers": "\xff"}', "byte 19, the file: not UTF-8"),
        (b'{"snapshots": {}}', 'no "cpu-manager"'),
        (b'{"cpu (3)": {}}', '"cpreg_vmstate_indexes" is missing'),
        (b"vcpu 1:\n", "line 1: vcpu 1, where vcpu 0 would come"),
        (b"vcpu 0:\nx\n", "line 2: 'x' is neither"),
        (b"vcpu 0:\n" + b"0" * 3000, "line 2: 3000 characters"),
        (b"ARM64_SYS_REG(3, 8, 0, 0, 0),\n", r"line 1: 'ARM64_SYS_REG\(3, 8, 0, 0, 0\)' is no system register"),
        (b"KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE_REG(regs.regs[31]),\n", "no field 'regs.regs"),
        (b"KVM_REG_ARM_CORE,\n", "which is no arm64 register id"),
    ],
)
def test_text_that_is_none(data: bytes, match: str) -> None:
    refuse(data, match)


@pytest.mark.parametrize(
    ("reg", "match"),
    [
        (0x6090000000140000, "register 0x6090000000140000 would have 4096 bits"),
        (0x60F0000000140000, "would have 262144 bits"),
        (1 << 64, "register id 0x10000000000000000 does not fit 64 bits"),
    ],
)
def test_a_register_that_cannot_be_is_named(reg: int, match: str) -> None:
    refuse(b'{"guest_cpu_config": {"reg_modifiers": [{"addr": "%#x", "bitmap": "0b0"}]}}' % reg, match)
    if reg < 1 << 64:
        state = {"Kvm": {"sys_regs": [{"id": reg, "addr": 0}]}}
        refuse(json.dumps(state).encode(), match)
        refuse((1).to_bytes(8, "little") + reg.to_bytes(8, "little") + bytes(8192 * 8), match)


def test_a_register_twice_is_named() -> None:
    twice = "register 0x6030000000140000 is there twice"
    entry = '{"addr": "0x6030000000140000", "bitmap": "0b0"}'
    refuse(f'{{"guest_cpu_config": {{"reg_modifiers": [{entry}, {entry}]}}}}'.encode(), twice)
    refuse(b"vcpu 0:\n" + b"0x6030000000140000 0x1\n" * 2, twice)
    refuse(b"KVM_REG_ARM_FW_REG(0),\n" * 2, twice)
    one = 0x6030000000140000.to_bytes(8, "little") + bytes(8)
    refuse((2).to_bytes(8, "little") + one * 2, twice)
    data = small_stream(NODESC)
    ids = cpu_fields(data) + 572
    refuse(over(data, ids + 8, data[ids : ids + 8]), f"byte {ids + 8}, section cpu 0: register 0x.* stands twice")


def test_a_value_that_does_not_fit_is_named() -> None:
    refuse(
        b'{"guest_cpu_config": {"reg_modifiers": [{"addr": "0x6020000000110000", "bitmap": "0b1%s"}]}}' % (b"0" * 32),
        "register 0x6020000000110000 has 32 bits",
    )
    refuse(b"vcpu 0:\n0x6020000000110000 0x123456789\n", "9 digits for 4 bytes|cannot be 4 bytes|has 32 bits")


@pytest.mark.parametrize("name", [NODESC, DESC])
def test_a_stream_cut_anywhere_is_refused(name: str) -> None:
    """But for one place: cut right behind its end marker, a stream is one without a description, to the byte."""
    data = small_stream(name)
    end = data.rindex(b"\0\x06") + 1 if name == DESC else None
    for length in [*range(1, 200), *range(200, len(data), 61)]:
        if length != end:
            refuse(data[:length], "(is it whole|is the file whole|byte |like no known format)")
    if end:
        assert inspect(io.BytesIO(data[:end])).notes


@pytest.mark.parametrize("fewer", [1, 2, 100])
def test_one_register_less_would_make_ids_of_values_and_is_refused(fewer: int) -> None:
    """Without a check the first value would be read from the last id: a wrong number that looks like one."""
    for name, match in ((NODESC, "more ids follow"), (DESC, "the description tells of 304")):
        data = small_stream(name)
        at = cpu_fields(data) + 568
        count = int.from_bytes(data[at : at + 4], "big")
        refuse(
            over(data, at, (count - fewer).to_bytes(4, "big")), f"section cpu 0: {count - fewer} registers.* {match}"
        )
        refuse(over(data, at, (count + fewer).to_bytes(4, "big")), "section cpu 0: ")


@pytest.mark.parametrize("count", [0, 1 << 31, 0x7FFF_FFFF, 1_000_000_000, 65537, 10_000])
def test_registers_announced_that_are_not_there(count: int) -> None:
    data = small_stream(NODESC)
    at = cpu_fields(data) + 568
    what = f"{count} registers announced" if count else "no system registers in the list"
    refuse(over(data, at, count.to_bytes(4, "big")), f"byte {at}, section cpu 0: {what}")
    refuse(
        count.to_bytes(8, "little") + payload()[8:], "registers? announced|ends at|follow|no known format|UTF-8|twice"
    )


@pytest.mark.parametrize(
    ("at", "new", "match"),
    [
        (0, b"QEVN", "like no known format|not UTF-8"),
        (4, b"\0\0\0\x02", "byte 4, the header: stream version 2; 3 is read"),
        (9, b"\x80\0\0\0", "byte 13, the configuration: the machine's name would have 2147483648 bytes"),
        (13, b"\0", "is no machine name"),
        (22, b"\xff", "the configuration: a subsection's name"),
    ],
)
def test_a_header_that_is_damaged(at: int, new: bytes, match: str) -> None:
    refuse(over(small_stream(DESC), at, new), match)


def test_a_description_of_two_gigabytes_is_not_believed() -> None:
    data = small_stream(DESC)
    at = data.rindex(b"\0\x06")
    refuse(over(data, at + 2, b"\x80\0\0\0"), "the end: no end marker and no description whole")


def test_a_description_that_is_nested_deeply_or_wrong() -> None:
    data = small_stream(DESC)
    head = data[: data.rindex(b"\0\x06") + 2]

    def described(text: bytes) -> bytes:
        return head + len(text).to_bytes(4, "big") + text

    refuse(described(b'{"devices":' + b"[" * 1_000_000), "the description: nested too deeply")
    refuse(described(b'{"devices": [{"name": "cpu", "instance_id": -1, "fields": []}]}'), "device 0, instance_id")
    refuse(described(b'{"devices": [{"name": "cpu", "instance_id": 0, "fields": [{"size": true}]}]}'), "size")
    refuse(described(b'{"devices": 3}'), '"devices" is 3; it must be a list')
    refuse(described(b'{"page_size": 65536, "devices": []}'), "page_size is 65536")
    twice = b'{"name": "cpu", "instance_id": 0, "fields": []}'
    refuse(described(b'{"devices": [%s,%s]}' % (twice, twice)), "device 1: cpu 0 is described twice")
    deep = b'{"fields":[],"vmsd_name":"a","subsections":[' * 100
    refuse(described(b'{"devices": [{"name":"a","instance_id":0,"fields":[],"subsections":[%s' % deep), "not JSON")


def test_a_description_that_lies_about_sizes_is_overruled_by_the_footers() -> None:
    data = small_stream(DESC)
    at = data.rindex(b"\0\x06") + 6
    lying = data[:at] + data[at:].replace(b'"size": 8', b'"size": 9', 1)
    file, plain = (inspect(io.BytesIO(one)) for one in (lying, data))
    assert file.parts == plain.parts
    assert "another size than their footers do" in file.notes[0]


@pytest.mark.parametrize("second", [DESC, NODESC])
def test_two_streams_in_one_file_are_not_one(second: str) -> None:
    """The second would be counted as part of the first one's last device."""
    refuse(small_stream(DESC) + small_stream(second), "section ")
    refuse(small_stream(NODESC) + small_stream(second), "section ")


def test_sections_out_of_order_keep_their_instances() -> None:
    data = small_stream(NODESC)
    zero, one = section(data, b"cpu", 0), section(data, b"cpu", 1)
    swapped = data[: zero.start] + data[one] + data[zero.stop : one.start] + data[zero] + data[one.stop :]
    file, plain = (inspect(io.BytesIO(each)) for each in (swapped, data))
    assert [file.values_of(vcpu) for vcpu in (0, 1)] == [plain.values_of(vcpu) for vcpu in (0, 1)]
    assert [part.instance for part in file.parts if part.name == "cpu"] == [1, 0]


def test_a_section_twice_or_of_another_machine() -> None:
    data = small_stream(NODESC)
    cpu = section(data, b"cpu", 0)
    refuse(data[: cpu.stop] + data[cpu] + data[cpu.stop :], "section cpu 0: the second of|ambiguous")
    refuse(over(data, cpu.start + 9, b"\0\0\0\x07"), "vCPU 0 has a cpu or a cpu_common section, and not both")
    refuse(over(data, cpu.start + 8, b"x"), "vCPU 0 has a cpu or a cpu_common section, and not both")
    refuse(small_stream(DESC).replace(b"\x05pl031", b"\x05pl032"), "section pl032 0: the description does not tell of")
    refuse(over(data, cpu_fields(data) - 4, (12).to_bytes(4, "big")), "section cpu 0: version 12, not Arm's 22")
    without = data[: cpu.start] + data[cpu.stop :]
    one = section(without, b"cpu", 1)
    refuse(without[: one.start] + without[one.stop :], "no section named cpu")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ((5 << 12 | 4), (5 << 12 | 0x84), "section ram: memory record 0x5084 has flags 0x84"),
        ((5 << 12 | 4), (6 << 12 | 4), "a memory block's name"),
        ((5 << 12 | 4), (3 << 12 | 4), "longer than their total"),
        ((3 << 12 | 0x28), (3 << 12 | 0xA0), "by RDMA|has flags"),
        ((3 << 12 | 0x28), (3 << 12 | 0x08), "a page's block"),
    ],
)
def test_guest_memory_that_is_damaged(old: int, new: int, match: str) -> None:
    data = memory_stream()
    assert inspect(io.BytesIO(data)).parts[2].name == "ram"
    refuse(data.replace(old.to_bytes(8, "big"), new.to_bytes(8, "big"), 1), match)


@pytest.mark.soak("a file that could keep a reader busy for minutes")
def test_a_sea_of_footers_is_refused_and_not_searched_for_ever() -> None:
    data = small_stream(NODESC)
    at = section(data, b"cpu", 0).start
    refuse(data[:at] + b"\x7e\0\0\0\x01\x04" * 1_100_000 + data[at:], "more than 262144 places where")
    small = b"\x04\0\0\0\x01\x01a" + bytes(8) + b"\x7e\0\0\0\x01"
    refuse(data[:at] + small * 3000 + data[at:], "section a: too many places where it could end")


def test_xz_that_is_damaged_or_a_bomb(tmp_path: Path) -> None:
    packed = lzma.compress(small_stream(DESC))
    refuse(packed[:-20], "xz: cut off after")
    refuse(over(packed, len(packed) // 2, b"\0\0\0\0"), "xz: damaged after")
    refuse(packed + b"more", "xz: bytes follow")
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 30}]
    refuse(lzma.compress(b"QEVM", filters=filters)[:40], "xz: (damaged|cut off)")
    bomb = tmp_path / "bomb.xz"
    bomb.write_bytes(lzma.compress(b"{" + b" " * (64 << 20)))
    with pytest.raises(RegisterFileError, match="more than 33554432 bytes follow"):
        inspect(bomb)


def test_digits_that_can_be_cut_in_one_way_are_found_by_trying_all() -> None:
    """Every four bytes out of {0, 1, 0xf, 0x10, 0x1f, 0xf0}: told if and only if no other four bytes print the same."""
    printed: dict[str, set[int]] = {}
    for pieces in itertools.product((0, 1, 0xF, 0x10, 0x11, 0x1F, 0xF0, 0xF1, 0xFF), repeat=4):
        value = int.from_bytes(bytes(pieces), "big")
        printed.setdefault("".join(f"{byte:x}" for byte in pieces), set()).add(value)
    for digits, values in printed.items():
        assert _from_bytes(digits, 4, "here") == (values.pop() if len(values) == 1 else None), digits


@pytest.mark.parametrize(
    "make", [fingerprint, snapshot_editor, cloud_hypervisor, analyze_migration, payload], ids=lambda make: make.__name__
)
def test_another_readers_file_is_refused(make: object) -> None:
    data = make()  # type: ignore[operator]
    own = inspect(io.BytesIO(data)).format
    for name in ("qemu-stream", "recorded-payload", "snapshot-editor", "get-reg-list", "firecracker-fingerprint"):
        if name != own:
            refuse(data, ".", format=name)


def inspected(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "fastsmc", "migrate", "inspect", *map(str, arguments)],
        capture_output=True, input=stdin, timeout=60, check=False,
    )  # fmt: skip


def test_inspect_prints_parts_that_add_up() -> None:
    data = lzma.decompress((STREAMS / "cortex-a57-64.bin.xz").read_bytes())
    done = inspected("-", "--json", stdin=data)
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (told["format"], told["vcpus"], told["registers_per_vcpu"]) == ("qemu-stream", 64, 258)
    assert (told["description_bytes"], told["total_bytes"]) == (403_662, len(data))
    assert sum(part["bytes"] for part in told["parts"]) + told["description_bytes"] == len(data)
    assert {part["bytes"] for part in told["parts"] if part["name"] == "cpu"} == {5404}
    assert told["equality"] == {"equal_global": 58, "equal_undeclared": 200, "different": 0, "untold": 0}
    assert {key: len(told[key]) for key in told["equality"]} == told["equality"]
    assert told["equal_global"][0] == "0x603000000013c006"
    text = inspected(STREAMS / "cortex-a57-64.bin.xz").stdout.decode()
    assert "   58 registers equal on all vCPUs and declared VM-global\n      REVIDR_EL1; " in text
    assert "and 42 more (--json has all)" in " ".join(text.split())
    assert "64 vCPUs with 258 registers, 58 VM-global" in text
    assert ["cpu", "64", "5,404", "345,856"] in [line.split() for line in text.splitlines()]


def test_inspect_flags_a_conflict_and_ends_in_3_for_bad_files(tmp_path: Path) -> None:
    reg = expression(0x6030000000140000)
    assert reg == "KVM_REG_ARM_FW_REG(0)"
    path = tmp_path / "vcpus.txt"
    path.write_text("vcpu 0:\n0x6030000000140000 0x10003\nvcpu 1:\n0x6030000000140000 0x10001\n")
    text = inspected(path).stdout.decode()
    assert "1 registers CONFLICT" in text
    assert "0x6030000000140000 PSCI_VERSION" in text
    bad = inspected("/dev/stdin", stdin=small_stream(DESC)[:5000])
    assert bad.returncode == 3
    assert bad.stderr.decode().count("\n") == 1
    assert "Traceback" not in bad.stderr.decode()
    assert os.fsdecode(tmp_path) in inspected(tmp_path).stderr.decode()
