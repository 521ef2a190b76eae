"""This instance's key and the sequence of its statements, both on disk and readable by the agent only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.counting import is_number
from whence_common.errors import InputError
from whence_common.keys import key_id
from whence_common.runtime.files import write_durably

_MODE = 0o600


class KeyUnusable(InputError):
    """The key file exists, but does not contain a P-256 key."""


class InstanceKey:
    """A P-256 key, created on first use. A sequence is on disk before a statement with it exists."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.private = self._load_or_create()
        self.id = key_id(self.private.public_key())

    def next_sequence(self) -> int:
        """Return the next sequence, which is never returned twice for one key, also after a crash.

        Without a valid record, begin at 1: the aggregator then states the newest one that it accepted.
        """
        found = self.remembered("sequence").get("next")
        sequence = found if isinstance(found, int) and is_number(found) else 1
        self.remember("sequence", {"next": sequence + 1})
        return sequence

    def continue_after(self, sequence: int) -> None:
        """Continue after a sequence that the aggregator states, because this directory is an older copy."""
        self.remember("sequence", {"next": sequence + 1})

    def remembered(self, name: str) -> dict[str, Any]:
        """Return the values stored under a name for this key; empty without any, or if they belong to another key."""
        try:
            found = json.loads((self._directory / f"{name}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("key") == self.id else {}

    def remember(self, name: str, values: dict[str, Any]) -> None:
        """Store values durably next to the key."""
        content = json.dumps({**values, "key": self.id}).encode()
        write_durably(self._directory / f"{name}.json", content, mode=_MODE)

    def replace(self, notice: dict[str, Any]) -> None:
        """Create another key, and store `notice` under its `name`. Values stored for the old key are ignored then.

        The old private key is overwritten. Raises OSError; after a crash in between, the old key remains.
        """
        private, before = ec.generate_private_key(ec.SECP256R1()), self.id
        self.id = key_id(private.public_key())
        try:
            self.remember(notice["name"], notice)
            self._write(private)
        except OSError:
            self.id = before
            raise
        self.private = private

    def _write(self, key: ec.EllipticCurvePrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_durably(self._directory / "key.pem", pem, mode=_MODE)

    def _load_or_create(self) -> ec.EllipticCurvePrivateKey:
        path = self._directory / "key.pem"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(key)
            return key
        try:
            loaded = serialization.load_pem_private_key(content, password=None)
        except ValueError as exc:
            raise _unusable(path) from exc
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise _unusable(path)
        return loaded


def _unusable(path: Path) -> KeyUnusable:
    fix = "move the file away; the agent creates a new key, which the aggregator must accept"
    return KeyUnusable("instance-key-unusable", f"{path} does not contain a P-256 key", fix=fix)
