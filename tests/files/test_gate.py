"""The gate: whatever a file is, it is read within its limit or refused in a sentence."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import json
import lzma
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from fastsmc.files import strict_json
from fastsmc.files.limits import Kind
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source, opened
from fastsmc.files.text import text_of
from tests.support.memory import forget_peak, peak_mib

SMALL = Kind("a test", 100_000, "tests are small")
LARGE = Kind("a large test", 1 << 30, "some are not")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
TEXT = b"one\ntwo\n" * 5000


def read(data: bytes, kind: Kind = SMALL) -> bytes:
    return Source(io.BytesIO(data), kind).all()


@pytest.mark.parametrize("name", PACKERS)
def test_what_is_packed_is_unpacked(name: str) -> None:
    pack = PACKERS[name]
    source = Source(io.BytesIO(pack(TEXT)), SMALL)
    assert (source.packing, source.head, source.all()) == (name, TEXT[:512], TEXT)
    assert read(pack(TEXT) + bytes(100)) == TEXT
    if name != "lzma":  # whose streams do not say where they end
        assert read(pack(TEXT) + pack(b"more")) == TEXT + b"more"
    assert read(pack(b"")) == b""


@pytest.mark.parametrize("name", PACKERS)
def test_what_is_packed_and_damaged_is_refused(name: str) -> None:
    packed = PACKERS[name](random.Random(1).randbytes(20_000))
    for cut in (12, 20, len(packed) // 2, len(packed) - 1):
        with pytest.raises(Refused, match=f"{name}: (cut off after|damaged)"):
            read(packed[:cut])
    if name != "lzma":
        with pytest.raises(Refused, match=f"{name}: bytes follow the end"):
            read(packed + b"something else")
    with pytest.raises(Refused, match="packed twice"):
        read(PACKERS[name](gzip.compress(TEXT)))


@pytest.mark.parametrize("name", PACKERS)
def test_a_bomb_ends_at_the_limit(name: str) -> None:
    packed = PACKERS[name](bytes(40_000_000))
    before = forget_peak()
    with pytest.raises(Refused, match="more than 100000 bytes, which is more than a test has here"):
        read(packed)
    assert peak_mib() - before < 24


@pytest.mark.parametrize("name", PACKERS)
def test_any_harm_to_what_is_packed_is_refused_or_harmless(name: str) -> None:
    draw = random.Random(2)
    packed = PACKERS[name](TEXT)
    for _ in range(300):
        harmed = bytearray(packed)
        for _ in range(draw.randint(1, 4)):
            harmed[draw.randrange(len(harmed))] = draw.randrange(256)
        try:
            read(bytes(harmed))
        except Refused as error:
            assert str(error).isprintable()  # noqa: PT017


def test_a_limit_is_exact_and_names_its_reason() -> None:
    assert len(read(bytes(SMALL.most_bytes))) == SMALL.most_bytes
    with pytest.raises(Refused, match="tests are small"):
        read(bytes(SMALL.most_bytes + 1))


def refuse(path: Path | str, says: str) -> None:
    with pytest.raises(Refused, match=says), opened(path, SMALL) as source:
        source.all()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, "is a folder; give a file in it")
    refuse(tmp_path / "none", "cannot be read .No such file")
    (tmp_path / "loop").symlink_to("loop")
    refuse(tmp_path / "loop", "cannot be read .Too many levels")
    refuse("a\0b", "cannot be read")
    refuse("/dev/zero", "more than 100000 bytes")
    refuse(tmp_path / ("x" * 300), "cannot be read .File name too long")


def test_a_pipe_is_opened_and_read_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    data = gzip.compress(TEXT)

    def write() -> None:
        with fifo.open("wb", buffering=0) as stream:
            for at in range(0, len(data), 7):
                stream.write(data[at : at + 7])

    writer = threading.Thread(target=write)
    writer.start()
    with opened(fifo, SMALL) as source:
        assert source.all() == TEXT
    writer.join()


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(TEXT)

    def read_on() -> None:
        with opened(path, SMALL) as source, path.open("ab", buffering=0) as more:
            while piece := source.read(1000):
                more.write(2 * piece)

    with pytest.raises(Refused, match="more than"):
        read_on()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_text_of_any_encoding_is_read(encoding: str) -> None:
    assert text_of("HVC at 0x40\nGrüße\n".encode(encoding)).removeprefix("\ufeff") == "HVC at 0x40\nGrüße\n"


def test_text_in_no_encoding_is_refused_with_its_place() -> None:
    with pytest.raises(Refused, match="byte 4, line 2: not UTF-8 text"):
        text_of(b"one\n\xff")
    with pytest.raises(Refused, match="not UTF-16 text"):
        text_of(b"\xff\xfe\x00\xd8a\x00")


@pytest.mark.parametrize(
    "text",
    [r'"\ud800"', r'["a", {"b\udfff": 1}]', r'{"a": "\ud83d x \ude00"}', r'"\\\ud800"', r'"\ude00\ud83d"', '"\ud800"'],
)
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="half of a surrogate pair"):
        strict_json.parse(text, "a test")


@pytest.mark.parametrize("text", [r'"\ud83d\ude00"', r'"\\ud800"', '"\\\\\\ud83d\\ude00"', '"😀"'])
def test_whole_pairs_are_read(text: str) -> None:
    assert strict_json.parse(text, "a test") == json.loads(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "does not fit 128 bits"),
        ("-" + "9" * 5000, "does not fit 128 bits"),
        ("1" + "0" * 4000 + ".5e999999999", "not finite"),
        ("NaN", "NaN is not JSON"),
        ("[Infinity]", "Infinity is not JSON"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[" + "[]," * 1_200_000 + "[]]", "1200002 lists, .*; at most"),
        ("", "not JSON"),
    ],
)
def test_json_that_no_real_file_has_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        strict_json.parse(text, "a test")


class Repeated(io.RawIOBase):
    """A beginning, and then a piece for ever."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        self._left, self._piece = begin, piece * (1 + 65536 // len(piece))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._left = self._left or self._piece
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2", "zstd"])
@pytest.mark.parametrize("is_padding", [True, False], ids=["padding", "empty streams"])
def test_what_never_ends_and_holds_nothing_is_refused(name: str, is_padding: bool) -> None:
    raw = io.BufferedReader(Repeated(PACKERS[name](TEXT), bytes(1) if is_padding else PACKERS[name](b"")))
    with pytest.raises(
        Refused, match=f"{name}: nothing but padding or empty packed streams after 40000 unpacked bytes"
    ):
        Source(raw, SMALL).all()


@pytest.mark.parametrize("text", ["[[], []]", "[[],", '{"a": 1, "a": 2}', "[" * 100_000])
def test_what_searches_for_cycles_goes_on_after_a_text(text: str) -> None:
    assert gc.isenabled()
    with suppress(Refused):
        strict_json.parse(text, "it")
    assert gc.isenabled()
    gc.disable()
    try:
        with suppress(Refused):
            strict_json.parse(text, "it")
        assert not gc.isenabled()
    finally:
        gc.enable()
