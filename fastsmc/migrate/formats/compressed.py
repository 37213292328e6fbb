"""zstd around any format. Sizes are measured then, not predicted: they depend on what the values are."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsmc.checks import U8Array
from fastsmc.errors import InputError
from fastsmc.migrate.formats.base import damage

LEVELS = range(-7, 23)


def compressed(data: U8Array, level: int) -> U8Array:
    """One zstd frame that tells its content's length.

    Raises:
        InputError: no such level, or the package zstandard is missing.
    """
    if isinstance(level, bool) or level not in LEVELS:
        msg = f"zstd level {level!r}: give -7 to 22"
        raise InputError(msg)
    return np.frombuffer(_library().ZstdCompressor(level=level).compress(data), np.uint8)


def decompressed(data: U8Array, most: int) -> U8Array:
    """What a frame holds, from the start of a cache line on.

    Args:
        most: bytes that are taken at most, whatever the frame announces.

    Raises:
        InputError: no zstd frame, one that is damaged, announces more or nothing, or is followed by other bytes.
    """
    library = _library()
    raw = data.tobytes()
    try:
        size = library.get_frame_parameters(raw).content_size
        if size > most:
            announced = "no length" if size >= library.CONTENTSIZE_UNKNOWN else f"{size} bytes"
            raise damage(0, f"the zstd frame announces {announced}; {most} bytes at most are expected")
        unpack = library.ZstdDecompressor().decompressobj()
        plain = unpack.decompress(raw)
    except library.ZstdError as error:
        raise damage(0, f"zstd: {error}") from error
    if not unpack.eof or unpack.unused_data:
        what = "bytes follow the frame" if unpack.eof else "the frame is cut off"
        raise damage(len(raw) - len(unpack.unused_data), f"zstd: {what}")
    return np.frombuffer(plain, np.uint8)


def _library() -> Any:
    try:
        import zstandard
    except ImportError:
        msg = "zstd needs the package zstandard: pip install 'fastsmc[zstd]'"
        raise InputError(msg) from None
    return zstandard
