"""Where a trace comes from: pipes that give their bytes once and in pieces, packed files, encodings."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard

from fastsmc.errors import TraceError
from fastsmc.files.limits import TRACE
from fastsmc.traces.source import MAX_LINE
from fastsmc.traces.text import parse_trace
from fastsmc.traces.text import trace as read_trace
from tests.support.places import ROOT, TESTS

SAMPLE = TESTS / "recordings" / "guest-traces" / "6.1-6.1.ftrace.txt"
N_CALL = SAMPLE.read_text().count("HVC at")
LINE = "       CPU 0/KVM-71    [003] ...1.     2.478778: kvm_hvc_arm64: HVC at 0x40 (r0: 0x84000000, imm: 0x0)\n"


@pytest.mark.parametrize(
    ("command", "n"),
    [
        ("cat {f} | {p} -m fastsmc trace --json -", N_CALL),
        ("cat {f} | {p} -m fastsmc trace --json /dev/stdin", N_CALL),
        ("cat {f} | {p} -m fastsmc trace --lenient --json /dev/stdin", N_CALL),
        ("{p} -m fastsmc trace --json - < {f}", N_CALL),
        ("{p} -m fastsmc trace --json <(cat {f})", N_CALL),
        ("gzip -c {f} | {p} -m fastsmc trace --json -", N_CALL),
    ],
)
def test_a_pipe_is_read_whole(command: str, n: int) -> None:
    script = command.format(f=SAMPLE, p=sys.executable)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, check=True, timeout=100)
    told = json.loads(done.stdout)
    assert (told["calls"], told["skipped"], done.stderr) == (n, 0, "")


def test_a_pipe_that_gives_a_byte_at_a_time_is_read_whole(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    data = gzip.compress(LINE.encode() * 3)

    def write() -> None:
        with fifo.open("wb", buffering=0) as stream:
            for byte in data:
                stream.write(bytes([byte]))

    writer = threading.Thread(target=write)
    writer.start()
    trace = read_trace(fifo)
    writer.join()
    assert (len(trace), trace.name) == (3, "fifo")


def test_standard_input_that_is_closed_is_told() -> None:
    script = f"{sys.executable} -m fastsmc trace - <&-"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, check=False, timeout=100)
    assert done.returncode == 3
    assert "it is empty, so it has no call" in done.stderr


@pytest.mark.parametrize(
    "data",
    [
        bz2.compress(LINE.encode()),
        bz2.compress(LINE.encode()) + bz2.compress(LINE.encode() * 0),
        lzma.compress(LINE.encode(), lzma.FORMAT_ALONE),
        lzma.compress(LINE.encode()) + bytes(8),
        b"\xef\xbb\xbf" + LINE.encode(),
        zstandard.ZstdCompressor().compress(LINE.encode()),
        LINE.replace("\n", "\r\n").encode("utf-16"),
        b"\xfe\xff" + LINE.encode("utf-16-be"),
        LINE.encode("utf-16-le"),
        LINE.encode("utf-16-be"),
        LINE.encode("utf-32"),
        b"\0\0\xfe\xff" + LINE.replace("\n", "\r\n").encode("utf-32-be"),
        LINE.encode("utf-32-le"),
        LINE.encode("utf-32-be"),
    ],
    ids=["bz2", "two bz2", "lzma", "xz, padded", "BOM", "zstd", "UTF-16", "UTF-16 BE", "UTF-16, no mark",
         "UTF-16 BE, no mark", "UTF-32", "UTF-32 BE", "UTF-32, no mark", "UTF-32 BE, no mark"],
)  # fmt: skip
def test_what_holds_text_is_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(data)
    trace = read_trace(path)
    assert (len(trace), trace.comm, trace.n_skipped) == (1, {71: ("CPU 0/KVM",)}, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("n", [1, 2, 3, 500])
def test_lines_that_end_in_a_carriage_return_are_lines(tmp_path: Path, n: int, encoding: str) -> None:
    text = f"# tracer: nop\r#\r{LINE * n}".replace("\n", "\r")
    for each in (text, text[:-1], text.removeprefix("# tracer: nop\r#\r")):
        (tmp_path / "t").write_bytes(each.encode(encoding))
        trace = read_trace(tmp_path / "t")
        assert (len(trace), set(trace.comm.values())) == (n, {("CPU 0/KVM",)})
        assert np.diff(trace.line).tolist() == [1] * (n - 1)
        assert len(parse_trace(each)) == n


def zipped() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("trace.txt", LINE)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (zipped(), "is a zip archive.*unpack it"),
        (b"\x04\x22\x4d\x18" + bytes(20), "lz4 -dc"),
        (b"\xc1\x1f\xfc\xc1" + bytes(20), "babeltrace2"),
        (bytes(257) + b"ustar" + bytes(300), "tar -xOf"),
        (b"\x0a\x07\x08\x01\x10\x00\x00" * 50, "binary data.*traceconv systrace"),
        (b"\x7fELF" + bytes(100), "a program"),
    ],
    ids=["zip", "lz4", "CTF", "tar", "Perfetto", "program"],
)
def test_what_is_no_text_is_named_with_what_to_do(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(data)
    with pytest.raises(TraceError, match=says):
        read_trace(path, lenient=True)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, gzip.compress], ids=["bz2", "xz", "gz"])
def test_damage_within_a_packed_file_is_told(tmp_path: Path, pack: object) -> None:
    # Not any bytes: bz2 unpacks a fortieth of what is damaged here before its checksum tells, and that is no text.
    data = bytearray(pack(random.Random(1).randbytes(4096).hex().encode()))  # type: ignore[operator]
    path = tmp_path / "t"
    for harmed in (data[:-20], data[:1000] + bytes(200) + data[1200:]):
        path.write_bytes(harmed)
        with pytest.raises(TraceError, match=r"(damaged|cut off) after \d+ unpacked bytes"):
            read_trace(path, lenient=True)


def test_an_xz_file_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    packer = lzma.LZMACompressor(filters=filters)
    path = tmp_path / "t"
    path.write_bytes(packer.compress(LINE.encode()) + packer.flush())
    with pytest.raises(TraceError, match=r"[Mm]emory"):
        read_trace(path)


def test_a_line_without_end_is_one_line_that_is_not_understood(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(LINE.encode() + b"x" * (5 * MAX_LINE) + b"\n" + LINE.encode()))
    trace = read_trace(path, lenient=True)
    assert (len(trace), trace.n_skipped, trace.line.tolist()) == (2, 1, [1, 3])


def test_a_path_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(TraceError, match="null byte"):
        read_trace("a\0b")


def test_a_text_beyond_the_limit_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmc.traces.source.TRACE", TRACE._replace(most_bytes=1000))
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(LINE.encode() * 20))
    with pytest.raises(TraceError, match=r"more than a trace has here \(.*cut it"):
        read_trace(path, lenient=True)
