"""Which signatures make a checkpoint trusted: the log's keys, its revoked keys, and witnesses. Pure.

A thief can sign any content of any size with a stolen key: below the size of its revocation, its signature counts only
together with a witness's. The signatures of a lost key below that size count as before, since no attacker has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from whence_common.note import LOG, WITNESS, Checkpoint, Note, NoteInvalid, VerifierKey

_REVOKED = re.compile(r"revoked (\S+) from (0|[1-9][0-9]{0,18}) (stolen|lost)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedKey:
    """A revoked key of a log. Written `revoked KEY from SIZE stolen`, or `lost`."""

    key: VerifierKey
    from_size: int
    """Checkpoints of this size or larger are not trusted by this key."""
    stolen: bool

    @classmethod
    def parse(cls, line: str) -> RevokedKey:
        """Parse one line. Raises NoteInvalid."""
        match = _REVOKED.match(line)
        if match is None:
            raise NoteInvalid("note-key", "the line does not name a revoked key", fix=f"write: {_FORM}")
        return cls(key=VerifierKey.parse(match[1]), from_size=int(match[2]), stolen=match[3] == "stolen")

    def __str__(self) -> str:
        return f"revoked {self.key} from {self.from_size} {'stolen' if self.stolen else 'lost'}"


_FORM = "revoked NAME+1a2b3c4d+BASE64 from SIZE stolen (or lost)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Requires one log key and `witnesses_least` witnesses. Raises NoteInvalid if a witness key is the log's own."""

    log_keys: Sequence[VerifierKey]
    witness_keys: Sequence[VerifierKey] = ()
    witnesses_least: int = 0
    revoked: Sequence[RevokedKey] = ()

    def __post_init__(self) -> None:
        if wrong := wrong_witnesses(self.log_keys, [one.key for one in self.revoked], self.witness_keys):
            raise NoteInvalid("witness-key", wrong[0], fix="use keys of witnesses that other operators run")
        if self.witnesses_least > count_distinct(self.witness_keys):
            known = count_distinct(self.witness_keys)
            raise NoteInvalid(
                "witness-key", f"{self.witnesses_least} witnesses are required, but keys of only {known} are known",
                fix="add witness keys, or require fewer witnesses",
            )  # fmt: skip

    def check(self, note: Note) -> tuple[Checkpoint, tuple[VerifierKey, ...]]:
        """Return the checkpoint and the witnesses that cosigned it. Raises NoteInvalid."""
        revoked = {one.key: one for one in self.revoked}
        signed = note.verify([*self.log_keys, *revoked, *self.witness_keys])
        checkpoint = Checkpoint.parse(note.text)
        witnesses = tuple(key for key in signed if key in self.witness_keys)
        own = [key for key in signed if key not in witnesses and key.name == checkpoint.origin]
        if not own:
            raise NoteInvalid("checkpoint-unsigned", "the checkpoint is not signed by the log's own key")
        if all(key in revoked for key in own):
            _check_revoked([revoked[key] for key in own], checkpoint, witnesses)
        if count_distinct(witnesses) < self.witnesses_least:
            raise NoteInvalid(
                "checkpoint-unwitnessed",
                f"{count_distinct(witnesses)} witnesses cosigned; {self.witnesses_least} are required",
            )
        return checkpoint, witnesses


def wrong_witnesses(
    log_keys: Sequence[VerifierKey], revoked: Sequence[VerifierKey], witness_keys: Sequence[VerifierKey]
) -> list[str]:
    """Return why keys cannot be witness keys: a log must not witness itself under another name."""
    own_keys = {key.key for key in (*log_keys, *revoked)}
    own_names = {key.name for key in (*log_keys, *revoked)}
    wrong = [f"{key.name} is a witness key; a log key is required" for key in log_keys if key.type != LOG]
    for key in witness_keys:
        if key.key in own_keys:
            wrong.append(f"the witness key {key.name} is the log's own key: a log cannot be its own witness")
        elif key.name in own_names:
            wrong.append(f"the witness key {key.name} has the log's own name: a witness needs another name")
        elif key.type != WITNESS:
            wrong.append(f"{key.name} is a log key; a witness key is required")
    return wrong


def count_distinct(keys: Sequence[VerifierKey]) -> int:
    """Return the number of distinct witnesses: keys of one name, or one key under several names, count once."""
    groups: list[tuple[set[str], set[bytes]]] = []
    for one in keys:
        names, raw = {one.name}, {one.key}
        for group in [known for known in groups if one.name in known[0] or one.key in known[1]]:
            groups.remove(group)
            names |= group[0]
            raw |= group[1]
        groups.append((names, raw))
    return len(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """The keys in a file of verifier keys."""

    keys: tuple[VerifierKey, ...]
    revoked: tuple[RevokedKey, ...] = ()


def parse_keys(text: str) -> LogKeys:
    """Parse a file of verifier keys and revoked keys, one per line; # begins a comment. Raises NoteInvalid."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    revoked = tuple(RevokedKey.parse(line) for line in lines if line.startswith("revoked "))
    keys = tuple(VerifierKey.parse(line) for line in lines if not line.startswith("revoked "))
    if not keys:
        raise NoteInvalid("note-key", "there is no verifier key", fix="write one per line, like name+1a2b3c4d+BASE64")
    return LogKeys(keys=keys, revoked=revoked)


def revoked_of(event: Mapping[str, Any]) -> tuple[RevokedKey, ...]:
    """Return the revoked keys in an entry of the kind `log-key`. Raises NoteInvalid."""
    try:
        found = msgspec.convert(event.get("revoked", []), list[_Revoked])
    except msgspec.ValidationError as exc:
        raise NoteInvalid("log-key-malformed", f"the revoked keys in a log-key entry are malformed: {exc}") from exc
    return tuple(
        RevokedKey(key=VerifierKey.parse(one.key), from_size=one.from_size, stolen=one.stolen) for one in found
    )


class _Revoked(msgspec.Struct, frozen=True):
    key: str
    from_size: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    stolen: bool


def _check_revoked(signers: Sequence[RevokedKey], checkpoint: Checkpoint, witnesses: Sequence[VerifierKey]) -> None:
    """Check a checkpoint that only revoked keys signed. Raises NoteInvalid unless one of them still counts for it."""
    for one in signers:
        if checkpoint.size < one.from_size and (witnesses or not one.stolen):
            return
    one = signers[0]
    how = "stolen" if one.stolen else "lost"
    about = f"the checkpoint of size {checkpoint.size} is signed by a key that was {how}, and is revoked"
    about += f" from size {one.from_size} on: {one.key}"
    if checkpoint.size < one.from_size:
        about += "; no known witness cosigned it, so the thief may have signed it"
    fix = "fetch the receipt or bundle again: the aggregator issues it with its current key"
    raise NoteInvalid("checkpoint-revoked", about, fix=fix)
