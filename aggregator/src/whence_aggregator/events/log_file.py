"""CloudTrail's log files: inflated within bounds and cut into records, each read by itself. Pure.

A file is gzip or plain JSON, `{"Records": [...]}`. Whatever is wrong with the file as a whole refuses it; what is wrong
with one record refuses that record only, so that one hostile call does not hide the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from isal import isal_zlib
from isal.igzip_lib import IsalError

from whence_aggregator.events.cloud_record import CloudRecord, parse_record
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.role_session import RoleSession
from whence_common.errors import one_line

COMPRESSED_BYTES_MAX = 64 * 1024 * 1024
INFLATED_BYTES_MAX = 256 * 1024 * 1024
"""CloudTrail starts a new file long before: most have less than 1 MB compressed."""
RECORDS_MAX = 500_000
RECORD_BYTES_MAX = 1024 * 1024
"""CloudTrail's own bound on one event is 256 KB, and 1 MB for a larger one on request."""
CUT_BYTES_MAX = 64 * 1024 * 1024
"""Of a file that is cut by its brackets, which takes a hundred times as long as the decoder."""
REFUSED_NAMED_MAX = 100
"""Records of one file that become dead letters of their own; the rest is counted in the last one."""
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
"""A string, or a bracket outside of one. A string without an end matches too: else each quote in it is tried anew."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Cut(msgspec.Struct, frozen=True):
    records: list[msgspec.Raw] = msgspec.field(name="Records")


_CUT = msgspec.json.Decoder(_Cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRecord:
    """A record that cannot be used, by its number in the file."""

    number: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A file as read: the records that matter, what is wrong with others, and how many there are."""

    digest: str
    """Hex SHA-256 of the uncompressed content, as CloudTrail's digest files state it."""
    records: Sequence[CloudRecord]
    refused: Sequence[RefusedRecord]
    total: int
    sessions: Sequence[RoleSession] = ()
    """Sessions of roles that were made."""
    newest_at: str
    """The newest time of any event; empty for a file without records."""


def inflate(content: bytes, *, inflated_bytes_max: int = INFLATED_BYTES_MAX) -> bytes:
    """Return the uncompressed content. Raises TrailRefused for what is not exactly one bounded gzip stream.

    Trailing bytes are refused, as AWS's own client does: a digest file does not cover them.
    """
    if len(content) > COMPRESSED_BYTES_MAX:
        raise TrailRefused("file-too-large", f"the file has more than {COMPRESSED_BYTES_MAX} bytes")
    if not content.startswith(_GZIP):
        if len(content) > inflated_bytes_max:
            raise TrailRefused("file-too-large", f"the file has more than {inflated_bytes_max} bytes")
        return content
    stream = isal_zlib.decompressobj(_GZIP_WINDOW)
    try:
        found: bytes = stream.decompress(content, inflated_bytes_max + 1)
    except (IsalError, EOFError) as exc:  # type: ignore[misc]  # the stub declares the class as a value
        raise TrailRefused("file-not-gzip", f"the gzip stream is damaged: {one_line(str(exc), 100)}") from exc
    if len(found) > inflated_bytes_max:
        raise TrailRefused("file-too-large", f"the file inflates to more than {inflated_bytes_max} bytes")
    if not stream.eof:
        raise TrailRefused("file-truncated", "the gzip stream ends before its end")
    if stream.unused_data:
        raise TrailRefused("file-trailing", f"{len(stream.unused_data)} bytes follow the gzip stream")
    return found


def read_log_file(content: bytes, *, inflated_bytes_max: int = INFLATED_BYTES_MAX) -> LogFile:
    """Read a log file's records. Raises TrailRefused when the file as a whole cannot be used."""
    plain = inflate(content, inflated_bytes_max=inflated_bytes_max)
    pieces = _pieces(plain)
    if len(pieces) > RECORDS_MAX:
        raise TrailRefused("file-too-many", f"the file has {len(pieces)} records, and at most {RECORDS_MAX} are read")
    records: list[CloudRecord] = []
    sessions: list[RoleSession] = []
    refused: list[RefusedRecord] = []
    newest = ""
    for number, piece in enumerate(pieces):
        try:
            if len(piece) > RECORD_BYTES_MAX:
                raise TrailRefused("record-too-large", f"the record has more than {RECORD_BYTES_MAX} bytes")
            time, record = parse_record(piece)
        except TrailRefused as exc:
            refused.append(RefusedRecord(number=number, code=exc.code, reason=exc.message))
            continue
        newest = max(newest, time)
        if isinstance(record, RoleSession):
            sessions.append(record)
        elif record is not None:
            records.append(record)
    return LogFile(
        digest=hashlib.sha256(plain).hexdigest(), records=records, refused=bounded_refusals(refused), total=len(pieces),
        newest_at=newest, sessions=sessions,
    )  # fmt: skip


def bounded_refusals(refused: Sequence[RefusedRecord]) -> Sequence[RefusedRecord]:
    """Return the first refused records; the last one states how many more there are."""
    if len(refused) <= REFUSED_NAMED_MAX:
        return refused
    last, more = refused[REFUSED_NAMED_MAX - 1], len(refused) - REFUSED_NAMED_MAX
    stated = RefusedRecord(number=last.number, code=last.code, reason=f"{last.reason}; {more} more records are refused")
    return [*refused[: REFUSED_NAMED_MAX - 1], stated]


def _pieces(plain: bytes) -> Sequence[msgspec.Raw | bytes]:
    """Return each record's bytes.

    A file with a record that the decoder finds too deep, or with half of a surrogate pair, is cut by its brackets.
    """
    try:
        return _CUT.decode(plain).records
    except RecursionError as exc:
        if len(plain) > CUT_BYTES_MAX:
            raise TrailRefused(
                "file-too-deep", "a record is nested too deeply, and the file is too large to cut"
            ) from exc
        return list(_cut_by_brackets(plain))
    except (msgspec.DecodeError, UnicodeError) as exc:
        if len(plain) <= CUT_BYTES_MAX and _SURROGATE.search(plain):
            return list(_cut_by_brackets(plain))
        raise TrailRefused("file-malformed", f"not a JSON object with Records: {one_line(str(exc), 200)}") from exc


def _cut_by_brackets(plain: bytes) -> Iterator[bytes]:
    """Yield the records of a file of which one is nested too deeply for the decoder: it alone is refused."""
    depth = start = 0
    opened = re.match(rb'\s*\{\s*"Records"\s*:\s*\[', plain)
    if opened is None:
        raise TrailRefused("file-malformed", "not a JSON object that begins with Records, and nested too deeply")
    for token in _TOKEN.finditer(plain, opened.end()):
        mark = token[0]
        if mark in (b"{", b"["):
            start = token.start() if depth == 0 else start
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
            if depth < 0:
                return
            if depth == 0:
                yield plain[start : token.end()]
    raise TrailRefused("file-truncated", "the list of records does not end")
