"""What a checkpoint states: how many entries there are, and who signed. Nothing is verified here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from whence_common.clock import to_instant
from whence_common.note import Checkpoint, Note, NoteInvalid, Signature

_COSIGNATURE_BYTES = 72
"""A time of eight bytes, and an Ed25519 signature (C2SP tlog-cosignature)."""
_SECONDS_MAX = 2**33


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """Who signed, as the note states it. `at` is when a witness cosigned, by its own clock; None if not stated."""

    name: str
    key_id: str
    at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNote:
    """A checkpoint as it is stated, not verified. `root` is in hexadecimal digits."""

    origin: str
    size: int
    root: str
    own: Sequence[NoteSigner]
    """By keys with the log's own name."""
    cosigners: Sequence[NoteSigner]
    others: Sequence[NoteSigner]
    """Signatures that are neither the log's nor a witness's."""

    @property
    def witnesses(self) -> int:
        """Return how many witnesses cosigned; keys of one name are one."""
        return len({one.name for one in self.cosigners})


def ledger_of(text: str | None) -> LedgerNote | None:
    """Return what a checkpoint states; None if there is none, or it cannot be read."""
    if text is None:
        return None
    try:
        note = Note.parse(text.encode())
        stated = Checkpoint.parse(note.text)
    except NoteInvalid:
        return None
    others = [one for one in note.signatures if one.name != stated.origin]
    cosigned = [one for one in others if len(one.content) == _COSIGNATURE_BYTES]
    return LedgerNote(
        origin=stated.origin, size=stated.size, root=stated.root.hex(),
        own=[_signer(one) for one in note.signatures if one.name == stated.origin],
        cosigners=[_signer(one, at=_time(one.content)) for one in cosigned],
        others=[_signer(one) for one in others if one not in cosigned],
    )  # fmt: skip


def _signer(one: Signature, *, at: str | None = None) -> NoteSigner:
    return NoteSigner(name=one.name, key_id=one.key_id.hex(), at=at)


def _time(content: bytes) -> str | None:
    seconds = int.from_bytes(content[:8], "big")
    return to_instant(datetime.fromtimestamp(seconds, UTC)) if seconds < _SECONDS_MAX else None
