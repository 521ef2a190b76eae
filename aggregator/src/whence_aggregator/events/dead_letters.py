"""Dead letters: what cannot be used, kept with its reason until it is replayed or discarded. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import msgspec

from whence_aggregator.events.object_keys import TrailObject
from whence_aggregator.queries.events import AddTrailDeadParameters
from whence_common.clock import from_millis
from whence_common.errors import WhenceError, one_line
from whence_common.storable import cleaned

DeadSort = Literal["message", "object", "record"]
_REASON_CHARACTERS_MAX = 500
DEAD_LETTERS_MAX = 100_000
"""While so many wait, nothing more is received: the queue keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter. `place` is a queue's URL or s3://bucket/key; `body` is what a replay begins with."""

    id: str
    sort: DeadSort
    place: str
    number: int
    """Of the record in its file; -1 for a whole message or object."""
    body: str
    code: str
    reason: str
    account_id: str
    region: str
    dead_at: int

    def to_wire(self) -> dict[str, object]:
        """Return it without its body, which is somebody else's and need not be shown to find it."""
        return {
            "id": self.id,
            "sort": self.sort,
            "place": self.place,
            "record": self.number if self.number >= 0 else None,
            "code": self.code,
            "reason": self.reason,
            "account_id": self.account_id or None,
            "region": self.region or None,
            "at": from_millis(self.dead_at),
        }


def dead_message(url: str, body: str, why: WhenceError, *, at: int) -> AddTrailDeadParameters:
    """Return the row of a message that cannot be used."""
    return _row("message", url, -1, cleaned(body), why.code, why.message, ("", ""), at)


def dead_object(one: TrailObject, why: WhenceError, *, of: tuple[str, str], at: int) -> AddTrailDeadParameters:
    """Return the row of an object that cannot be used; `of` is its account and region."""
    return _row("object", str(one), -1, object_text(one), why.code, why.message, of, at)


def dead_record(
    one: TrailObject, number: int, code: str, reason: str, *, of: tuple[str, str], at: int
) -> AddTrailDeadParameters:
    """Return the row of a record that cannot be used."""
    return _row("record", str(one), number, object_text(one), code, reason, of, at)


def object_text(one: TrailObject) -> str:
    """Return bucket and key as the text that tasks and letters name an object by."""
    return f"{one.bucket}/{one.key}"


def object_of_text(text: str) -> TrailObject:
    bucket, _, key = text.partition("/")
    return TrailObject(bucket=bucket, key=key)


def _row(
    sort: DeadSort, place: str, number: int, body: str, code: str, reason: str, of: tuple[str, str], at: int
) -> AddTrailDeadParameters:
    known = msgspec.json.encode([sort, place, number, body, code])
    return {
        "id": hashlib.sha256(known).hexdigest()[:32],
        "sort": sort,
        "place": place,
        "number": number,
        "body": body,
        "code": code,
        "reason": one_line(reason, _REASON_CHARACTERS_MAX),
        "account_id": of[0],
        "region": of[1],
        "dead_at": at,
    }
