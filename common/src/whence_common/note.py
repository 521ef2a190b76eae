"""Signed notes and checkpoints, C2SP signed-note, tlog-checkpoint and tlog-cosignature: Ed25519 only.

A note is text that ends in a newline, a blank line, then lines `— name base64(key id || signature)`. A checkpoint is a
note of three lines: origin, size, root. A cosignature is a witness's signature over the checkpoint and a time.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from whence_common import strict_base64
from whence_common.errors import InputError

NOTE_BYTES_MAX = 64 * 1024
_SIGNATURES_MAX = 64
LOG, WITNESS = 0x01, 0x04
"""Signature types: a log's own over the text, a witness's over time and text."""
_NAME = re.compile(r"[^\s+]{1,200}\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")


class NoteInvalid(InputError):
    """The bytes are not a signed note, or no trusted key signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with its name. Written `name+hex id+base64(type || key)`."""

    name: str
    type: int
    key: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Parse a verifier key. Raises NoteInvalid."""
        text = text.strip()
        name, _, rest = text.partition("+")
        identifier, _, encoded = rest.partition("+")
        try:
            content = strict_base64.decode(encoded)
            stated = bytes.fromhex(identifier)
        except ValueError as exc:
            raise NoteInvalid(
                "note-key", "the text is not a verifier key", fix="write it like name+1a2b3c4d+BASE64"
            ) from exc
        if not _NAME.match(name) or len(content) != 33 or content[0] not in (LOG, WITNESS):
            raise NoteInvalid(
                "note-key", "the text is not an Ed25519 verifier key", fix="write it like name+1a2b3c4d+BASE64"
            )
        key = cls(name=name, type=content[0], key=content[1:])
        if key.id != stated:
            raise NoteInvalid("note-key", f"the key's id must be {key.id.hex()}", fix="copy the whole key again")
        if str(key) != text:
            raise NoteInvalid("note-key", "the key is not in its canonical form", fix=f"write {key}")
        return key

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.key).digest()[:4]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.type]) + self.key).decode("ascii")
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def signature_holds(self, signature: bytes, text: bytes) -> bool:
        """Return whether a signature of this key over the text is valid; a witness's begins with the time."""
        if self.type == WITNESS:
            if len(signature) != 72:
                return False
            seconds, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            text = _cosigned(seconds, text)
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line; `content` are the bytes after the key id."""

    name: str
    key_id: bytes
    content: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.content).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A well-formed note; `verify` verifies its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, content: bytes) -> Note:
        """Parse a note. Raises NoteInvalid."""
        if len(content) > NOTE_BYTES_MAX:
            raise NoteInvalid("note-too-large", f"the note is larger than {NOTE_BYTES_MAX} bytes")
        try:
            whole = content.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise NoteInvalid("note-malformed", "the note is not UTF-8") from exc
        if any((c < " " and c != "\n") or c == "\x7f" for c in whole):
            raise NoteInvalid("note-malformed", "the note contains control characters")
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise NoteInvalid("note-malformed", "the note has no signature lines")
        found = [_signature(line) for line in lines[:-1].split("\n")]
        if len(found) > _SIGNATURES_MAX:
            raise NoteInvalid("note-malformed", f"the note has more than {_SIGNATURES_MAX} signatures")
        return cls(text + "\n", tuple(found))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
        """Return the keys that signed. Raises NoteInvalid if a signature is invalid, or none of them signed."""
        known = {(key.name, key.id): key for key in keys}
        text, signed = self.text.encode(), {}
        for one in self.signatures:
            key = known.get((one.name, one.key_id))
            if key is None:
                continue
            if not key.signature_holds(one.content, text):
                raise NoteInvalid("note-signature", f"the signature of {one.name} is not valid")
            signed[one.name, one.key_id] = key
        if not signed:
            raise NoteInvalid("note-unsigned", "no trusted key signed this note")
        return tuple(signed.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's commitment: its first `size` entries have this root. `root` has 32 bytes."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Parse a note's text; extension lines are ignored. Raises NoteInvalid."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] != "" or any(not line for line in lines[:-1]) or not _SIZE.match(lines[1]):
            raise NoteInvalid("checkpoint-malformed", "the text is not a checkpoint: origin, size, root")
        try:
            root = strict_base64.decode(lines[2])
        except ValueError as exc:
            raise NoteInvalid("checkpoint-malformed", "the root is not base64") from exc
        if len(root) != 32:
            raise NoteInvalid("checkpoint-malformed", "the root is not a SHA-256 hash")
        return cls(origin=lines[0], size=int(lines[1]), root=root)

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"


class Signer:
    """A private key with its name; for logs, or with `WITNESS` for witnesses."""

    def __init__(self, name: str, seed: bytes, type_: int = LOG) -> None:
        if not _NAME.match(name):
            raise NoteInvalid("note-key", "a key's name must not contain white space or +")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.verifier = VerifierKey(name=name, type=type_, key=raw)

    def sign(self, text: str) -> Signature:
        """Sign a text as a log does."""
        return Signature(self.verifier.name, self.verifier.id, self._key.sign(text.encode()))

    def cosign(self, text: str, seconds: int) -> Signature:
        """Sign a checkpoint as a witness does, with the time it was seen."""
        content = seconds.to_bytes(8, "big") + self._key.sign(_cosigned(seconds, text.encode()))
        return Signature(self.verifier.name, self.verifier.id, content)


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _NAME.match(parts[1]):
        raise NoteInvalid("note-malformed", "a signature line is malformed")
    try:
        content = strict_base64.decode(parts[2])
    except ValueError as exc:
        raise NoteInvalid("note-malformed", "a signature is not base64") from exc
    if len(content) < 5:
        raise NoteInvalid("note-malformed", "a signature is too short")
    return Signature(parts[1], content[:4], content[4:])


def _cosigned(seconds: int, text: bytes) -> bytes:
    return b"cosignature/v1\ntime %d\n%s" % (seconds, text)
