"""Base64 that is written in exactly one way: for what was read, `encode(decode(text)) == text`.

The standard library's `validate=True` takes surplus padding and bits after the end. Whoever signs, hashes or compares
the text would then take one value for two. Source of the alphabets: RFC 4648, sections 4 and 5, with padding.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

_URL_SAFE = str.maketrans("-_", "+/")


def decode(text: str) -> bytes:
    """Read the standard alphabet. Raises ValueError for white space, surplus or missing padding, and left-over bits."""
    content = a2b_base64(text, strict_mode=True) if text else b""
    if b2a_base64(content, newline=False).decode("ascii") != text:
        raise ValueError("this is not canonical base64")
    return content


def decode_url_safe(text: str) -> bytes:
    """Read the URL-safe alphabet. Raises ValueError as `decode` does, and for a character of the standard one."""
    if "+" in text or "/" in text:
        raise ValueError("this is not URL-safe base64")
    return decode(text.translate(_URL_SAFE))
