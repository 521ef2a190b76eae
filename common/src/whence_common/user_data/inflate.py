"""Gzip undone within a bound, as cloud-init undoes it: any number of members, and zeros after the last."""

from __future__ import annotations

import zlib

MAGIC = b"\x1f\x8b"
MEMBERS_MAX = 64


def inflate(content: bytes, bytes_max: int) -> bytes | None:
    """Return what all members hold together; None for what is broken, cut off, or larger than the bound."""
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
