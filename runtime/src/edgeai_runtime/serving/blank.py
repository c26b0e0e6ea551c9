"""A grey image to warm up with, made without an image library."""

from __future__ import annotations

import struct
import zlib


def grey_png(width: int, height: int) -> bytes:
    """A PNG of mid-grey pixels, 8 bits, one channel (https://www.w3.org/TR/png, sections 5 and 11)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + b"\x80" * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
