"""What a checkpoint states, for a glance: how many entries, and who cosigned. Nothing is verified here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from whence_common.clock import to_instant
from whence_common.note import Note, NoteInvalid

_COSIGNATURE_BYTES = 72
"""A time of eight bytes, and an Ed25519 signature (C2SP tlog-cosignature)."""
_COSIGNERS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    name: str
    at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNote:
    """A checkpoint as it is stated, not verified."""

    origin: str
    size: int
    root: str
    signers: tuple[str, ...]
    cosigners: tuple[Cosigner, ...]
    cosigners_left: int


def ledger_of(text: str | None) -> LedgerNote | None:
    """Return what a checkpoint states; None if there is none, or it cannot be read."""
    if text is None:
        return None
    try:
        note = Note.parse(text.encode())
        origin, size, root = note.text.split("\n")[:3]
        entries = int(size)
    except (NoteInvalid, ValueError):
        return None
    cosigned = [one for one in note.signatures if len(one.content) == _COSIGNATURE_BYTES]
    return LedgerNote(
        origin=origin, size=entries, root=root,
        signers=tuple(one.name for one in note.signatures if one not in cosigned),
        cosigners=tuple(Cosigner(name=one.name, at=_time(one.content)) for one in cosigned[:_COSIGNERS_MAX]),
        cosigners_left=max(0, len(cosigned) - _COSIGNERS_MAX),
    )  # fmt: skip


def _time(content: bytes) -> str | None:
    try:
        return to_instant(datetime.fromtimestamp(int.from_bytes(content[:8], "big"), UTC))
    except (ValueError, OverflowError, OSError):
        return None
