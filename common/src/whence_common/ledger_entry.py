"""What the ledger's leaves are: the verbatim bytes of statements, and canonical JSON events with their type.

An entry of a C2SP bundle is at most 65,535 bytes long; what is larger stands in the log by its digest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from whence_common.digest import sha256_digest
from whence_common.errors import InputError

ENTRY_BYTES_MAX = 65_535
EVENT_KINDS = (
    "clock", "enrolment", "enrolment-refused", "application", "fact", "verdict", "log-key", "pruned", "push", "untag",
)  # fmt: skip
"""`clock` gives the time from which the entries after it were recorded."""
KINDS = ("statement", *EVENT_KINDS)
_TYPE_PREFIX, _TYPE_SUFFIX = "urn:whence:", ":v1"


class EntryInvalid(InputError):
    """The bytes are not an entry of a ledger."""

    def __init__(self, message: str) -> None:
        super().__init__("entry-malformed", message)


def event(kind: str, content: dict[str, Any]) -> bytes:
    """Make the bytes of an event: canonical JSON with its type."""
    return msgspec.json.encode({"type": f"{_TYPE_PREFIX}{kind}{_TYPE_SUFFIX}", **content}, order="deterministic")


def leaf_data(content: bytes) -> bytes:
    """Give what is hashed as the leaf of an entry: its bytes, or its digest where they are too many."""
    if len(content) <= ENTRY_BYTES_MAX:
        return content
    return event("by-digest", {"digest": sha256_digest(content), "size": len(content)})


def kind_of(content: bytes) -> tuple[str, dict[str, Any]]:
    """Say what an entry is; give an event's members as well. Raises EntryInvalid."""
    try:
        members = _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise EntryInvalid("the entry is not a JSON object") from exc
    if "payloadType" in members:
        return "statement", {}
    stated = str(members.get("type", ""))
    kind = stated.removeprefix(_TYPE_PREFIX).removesuffix(_TYPE_SUFFIX)
    if stated != f"{_TYPE_PREFIX}{kind}{_TYPE_SUFFIX}" or kind not in EVENT_KINDS:
        raise EntryInvalid(f"the entry's type {stated[:80]!r} is unknown")
    return kind, members


_DECODER = msgspec.json.Decoder(dict[str, Any])
