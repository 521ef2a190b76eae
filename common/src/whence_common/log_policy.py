"""Whose signatures make a checkpoint believable: the log's keys, those that were revoked, and witnesses. Pure.

A stolen key signs whatever its thief likes, with any size: below the size of its revocation its signature counts only
beside a witness's. A lost key's signatures below that size count as before, for nobody else has it.
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
    """A log's key that signs no more. Written `revoked KEY from SIZE stolen`, or `lost`."""

    key: VerifierKey
    from_size: int
    """Checkpoints over so many entries, or more, are not believed for this key."""
    stolen: bool

    @classmethod
    def parse(cls, line: str) -> RevokedKey:
        """Raises NoteInvalid."""
        match = _REVOKED.match(line)
        if match is None:
            raise NoteInvalid("note-key", "the line does not name a revoked key", fix=f"write: {_FORM}")
        return cls(key=VerifierKey.parse(match[1]), from_size=int(match[2]), stolen=match[3] == "stolen")

    def __str__(self) -> str:
        return f"revoked {self.key} from {self.from_size} {'stolen' if self.stolen else 'lost'}"


_FORM = "revoked NAME+1a2b3c4d+BASE64 from SIZE stolen (or lost)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One log key, and `witnesses_least` of the witnesses. Raises NoteInvalid where a witness could be the log."""

    log_keys: Sequence[VerifierKey]
    witness_keys: Sequence[VerifierKey] = ()
    witnesses_least: int = 0
    revoked: Sequence[RevokedKey] = ()

    def __post_init__(self) -> None:
        if wrong := wrong_witnesses(self.log_keys, [one.key for one in self.revoked], self.witness_keys):
            raise NoteInvalid("witness-key", wrong[0], fix="give the keys of witnesses that others run")
        if self.witnesses_least > count_distinct(self.witness_keys):
            known = count_distinct(self.witness_keys)
            raise NoteInvalid(
                "witness-key", f"{self.witnesses_least} witnesses are needed, and the keys are those of {known}",
                fix="give more witness keys, or ask for fewer witnesses",
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
                f"{count_distinct(witnesses)} witnesses cosigned; {self.witnesses_least} are needed",
            )
        return checkpoint, witnesses


def wrong_witnesses(
    log_keys: Sequence[VerifierKey], revoked: Sequence[VerifierKey], witness_keys: Sequence[VerifierKey]
) -> list[str]:
    """Return why keys cannot be those of witnesses: a log must not vouch for itself under another name."""
    own_keys = {key.key for key in (*log_keys, *revoked)}
    own_names = {key.name for key in (*log_keys, *revoked)}
    wrong = [f"{key.name} is a witness's key, and a log's is needed" for key in log_keys if key.type != LOG]
    for key in witness_keys:
        if key.key in own_keys:
            wrong.append(f"the witness key {key.name} is the log's own key: the log would vouch for itself")
        elif key.name in own_names:
            wrong.append(f"the witness key {key.name} has the log's own name: a witness has a name of its own")
        elif key.type != WITNESS:
            wrong.append(f"the key {key.name} is a log's key, and a witness's is needed")
    return wrong


def count_distinct(keys: Sequence[VerifierKey]) -> int:
    """Return how many witnesses these keys are: keys of one name, or the same key under several, are one."""
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
    """What a file of keys holds."""

    keys: tuple[VerifierKey, ...]
    revoked: tuple[RevokedKey, ...] = ()


def parse_keys(text: str) -> LogKeys:
    """Read a file of verifier keys, one a line, and of revoked ones; # begins a comment. Raises NoteInvalid."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    revoked = tuple(RevokedKey.parse(line) for line in lines if line.startswith("revoked "))
    keys = tuple(VerifierKey.parse(line) for line in lines if not line.startswith("revoked "))
    if not keys:
        raise NoteInvalid("note-key", "there is no verifier key", fix="write one a line, like name+1a2b3c4d+BASE64")
    return LogKeys(keys=keys, revoked=revoked)


def revoked_of(event: Mapping[str, Any]) -> tuple[RevokedKey, ...]:
    """Read the revoked keys that an entry `log-key` names. Raises NoteInvalid."""
    try:
        found = msgspec.convert(event.get("revoked", []), list[_Revoked])
    except msgspec.ValidationError as exc:
        raise NoteInvalid("log-key-malformed", f"the revoked keys of an entry log-key cannot be read: {exc}") from exc
    return tuple(
        RevokedKey(key=VerifierKey.parse(one.key), from_size=one.from_size, stolen=one.stolen) for one in found
    )


class _Revoked(msgspec.Struct, frozen=True):
    key: str
    from_size: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    stolen: bool


def _check_revoked(signers: Sequence[RevokedKey], checkpoint: Checkpoint, witnesses: Sequence[VerifierKey]) -> None:
    """Raises NoteInvalid unless one of these revoked keys may still be believed about this checkpoint."""
    for one in signers:
        if checkpoint.size < one.from_size and (witnesses or not one.stolen):
            return
    one = signers[0]
    how = "stolen" if one.stolen else "lost"
    about = f"the checkpoint over {checkpoint.size} entries is signed by a key that was {how}, and revoked"
    about += f" from {one.from_size} entries on: {one.key}"
    if checkpoint.size < one.from_size:
        about += "; no witness whose key was given cosigned it, so the thief may have signed it"
    fix = "fetch the receipt or bundle again: the aggregator issues it under its present key"
    raise NoteInvalid("checkpoint-revoked", about, fix=fix)
