"""The ledger's entries: the verbatim bytes of statements, and events as canonical JSON with their type.

An entry of a C2SP entry bundle has at most 65,535 bytes; a larger entry is in the log by its digest.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from whence_common.digest import sha256_digest
from whence_common.errors import InputError

ENTRY_BYTES_MAX = 65_535
STATEMENT_KIND = "statement"
_TYPE = re.compile(r"urn:whence:([a-z][a-z0-9-]{0,40}):v([1-9][0-9]{0,3})\Z")


class EntryInvalid(InputError):
    """The bytes are not an entry of a ledger."""

    def __init__(self, message: str) -> None:
        super().__init__("entry-malformed", message)


def event(kind: str, content: dict[str, Any], *, version: int = 1) -> bytes:
    """Return the bytes of an event: canonical JSON with its type, which names the kind and its version."""
    return msgspec.json.encode({"type": f"urn:whence:{kind}:v{version}", **content}, order="deterministic")


def leaf_data(content: bytes) -> bytes:
    """Return what is hashed as the leaf of an entry: its bytes, or an event with its digest if it is too large."""
    if len(content) <= ENTRY_BYTES_MAX:
        return content
    return event("by-digest", {"digest": sha256_digest(content), "size": len(content)})


def kind_of(content: bytes) -> tuple[str, dict[str, Any]]:
    """Return the kind of an entry, and an event's members. Raises EntryInvalid."""
    kind, _, members = type_of(content)
    return kind, members


def type_of(content: bytes) -> tuple[str, int, dict[str, Any]]:
    """Return the kind of an entry, the kind's version, and an event's members. Raises EntryInvalid.

    For a statement, an envelope, the members are empty; its version is in its predicate.
    """
    try:
        members = _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise EntryInvalid("the entry is not a JSON object") from exc
    if "payloadType" in members:
        return STATEMENT_KIND, 1, {}
    stated = str(members.get("type", ""))
    found = _TYPE.match(stated)
    if found is None:
        raise EntryInvalid(f"the entry's type {stated[:80]!r} is not urn:whence:KIND:vN")
    return found[1], int(found[2]), members


_DECODER = msgspec.json.Decoder(dict[str, Any])
