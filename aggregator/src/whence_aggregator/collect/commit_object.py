"""A Git commit object as the value of a fact. All of it is text that its author chose. Pure.

Version 1 of the value had `author`, `committed_at`, `subject` and `message` only. Readers accept both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from whence_aggregator.ports_commits import CommitObject, SignatureForm
from whence_aggregator.trace.tickets import MESSAGE_CHARACTERS_MAX
from whence_common.clock import to_instant
from whence_common.identifiers import COMMIT_ID

VERSION = 2
_LINE_CHARACTERS_MAX = 300
_PARENTS_MAX = 100
_TRAILERS_MAX = 100
_PERSON = re.compile(r"(?P<name>[^<>\n]*?) ?<(?P<mail>[^<>\n]*)>")
_SIGNATURES: Mapping[bytes, SignatureForm] = {
    b"-----BEGIN SSH SIGNATURE": "ssh", b"-----BEGIN PGP SIGNATURE": "openpgp", b"-----BEGIN PGP MESSAGE": "openpgp",
    b"-----BEGIN SIGNED MESSAGE": "x509",
}  # fmt: skip
_SIGNATURE_HEADERS = (b"gpgsig", b"gpgsig-sha256")
_ENCODINGS = re.compile(r"(?:iso-?8859-?[0-9]{1,2}|latin-?[0-9]|windows-125[0-8]|cp125[0-8]|koi8-r|koi8-u|euc-jp|"
                        r"shift_?jis|gb2312|gbk|gb18030|big5|euc-kr|us-ascii|utf-?8)\Z", re.IGNORECASE)  # fmt: skip
"""Encodings of text that `encoding` may name; any other is read as UTF-8."""


def commit_value(read: CommitObject) -> dict[str, Any]:
    """Return the value of a commit's fact."""
    headers, body = _parts(read.content)
    encoding = _encoding(headers)
    message = body.decode(encoding, "replace")
    author, committer = (_of(headers, name, encoding) for name in (b"author", b"committer"))
    (author_name, author_mail), (committer_name, committer_mail) = _person(author), _person(committer)
    parents = [one.decode("ascii", "replace") for name, one in headers if name == b"parent"]
    return {
        "version": VERSION,
        "author": _joined(author),
        "author_name": author_name,
        "author_mail": author_mail,
        "authored_at": _time_of(author),
        "committer": _joined(committer),
        "committer_name": committer_name,
        "committer_mail": committer_mail,
        "committed_at": _time_of(committer),
        "parents": [one for one in parents if COMMIT_ID.match(one)][:_PARENTS_MAX],
        "parents_total": len(parents),
        "subject": message.split("\n", 1)[0][:_LINE_CHARACTERS_MAX],
        "message": message[:MESSAGE_CHARACTERS_MAX],
        "message_cut": not read.whole or len(message) > MESSAGE_CHARACTERS_MAX,
        "trailers": [list(one) for one in read.trailers[:_TRAILERS_MAX]],
        "trailers_total": len(read.trailers),
        "signature_form": _form(headers),
    }


def form_of(content: bytes) -> SignatureForm:
    """Return the form of the signature that a commit object carries; whether it is good is another question."""
    return _form(_parts(content)[0])


def _form(headers: list[tuple[bytes, bytes]]) -> SignatureForm:
    for name, value in headers:
        if name in _SIGNATURE_HEADERS:
            return next((form for start, form in _SIGNATURES.items() if value.startswith(start)), "other")
    return "none"


def _parts(content: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers in order, without their continuation lines, and the message."""
    head, _, body = content.partition(b"\n\n")
    found = []
    for line in head.split(b"\n"):
        name, space, value = line.partition(b" ")
        if space and name:
            found.append((name, value))
    return found, body


def _of(headers: list[tuple[bytes, bytes]], wanted: bytes, encoding: str) -> str:
    return next((value.decode(encoding, "replace") for name, value in headers if name == wanted), "")


def _encoding(headers: list[tuple[bytes, bytes]]) -> str:
    named = _of(headers, b"encoding", "ascii").strip()
    return named if _ENCODINGS.match(named) else "utf-8"


def _joined(line: str) -> str:
    """Return `name <mail>` of an author's line; empty when it is malformed."""
    before, marker, _ = line.rpartition("> ")
    return f"{before}>"[:_LINE_CHARACTERS_MAX] if marker and before else ""


def _person(line: str) -> tuple[str, str]:
    match = _PERSON.match(line)
    return (match["name"][:_LINE_CHARACTERS_MAX], match["mail"][:_LINE_CHARACTERS_MAX]) if match else ("", "")


def _time_of(line: str) -> str:
    """Return the time of `name <mail> seconds +zone`; empty when it is malformed."""
    parts = line.rpartition("> ")[2].split(" ")
    try:
        return to_instant(datetime.fromtimestamp(int(parts[0]), UTC))
    except (ValueError, OverflowError, OSError):
        return ""
