"""The outside of user data: 16 KiB at most, UTF-8, `#taupage-ami-config` first; gzip is undone within a bound."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from whence_common.problems import Problem

RAW_BYTES_MAX = 16 * 1024
"""EC2's limit for raw user data."""
INFLATED_BYTES_MAX = 256 * 1024
HEADER = "#taupage-ami-config"
_FOREIGN = (
    ("#cloud-config", "cloud-config is not read: what runs here is decided by this file alone"),
    ("#include", "includes are never fetched"),
    ("#!", "scripts are never run"),
    ("#cloud-boothook", "boothooks are never run"),
    ("## template:", "templates are never rendered"),
    ("content-type:", "MIME multipart is not read yet"),
    ("mime-version:", "MIME multipart is not read yet"),
    ("#zalando-ami-config", "this header is from before 2015"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What came out of the envelope: the YAML text, or None with the problems that say why not."""

    text: str | None
    problems: tuple[Problem, ...]


def open_envelope(raw: bytes) -> Envelope:
    """Check size, compression, encoding and header of raw user data."""
    if len(raw) > RAW_BYTES_MAX:
        return _refused(
            "user-data-too-large",
            f"user data is {len(raw)} bytes; EC2 takes at most {RAW_BYTES_MAX}",
            "shorten it, or compress it with gzip",
        )
    if raw[:2] == b"\x1f\x8b":
        inflated = _inflate(raw)
        if inflated is None:
            return _refused(
                "user-data-gzip-broken",
                f"user data starts like gzip, but does not inflate whole to at most {INFLATED_BYTES_MAX} bytes",
                "compress the file again, or give it uncompressed",
            )
        raw = inflated
    if not raw.strip():
        return _refused("user-data-empty", "there is no user data", f"start it with the line {HEADER}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        column = exc.start - (raw.rfind(b"\n", 0, exc.start) + 1) + 1
        return _refused(
            "user-data-not-utf8",
            "this byte is no UTF-8",
            "save the file as UTF-8 without a code page",
            line,
            column,
        )
    text = text.removeprefix("\ufeff")
    return _check_header(text)


def _check_header(text: str) -> Envelope:
    stripped = text.lstrip()
    line = text[: len(text) - len(stripped)].count("\n") + 1
    first = stripped.split("\n", 1)[0].rstrip()
    lowered = first.lower()
    if lowered.startswith(HEADER):
        if lowered == HEADER:
            return Envelope(text=text, problems=())
        suffix = Problem(
            severity="warning",
            code="user-data-header-suffix",
            line=line,
            column=len(HEADER) + 1,
            path="",
            message=f"something follows {HEADER} on its line",
            fix=f"write {HEADER} alone on the line",
        )
        return Envelope(text=text, problems=(suffix,))
    for prefix, why in _FOREIGN:
        if lowered.startswith(prefix):
            return _refused("user-data-header-foreign", why, f"write {HEADER} as the first line", line)
    return _refused(
        "user-data-header-missing",
        f"the first line is not {HEADER}",
        f"write {HEADER} as the first line, without spaces after the #",
        line,
    )


def _inflate(raw: bytes) -> bytes | None:
    decompressor = zlib.decompressobj(wbits=31)
    try:
        inflated = decompressor.decompress(raw, INFLATED_BYTES_MAX + 1)
    except zlib.error:
        return None
    whole = decompressor.eof and not decompressor.unused_data
    return inflated if whole and len(inflated) <= INFLATED_BYTES_MAX else None


def _refused(code: str, message: str, fix: str, line: int = 1, column: int = 1) -> Envelope:
    problem = Problem(severity="error", code=code, line=line, column=column, path="", message=message, fix=fix)
    return Envelope(text=None, problems=(problem,))


def lines_of(raw: bytes) -> list[str]:
    """Give the document's lines for quotation beside a problem; empty when it is not text."""
    if raw[:2] == b"\x1f\x8b":
        raw = _inflate(raw) or b""
    return re.split(r"\r?\n", raw[:INFLATED_BYTES_MAX].decode("utf-8", "replace").removeprefix("\ufeff"))
