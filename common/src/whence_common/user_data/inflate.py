"""Bounded decompression of gzip, with several members and trailing zeros, as cloud-init accepts it."""

from __future__ import annotations

import zlib

MAGIC = b"\x1f\x8b"
MEMBERS_MAX = 64


def inflate(content: bytes, bytes_max: int) -> bytes | None:
    """Return the decompressed content of all members; None if it is damaged, truncated, or larger than the bound."""
    inflated = b""
    for _ in range(MEMBERS_MAX):
        decompressor = zlib.decompressobj(wbits=31)
        try:
            inflated += decompressor.decompress(content, bytes_max + 1 - len(inflated))
        except zlib.error:
            return None
        if not decompressor.eof or len(inflated) > bytes_max:
            return None
        content = decompressor.unused_data.lstrip(b"\x00")
        if not content:
            return inflated
    return None
